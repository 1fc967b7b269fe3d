"""``moving.py up|down ENDPOINT PREFIX FOLDER``: moves a folder to or from SeaweedFS as a run does, in a process of its
own, and prints its peak memory in KiB: what it had before, and afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

from servers.seaweedfs import ADMIN
from tieline.model.access import Credentials, ObjectStore
from tieline.secrets.secret import Secret
from tieline.steps.copying import Copier
from tieline.steps.output_saver import OutputSaver
from tieline.stores import open_store


def peak() -> int:
    """Of this program only: ``ru_maxrss`` begins with what the process was before it became this one."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main(do: str, endpoint: str, prefix: str, folder: str) -> None:
    login = Credentials(method="secret", secret="login")
    access = ObjectStore(provider="s3", bucket="data", prefix="", endpoint=endpoint, credentials=login)
    store = open_store(access, {}, {"access-key-id": Secret(ADMIN[0]), "secret-access-key": Secret(ADMIN[1])})
    assert store.stat("nothing/there") is None  # the library is imported, and a connection made
    before = peak()
    if do == "up":
        done = OutputSaver(store, prefix, Path(folder)).save(over=lambda: False, told=lambda _: None, final=True)
        assert (done.failures, done.left) == ([], 0)
    else:
        Copier(store, "the test", avoid=Path("/nowhere")).tree(f"{prefix}/outputs", Path(folder))
    print(before, peak())


if __name__ == "__main__":
    main(*sys.argv[1:])
