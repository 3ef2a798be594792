#!/usr/bin/env python3
"""Known-answer vectors for the sealed format, version 1.

An implementation of the format that shares no code with the Rust one. It was
written only from the description of the format, so that a mistake in one of
them shows up as a difference.

    python3 -m venv venv
    venv/bin/pip install 'cryptography>=44'        # made with 50.0.2
    venv/bin/python make_vectors.py                # writes seal-v1.json, reject-v1.json
    venv/bin/python make_vectors.py --check        # only checks; exit status 1 on any difference

Everything is deterministic: keys, salts, nonces and secrets come from SHAKE-256
over fixed labels (`draw`). Do not use this code in production: a real sealer
reads salt and nonce from the system's random source, for each message.

`--check` runs these checks:

- It creates both files in memory and compares them byte for byte.
- It opens every vector of the files on disk with a reader (`open_envelope`) that
  shares only the AAD and the key derivation with the sealer. HKDF is checked
  against a second implementation, which uses the standard library's hmac.
- It flips a bit in every byte of every small vector's envelope.
- It checks that each negative vector is refused with the named error, at the
  named stage, and, if that can be shown, that it would be accepted without its
  one defect.
"""

import argparse
import functools
import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).resolve().parent
SEAL_FILE = HERE / "seal-v1.json"
REJECT_FILE = HERE / "reject-v1.json"

U64_MAX = 2**64 - 1
INFO = b"cred/seal/v1"
AAD_LABEL = b"cred/aad/v1\x00"
MAGIC = b"CRP1"

CREATED_AT, LAST_MODIFIED, VERSION, TAGS, EXPIRES_AT, ROTATION, CREATED_BY = range(1, 8)
FIRST_RESERVED = 0x8000


# --------------------------------------------------------------- fixed inputs


def draw(label, size):
    """Returns `size` fixed bytes for `label`, instead of random ones."""
    return hashlib.shake_256(b"cred test vectors v1\x00" + label.encode()).digest(size)


def raw_key(label):
    return {"raw": draw("master/" + label, 32).hex()}


def passphrase_key(passphrase, salt_label):
    return {
        "passphrase": passphrase,
        "kdf_salt": draw("kdf_salt/" + salt_label, 16).hex(),
        "m_kib": 65536,
        "t": 3,
        "p": 4,
    }


def meta(**given):
    """Returns metadata with every field; a field that is not given has its default."""
    fields = {
        "created_at": 0,
        "last_modified": 0,
        "version": 0,
        "tags": {},
        "expires_at": None,
        "rotation": None,
        "created_by": None,
        "unknown": {},
    }
    assert not given.keys() - fields.keys(), given
    fields.update(given)
    return fields


# ------------------------------------------------------------------- encoding


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def lp(x):
    return u16(len(x)) + x


def opt(x):
    return b"\x00" if x is None else b"\x01" + x


def field(tag, value):
    return u16(tag) + u32(len(value)) + value


def encode_tags(tags):
    pairs = sorted((k.encode(), v.encode()) for k, v in tags.items())
    return b"".join(lp(k) + lp(v) for k, v in pairs)


def encode_rotation(rotation):
    kind = rotation["kind"]
    if kind == "periodic":
        return b"\x01" + u64(rotation["interval_ms"])
    if kind == "before_expiry":
        return b"\x02" + u64(rotation["lead_ms"])
    if kind == "at":
        return b"\x03" + u64(rotation["at"])
    assert kind == "manual", kind
    return b"\x04"


def metadata_fields(metadata):
    """Returns [(tag, value)], ascending, without defaults."""
    fields = {int(tag): bytes.fromhex(value) for tag, value in metadata["unknown"].items()}
    assert all(CREATED_BY < tag < FIRST_RESERVED for tag in fields)
    for tag, name in ((CREATED_AT, "created_at"), (LAST_MODIFIED, "last_modified"), (VERSION, "version")):
        if metadata[name] != 0:
            fields[tag] = u64(metadata[name])
    if metadata["tags"]:
        fields[TAGS] = encode_tags(metadata["tags"])
    if metadata["expires_at"] is not None:  # 0 is an expiry, not a default
        fields[EXPIRES_AT] = u64(metadata["expires_at"])
    if metadata["rotation"] is not None:
        fields[ROTATION] = encode_rotation(metadata["rotation"])
    if metadata["created_by"] is not None:
        fields[CREATED_BY] = metadata["created_by"].encode("ascii")
    return sorted(fields.items())


def encode_metadata(metadata):
    return b"".join(field(tag, value) for tag, value in metadata_fields(metadata))


def encode_inner(metadata_bytes, secret):
    return MAGIC + u32(len(metadata_bytes)) + metadata_bytes + secret


def encode_aad(path, version, key_id, kdf_salt, wrapped_key, salt, nonce):
    scope = path["scope"]
    assert kdf_salt is None or len(kdf_salt) == 16
    assert len(salt) == 32 and len(nonce) == 12
    return b"".join(
        (
            AAD_LABEL,
            bytes([version]),
            lp(key_id.encode()),
            opt(kdf_salt),
            opt(None if wrapped_key is None else lp(wrapped_key)),
            salt,
            nonce,
            opt(None if scope is None else lp(scope.encode())),
            lp(path["id"].encode()),
        )
    )


# ----------------------------------------------------------------------- keys


@functools.lru_cache(maxsize=None)
def argon2id(passphrase, salt, m_kib, t, p):
    kdf = Argon2id(salt=salt, length=32, iterations=t, lanes=p, memory_cost=m_kib)
    return kdf.derive(passphrase.encode())


def master_of(key, kdf_salt):
    """The 32-byte master. A passphrase is stretched under `kdf_salt`, with the
    reader's own parameters."""
    if "raw" in key:
        return bytes.fromhex(key["raw"])
    return argon2id(key["passphrase"], kdf_salt, key["m_kib"], key["t"], key["p"])


def derive(master, salt):
    return HKDF(algorithm=hashes.SHA512(), length=64, salt=salt, info=INFO).derive(master)


def derive_by_hand(master, salt):
    """RFC 5869 with nothing but hmac: one block of SHA-512 is the whole output."""
    prk = hmac.new(salt, master, hashlib.sha512).digest()
    return hmac.new(prk, INFO + b"\x01", hashlib.sha512).digest()


# -------------------------------------------------------------------- sealing


def key_salt(key):
    return None if "raw" in key else bytes.fromhex(key["kdf_salt"])


def seal(name, key, key_id, path, inner, wrapped_key=None, kdf_salt=...):
    """Returns (envelope, aad, okm). By default, `kdf_salt` is that of the key."""
    salt_and_nonce = draw("salt and nonce/" + name, 44)
    salt, nonce = salt_and_nonce[:32], salt_and_nonce[32:]
    okm = derive(master_of(key, key_salt(key)), salt)
    if kdf_salt is ...:
        kdf_salt = key_salt(key)
    aad = encode_aad(path, 1, key_id, kdf_salt, wrapped_key, salt, nonce)
    sealed = AESGCM(okm[:32]).encrypt(nonce, inner, aad)
    envelope = {
        "version": 1,
        "key_id": key_id,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "commitment": okm[32:].hex(),
        "ciphertext": sealed[:-16].hex(),
        "tag": sealed[-16:].hex(),
        "kdf_salt": None if kdf_salt is None else kdf_salt.hex(),
        "wrapped_key": None if wrapped_key is None else wrapped_key.hex(),
    }
    return envelope, aad, okm


# -------------------------------------------------------------------- opening


class Refused(Exception):
    def __init__(self, error, stage, why):
        super().__init__(f"{error} at {stage}: {why}")
        self.error, self.stage = error, stage


class Cursor:
    """Reads a byte string from the front, never past its end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, size):
        if size > self.left():
            raise Refused("tampered", "inner", "truncated")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def text(self):
        try:
            return self.take(self.number(2)).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("tampered", "inner", "not UTF-8") from None


def malformed(why):
    return Refused("tampered", "inner", why)


def decode_u64(value):
    if len(value) != 8:
        raise malformed("a u64 of another size")
    return int.from_bytes(value, "big")


def decode_tags(value):
    cursor, tags, last = Cursor(value), {}, None
    while cursor.left():
        key = cursor.text()
        if last is not None and key.encode() <= last:
            raise malformed("tag keys not ascending")
        last = key.encode()
        tags[key] = cursor.text()
    return tags


def decode_rotation(value):
    kinds = {1: ("periodic", "interval_ms"), 2: ("before_expiry", "lead_ms"), 3: ("at", "at")}
    cursor = Cursor(value)
    kind = cursor.number(1)
    if kind == 4:
        if cursor.left():
            raise malformed("bytes after a manual rotation")
        return {"kind": "manual"}
    if kind not in kinds:
        raise malformed("unknown rotation kind")
    name, number = kinds[kind]
    return {"kind": name, number: decode_u64(cursor.take(cursor.left()))}


def decode_created_by(value):
    if not 1 <= len(value) <= 256:
        raise malformed("a creator of another length")
    if any(not 0x20 <= byte <= 0x7E for byte in value):
        raise malformed("a creator that is not printable ASCII")
    return value.decode("ascii")


def decode_inner(inner):
    cursor = Cursor(inner)
    if cursor.take(4) != b"CRP1":
        raise malformed("magic")
    fields = Cursor(cursor.take(cursor.number(4)))
    secret = cursor.take(cursor.left())
    metadata, last = meta(), -1
    known = {
        1: ("created_at", decode_u64),
        2: ("last_modified", decode_u64),
        3: ("version", decode_u64),
        4: ("tags", decode_tags),
        5: ("expires_at", decode_u64),
        6: ("rotation", decode_rotation),
        7: ("created_by", decode_created_by),
    }
    while fields.left():
        tag = fields.number(2)
        value = fields.take(fields.number(4))
        if tag <= last:
            raise malformed("fields not ascending")
        last = tag
        if tag >= 0x8000:
            raise malformed("reserved field")
        if tag not in known:
            metadata["unknown"][str(tag)] = value.hex()
            continue
        name, decode = known[tag]
        decoded = decode(value)
        if decoded == metadata[name]:
            raise malformed("a default that is written")
        metadata[name] = decoded
    return metadata, secret


def open_envelope(key, path, envelope, outer, *, presence=True):
    """(metadata, secret), or raises Refused.

    `presence=False` leaves out the rule on which of kdf_salt and wrapped_key
    must be there, to see what the other rules say.
    """
    get = lambda name: None if envelope[name] is None else bytes.fromhex(envelope[name])
    kdf_salt, wrapped_key, salt, nonce = get("kdf_salt"), get("wrapped_key"), get("salt"), get("nonce")
    if presence:
        if (kdf_salt is not None) != ("passphrase" in key):
            raise Refused("tampered", "presence", "kdf_salt")
        if (wrapped_key is not None) != key.get("kms", False):
            raise Refused("tampered", "presence", "wrapped_key")
    master = master_of(key, key_salt(key) if kdf_salt is None else kdf_salt)
    okm = derive(master, salt)
    if not hmac.compare_digest(okm[32:], get("commitment")):
        raise Refused("wrong_key", "commitment", "differs")
    aad = encode_aad(path, envelope["version"], envelope["key_id"], kdf_salt, wrapped_key, salt, nonce)
    try:
        inner = AESGCM(okm[:32]).decrypt(nonce, get("ciphertext") + get("tag"), aad)
    except InvalidTag:
        raise Refused("tampered", "aead", "does not authenticate") from None
    metadata, secret = decode_inner(inner)
    for name in metadata:
        if name != "unknown" and metadata[name] != outer[name]:
            raise Refused("tampered", "outer", name)
    return metadata, secret


# ----------------------------------------------------------- positive vectors

UNSCOPED = {"scope": None, "id": "stripe_api_key"}
SCOPED = {"scope": "org:acme/team:payments", "id": "stripe_api_key"}
PLAIN = meta(created_at=1767225600000, last_modified=1767225600000, version=1)
FULL = meta(
    created_at=1767225600000,
    last_modified=1767312000123,
    version=42,
    # not in order here; bytes decide: U+FFFD comes before U+1F511, which UTF-16 would turn round
    tags={
        "zone": "eu-west-1",
        "\U0001f511": "key \U0001f5dd",
        "\ufffd": "replacement",
        "env": "production",
        "\u00e9quipe": "paiements d\u00e9l\u00e9gu\u00e9s",
        "e\u0301quipe": "the same to the eye, other bytes",
        "Env": "case counts",
        "env2": "",
        "\u30c1\u30fc\u30e0": "\u6c7a\u6e08",
    },
    expires_at=1798761600000,
    rotation={"kind": "periodic", "interval_ms": 7776000000},
    created_by="payments-service",
)
PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
LONG_ID = ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-" * 4)[:255]
LONG_SCOPE = "/".join(f"level.{n}_-:" + ("Value." + "v-_0" * 20)[: 53 if n < 7 else 54] for n in range(8))
LONG_KEY_ID = "Key.id_of-64.ABCDEFGHIJKLMNOPQRSTUVWXYZ.abcdefghijklmno.01234567"
assert (len(LONG_ID), len(LONG_SCOPE), len(LONG_KEY_ID)) == (255, 512, 64)

K1 = raw_key("k1")
PASS = passphrase_key("correct horse battery staple", "one")
PASS_UTF8 = passphrase_key("p\u00e4ssw\u00f6rd e\u0301 \u043f\u0430\u0440\u043e\u043b\u044c \U0001f511 ", "two")
KMS = {**raw_key("kms data key"), "kms": True}
API_KEY = b"sk_test_4eC39HqLyjWDarjtT1zdp7dc"


def positive_vectors():
    vectors = []

    def add(name, note, *, key=K1, key_id="k-2026", path=UNSCOPED, metadata=PLAIN, secret=API_KEY, outer=None, wrapped_key=None):
        inner = encode_inner(encode_metadata(metadata), secret)
        envelope, aad, okm = seal(name, key, key_id, path, inner, wrapped_key)
        vectors.append(
            {
                "name": name,
                "note": note,
                "key": key,
                "path": path,
                "metadata": metadata,
                "outer_metadata": metadata if outer is None else outer,
                "secret": secret.hex(),
                "inner": inner.hex(),
                "aad": aad.hex(),
                "master": master_of(key, key_salt(key)).hex(),
                "okm": okm.hex(),
                "envelope": envelope,
            }
        )

    add("raw-unscoped", "a raw key and no scope")
    add("raw-scoped", "a raw key and a scope of two levels", path=SCOPED)
    add("all-defaults", "no metadata field is written", metadata=meta())
    add("passphrase", "an ASCII passphrase", key=PASS, key_id="vault-passphrase")
    add(
        "passphrase-utf8-scoped",
        "the passphrase's UTF-8 bytes as they are: not normalised, nothing trimmed",
        key=PASS_UTF8, key_id="vault-passphrase-2", path=SCOPED,
    )
    add(
        "wrapped-key", "1,024 bytes of wrapped key; the KMS hands out the raw master",
        key=KMS, key_id="kms-1", path=SCOPED, wrapped_key=draw("wrapped key", 1024),
    )
    add("secret-empty", "no secret bytes", secret=b"")
    add("secret-empty-all-defaults", "P is its header alone", secret=b"", metadata=meta())
    add("secret-1k", "1,024 bytes", secret=draw("secret 1k", 1024))
    add("secret-64k", "65,536 bytes", secret=draw("secret 64k", 65536))
    add("metadata-full", "every known field; tag keys are sorted by their UTF-8 bytes", path=SCOPED, metadata=FULL)
    add(
        "unknown-fields", "fields of a newer writer, and one of no bytes; the outer copy has them too",
        metadata={**PLAIN, "unknown": {"8": "00ff10", "256": "", "32767": draw("unknown", 40).hex()}},
    )
    add(
        "unknown-fields-outer-lacks", "opens, and gives back the inner copy's unknown fields",
        path=SCOPED,
        metadata={**FULL, "unknown": {"8": "00ff10", "32767": draw("unknown", 40).hex()}},
        outer=FULL,
    )
    add("outer-equal", "the outer copy is the inner one", metadata={**FULL, "unknown": {"9": "2a"}})
    add("rotation-periodic", "kind 01", metadata={**PLAIN, "rotation": {"kind": "periodic", "interval_ms": 2592000000}})
    add(
        "rotation-before-expiry", "kind 02",
        metadata={**PLAIN, "expires_at": 1798761600000, "rotation": {"kind": "before_expiry", "lead_ms": 604800000}},
    )
    add("rotation-at", "kind 03", metadata={**PLAIN, "rotation": {"kind": "at", "at": 1790000000000}})
    add("rotation-manual", "kind 04, one byte in all", metadata={**PLAIN, "rotation": {"kind": "manual"}})
    add("created-by", "field 7, the bytes of the text alone", metadata={**PLAIN, "created_by": "payments-service"})
    add(
        "created-by-shortest", "one space, and a default beside it is left out",
        path=SCOPED, metadata=meta(created_by=" "),
    )
    add(
        "created-by-longest", "256 bytes, every printable one among them, with an unknown field after it",
        metadata={**PLAIN, "created_by": PRINTABLE + "~" * (256 - len(PRINTABLE)), "unknown": {"8": "2a"}},
    )
    add("longest-path", "a scope of 512 bytes and an id of 255", path={"scope": LONG_SCOPE, "id": LONG_ID})
    add("longest-key-id", "a key id of 64 characters", key_id=LONG_KEY_ID)
    add("shortest-names", "an id, a key id and a scope of the least length", key_id="k", path={"scope": "a:b", "id": "x"})
    add("expired", "long expired; opening does not look at the clock", metadata={**PLAIN, "expires_at": 1767225600001})
    add("expires-at-zero", "an expiry of 0 is an expiry, not a default", metadata={**PLAIN, "expires_at": 0})
    add(
        "u64-max", "the greatest number in every field",
        metadata=meta(
            created_at=U64_MAX, last_modified=U64_MAX, version=U64_MAX, expires_at=U64_MAX,
            rotation={"kind": "periodic", "interval_ms": U64_MAX},
        ),
    )
    return vectors


# ----------------------------------------------------------- negative vectors


def flip(hexed, byte=0, bit=0):
    data = bytearray.fromhex(hexed)
    data[byte] ^= 1 << bit
    return data.hex()


def negative_vectors(positives):
    bases = {vector["name"]: vector for vector in positives}
    vectors = []

    def add(name, base, error, stage, note, *, key=None, path=None, outer=None, inner=None, envelope=None):
        base_vector = bases[base]
        vectors.append(
            {
                "name": name,
                "base": base,
                "error": error,
                "stage": stage,
                "note": note,
                "key": key or base_vector["key"],
                "path": path or base_vector["path"],
                "outer_metadata": outer or base_vector["outer_metadata"],
                "inner": None if inner is None else inner.hex(),
                "envelope": {**base_vector["envelope"], **(envelope or {})},
            }
        )

    def envelope_of(base):
        return bases[base]["envelope"]

    def wrong_key(name, base, note, **changes):
        add(name, base, "wrong_key", "commitment", note, **changes)

    def unauthentic(name, base, note, **changes):
        add(name, base, "tampered", "aead", note, **changes)

    raw, scoped = envelope_of("raw-unscoped"), envelope_of("raw-scoped")
    phrase, wrapped = envelope_of("passphrase"), envelope_of("wrapped-key")

    # -- another key, or a damaged salt, kdf_salt or commitment
    wrong_key("other-raw-key", "raw-unscoped", "another raw key under the same key id", key=raw_key("k2"))
    wrong_key(
        "raw-key-one-bit", "raw-unscoped", "the last bit of the raw key", key={"raw": flip(K1["raw"], -1)},
    )
    wrong_key("other-passphrase", "passphrase", "another passphrase", key={**PASS, "passphrase": PASS["passphrase"] + "s"})
    wrong_key("other-argon2-parameters", "passphrase", "t = 4 where it was sealed with 3", key={**PASS, "t": 4})
    wrong_key("salt-first-bit", "raw-unscoped", "salt", envelope={"salt": flip(raw["salt"], 0, 7)})
    wrong_key("salt-last-bit", "raw-scoped", "salt", envelope={"salt": flip(scoped["salt"], -1)})
    wrong_key("salt-of-another", "raw-scoped", "another message's salt", envelope={"salt": raw["salt"]})
    wrong_key("salt-passphrase", "passphrase", "salt", envelope={"salt": flip(phrase["salt"], 9)})
    wrong_key("kdf-salt-last-bit", "passphrase", "kdf_salt", envelope={"kdf_salt": flip(phrase["kdf_salt"], -1)})
    wrong_key("commitment-first-bit", "raw-unscoped", "commitment", envelope={"commitment": flip(raw["commitment"], 0, 7)})
    wrong_key("commitment-last-bit", "raw-scoped", "commitment", envelope={"commitment": flip(scoped["commitment"], -1)})
    wrong_key("commitment-zero", "raw-unscoped", "commitment", envelope={"commitment": "00" * 32})
    wrong_key("commitment-of-another", "raw-scoped", "another message's", envelope={"commitment": raw["commitment"]})
    wrong_key("commitment-passphrase", "passphrase", "commitment", envelope={"commitment": flip(phrase["commitment"], 5)})
    wrong_key("kms-other-data-key", "wrapped-key", "the KMS hands out another master", key={**raw_key("k3"), "kms": True})
    wrong_key(
        "salt-and-moved", "raw-scoped", "the commitment is looked at before the path",
        envelope={"salt": flip(scoped["salt"])}, path=UNSCOPED,
    )

    # -- moved
    unauthentic("other-id", "raw-unscoped", "another id", path={"scope": None, "id": "stripe_api_key2"})
    unauthentic("other-id-case", "raw-unscoped", "case counts", path={"scope": None, "id": "Stripe_api_key"})
    unauthentic("other-id-scoped", "raw-scoped", "another id", path={**SCOPED, "id": "paypal"})
    unauthentic("other-scope", "raw-scoped", "another scope", path={**SCOPED, "scope": "org:acme/team:billing"})
    unauthentic("parent-scope", "raw-scoped", "the scope above", path={**SCOPED, "scope": "org:acme"})
    unauthentic("child-scope", "raw-scoped", "a scope below", path={**SCOPED, "scope": SCOPED["scope"] + "/env:prod"})
    unauthentic("scoped-to-unscoped", "raw-scoped", "its scope taken away", path=UNSCOPED)
    unauthentic("unscoped-to-scoped", "raw-unscoped", "a scope given", path=SCOPED)
    unauthentic("scope-id-boundary", "shortest-names", "bytes moved over the boundary of scope and id", path={"scope": "a:bx", "id": "x"})
    unauthentic("passphrase-other-id", "passphrase", "another id", path={"scope": None, "id": "other"})
    unauthentic("kms-other-scope", "wrapped-key", "another scope", path={**SCOPED, "scope": "org:evil/team:payments"})

    # -- the envelope edited
    unauthentic(
        "key-id-swapped", "raw-unscoped", "the reader holds the same master under both ids", envelope={"key_id": "k-2025"},
    )
    unauthentic("key-id-swapped-passphrase", "passphrase", "the same passphrase under both ids", envelope={"key_id": "vault-passphrase-old"})
    unauthentic("nonce-first-bit", "raw-unscoped", "nonce", envelope={"nonce": flip(raw["nonce"], 0, 7)})
    unauthentic("nonce-last-bit", "raw-scoped", "nonce", envelope={"nonce": flip(scoped["nonce"], -1)})
    unauthentic("nonce-of-another", "raw-scoped", "another message's", envelope={"nonce": raw["nonce"]})
    unauthentic("ciphertext-first-bit", "raw-unscoped", "the magic", envelope={"ciphertext": flip(raw["ciphertext"], 0, 7)})
    unauthentic("ciphertext-middle-bit", "raw-unscoped", "a metadata field", envelope={"ciphertext": flip(raw["ciphertext"], 20)})
    unauthentic("ciphertext-last-bit", "raw-scoped", "the secret", envelope={"ciphertext": flip(scoped["ciphertext"], -1)})
    unauthentic("ciphertext-shorter", "raw-unscoped", "one byte less", envelope={"ciphertext": raw["ciphertext"][:-2]})
    unauthentic("ciphertext-longer", "raw-unscoped", "one byte more", envelope={"ciphertext": raw["ciphertext"] + "00"})
    unauthentic("ciphertext-none", "raw-unscoped", "no bytes at all", envelope={"ciphertext": ""})
    unauthentic(
        "ciphertext-of-another", "raw-unscoped", "another message's ciphertext and tag",
        envelope={"ciphertext": scoped["ciphertext"], "tag": scoped["tag"]},
    )
    unauthentic("tag-first-bit", "raw-unscoped", "tag", envelope={"tag": flip(raw["tag"], 0, 7)})
    unauthentic("tag-last-bit", "raw-scoped", "tag", envelope={"tag": flip(scoped["tag"], -1)})
    unauthentic("tag-zero", "raw-unscoped", "tag", envelope={"tag": "00" * 16})
    unauthentic("tag-of-another", "raw-unscoped", "another message's", envelope={"tag": scoped["tag"]})
    unauthentic(
        "salt-and-commitment-of-another", "raw-unscoped", "they prove the key, not this message",
        envelope={"salt": scoped["salt"], "commitment": scoped["commitment"]},
    )
    unauthentic("wrapped-key-edited", "wrapped-key", "one bit, and the KMS unwraps to the same master", envelope={"wrapped_key": flip(wrapped["wrapped_key"], 512)})
    unauthentic("wrapped-key-shorter", "wrapped-key", "one byte less, and the KMS unwraps to the same master", envelope={"wrapped_key": wrapped["wrapped_key"][:-2]})

    # -- kdf_salt or wrapped_key present although it must not be, or the reverse
    def presence(name, base, note, **changes):
        add(name, base, "tampered", "presence", note, **changes)

    presence("kdf-salt-added", "raw-unscoped", "a raw key takes none", envelope={"kdf_salt": draw("added", 16).hex()})
    presence("kdf-salt-removed", "passphrase", "a passphrase needs one", envelope={"kdf_salt": None})
    presence("wrapped-key-added", "raw-unscoped", "no KMS wraps this key", envelope={"wrapped_key": draw("added", 64).hex()})
    presence("wrapped-key-added-empty", "raw-unscoped", "there, with no bytes, is not absent", envelope={"wrapped_key": ""})
    presence("wrapped-key-added-passphrase", "passphrase", "no KMS wraps this key", envelope={"wrapped_key": draw("added", 64).hex()})
    presence("wrapped-key-removed", "wrapped-key", "the KMS needs it", envelope={"wrapped_key": None})
    presence(
        "raw-key-equals-passphrase-master", "passphrase", "the reader's raw key is the very master, so only this rule refuses",
        key={"raw": bases["passphrase"]["master"]},
    )
    presence(
        "wrapped-key-without-kms", "wrapped-key", "the reader's raw key is the very master, so only this rule refuses",
        key={"raw": KMS["raw"]},
    )
    name = "passphrase-sealed-without-kdf-salt"
    inner = bytes.fromhex(bases["passphrase"]["inner"])
    presence(
        name, "passphrase", "sealed with the passphrase's master but no kdf_salt, so only this rule refuses",
        inner=inner, envelope=seal(name, PASS, phrase["key_id"], UNSCOPED, inner, kdf_salt=None)[0],
    )

    # -- sealed with the right key for the right path, but P is malformed
    def inner_bytes(name, base, note, inner):
        base_vector = bases[base]
        envelope, _, _ = seal(
            "inner/" + name, base_vector["key"], base_vector["envelope"]["key_id"], base_vector["path"], inner,
        )
        add("inner-" + name, base, "tampered", "inner", note, inner=inner, envelope=envelope)

    def inner_metadata(name, base, note, metadata_bytes):
        inner_bytes(name, base, note, encode_inner(metadata_bytes, bytes.fromhex(bases[base]["secret"])))

    def fields_of(base):
        return dict(metadata_fields(bases[base]["metadata"]))

    def with_field(name, base, note, tag, value):
        """The base's own fields, with one put in or replaced, in their order."""
        fields = {**fields_of(base), tag: value}
        inner_metadata(name, base, note, b"".join(field(t, v) for t, v in sorted(fields.items())))

    plain, full = fields_of("raw-unscoped"), fields_of("metadata-full")
    plain_m = encode_metadata(PLAIN)
    full_m = encode_metadata(FULL)
    whole = bytes.fromhex(bases["raw-unscoped"]["inner"])

    inner_bytes("magic-version", "raw-unscoped", "CRP2", b"CRP2" + whole[4:])
    inner_bytes("magic-case", "raw-unscoped", "crp1", b"crp1" + whole[4:])
    inner_bytes("magic-missing", "raw-unscoped", "P begins with the length", whole[4:])
    inner_bytes("no-bytes", "all-defaults", "P is empty", b"")
    inner_bytes("magic-cut", "all-defaults", "three bytes", MAGIC[:3])
    inner_bytes("magic-alone", "all-defaults", "no length of M", MAGIC)
    inner_bytes("length-cut", "all-defaults", "three bytes of the length of M", MAGIC + b"\x00\x00\x00")
    inner_bytes("m-overruns-by-one", "secret-empty", "len(M) is one more than what is left", MAGIC + u32(len(plain_m) + 1) + plain_m)
    inner_bytes("m-overruns", "raw-unscoped", "len(M) is beyond the end", MAGIC + u32(len(whole)) + whole[8:])
    inner_bytes("m-overruns-u32-max", "raw-unscoped", "len(M) is 2^32 - 1", MAGIC + u32(2**32 - 1) + whole[8:])
    inner_bytes("m-little-endian", "raw-unscoped", "len(M) in the other byte order", MAGIC + struct.pack("<I", len(plain_m)) + whole[8:])
    inner_bytes("m-into-secret", "raw-unscoped", "len(M) takes one byte of the secret", MAGIC + u32(len(plain_m) + 1) + whole[8:])
    inner_bytes("m-short", "raw-unscoped", "len(M) leaves the last field's last byte to the secret", MAGIC + u32(len(plain_m) - 1) + whole[8:])

    inner_metadata("fields-descending", "raw-unscoped", "3, 2, 1", b"".join(field(t, plain[t]) for t in (3, 2, 1)))
    inner_metadata("fields-swapped", "metadata-full", "6 before 5", b"".join(field(t, full[t]) for t in (1, 2, 3, 4, 6, 5, 7)))
    inner_metadata("unknown-before-known", "raw-unscoped", "8 before 3", b"".join((field(1, plain[1]), field(2, plain[2]), field(8, b"\x2a"), field(3, plain[3]))))
    inner_metadata("field-twice", "raw-unscoped", "version twice, the same value", plain_m + field(VERSION, plain[VERSION]))
    inner_metadata("field-twice-differs", "raw-unscoped", "version 9, then the right one", plain_m[:-14] + field(VERSION, u64(9)) + field(VERSION, plain[VERSION]))
    inner_metadata("tags-twice", "metadata-full", "the tags field twice, the same value", b"".join(field(t, full[t]) for t in (1, 2, 3, 4, 4, 5, 6, 7)))
    inner_metadata("unknown-twice", "raw-unscoped", "field 8 twice", plain_m + field(8, b"\x01") + field(8, b"\x01"))
    inner_metadata("unknown-descending", "raw-unscoped", "9, 8", plain_m + field(9, b"\x01") + field(8, b"\x01"))

    with_field("default-created-at", "all-defaults", "created_at 0 is written", CREATED_AT, u64(0))
    with_field("default-last-modified", "all-defaults", "last_modified 0 is written", LAST_MODIFIED, u64(0))
    with_field("default-version", "all-defaults", "version 0 is written", VERSION, u64(0))
    with_field("default-tags", "raw-unscoped", "no tags, but the field is written", TAGS, b"")
    with_field("reserved-8000", "raw-unscoped", "field 0x8000", 0x8000, b"\x2a")
    with_field("reserved-8000-empty", "raw-unscoped", "field 0x8000 with no bytes", 0x8000, b"")
    with_field("reserved-ffff", "raw-unscoped", "field 0xffff", 0xFFFF, b"\x2a")

    inner_metadata("field-header-cut-1", "raw-unscoped", "one byte after the last field", plain_m + b"\x00")
    inner_metadata("field-header-cut-2", "raw-unscoped", "a tag without a length", plain_m + u16(8))
    inner_metadata("field-header-cut-5", "raw-unscoped", "three bytes of a length", plain_m + u16(8) + b"\x00\x00\x00")
    inner_metadata("field-cut", "raw-unscoped", "the last field lacks its last byte, with M shorter to match", plain_m[:-1])
    inner_metadata("field-overruns", "raw-unscoped", "an unknown field one byte longer than M", plain_m + u16(8) + u32(2) + b"\x2a")
    inner_metadata("field-overruns-u32-max", "raw-unscoped", "an unknown field of 2^32 - 1 bytes", plain_m + u16(8) + u32(2**32 - 1) + b"\x2a")

    for tag, what in ((CREATED_AT, "created-at"), (LAST_MODIFIED, "last-modified"), (VERSION, "version")):
        with_field(f"{what}-7-bytes", "raw-unscoped", "the same number in seven bytes", tag, plain[tag][1:])
        with_field(f"{what}-9-bytes", "raw-unscoped", "the same number in nine bytes", tag, b"\x00" + plain[tag])
    with_field("version-1-byte", "raw-unscoped", "the same number in one byte", VERSION, b"\x01")
    with_field("version-trailing-byte", "raw-unscoped", "the right eight bytes and one more", VERSION, plain[VERSION] + b"\x00")
    with_field("version-0-bytes", "all-defaults", "no bytes", VERSION, b"")
    with_field("version-little-endian", "raw-unscoped", "in the other byte order: not the outer copy's", VERSION, plain[VERSION][::-1])
    vectors[-1]["stage"] = "outer"
    with_field("expires-at-7-bytes", "expired", "the same number in seven bytes", EXPIRES_AT, fields_of("expired")[EXPIRES_AT][1:])
    with_field("expires-at-9-bytes", "expired", "the same number in nine bytes", EXPIRES_AT, b"\x00" + fields_of("expired")[EXPIRES_AT])
    with_field("expires-at-0-bytes", "raw-unscoped", "no bytes", EXPIRES_AT, b"")

    pairs = sorted((k.encode(), v.encode()) for k, v in FULL["tags"].items())
    encoded = [lp(k) + lp(v) for k, v in pairs]
    with_field("tag-keys-descending", "metadata-full", "the same tags, backwards", TAGS, b"".join(encoded[::-1]))
    with_field("tag-keys-swapped", "metadata-full", "the last two, swapped: UTF-16's order", TAGS, b"".join(encoded[:-2] + [encoded[-1], encoded[-2]]))
    with_field("tag-keys-duplicate", "metadata-full", "the first one twice", TAGS, encoded[0] + full[TAGS])
    with_field("tag-keys-duplicate-differs", "metadata-full", "the first key with another value, then the right one", TAGS, lp(pairs[0][0]) + lp(b"x") + full[TAGS])
    with_field("tag-key-without-value", "metadata-full", "a key at the end of the field", TAGS, full[TAGS] + lp("\U0001f512".encode()))
    with_field("tag-map-trailing-byte", "metadata-full", "one byte at the end of the field", TAGS, full[TAGS] + b"\x00")
    with_field("tag-key-overruns", "raw-unscoped", "a key longer than the field", TAGS, u16(9) + b"env" + lp(b"prod"))
    with_field("tag-value-overruns", "metadata-full", "the last value lacks its last byte", TAGS, full[TAGS][:-1])
    with_field("tag-key-not-utf8", "raw-unscoped", "a key of the bytes ff fe", TAGS, lp(b"\xff\xfe") + lp(b"x"))
    with_field("tag-value-not-utf8", "raw-unscoped", "an encoded surrogate", TAGS, lp(b"env") + lp(b"\xed\xa0\x80"))
    with_field("tag-key-overlong-utf8", "raw-unscoped", "an overlong encoding", TAGS, lp(b"\xc1\xa1") + lp(b"x"))

    interval = full[ROTATION][1:]
    with_field("rotation-kind-00", "metadata-full", "no such kind", ROTATION, b"\x00" + interval)
    with_field("rotation-kind-05", "metadata-full", "no such kind", ROTATION, b"\x05" + interval)
    with_field("rotation-kind-05-alone", "metadata-full", "no such kind, one byte", ROTATION, b"\x05")
    with_field("rotation-kind-ff", "metadata-full", "no such kind", ROTATION, b"\xff" + interval)
    with_field("rotation-kind-05-outer-none", "raw-unscoped", "no such kind, and the outer copy has no rotation", ROTATION, b"\x05" + interval)
    with_field("rotation-kind-05-alone-outer-none", "raw-unscoped", "the same, one byte", ROTATION, b"\x05")
    with_field("rotation-0-bytes", "raw-unscoped", "no kind", ROTATION, b"")
    with_field("rotation-without-number", "metadata-full", "kind 01 alone", ROTATION, b"\x01")
    with_field("rotation-7-bytes", "metadata-full", "the same number in seven bytes", ROTATION, b"\x01" + interval[1:])
    with_field("rotation-9-bytes", "metadata-full", "the same number in nine bytes", ROTATION, b"\x01\x00" + interval)
    with_field("rotation-before-expiry-trailing-byte", "rotation-before-expiry", "kind 02", ROTATION, fields_of("rotation-before-expiry")[ROTATION] + b"\x00")
    with_field("rotation-at-7-bytes", "rotation-at", "kind 03, the same number in seven bytes", ROTATION, b"\x03" + fields_of("rotation-at")[ROTATION][2:])
    with_field("rotation-at-cut", "rotation-at", "kind 03 without its last byte", ROTATION, fields_of("rotation-at")[ROTATION][:-1])
    with_field("rotation-manual-with-number", "rotation-manual", "kind 04 takes none", ROTATION, b"\x04" + u64(0))

    created_by = full[CREATED_BY]
    with_field("created-by-0-bytes", "raw-unscoped", "no bytes: absent is the only way to record none", CREATED_BY, b"")
    with_field("created-by-257-bytes", "raw-unscoped", "one byte too many", CREATED_BY, b"x" * 257)
    with_field("created-by-control", "raw-unscoped", "an escape character", CREATED_BY, b"a\x1b[31m")
    with_field("created-by-line-end", "metadata-full", "a line end after the same text", CREATED_BY, created_by + b"\n")
    with_field("created-by-delete", "raw-unscoped", "the byte 7f", CREATED_BY, b"\x7f")
    with_field("created-by-not-ascii", "raw-unscoped", "text, but not ASCII", CREATED_BY, "Zo\u00eb".encode())
    with_field("created-by-not-utf8", "raw-unscoped", "the byte ff", CREATED_BY, b"\xff")
    with_field("created-by-prefixed", "created-by", "with a length, as texts of tags have", CREATED_BY, lp(created_by))
    inner_metadata("created-by-before-rotation", "metadata-full", "7 before 6", b"".join(field(t, full[t]) for t in (1, 2, 3, 4, 5, 7, 6)))
    inner_metadata("created-by-twice", "created-by", "field 7 twice, the same value", encode_metadata({**PLAIN, "created_by": "payments-service"}) + field(CREATED_BY, created_by))

    # -- sealed correctly, but the outer copy of the metadata differs
    def outer(name, base, note, **changes):
        add("outer-" + name, base, "tampered", "outer", note, outer={**bases[base]["outer_metadata"], **changes})

    tags = FULL["tags"]
    outer("tags-stripped", "metadata-full", "no tags", tags={})
    outer("tag-stripped", "metadata-full", "one tag less", tags={k: v for k, v in tags.items() if k != "env"})
    outer("tag-edited", "metadata-full", "one value", tags={**tags, "env": "staging"})
    outer("tag-key-edited", "metadata-full", "one key", tags={("environment" if k == "env" else k): v for k, v in tags.items()})
    outer("tag-added", "metadata-full", "one tag more", tags={**tags, "owner": "mallory"})
    outer("tags-added", "raw-unscoped", "a tag where there is none", tags={"owner": "mallory"})
    outer("expiry-stripped", "metadata-full", "no expiry", expires_at=None)
    outer("expiry-later", "metadata-full", "a millisecond later", expires_at=FULL["expires_at"] + 1)
    outer("expiry-added", "raw-unscoped", "an expiry where there is none", expires_at=1798761600000)
    outer("expiry-zero-stripped", "expires-at-zero", "an expiry of 0 is not none", expires_at=None)
    outer("expiry-zero-added", "raw-unscoped", "none is not an expiry of 0", expires_at=0)
    outer("expired-revived", "expired", "an expired one given more time", expires_at=4102444800000)
    outer("version-changed", "metadata-full", "one more", version=FULL["version"] + 1)
    outer("version-stripped", "metadata-full", "absent", version=0)
    outer("version-added", "all-defaults", "1 where it is absent", version=1)
    outer("created-at-changed", "metadata-full", "a millisecond earlier", created_at=FULL["created_at"] - 1)
    outer("created-at-stripped", "raw-unscoped", "absent", created_at=0)
    outer("last-modified-changed", "metadata-full", "a millisecond later", last_modified=FULL["last_modified"] + 1)
    outer("last-modified-stripped", "raw-unscoped", "absent", last_modified=0)
    outer("rotation-stripped", "metadata-full", "no rotation", rotation=None)
    outer("rotation-number", "metadata-full", "a longer interval", rotation={"kind": "periodic", "interval_ms": 7776000001})
    outer("rotation-kind", "rotation-at", "the same number, another kind", rotation={"kind": "periodic", "interval_ms": 1790000000000})
    outer("rotation-manual-stripped", "rotation-manual", "manual is not none", rotation=None)
    outer("rotation-added", "raw-unscoped", "a rotation where there is none", rotation={"kind": "manual"})
    outer("created-by-changed", "created-by", "another service", created_by="billing-service")
    outer("created-by-case", "metadata-full", "case counts", created_by="Payments-service")
    outer("created-by-space", "created-by", "a space at the end", created_by="payments-service ")
    outer("created-by-stripped", "created-by", "none", created_by=None)
    outer("created-by-space-stripped", "created-by-shortest", "a space is not none", created_by=None)
    outer("created-by-added", "raw-unscoped", "a creator where there is none", created_by="mallory")
    outer("known-field-beside-unknown", "unknown-fields-outer-lacks", "an unknown field may be missing, a tag may not", tags={})
    return vectors


# ---------------------------------------------------------------------- files


def as_text(vectors):
    # ASCII with escapes, so that no tool can normalise a tag or a passphrase
    return json.dumps(vectors, indent=1, ensure_ascii=True) + "\n"


def build():
    positives = positive_vectors()
    return positives, negative_vectors(positives)


def check_positive(vector):
    key, envelope = vector["key"], vector["envelope"]
    got = open_envelope(key, vector["path"], envelope, vector["outer_metadata"])
    assert got == (vector["metadata"], bytes.fromhex(vector["secret"])), "opened to something else"
    salt = bytes.fromhex(envelope["salt"])
    okm = derive_by_hand(bytes.fromhex(vector["master"]), salt)
    assert okm.hex() == vector["okm"] and okm[32:].hex() == envelope["commitment"], "okm"
    inner = AESGCM(okm[:32]).decrypt(
        bytes.fromhex(envelope["nonce"]),
        bytes.fromhex(envelope["ciphertext"] + envelope["tag"]),
        bytes.fromhex(vector["aad"]),
    )
    assert inner.hex() == vector["inner"], "inner"


def check_flips(vector):
    """Yields envelopes with one flipped bit in each byte, and the expected error."""
    envelope, count = vector["envelope"], 0
    for name in ("salt", "nonce", "commitment", "ciphertext", "tag", "wrapped_key"):
        for byte in range(len(envelope[name] or "") // 2):
            edited = {**envelope, name: flip(envelope[name], byte, byte % 8)}
            want = "wrong_key" if name in ("salt", "commitment") else "tampered"
            check_refused(vector["key"], vector["path"], edited, vector["outer_metadata"], want)
            count += 1
    return count


def check_refused(key, path, envelope, outer, error, stage=None, **options):
    try:
        open_envelope(key, path, envelope, outer, **options)
    except Refused as refused:
        assert refused.error == error, f"{refused}, not {error}"
        assert stage in (None, refused.stage), f"{refused}, not at {stage}"
        return
    raise AssertionError("was opened")


# only the presence rule refuses these: without it they open
ONLY_PRESENCE = {"raw-key-equals-passphrase-master", "wrapped-key-without-kms", "passphrase-sealed-without-kdf-salt"}


def check_negative(vector, base):
    key, path, envelope, outer = (vector[n] for n in ("key", "path", "envelope", "outer_metadata"))
    check_refused(key, path, envelope, outer, vector["error"], vector["stage"])
    if vector["stage"] == "presence":
        if vector["name"] in ONLY_PRESENCE:
            got = open_envelope(key, path, envelope, outer, presence=False)
            assert got == (base["metadata"], bytes.fromhex(base["secret"]))
        else:  # the AAD differs too
            check_refused(key, path, envelope, outer, "tampered", "aead", presence=False)
    if vector["stage"] == "outer" and vector["inner"] is None:
        open_envelope(key, path, envelope, base["outer_metadata"])
    if vector["inner"] is None:
        changed = [n for n in ("key", "path", "envelope", "outer_metadata") if vector[n] != base[n]]
        assert changed, "nothing differs from the base"
    else:
        # the same key, path and outer copy; only P and the values derived from it differ
        assert path == base["path"] and key == base["key"] and outer == base["outer_metadata"]
        assert envelope["key_id"] == base["envelope"]["key_id"]


def check():
    failures = []

    def attempt(name, call, *args):
        try:
            return call(*args)
        except (AssertionError, Refused, InvalidTag) as error:
            failures.append(f"{name}: {error!r}")

    built = build()
    for path, vectors in zip((SEAL_FILE, REJECT_FILE), built):
        if path.read_bytes() != as_text(vectors).encode():
            failures.append(f"{path.name}: not what this program writes")
    positives = json.loads(SEAL_FILE.read_bytes())
    negatives = json.loads(REJECT_FILE.read_bytes())
    names = [vector["name"] for vector in positives + negatives]
    if len(names) != len(set(names)):
        failures.append("two vectors share a name")
    bases = {vector["name"]: vector for vector in positives}
    draws = {vector["envelope"]["salt"] + vector["envelope"]["nonce"] for vector in positives}
    if len(draws) != len(positives):
        failures.append("two vectors share a salt and a nonce")
    flips = 0
    for vector in positives:
        attempt(vector["name"], check_positive, vector)
        # passphrases too: none of these flips touches what Argon2 takes
        if len(vector["secret"]) <= 128:
            flips += attempt(vector["name"], check_flips, vector) or 0
    for vector in negatives:
        attempt(vector["name"], check_negative, vector, bases[vector["base"]])
    for failure in failures:
        print("FAILED", failure, file=sys.stderr)
    print(f"{len(positives)} vectors opened, {len(negatives)} refused as named, {flips} bit flips refused; {len(failures)} failures")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description="Vectors for the sealed format, version 1.")
    parser.add_argument("--check", action="store_true", help="test the files instead of writing them")
    if parser.parse_args().check:
        return check()
    positives, negatives = build()
    SEAL_FILE.write_text(as_text(positives), encoding="ascii", newline="\n")
    REJECT_FILE.write_text(as_text(negatives), encoding="ascii", newline="\n")
    print(f"{SEAL_FILE.name}: {len(positives)} vectors\n{REJECT_FILE.name}: {len(negatives)} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
