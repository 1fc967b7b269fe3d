"""A private key out of a secret: made fit for ssh, or refused with what is wrong with it.

ssh's own words for a key with a passphrase, a missing line end or a public key in its place are all "Permission
denied" or "error in libcrypto"; who reads that looks at the server.
"""

from __future__ import annotations

import base64
import binascii
import re

from tieline.errors import Code, StepFailed
from tieline.secrets.secret import Secret

_PEM = re.compile(
    rb"-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY-----(.*?)-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----", re.DOTALL
)
_PUBLIC = re.compile(
    rb"\s*(?:ssh-[a-z0-9]+|ecdsa-sha2-\S+|sk-\S+@openssh\.com) AAAA|---- BEGIN SSH2 PUBLIC KEY|-----BEGIN PUBLIC"
)
_MAGIC = b"openssh-key-v1\0"  # PROTOCOL.key of OpenSSH: then the cipher's name, with its length before it
_NO_CIPHER = b"\0\0\0\4none"


def private_key(value: Secret, source: str) -> bytes:
    """The key as ssh reads it: a whole PEM text with a line end. ``source``: where it is, in words.

    Raises :class:`StepFailed` for what is no private key, and for one with a passphrase.
    """
    text = value.reveal().replace(b"\r\n", b"\n").strip()
    found = _PEM.search(text)
    if found is None:
        raise _refusal(f"{source} {_what(text)}", "put the private key there: the whole file, from BEGIN to END")
    if _has_passphrase(found[1], found[2]):
        raise _refusal(
            f"the private key in {source} has a passphrase, and nobody is there to type it",
            "use a key without one, made for this purpose (a deploy key); or take it off: ssh-keygen -p -N '' -f FILE",
        )
    return found[0] + b"\n"


def _what(text: bytes) -> str:
    if _PUBLIC.match(text):
        return "has a public key, not the private one"
    if text.startswith(b"PuTTY-User-Key-File"):
        return "has a key in PuTTY's form (convert it: puttygen KEY -O private-openssh)"
    if text.startswith(b"LS0tLS1CRUdJTi"):  # -----BEGIN
        return "has a private key that was encoded in base64 once too often"
    if not text:
        return "is empty"
    return "has no private key, or only a part of one"


def _has_passphrase(label: bytes, body: bytes) -> bool:
    if b"ENCRYPTED" in label or b"Proc-Type: 4,ENCRYPTED" in body:
        return True
    try:
        data = base64.b64decode(b"".join(body.split()))
    except binascii.Error:  # ssh will say that it cannot read it
        return False
    return data.startswith(_MAGIC) and not data.removeprefix(_MAGIC).startswith(_NO_CIPHER)


def _refusal(message: str, hint: str) -> StepFailed:
    return StepFailed.of(Code.CLONE_FAILED, message, hint)
