"""The image of Tieline's own containers, built from the project's ``Containerfile`` and put onto the cluster's node.

There is no registry: mmdebstrap makes the base, buildah builds on it, and containerd's ``ctr`` imports the result. The
image's name has a digest of all that goes in, so what is on the node is used at once, and what was built before is
only imported. Where a part is missing, the tests are skipped with the reason; ``TIELINE_STEPS_IMAGE`` names an image
that the cluster has already.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers.processes import absent

ROOT = Path(__file__).resolve().parents[2]
NAME = "localhost/tieline"
BASE = "localhost/tieline-base"
PACKAGES = "ca-certificates"
LEFT_OUT = ("doc", "man", "locale", "info")
"""Of /usr/share: Debian's slim images have none of it."""
NODE = "k8s.io"
MINUTES = 15


def image_of(kubeconfig: Path) -> str:
    """The image's name, once the node of this cluster has it."""
    if given := os.environ.get("TIELINE_STEPS_IMAGE"):
        return given
    home = kubeconfig.resolve().parent.parent
    ctr, socket = home / "kit" / "bin" / "ctr", kubeconfig.resolve().parent / "containerd.sock"
    if not ctr.is_file() or not socket.is_socket():
        pytest.skip("the cluster is not the kit's: name an image of it in TIELINE_STEPS_IMAGE")
    command = [str(ctr), "-a", str(socket), "-n", NODE, "images"]
    name = f"{NAME}:{_digest()}"
    with _alone(home / "image.lock"):
        there = _done([*command, "ls", "-q"])
        if name not in there.split():
            _done([*command, "import", str(_archive(home / "image", name))])
    return name


def _archive(folder: Path, name: str) -> Path:
    """The image as a file, from a build before or a new one."""
    archive = folder / f"{name.rpartition(':')[2]}.tar"
    if archive.is_file():
        return archive
    for program in ("mmdebstrap", "buildah"):
        if shutil.which(program) is None:
            absent(f"the image cannot be built: apt-get install {program}")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.tar"):
        old.unlink()
    context = folder / "context"
    _wheels(context / "wheels")
    buildah = _Buildah(folder)
    buildah.base()
    buildah("bud", "--layers", "--build-arg", f"BASE={BASE}", "--file", str(ROOT / "Containerfile"), "--tag", name,
            str(context))  # fmt: skip
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)
    buildah("push", name, f"docker-archive:{part}:{name}")
    part.replace(archive)
    return archive


class _Buildah:
    """buildah with a storage of its own, without a daemon and without privileges of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *args: str) -> str:
        store = [f"--root={self._folder / 'storage'}", f"--runroot={self._folder / 'run'}", "--storage-driver=overlay"]
        return _done(["buildah", *store, *args], BUILDAH_ISOLATION="chroot")

    def base(self) -> None:
        """Debian as its images have it: what apt needs, and this machine's sources for it."""
        if BASE in self("images", "--format", "{{.Name}}").split():
            return
        root = self._folder / "base.tar"
        slim = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT]
        _done(["mmdebstrap", "--variant=apt", f"--include={PACKAGES}", *slim, "bookworm", str(root)])
        made = self("from", "scratch").strip()
        self("add", made, str(root), "/")
        self("commit", "--rm", made, BASE)
        root.unlink()


def _wheels(folder: Path) -> None:
    """Tieline and all that it needs, as wheels."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("tieline-*.whl"):
        old.unlink()
    _done([sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder), str(ROOT)])


def _digest() -> str:
    """Of all that the image is made of."""
    found = hashlib.sha256()
    files = sorted((ROOT / "src").rglob("*.*"))
    for path in [ROOT / "Containerfile", ROOT / "pyproject.toml", *files]:
        if path.is_file() and path.suffix != ".pyc":
            found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _done(command: list[str], **environ: str) -> str:
    run = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES * 60, env={**os.environ, **environ})
    assert run.returncode == 0, f"{' '.join(command[:4])}: {run.stderr[-2000:]}"
    return run.stdout


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, of all that run these tests."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
