"""Microsoft's own client as the referee of a vault: each check asks the vault what any client of Azure would.

`python -m referee PORT` answers `GET /check/NAME` with 200, or with 500 and the failure. The environment names the vault and the client,
as for the tests in Rust.
"""

import os
import secrets
import sys
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

URL = os.environ["CRED_TEST_AZURE_VAULT_URL"]
CA = os.environ["CRED_TEST_AZURE_CA"]
PREFIX = "referee-" + secrets.token_hex(6) + "-"


def client(secret=None):
    credential = ClientSecretCredential(
        os.environ["CRED_TEST_AZURE_TENANT_ID"],
        os.environ["CRED_TEST_AZURE_CLIENT_ID"],
        secret or os.environ["CRED_TEST_AZURE_CLIENT_SECRET"],
        authority=os.environ["CRED_TEST_AZURE_AUTHORITY"],
        # Microsoft's own list of authorities has no double in it.
        disable_instance_discovery=True,
        connection_verify=CA,
    )
    azures = ".vault.azure.net" in URL
    return SecretClient(URL, credential, connection_verify=CA, verify_challenge_resource=azures, retry_total=0)


def fresh(name):
    return PREFIX + name + "-" + secrets.token_hex(4)


def writable(vault, name, value):
    """Sets a secret once what is going on under its name has ended."""
    for _ in range(100):
        try:
            return vault.set_secret(name, value)
        except HttpResponseError as error:
            if error.status_code != 409:
                raise
            time.sleep(0.2)
    raise AssertionError("the name was never free")


def sets_and_gets():
    vault, name = client(), fresh("MixedCase")
    set_one = vault.set_secret(name, "value é \r\n\"", tags={"env": "prod"}, content_type="text/plain")
    got = vault.get_secret(name.upper())
    assert got.value == "value é \r\n\"", got.value
    assert got.properties.tags == {"env": "prod"}, got.properties.tags
    assert got.properties.content_type == "text/plain"
    assert got.properties.version == set_one.properties.version
    assert got.properties.enabled and got.properties.created_on is not None


def versions():
    vault, name = client(), fresh("versions")
    ids = [vault.set_secret(name, str(number)).properties.version for number in range(3)]
    assert vault.get_secret(name).value == "2"
    assert vault.get_secret(name, ids[0]).value == "0"
    listed = [properties.version for properties in vault.list_properties_of_secret_versions(name)]
    assert sorted(listed) == sorted(ids), listed


def properties():
    vault, name = client(), fresh("properties")
    version = vault.set_secret(name, "value").properties.version
    changed = vault.update_secret_properties(name, version, enabled=False, tags={"a": "b"})
    assert changed.enabled is False and changed.tags == {"a": "b"}
    try:
        vault.get_secret(name)
        raise AssertionError("a disabled secret was read")
    except HttpResponseError as error:
        assert error.status_code == 403 and error.error.innererror["code"] == "SecretDisabled", error
    vault.update_secret_properties(name, version, enabled=True)
    assert vault.get_secret(name).value == "value"


def lists_page_by_page():
    vault, base = client(), fresh("list")
    names = {f"{base}-{number}" for number in range(60)}
    for name in names:
        vault.set_secret(name, "value")
    pages = [[item.name for item in page] for page in vault.list_properties_of_secrets().by_page()]
    assert len(pages) >= 3 and all(len(page) <= 25 for page in pages), [len(page) for page in pages]
    listed = [name for page in pages for name in page if name.startswith(base)]
    assert len(listed) == 60 and set(listed) == names, listed


def deletes_and_recovers():
    vault, name = client(), fresh("recover")
    vault.set_secret(name, "value")
    deleted = vault.begin_delete_secret(name).result()
    assert deleted.deleted_date is not None and deleted.scheduled_purge_date > deleted.deleted_date
    wait(lambda: vault.get_deleted_secret(name))
    assert name in [item.name for item in vault.list_deleted_secrets()]
    vault.begin_recover_deleted_secret(name).wait()
    assert vault.get_secret(name).value == "value"
    writable(vault, name, "another")
    assert vault.get_secret(name).value == "another"


def purges():
    vault, name = client(), fresh("purge")
    vault.set_secret(name, "value")
    vault.begin_delete_secret(name).wait()
    vault.purge_deleted_secret(name)
    wait_absent(lambda: vault.get_deleted_secret(name))
    writable(vault, name, "another")
    assert [item.version for item in vault.list_properties_of_secret_versions(name)] != []
    assert vault.get_secret(name).value == "another"


def refuses_a_deleted_name():
    vault, name = client(), fresh("deleted")
    vault.set_secret(name, "value")
    vault.begin_delete_secret(name).wait()
    try:
        vault.set_secret(name, "another")
        raise AssertionError("a deleted name was written")
    except HttpResponseError as error:
        assert error.status_code == 409 and error.error.code == "Conflict", error
        assert error.error.innererror["code"] == "ObjectIsDeletedButRecoverable", error


def refuses_a_wrong_secret():
    try:
        client("wrong").get_secret(fresh("secret"))
        raise AssertionError("a wrong secret was taken")
    except ClientAuthenticationError as error:
        assert "AADSTS7000215" in str(error), error


def reports_absence():
    vault, name = client(), fresh("absent")
    for read in (vault.get_secret, vault.get_deleted_secret):
        try:
            read(name)
            raise AssertionError("an absent secret was read")
        except ResourceNotFoundError as error:
            assert error.error.code == "SecretNotFound", error


def wait(read):
    for _ in range(100):
        try:
            return read()
        except ResourceNotFoundError:
            time.sleep(0.2)
    raise AssertionError("it never came")


def wait_absent(read):
    for _ in range(100):
        try:
            read()
        except ResourceNotFoundError:
            return
        time.sleep(0.2)
    raise AssertionError("it never went")


CHECKS = {
    check.__name__: check
    for check in (
        sets_and_gets,
        versions,
        properties,
        lists_page_by_page,
        deletes_and_recovers,
        purges,
        refuses_a_deleted_name,
        refuses_a_wrong_secret,
        reports_absence,
    )
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, text = 404, "no such check"
        check = CHECKS.get(self.path.removeprefix("/check/"))
        if self.path == "/health":
            status, text = 200, "{}"
        elif check is not None:
            try:
                check()
                status, text = 200, "fine"
            except Exception:  # the test that sent the request reports it
                status, text = 500, traceback.format_exc()
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
