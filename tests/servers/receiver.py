"""A receiver of notifications: a real HTTP server that records what it gets, and misbehaves as it is told to.

In a test: ``with receiver() as there: there.script(Step(429, headers={"Retry-After": "2"})) …``; the steps are taken in
order, one for each request (for ``reset``: each connection), and then it answers as the service of that path would.

As a process of its own, for tests that kill the sender: ``python -m servers.receiver --port 0 --log requests.jsonl``
(in the folder tests). It prints its port, appends each request to the log, and is scripted over HTTP: ``POST /_script``
(a JSON list of steps; :func:`tell`), ``GET /_state`` (what it counted), ``POST /_clear``.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import struct
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from http.client import responses
from pathlib import Path
from typing import Any, BinaryIO

NO = (0, 302, 307, 308, 400, 401, 403, 404, 405, 408, 410, 413, 422, 425, 429, 503)
"""Statuses with which nothing was taken."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with one request. ``seconds``: wait before. ``times``: for how many requests. ``does``:

    * ``answer``; ``hang``: read it, never answer; ``cut``: read it, close; ``nonsense``: answer what is no HTTP;
    * ``reset``: close with a RST as soon as it connects, reading nothing (a kept connection: at the next request);
    * ``drip``: the head at once, the body a byte every 0.05 s; ``drip-head``: the head too, and it never ends;
    * ``short``: close in the middle of the body; ``linger``: answer, and close the connection ``seconds`` later.

    ``echo``: say all that was sent, as an error.
    """

    status: int = 0  # 0: as the service of this path would answer
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    does: str = "answer"
    seconds: float = 0.0
    times: int = 1
    echo: bool = False

    @property
    def takes(self) -> bool:
        """Whether a service that does this has taken the message."""
        return self.does not in ("reset", "nonsense") and (self.status == 0 or self.status not in NO)


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float
    taken: bool
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A receiver that runs, and what it got."""

    def __init__(self, tls: tuple[Path, Path] | None = None, log: Path | None = None, port: int = 0) -> None:
        self.listening = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self.listening.getsockname()[1]
        self.requests: list[Received] = []
        self.keys: Counter[str] = Counter()
        """How often each idempotency key came in a request that was taken."""
        self.incidents: dict[str, str] = {}
        """What each dedup key stands at: ``trigger``, ``acknowledge`` or ``resolve``."""
        self.opened: Counter[str] = Counter()
        """How many incidents each dedup key opened: a trigger for one that is open opens none."""
        self.resets = self.connections = 0
        self._steps: deque[Step] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()
        self._log = log.open("ab", buffering=0) if log else None
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, path: str = "/") -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def script(self, *steps: Step) -> None:
        """What to do with the next requests."""
        with self._lock:
            for step in steps:
                self._steps.extend([step] * step.times)

    @property
    def taken(self) -> list[Received]:
        """The requests after which a service would show the message."""
        return [one for one in self.requests if one.taken]

    def wait(self, count: int, patience: float = 30.0) -> list[Received]:
        """Wait for so many requests."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, patience), len(self.requests)
        return self.requests

    def clear(self) -> None:
        with self._lock:
            self._steps.clear()
            self.requests.clear()
            self.keys.clear()
            self.incidents.clear()
            self.opened.clear()
            self.resets = 0

    def state(self) -> dict[str, Any]:
        """What it counted, as ``GET /_state`` gives it."""
        with self._lock:
            return {
                "requests": len(self.requests),
                "taken": sum(one.taken for one in self.requests),
                "keys": len(self.keys),
                "most": max(self.keys.values(), default=0),
                "open": sorted(key for key, at in self.incidents.items() if at != "resolve"),
                "opened": dict(self.opened),
                "resets": self.resets,
                "connections": self.connections,
                "left": len(self._steps),
            }

    def close(self) -> None:
        self._stop.set()
        with suppress(OSError):  # it wakes the thread that accepts
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self._thread.join(5)
        with self._lock:
            left = list(self._open)
        for one in left:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if self._log:
            self._log.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                line, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            if self._is_reset():
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.close()
                continue
            threading.Thread(target=self._serve, args=(line, self.connections), daemon=True).start()

    def _is_reset(self) -> bool:
        """Whether the next step is a reset, which is taken then."""
        with self._lock:
            found = bool(self._steps) and self._steps[0].does == "reset"
            if found:
                self._steps.popleft()
                self.resets += 1
            return found

    def _serve(self, line: socket.socket, number: int) -> None:
        with suppress(OSError, ValueError):  # a client that went away, or that did not trust us, is no news
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                line.settimeout(10)
                line = self._context.wrap_socket(line, server_side=True)
                line.settimeout(None)
            with self._lock:
                self._open.add(line)
            with line.makefile("rb") as reader:
                while not self._stop.is_set() and self._one(line, reader, number):
                    pass
        with self._lock:
            self._open.discard(line)
        with suppress(OSError):
            line.close()

    def _one(self, line: socket.socket, reader: BinaryIO, number: int) -> bool:
        """Read one request and do what is to be done; whether another may follow."""
        first = reader.readline(65536).split()
        if len(first) != 3:
            return False
        headers = {}
        while (row := reader.readline(65536)) not in (b"\r\n", b"\n", b""):
            name, _, value = row.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        method, path = first[0].decode(), first[1].decode()
        body = reader.read(int(headers.get("content-length", 0)))
        if len(body) < int(headers.get("content-length", 0)):
            return False
        if path.startswith("/_"):
            return self._control(line, path, body)
        if self._is_reset():
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        step = self._recorded(method, path, headers, body, number)
        if step.echo:
            said = f"{path} {' '.join(headers.values())} {body.decode()}"
            to = {name: value.replace("{echo}", path) for name, value in step.headers.items()}
            step = replace(step, body=json.dumps({"error": said}), headers=to)
        return self._do(line, step, path, body) and headers.get("connection", "").lower() != "close"

    def _recorded(self, method: str, path: str, headers: dict[str, str], body: bytes, number: int) -> Step:
        with self._changed:
            step = self._steps.popleft() if self._steps else Step()
            one = Received(method, path, headers, body, time.time(), step.takes, number)
            if step.takes:
                self._count(one)
            self.requests.append(one)
            if self._log:
                found = {**{name: getattr(one, name) for name in ("method", "path", "headers", "at", "taken")},
                         "body": body.decode("utf-8", "replace"), "does": step.does, "status": step.status}  # fmt: skip
                self._log.write(json.dumps(found).encode() + b"\n")
            self._changed.notify_all()
        return step

    def _count(self, one: Received) -> None:
        if key := one.headers.get("idempotency-key") or one.headers.get("webhook-id"):
            self.keys[key] += 1
        if b'"dedup_key"' in one.body:
            with suppress(ValueError):
                found = json.loads(one.body)
                key, action = found["dedup_key"], found["event_action"]
                if action == "trigger" and self.incidents.get(key, "resolve") == "resolve":
                    self.opened[key] += 1
                if action != "resolve" or key in self.incidents:
                    self.incidents[key] = action

    def _do(self, line: socket.socket, step: Step, path: str, body: bytes) -> bool:
        if step.seconds and step.does != "linger":
            self._stop.wait(step.seconds)
        if step.does == "hang":
            self._stop.wait(120)
            return False
        if step.does == "cut":
            return False
        if step.does == "nonsense":
            line.sendall(b"220 mail.example.org ESMTP\r\n\r\n")
            return False
        head, text = _answer(step, path, body)
        if step.does in ("drip", "drip-head"):
            self._drip(line, head, text, from_head=step.does == "drip-head")
            return False
        if step.does == "short":
            line.sendall(head + text[: len(text) // 2])
            return False
        line.sendall(head + text)
        if step.does == "linger":
            self._stop.wait(step.seconds)
            return False
        return True

    def _drip(self, line: socket.socket, head: bytes, text: bytes, *, from_head: bool) -> None:
        if not from_head:
            line.sendall(head)
        data = head.removesuffix(b"\r\n") + b"X-Slow: " + b"x" * 10_000 if from_head else text
        for at in range(len(data)):
            if self._stop.wait(0.05):
                return
            line.sendall(data[at : at + 1])

    def _control(self, line: socket.socket, path: str, body: bytes) -> bool:
        if path == "/_script":
            self.script(*(Step(**one) for one in json.loads(body)))
        elif path == "/_clear":
            self.clear()
        text = json.dumps(self.state()).encode()
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return True


def _answer(step: Step, path: str, body: bytes) -> tuple[bytes, bytes]:
    """Head and body; without a status, what the service of that path says to a good message."""
    status, text = step.status or 200, step.body
    if not step.status:
        status, text = _usual(path.partition("?")[0], body)
        text = step.body or text
    data = text.encode()
    kind = "application/json" if text.startswith(("{", "[")) else "text/plain"
    headers = {"Content-Type": kind, **step.headers}
    if status != 204:
        headers["Content-Length"] = str(len(data))
    rows = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {responses.get(status, 'Odd')}\r\n{rows}\r\n".encode("latin-1"), data


def _usual(path: str, body: bytes) -> tuple[int, str]:
    if path.endswith("/chat.postMessage"):
        return 200, '{"ok":true,"channel":"C1","ts":"1700000000.000100"}'
    if path.endswith("/v2/enqueue"):
        key = json.loads(body).get("dedup_key", "")
        return 202, json.dumps({"status": "success", "message": "Event processed", "dedup_key": key})
    if path.endswith("/notification"):
        return 204, ""
    if "/api/webhooks/" in path:
        return 200, '{"id":"1","type":0}'
    return (202, "") if "/workflows/" in path else (200, "ok")


@contextmanager
def receiver(tls: tuple[Path, Path] | None = None, log: Path | None = None) -> Iterator[Receiver]:
    """Start a receiver in this process. ``tls``: the certificate and its key."""
    found = Receiver(tls, log)
    try:
        yield found
    finally:
        found.close()


def tell(port: int, *steps: Step) -> dict[str, Any]:
    """Script a receiver of another process; what it counted until now."""
    data = json.dumps([asdict(step) for step in steps]).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_script", data, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description="A recording receiver of notifications.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    found = Receiver(log=given.log, port=given.port)
    print(found.port, flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


if __name__ == "__main__":
    main()
