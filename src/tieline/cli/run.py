"""``tieline run``: a job on this machine, its steps and lines as they come, and a summary of what happened."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tieline.cli import exits
from tieline.cli.options import job_options
from tieline.cli.problems import show_problems
from tieline.cli.terminal import has_colour, out, out_json, paint, printable, say

if TYPE_CHECKING:
    from tieline.app.isolation import Isolation
    from tieline.app.preparing import Engine, Prepared, Wanted
    from tieline.app.submit import Accepted
    from tieline.cli.progress import Progress
    from tieline.cli.stopping import Stopping
    from tieline.engines.base import Listener
    from tieline.model.run import Run

CODES = "  ".join(
    f"{code} {word}"
    for code, word in {
        exits.OK: "succeeded", exits.USAGE: "usage", exits.INVALID: "invalid input", exits.NOT_FOUND: "not found",
        exits.REFUSED: "refused by preflight", exits.INTERNAL: "internal", exits.NOT_SAVED: "outputs not saved",
        exits.STEP_FAILED: "a step failed", exits.TIMEOUT: "timeout", exits.INTERRUPTED: "Ctrl-C",
        exits.STOPPED: "stopped",
    }.items()
)  # fmt: skip


@click.command(
    short_help="Run a job: on this machine, or in a cluster.",
    epilog=f"Exit codes: the job's own; else {CODES}.",
)
@job_options
@click.option("--detach", "-d", is_flag=True, help="Leave the run to a process of its own, and print its id.")
def run(
    file: Path,
    params: dict[str, str],
    namespace: str | None,
    project: str,
    name: str | None,
    engine: Engine,
    isolation: Isolation,
    config: Path | None,
    output: str,
    detach: bool,
) -> int:
    """Run a job on this machine, or with --engine kubernetes as a pod of a cluster.

    The job's own lines go to stdout as they are, everything else to stderr. Ctrl-C stops the job properly, a second one
    kills it. With --output json, stdout has one JSON object about the run, and the job's lines go to stderr.

    \b
    tieline run job.yaml -P lr=0.1 --name first-try
    """
    from tieline.app.preparing import Wanted

    return _run(Wanted(file, params, namespace, project, name, isolation, engine), config, output, detach=detach)


def _run(wanted: Wanted, config: Path | None, output: str, *, detach: bool) -> int:
    from tieline.app.deployment import load_deployment
    from tieline.app.home import HomeFolder
    from tieline.app.preparing import prepare
    from tieline.app.submit import accept
    from tieline.cli.records import see_to_others
    from tieline.cli.stopping import Stopping
    from tieline.engines.base import Controls

    home = HomeFolder.find()
    prepared = prepare(wanted, load_deployment(config, home), home)
    show_problems(prepared.warnings, sys.stderr)
    if prepared.cluster is None:
        see_to_others(home)
    controls = Controls()
    with Stopping(controls) as stopping:
        accepted = accept(prepared, home)
        show_problems(accepted.warnings, sys.stderr)
        _introduce(prepared)
        if detach:
            code = _detached(accepted, output)
            if prepared.cluster is not None:
                see_to_others(home, prepared.plan.run.uuid)
            return code
        ended = _carried_out(accepted, stopping, output)
    return exits.exit_code(ended, interrupted=stopping.interrupted)


def _introduce(prepared: Prepared) -> None:
    colour = has_colour(sys.stderr)
    run = prepared.plan.run
    where = f"(project {run.project}, namespace {run.namespace})"
    say(f"{paint('run', 'bold', on=colour)} {run.uuid[:8]} {printable(run.name)} {where}")
    service = prepared.plan.service
    if service is not None:
        ports = f", ports {', '.join(map(str, service.ports))}" if service.ports else ""
        say(f"  a service{ports}: it runs until it is stopped")
    for notice in prepared.plan.notices:
        say(paint(printable(f"  {notice.field}: {notice.message}"), "dim", on=colour))


def _carried_out(accepted: Accepted, stopping: Stopping, output: str) -> Run:
    from tieline.cli.passing import Passing
    from tieline.cli.progress import Progress

    own = Passing((sys.stderr if output == "json" else sys.stdout).fileno())
    progress = Progress(accepted.plan, own)
    with closing(accepted):
        if accepted.plan.notifications:
            ended = _announced(accepted, stopping, progress)
        else:
            ended = _to_its_end(accepted, progress, progress, stopping)
        if output == "json":
            from tieline.cli.summary import summary_json

            out_json(summary_json(ended, accepted.plan, accepted.record.outbox.list(run=ended.uuid)))
    return ended


def _to_its_end(accepted: Accepted, listener: Listener, progress: Progress, stopping: Stopping) -> Run:
    from tieline.app.submit import carry_out
    from tieline.cli.records import Beside

    others = Beside(accepted.home, accepted.plan.run.uuid, progress.line)
    try:
        ended: Run = carry_out(accepted, listener, stopping.controls, others.begin)
        others.finish(progress.transient)
    finally:
        progress.close()
    from tieline.cli.summary import summary

    for line in summary(ended, accepted.plan, progress.collected, colour=has_colour(sys.stderr)):
        say(line)
    return ended


def _announced(accepted: Accepted, stopping: Stopping, progress: Progress) -> Run:
    """The same, and people are told of it as it goes; who could not be told in time is told by another process."""
    from tieline.app.announcing import Announcer
    from tieline.cli.notifications_words import FirstOnly, left_words

    colour = has_colour(sys.stderr)
    with Announcer(accepted, progress, FirstOnly(progress.line, colour=colour)) as announcer:
        ended = _to_its_end(accepted, announcer, progress, stopping)
        stopping.is_over = True
        before = stopping.interrupts
        progress.transient("  telling people of it (Ctrl-C leaves that to another process)")
        left = announcer.finish(lambda: stopping.interrupts > before)
        progress.close()
        for one in left:
            say(left_words(one, colour=colour))
    return ended


def _detached(accepted: Accepted, output: str) -> int:
    from tieline.app.submit import detach

    run = accepted.plan.run
    pid = detach(accepted)
    if output == "json":
        out_json({"uuid": run.uuid, "name": run.name, "project": run.project, "namespace": run.namespace})
    else:
        out(run.uuid)
    sys.stdout.flush()
    short = run.uuid[:8]
    if pid and accepted.remote is not None:
        say(f"  it waits for a place in the queue {printable(accepted.plan.queue)!r}, in a process of its own ({pid})")
    say(f"  it runs on by itself; follow it: tieline runs logs -f {short}; stop it: tieline runs stop {short}")
    return exits.OK
