"""Engines: what carries a plan out. Each passes the same contract tests (``tests/contract``)."""
