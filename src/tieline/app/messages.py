"""From notifications to the message that tells them: where things are, and the log's last lines without any secret.

What happened is in the notification itself; the rest is looked up when it is sent, as far as it is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tieline.app.outputs import LOGS, place
from tieline.app.runs import attempt_prefix, plan_of, store_of
from tieline.errors import NotFound, TielineError
from tieline.model.notification import Item, Link, Message, Notification
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.runs.record import Record
from tieline.secrets.masking import secrets_of
from tieline.secrets.scrub import Scrubber
from tieline.secrets.sources import Sources
from tieline.steps.log_reader import log_tail
from tieline.steps.segments import log_names
from tieline.stores import StoreTrouble

LINES, BYTES = 15, 32 * 1024
"""Of the log's end: so many lines, from so many bytes."""
LONGEST = 1000
"""Characters of one line."""
NOT_MASKED = "(the log's last lines are left out: the secrets to mask in them could not be read)"


def message_of(told: Sequence[Notification], record: Record, sources: Sources) -> Message:
    """The message that tells these notifications, in their order. The log's end is in a message about one only."""
    return Message(tuple(_item(one, record, sources, alone=len(told) == 1) for one in told))


def key_of(told: Notification) -> str:
    """The same for every attempt to tell this event to this connection, and for no other."""
    return f"{told.facts.run}.{told.facts.sequence}.{told.connection}"


def _item(told: Notification, record: Record, sources: Sources, *, alone: bool) -> Item:
    key, facts = key_of(told), told.facts
    if not alone:
        return Item(key, facts, resolves=told.resolves)
    try:
        run = record.get(facts.run)
        plan = plan_of(record, run)
    except (NotFound, ValueError):  # it was removed, or an older version's: what is in the row is told all the same
        return Item(key, facts, resolves=told.resolves)
    links = tuple(_links(run, plan, facts.attempt))
    tail, note = _tail(plan, facts.attempt, sources) if facts.status.is_final else ((), "")
    return Item(key, facts, links, tail, note, told.resolves)


def _links(run: Run, plan: Plan, attempt: int) -> Iterable[Link]:
    for code in run.code:
        yield Link("Code", f"{code.get('url', '')} at {code.get('commit', '')[:12]}")
    if plan.collect.outputs:
        yield Link("Outputs", place(plan, attempt))
    if plan.collect.logs:
        yield Link("Logs", place(plan, attempt, LOGS))
        yield Link("Read them", f"tieline runs logs {run.uuid[:8]}")


def _tail(plan: Plan, attempt: int, sources: Sources) -> tuple[tuple[str, ...], str]:
    """The last lines of the main program's log (of a run that never came so far: of its last step's), masked; or why
    they are not there."""
    try:
        hide = Scrubber(secrets_of(plan, sources)).hide
    except TielineError:  # a secret is gone, or a source can't be asked: what is to be masked is not known
        return (), NOT_MASKED
    try:
        store, prefix = store_of(plan, asks_pod=False), attempt_prefix(plan, attempt)
        names = log_names(store, prefix)
        name = "main" if "main" in names else names[-1] if names else ""
        data = log_tail(store, prefix, name, BYTES) if name else b""
    except (StoreTrouble, TielineError):  # the message is worth sending without it
        return (), ""
    lines = hide(data.decode("utf-8", "surrogateescape")).splitlines()  # as secrets are, which need not be text
    return tuple(_clean(line) for line in lines[-LINES:]), ""


def _clean(line: str) -> str:
    """As a person may see it anywhere."""
    plain = line[:LONGEST].replace("\t", "    ")
    return "".join(c if c.isprintable() else "�" for c in plain)
