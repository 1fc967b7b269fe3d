"""The record of runs: what was accepted, what happened to it, and who owns it now.

:mod:`~tieline.runs.record` is the way in; :mod:`~tieline.runs.locks` says which process may change a run.
Nothing is imported here: SQLAlchemy costs a third of a second, and most commands decide first.
"""
