"""``tieline runs logs``: what a run printed, while it runs in another process and long after."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator

import click

from tieline.cli.options import output_option, run_argument
from tieline.cli.terminal import say


@click.command(short_help="Print what a run printed; -f follows it.")
@run_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@click.option(
    "--program", metavar="NAME", default="main", help="An init program's or a sidecar's lines. Default: main."
)
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Default: the latest.")
@output_option
def logs(run: str, follow: bool, program: str, attempt: int | None, output: str) -> None:
    """Print what a run printed, exactly. With --output json: one object for each line.

    \b
    tieline runs logs -f last
    """
    from tieline.app.home import HomeFolder
    from tieline.app.logs import logs_of
    from tieline.app.lookup import find_run
    from tieline.cli.records import opened_record

    home = HomeFolder.find()
    with opened_record(home) as record:
        found = find_run(record, run)
        run_logs = logs_of(home, record, found)
        name = run_logs.program(program, attempt)
        chunks = run_logs.follow(name, attempt) if follow else run_logs.read(name, attempt)
        passed = _pass_on(chunks) if output == "text" else _pass_on(_objects(chunks, found.uuid, name))
        others = [other for other in run_logs.names(attempt) if other != name]
    if not passed and others:
        say(f"{name} printed nothing; there are logs of: {', '.join(others)} (--program NAME)")


def _pass_on(chunks: Iterable[bytes]) -> int:
    """Bytes to stdout as they are; how many."""
    count = 0
    for chunk in chunks:
        count += len(chunk)
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    return count


def _objects(chunks: Iterable[bytes], uuid: str, program: str) -> Iterator[bytes]:
    """``{"run", "program", "line"}`` for each line; bytes that are no UTF-8 become U+FFFD."""

    def told(line: bytes) -> bytes:
        data = {"run": uuid, "program": program, "line": line.decode("utf-8", "replace")}
        return json.dumps(data).encode() + b"\n"

    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield told(line)
    if rest:
        yield told(rest)
