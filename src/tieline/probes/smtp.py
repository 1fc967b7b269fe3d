"""STARTTLS: how a mail server is asked to begin TLS (RFC 3207). No mail is sent, and nobody logs in."""

from __future__ import annotations

import socket

from tieline.probes.family import Failed
from tieline.probes.line import Line

_LINES = 100


class StartTls(Line):
    """A line to a mail server, on which TLS can begin."""

    def open(self) -> socket.socket:
        made = super().open()
        try:
            _expect(made, "220")
            made.sendall(b"EHLO tieline.invalid\r\n")
            if not any(line[4:].strip().upper() == "STARTTLS" for line in _expect(made, "250")):
                raise Failed("the mail server offers no STARTTLS", "set tls to implicit, or to false", "tls")
            made.sendall(b"STARTTLS\r\n")
            _expect(made, "220")
        except BaseException:
            made.close()
            raise
        return made


def _expect(made: socket.socket, code: str) -> list[str]:
    """The lines of a reply. Raises Failed where it is another."""
    lines: list[str] = []
    while not lines or lines[-1][3:4] == "-":
        lines.append(_line(made))
        if not lines[-1].startswith(code) or len(lines) > _LINES:
            raise Failed(f"what answers is no mail server that would go on: {lines[-1][:80]}", "check the port", "port")
    return lines


def _line(made: socket.socket) -> str:
    found = bytearray()
    while not found.endswith(b"\n"):
        data = made.recv(1)  # nothing behind the reply may be taken: TLS begins there
        if not data or len(found) > 2048:
            raise Failed("what answers is no mail server", "check the port", "port")
        found += data
    return found.decode("latin-1").rstrip()
