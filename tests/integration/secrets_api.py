"""A server that speaks as much of the Kubernetes API as reading Secrets and ConfigMaps takes, and that can refuse."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml

Values = Mapping[str, Mapping[str, bytes]]


class Api:
    """``answer``: a status and a body instead of the objects; ``delay``: seconds before every answer."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.answer: tuple[int, str, bytes] | None = None
        self.delay = 0.0
        self.asked: list[str] = []
        self.tokens: list[str] = []

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"api": self}))
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def kubeconfig(self, folder: Path, context: str = "test", *, current: bool = True, **user: str) -> Path:
        """Write a kubeconfig with one context."""
        host, port = self.server.server_address[:2]
        data = {
            "apiVersion": "v1", "kind": "Config", "current-context": context if current else "",
            "clusters": [{"name": "c", "cluster": {"server": f"http://{host!s}:{port}"}}],
            "users": [{"name": "u", "user": user or {"token": "canary-token"}}],
            "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        path = folder / f"kubeconfig-{context}"
        path.write_text(yaml.safe_dump(data))
        return path

    def put(self, namespace: str, secrets: Values, config_maps: Values) -> None:
        """Make these objects."""
        for kind, plural, values in (("Secret", "secrets", secrets), ("ConfigMap", "configmaps", config_maps)):
            for name, data in values.items():
                encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
                parts: dict[str, Any] = {"data": encoded}
                if kind == "ConfigMap":
                    text = {key: value.decode() for key, value in data.items() if not key.endswith(".bin")}
                    binary = {key: value for key, value in encoded.items() if key.endswith(".bin")}
                    parts = {"data": text, "binaryData": binary}
                place = f"/api/v1/namespaces/{namespace}/{plural}/{name}"
                metadata = {"name": name, "namespace": namespace}
                self.objects[place] = {"apiVersion": "v1", "kind": kind, "metadata": metadata, **parts}


class _Handler(BaseHTTPRequestHandler):
    api: Api

    def do_GET(self) -> None:
        self.api.asked.append(self.path)
        self.api.tokens.append(self.headers.get("Authorization", ""))
        time.sleep(self.api.delay)
        if self.api.answer is not None:
            self._send(*self.api.answer)
        elif self.path in self.api.objects:
            self._send(200, "application/json", json.dumps(self.api.objects[self.path]).encode())
        else:
            self._send(404, "application/json", status(404, "NotFound"))

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def status(code: int, reason: str, message: str = "") -> bytes:
    """A Status object, as the API sends with an error."""
    text = message or f'secrets "x" {reason}'
    data = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": text, "reason": reason, "code": code}
    return json.dumps(data).encode()
