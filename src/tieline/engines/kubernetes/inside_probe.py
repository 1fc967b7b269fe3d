"""``python -m tieline.engines.kubernetes.inside_probe``: tests one connection from inside a pod, and says what it saw.

It has what a job's pod would have: the namespace's secrets as mounted files, the volume at its path, the network
policies that fit the pod's labels. The answer is the termination message, and nothing is printed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import tieline.starting  # noqa: F401 - before what takes long
from tieline.engines.kubernetes.layout import CONFIG_MAPS, SECRETS
from tieline.engines.kubernetes.probe_message import VARIABLE, Question, answer_text
from tieline.errors import Code, TielineError
from tieline.probes import Report, credential_values, end_all, probe
from tieline.secrets.directory import DirectorySource
from tieline.secrets.resolve import Places, Resolver
from tieline.secrets.secret import Secret
from tieline.secrets.sources import Sources

TERMINATION = Path("/dev/termination-log")
STOPPED = 143


def answer(question: Question, sources: Sources, scratch: Path) -> Report:
    """Ask what the connection leads to, with the secrets that are mounted here. Raises TielineError where one is there
    and cannot be used."""
    resolver = Resolver(sources, Places("", ""))
    found: dict[str, Secret] = {}
    for name, value in credential_values(question.access).items():
        try:
            one = resolver.resolve(value)
        except TielineError as error:
            if error.code is not Code.SECRET_MISSING:
                raise
            continue  # the probe says which credential it misses, and where it looked
        if one is not None:
            found[name] = one
    known_hosts = scratch / "known_hosts"
    known_hosts.write_text(question.known_hosts)
    return probe(
        question.access, found, question.limits, claims=question.claims, known_hosts=known_hosts,
        makes_folder=question.makes_folder, sends=question.sends,
    )  # fmt: skip


def _end(*_: object) -> None:
    end_all()
    raise SystemExit(STOPPED)


def main() -> int:
    """Answer the question of this pod."""
    signal.signal(signal.SIGTERM, _end)
    question = Question.of_text(os.environ[VARIABLE])
    sources = Sources([DirectorySource(Path(SECRETS), Path(CONFIG_MAPS))], "default")
    try:
        report = answer(question, sources, Path(os.environ.get("HOME", "/")))
    except TielineError as error:
        TERMINATION.write_text(str(error), encoding="utf-8")
        return 1
    TERMINATION.write_text(answer_text(report), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
