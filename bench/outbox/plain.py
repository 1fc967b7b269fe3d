"""The floor: the same client, ten threads that post as many messages of that size, with no outbox and no record."""

from __future__ import annotations

import sys
import threading

import httpx2


def post(url: str, count: int) -> None:
    body = b'{"text":"' + b"x" * 900 + b'"}'
    with httpx2.Client() as client:
        for number in range(count):
            client.post(url, content=body, headers={"Idempotency-Key": f"{url}-{number}"}).raise_for_status()


if __name__ == "__main__":
    url, rows = sys.argv[1], int(sys.argv[2])
    threads = [threading.Thread(target=post, args=(f"{url}/plain/{n}", rows // 10)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
