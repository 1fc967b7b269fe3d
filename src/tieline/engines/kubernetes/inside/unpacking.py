"""Local files that came with a job: out of the archive in the run's ConfigMap, as they were where it was submitted."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tieline.errors import Code, StepFailed
from tieline.model.plan import TakeStep

SUBMIT = "submit the job anew"


@contextmanager
def unpacked(step: TakeStep, index: int, archive: Path, scratch: Path) -> Iterator[Path]:
    """What a step takes, by its own name, in a folder below ``scratch`` that is removed afterwards.

    In the archive it is called by the step's index. Raises StepFailed and OSError.
    """
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="taken-", dir=scratch))
    found = folder / (Path(step.source).name or "root")
    try:
        with tarfile.open(archive, "r:gz") as stream:
            _unpack(stream, str(index), found)
        if not found.exists():
            raise StepFailed.of(Code.ARTIFACT_MISSING, f"{step.source} did not come with the job", SUBMIT)
        yield found
    except tarfile.TarError as error:
        raise StepFailed.of(
            Code.STEP_FAILED, f"the files that came with the job cannot be read: {error}", SUBMIT
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(archive: tarfile.TarFile, name: str, root: Path) -> None:
    """Links come last, so that nothing is written through one; then the folders' own modes."""
    links: list[tuple[str, Path]] = []
    folders: list[tuple[int, Path]] = []
    for member in archive:
        first, _, rest = member.name.partition("/")
        if first != name:
            continue
        path = root.joinpath(*_parts(rest))
        if member.isdir():
            path.mkdir(mode=0o700)
            folders.append((member.mode & 0o777, path))
        elif member.issym():
            links.append((member.linkname, path))
        elif member.isreg():
            _write(archive, member, path)
    for target, path in links:
        path.symlink_to(target)
    for mode, path in reversed(folders):
        path.chmod(mode | 0o700)


def _parts(name: str) -> list[str]:
    parts = name.split("/") if name else []
    if any(part in ("", ".", "..") for part in parts):
        raise StepFailed.of(Code.UNSAFE_PATH, f"a file that came with the job has no proper name: {name!r}", SUBMIT)
    return parts


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(member)
    if content is None:  # pragma: no cover - a plain file has content
        return
    with content, path.open("xb") as stream:
        shutil.copyfileobj(content, stream)
    path.chmod(member.mode & 0o777)
