"""Checking an attempt's outputs and logs in the store against its manifest: every name, every size, every byte."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tieline.app.outputs import can_push
from tieline.app.runs import attempt_prefix, store_of
from tieline.errors import Code, NotFound, StepFailed
from tieline.model.plan import Plan
from tieline.model.run import Run
from tieline.steps.manifest import OUTPUTS, Entry, Manifest, digest_of, read_manifest
from tieline.steps.meter import Meter
from tieline.steps.parallel import side_by_side
from tieline.steps.retrying import Patience, persistently
from tieline.stores.base import Stat, Store, StoreTrouble, Why

AT_ONCE = 8
TURNS = 5
"""So often a manifest that is written anew meanwhile is read again."""
PATIENCE = Patience(attempts=3)
"""For each file: a server that is busy has not damaged it."""


class What(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"
    EXTRA = "extra"
    SIZE = "size"
    DIGEST = "digest"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One file that is not as the manifest has it."""

    path: str
    what: What
    detail: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check came to. ``undigested``: files of which the manifest has no digest: only their sizes were compared.

    ``newer``: files that the store has anew, or has on top, since the manifest of a run under way was written.
    """

    complete: bool
    files: int
    bytes: int
    findings: tuple[Finding, ...] = ()
    undigested: int = 0
    newer: int = 0


def verify(
    plan: Plan,
    run: Run,
    attempt: int,
    *,
    quick: bool = False,
    meter: Meter | None = None,
    cancel: threading.Event | None = None,
) -> Verified:
    """Check an attempt. ``quick``: names and sizes only. Raises NotFound where there is no manifest; StoreFailed;
    StepFailed (STOPPED) once ``cancel`` is set."""
    store, prefix = store_of(plan), attempt_prefix(plan, attempt)
    for turn in range(1, TURNS + 1):
        manifest = _manifest(store, prefix, run, attempt)
        check = _Check(store, prefix, manifest, meter or Meter(), cancel or threading.Event())
        check.carry_out(quick=quick)
        if check.manifest.complete or not check.findings or turn == TURNS:
            break
        if _manifest(store, prefix, run, attempt).written_ns == check.manifest.written_ns:
            break
    entries = check.manifest.entries.values()
    undigested = sum(entry.sha256 is None for entry in entries)
    findings = tuple(sorted(check.findings, key=lambda finding: os.fsencode(finding.path)))
    total = sum(entry.size for entry in entries)
    return Verified(check.manifest.complete, len(entries), total, findings, undigested, check.newer)


def _manifest(store: Store, prefix: str, run: Run, attempt: int) -> Manifest:
    found = read_manifest(store, prefix)
    if found is not None:
        return found
    if not run.status.is_final:
        why, hint = "yet", "it is written a few seconds after the first output, and at the end: try again"
    elif can_push(run):
        why, hint = "because not everything is saved", f"save the rest: tieline runs outputs push {run.uuid[:8]}"
    elif run.reason == Code.OUTPUTS_NOT_SAVED:
        why, hint = "because not everything was saved", "what was not was in the run's pod: run the job again"
    else:
        why, hint = "", "it was saved by a Tieline that kept none, or the manifest was removed: nothing can be checked"
    raise NotFound.of(
        Code.ARTIFACT_MISSING, f"attempt {attempt} of run {run.uuid[:8]} has no manifest {why}".rstrip(), hint
    )


@dataclass(slots=True)
class _Check:
    """One comparison of the store with one manifest."""

    store: Store
    prefix: str
    manifest: Manifest
    meter: Meter
    cancel: threading.Event
    findings: list[Finding] = field(default_factory=list)
    newer: int = 0

    def carry_out(self, *, quick: bool) -> None:
        top = f"{self.prefix}/{OUTPUTS.rstrip('/')}"
        there = {found.key[len(self.prefix) + 1 :]: found for found in self.store.walk(top) if found.what != "dir"}
        same = [entry for entry in self.manifest.entries.values() if self._has_size(entry, there)]
        extra = [path for path in there if path not in self.manifest.entries]
        if self.manifest.complete:
            self.findings += [Finding(path, What.EXTRA, "the run did not save it") for path in extra]
        else:
            self.newer += len(extra)
        if not quick:
            self._read_all([entry for entry in same if entry.sha256 is not None])

    def _has_size(self, entry: Entry, there: Mapping[str, Stat]) -> bool:
        is_output = entry.path.startswith(OUTPUTS)
        found = there.get(entry.path) if is_output else self.store.stat(self._key(entry))
        if found is None:
            self._tell(entry, What.MISSING, "it is not there")
        elif found.what != "file":
            self._tell(entry, What.MISSING, "something else is there by its name: a folder, a link")
        elif found.size != entry.size:
            self._tell(entry, What.SIZE, f"it has {found.size} bytes, and {entry.size} were saved")
        else:
            return True
        return False

    def _read_all(self, entries: list[Entry]) -> None:
        self.meter.begin(len(entries), sum(entry.size for entry in entries))
        for entry, what, detail in side_by_side(self._read, entries, min(AT_ONCE, len(entries))):
            self.meter.add(0, 1)
            if what is not None:
                self._tell(entry, what, detail)

    def _read(self, entry: Entry) -> tuple[Entry, What | None, str]:
        """For any thread."""
        try:
            found = persistently(
                lambda: digest_of(self.store, self._key(entry), self._moved), cancel=self.cancel, patience=PATIENCE
            )
        except StoreTrouble as error:
            if error.why in (Why.UNREACHABLE, Why.NOT_AUTHENTICATED):
                raise
            return entry, What.MISSING if error.why == Why.NOT_FOUND else What.UNREADABLE, str(error)
        if found == (entry.size, entry.sha256):
            return entry, None, ""
        return entry, What.DIGEST, "its bytes are others: its SHA-256 is not that of what was saved"

    def _moved(self, size: int) -> None:
        if self.cancel.is_set():
            raise StepFailed.of(Code.STOPPED, "the check was stopped")
        self.meter.add(size)

    def _key(self, entry: Entry) -> str:
        return f"{self.prefix}/{entry.path}"

    def _tell(self, entry: Entry, what: What, detail: str) -> None:
        """Note what is wrong; but a run under way may have saved the file again since."""
        if not self.manifest.complete and what is not What.MISSING:
            found = self.store.stat(self._key(entry))
            if found is not None and found.mtime_ns != entry.mtime_ns:
                self.newer += 1
                return
        self.findings.append(Finding(entry.path, what, detail))
