"""``python bench/outbox/run.py``: how fast, and in how much memory, the outbox is delivered; that nothing is lost, and
a service's limit kept. The receiver is a process of its own. Ends with 1 where something is not as it must be."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent.parent / "tests"
CHANNELS = 10
BURST, PER_SECOND = 5, 1.0  # Slack's, as channels/slack.py has them


class Receiver:
    """The tests' receiver, in a process of its own."""

    def __init__(self, log: Path) -> None:
        argv = [sys.executable, "-m", "servers.receiver", "--log", str(log)]
        self.process = subprocess.Popen(argv, cwd=TESTS, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.log = log

    def state(self) -> dict:
        with urlopen(f"{self.url}/_state") as answer:
            return json.load(answer)

    def clear(self) -> None:
        urlopen(f"{self.url}/_clear", b"").close()


def timed(*argv: str) -> tuple[float, float]:
    """Seconds of a command, and its peak memory in MiB."""
    began = time.monotonic()
    pid = os.posix_spawn(sys.executable, [sys.executable, *argv], os.environ)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, argv
    return time.monotonic() - began, usage.ru_maxrss / 1024


def delivered(folder: Path, there: Receiver, rows: int) -> tuple[float, float]:
    """Seconds and MiB of delivering so many rows to ten webhooks; each must arrive once."""
    from fill import fill

    home = folder / f"home-{rows}-{time.monotonic_ns()}"
    home.mkdir()
    there.clear()
    fill(str(home / "runs.db"), "webhook", there.url, CHANNELS, rows)
    found = timed(str(HERE / "deliver.py"), str(home), "unlimited")
    state = there.state()
    assert (state["taken"], state["keys"], state["most"]) == (rows, rows, 1), state
    return found


def at_the_allowed_rate(folder: Path, there: Receiver, rows: int) -> tuple[float, int]:
    """Seconds and messages of telling so many events to ten Slack channels; each must be told once, and no channel may
    get more than its limit."""
    from fill import fill

    home = folder / "home-limited"
    home.mkdir()
    there.clear()
    before = there.log.stat().st_size
    fill(str(home / "runs.db"), "slack", there.url, CHANNELS, rows)
    seconds, _ = timed(str(HERE / "deliver.py"), str(home), "limited")
    with there.log.open("rb") as log:
        log.seek(before)
        messages = [json.loads(line) for line in log]
    times: dict[str, list[float]] = {}
    told: Counter[str] = Counter()
    for message in messages:
        times.setdefault(message["path"], []).append(message["at"])
        told.update(word.rstrip(",:*") for word in message["body"].replace("\\n", " ").replace('"', " ").split()
                    if word.startswith("job-"))  # fmt: skip
    missing = {f"job-{number}" for number in range(rows)} - set(told)
    assert not missing, f"{len(missing)} events were not told: {sorted(missing)[:5]}"
    for path, when in times.items():
        for first, start in enumerate(when):
            for last in range(first + BURST, len(when)):
                allowed = BURST + (when[last] - start) * PER_SECOND + 1
                assert last - first + 1 <= allowed, (path, last - first + 1, when[last] - start)
    return seconds, len(messages)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    given = parser.parse_args()
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there = Receiver(folder / "requests.jsonl")
        try:
            delivered(folder, there, 200)  # the caches are warm
            small, small_mib = delivered(folder, there, given.rows // 10)
            plain, plain_mib = timed(str(HERE / "plain.py"), there.url, str(given.rows))
            large, large_mib = delivered(folder, there, given.rows)
            seconds, messages = at_the_allowed_rate(folder, there, given.rows)
        finally:
            there.process.kill()
            there.process.wait()
    rate, floor = given.rows / large, given.rows / plain
    result = {
        "rows": given.rows, "channels": CHANNELS, "seconds": large, "rows_per_second": rate,
        "plain_client_per_second": floor, "ratio": rate / floor,
        "peak_mib": {str(given.rows // 10): small_mib, str(given.rows): large_mib, "plain": plain_mib},
        "limited": {"seconds": seconds, "messages": messages},
    }  # fmt: skip
    results = HERE.parent / "results"
    (results / "outbox.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"{given.rows} notifications to {CHANNELS} webhooks, each arrived once: {large:.1f} s, {rate:.0f} a second")
    print(f"  the client alone, no outbox: {floor:.0f} a second; ratio {rate / floor:.2f}")
    print(f"  {given.rows // 10}: {small:.1f} s; peak memory {small_mib:.0f} MiB, of {given.rows}: {large_mib:.0f} MiB")
    print(f"{given.rows} to {CHANNELS} Slack channels, within their limit: {seconds:.1f} s, {messages} messages")
    sys.exit(0 if large_mib < small_mib * 1.25 else 1)


if __name__ == "__main__":
    main()
