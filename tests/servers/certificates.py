"""Certificates for tests, made by the openssl program: an authority, and servers' certificates good and bad."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers.processes import needed

CONFIG = """\
[ca]
default_ca = own
[own]
new_certs_dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    @property
    def files(self) -> tuple[Path, Path]:
        return self.certificate, self.key


class Authority:
    """A certificate authority of our own; ``certificate`` is what a client has to trust."""

    def __init__(self, folder: Path, name: str = "Test Authority") -> None:
        needed("openssl", "openssl")
        self.folder = folder
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("1000\n")
        (folder / "openssl.cnf").write_text(CONFIG.format(folder=folder))
        self._number = 0
        pair = self.self_signed(name, "CA:TRUE", file="ca")
        self.certificate, self._key = pair.files

    def self_signed(self, name: str, *extensions: str, file: str = "") -> Pair:
        """A certificate that nobody but itself vouches for. ``extensions``: subject alternative names, or CA:TRUE."""
        pair = self._pair(file)
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
            "-config", str(self.folder / "openssl.cnf"), "-subj", f"/CN={name}",
            "-keyout", str(pair.key), "-out", str(pair.certificate), *_extensions(extensions),
        )  # fmt: skip
        return pair

    def issue(self, *names: str, start: str = "20200101000000Z", end: str = "20400101000000Z") -> Pair:
        """A certificate for these names (``DNS:…``, ``IP:…``), from ``start`` to ``end``."""
        pair = self._pair()
        request = pair.key.with_suffix(".csr")
        config = str(self.folder / "openssl.cnf")
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-config", config,
            "-subj", f"/CN={names[0].partition(':')[2]}", "-addext", f"subjectAltName={','.join(names)}",
            "-keyout", str(pair.key), "-out", str(request),
        )  # fmt: skip
        self._openssl(
            "ca", "-batch", "-notext", "-config", config, "-cert", str(self.certificate), "-keyfile", str(self._key),
            "-startdate", start, "-enddate", end, "-in", str(request), "-out", str(pair.certificate),
        )  # fmt: skip
        return pair

    def expired(self, *names: str) -> Pair:
        """A certificate that ended in 2021."""
        return self.issue(*names, end="20210101000000Z")

    def _pair(self, file: str = "") -> Pair:
        self._number += 1
        stem = file or f"server-{self._number}"
        return Pair(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")

    def _openssl(self, *args: str) -> None:
        done = subprocess.run(["openssl", *args], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def _extensions(given: tuple[str, ...]) -> list[str]:
    words: list[str] = []
    names = [name for name in given if not name.startswith("CA:")]
    if names:
        words += ["-addext", f"subjectAltName={','.join(names)}"]
    if "CA:TRUE" in given:
        words += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    return words
