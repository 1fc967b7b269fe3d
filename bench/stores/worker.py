"""``worker.py NAME``: one way to move files, in a process of its own that has imported what it needs before the clock
starts. It reads a line of JSON for each piece of work from stdin (``{"do": "up"|"down", "folder": …, "prefix": …}``),
and answers with the seconds, the CPU seconds and its peak memory. Runs in the environment of the peer it is named for.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Move = Callable[[Path, str], None]
ENDPOINT = os.environ.get("S3_ENDPOINT_URL", "")
KEY, SECRET = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
BUCKET = "data"
PART = 8 * 1024 * 1024
THREADS = 16


def tieline() -> tuple[Move, Move]:
    """Tieline's own saver of outputs and its copier of inputs, digests on."""
    from tieline.model.access import Credentials, ObjectStore
    from tieline.secrets.secret import Secret
    from tieline.steps.copying import Copier
    from tieline.steps.output_saver import OutputSaver
    from tieline.stores import open_store

    access = ObjectStore(
        provider="s3", bucket=BUCKET, prefix="", endpoint=ENDPOINT,
        credentials=Credentials(method="secret", secret="bench"),
    )  # fmt: skip
    secrets = {"access-key-id": Secret(KEY), "secret-access-key": Secret(SECRET)}

    def up(folder: Path, prefix: str) -> None:
        store = open_store(access, {}, secrets)
        done = OutputSaver(store, prefix, folder).save(over=lambda: False, told=lambda _: None, final=True)
        assert not done.failures, done
        assert not done.left, done

    def down(folder: Path, prefix: str) -> None:
        store = open_store(access, {}, secrets)
        Copier(store, "the bench", avoid=Path("/nowhere")).tree(f"{prefix}/outputs", folder)

    return up, down


def obstore() -> tuple[Move, Move]:
    """The library that Tieline uses, by itself, doing the same: threads, parts, digests of what goes up and comes."""
    import obstore as library
    from blake3 import blake3
    from obstore.store import S3Store

    def client() -> S3Store:
        return S3Store(
            BUCKET, endpoint=ENDPOINT, region="us-east-1", virtual_hosted_style_request=False, access_key_id=KEY,
            secret_access_key=SECRET, checksum_algorithm="SHA256", client_options={"allow_http": True},
        )  # fmt: skip

    def up(folder: Path, prefix: str) -> None:
        store = client()

        def one(path: Path) -> None:
            name = f"{prefix}/outputs/{path.name}"
            if path.stat().st_size <= PART:
                data = path.read_bytes()
                hashlib.sha256(data).hexdigest()
                library.put(store, name, data, use_multipart=False)
                return
            with path.open("rb") as source:
                hashlib.file_digest(source, "sha256").hexdigest()
            library.put(store, name, path, chunk_size=PART, max_concurrency=4)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, folder.iterdir()))

    def down(folder: Path, prefix: str) -> None:
        store = client()

        def part(target: int, name: str, start: int, end: int) -> None:
            os.pwrite(target, library.get_range(store, name, start=start, end=end), start)

        def small(name: str) -> None:
            data = library.get(store, name).bytes()
            hashlib.sha256(data).hexdigest()
            (folder / name.rpartition("/")[2]).write_bytes(data)

        found = [meta for page in library.list(store, f"{prefix}/outputs") for meta in page]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(small, [meta["path"] for meta in found if meta["size"] <= PART]))
        for meta in found:
            name, size = meta["path"], meta["size"]
            if size > PART:
                with (folder / name.rpartition("/")[2]).open("wb") as file, ThreadPoolExecutor(4) as pool:
                    asked = [pool.submit(part, file.fileno(), name, start, min(start + PART, size))
                             for start in range(0, size, PART)]  # fmt: skip
                    for one in asked:
                        one.result()
                with (folder / name.rpartition("/")[2]).open("rb") as file:
                    hashlib.file_digest(file, blake3).hexdigest()

    return up, down


def boto3() -> tuple[Move, Move]:
    """boto3 with its transfer manager, a pool of threads over the files."""
    import boto3 as library
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    config = Config(max_pool_connections=4 * THREADS, s3={"addressing_style": "path"})
    client = library.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1", config=config)
    transfer = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=8)

    def up(folder: Path, prefix: str) -> None:
        def one(path: Path) -> None:
            client.upload_file(str(path), BUCKET, f"{prefix}/outputs/{path.name}", Config=transfer)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, folder.iterdir()))

    def down(folder: Path, prefix: str) -> None:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/outputs/")
        names = [item["Key"] for page in pages for item in page.get("Contents", ())]

        def one(name: str) -> None:
            client.download_file(BUCKET, name, str(folder / name.rpartition("/")[2]), Config=transfer)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, names))

    return up, down


def s3fs() -> tuple[Move, Move]:
    """s3fs: whole folders, as it does them."""
    from s3fs import S3FileSystem

    files = S3FileSystem(key=KEY, secret=SECRET, endpoint_url=ENDPOINT, use_listings_cache=False)

    def up(folder: Path, prefix: str) -> None:
        files.put(f"{folder}/", f"{BUCKET}/{prefix}/outputs/", recursive=True)

    def down(folder: Path, prefix: str) -> None:
        files.get(f"{BUCKET}/{prefix}/outputs/", f"{folder}/", recursive=True)

    return up, down


def polyaxon() -> tuple[Move, Move]:
    """polyaxon 2.18.0: the calls that its sidecar and its init container make, with a connection of its catalog."""
    import asyncio

    from polyaxon._connections import V1BucketConnection, V1Connection, V1ConnectionKind
    from polyaxon._fs.fs import get_async_fs_from_connection, get_sync_fs_from_connection
    from polyaxon._fs.manager import download_file_or_dir

    os.environ["AWS_ENDPOINT_URL"] = ENDPOINT
    connection = V1Connection(
        name="bench", kind=V1ConnectionKind.S3, schema_=V1BucketConnection(bucket=f"s3://{BUCKET}")
    )

    loop = asyncio.new_event_loop()  # one for all: fsspec remembers its file system, and that its loop

    def up(folder: Path, prefix: str) -> None:
        """What its ``upload_dir`` does; that hides what goes wrong."""

        async def put() -> None:
            files = await get_async_fs_from_connection(connection)
            await files._put(f"{folder}/", f"s3://{BUCKET}/{prefix}/outputs/", recursive=True)

        loop.run_until_complete(put())

    def down(folder: Path, prefix: str) -> None:
        files = get_sync_fs_from_connection(connection)
        download_file_or_dir(files, f"s3://{BUCKET}/{prefix}/outputs", str(folder), is_file=False, check_path=False)

    return up, down


TOOLS = {tool.__name__: tool for tool in (tieline, obstore, boto3, s3fs, polyaxon)}


def main(name: str) -> None:
    up, down = TOOLS[name]()
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        move = up if asked["do"] == "up" else down
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        move(Path(asked["folder"]), asked["prefix"])
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps({"wall": wall, "cpu": cpu, "peak": after.ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
