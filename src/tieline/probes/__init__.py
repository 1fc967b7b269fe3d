"""Probes: ask an external system, one operation after the other, and report what each of them proved."""

from tieline.probes.families import credential_values, probe
from tieline.probes.leftovers import end_all, remove_dead
from tieline.probes.report import Limits, Operation, Outcome, Report, Result

__all__ = ["Limits", "Operation", "Outcome", "Report", "Result", "credential_values", "end_all", "probe", "remove_dead"]
