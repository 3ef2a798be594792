"""Real readers of .env files as the referees of what `cred` writes and reads.

`python -m referee PORT` answers `POST /read?NAME,NAME` with what each reader finds in the body, as
`{"reader": {"NAME": "base64 of the value"}}`, or with 500 and the reader that failed. A name that a
reader does not find is absent.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import dotenv

MODULE = os.path.join(os.path.dirname(sys.prefix), "node_modules", "dotenv")
ENVIRONMENT = {"PATH": os.environ["PATH"]}

# Prints an object of names and values, as JSON with base64.
JAVASCRIPT = """
const show = found => process.stdout.write(JSON.stringify(Object.fromEntries(
  Object.entries(found).map(([name, value]) => [name, Buffer.from(value).toString("base64")]))))
"""

# Prints a line for each name: its value in base64 after a dot, or nothing.
SHELL = r"""
. "$0" || exit 1
for name do
  eval "value=\${$name-} is_set=\${$name+.}"
  printf '%s' "$is_set"
  printf '%s' "$value" | base64 | tr -d '\n'
  echo
done
"""


def node(path, _):
    return json.loads(run("node", "--env-file=" + path, "-e", JAVASCRIPT + "show(process.env)"))


def npm(path, _, options="{}"):
    script = JAVASCRIPT + "show(require(process.argv[1]).parse(require('fs').readFileSync(process.argv[2]), " + options + "))"
    return json.loads(run("node", "-e", script, MODULE, path))


def npm_fast(path, names):
    return npm(path, names, "{fast: true}")


def python(path, _):
    found = dotenv.dotenv_values(path)
    return {name: encoded(value.encode()) for name, value in found.items() if value is not None}


def sh(path, names):
    lines = run("sh", "-c", SHELL, path, *names).decode().split("\n")
    return {name: line[1:] for name, line in zip(names, lines) if line.startswith(".")}


READERS = [node, npm, npm_fast, python, sh]


def encoded(value):
    return base64.b64encode(value).decode()


def run(*command):
    ran = subprocess.run(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True)
    if ran.returncode != 0:
        raise RuntimeError(f"it ended with {ran.returncode}: {ran.stderr[-2000:]}")
    return ran.stdout


def read(text, names):
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vars.env")
        with open(path, "wb") as file:
            file.write(text)
        for reader in READERS:
            try:
                values = reader(path, names)
            # A missing program or a syntax error: the test that sent the request prints it.
            except Exception as error:
                raise RuntimeError(f"the reader {reader.__name__} failed: {error!r}") from error
            found[reader.__name__] = {name: values[name] for name in names if name in values}
        if os.listdir(folder) != ["vars.env"]:
            raise RuntimeError("a value was executed")
    return found


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/health" else 404, "{}")

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"]))
        names = [name for name in urlsplit(self.path).query.split(",") if name]
        try:
            self.answer(200, json.dumps(read(text, names)))
        except Exception as error:
            self.answer(500, str(error))

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
