"""The history of the record's tables, as Alembic revisions.

A new revision is a module in ``versions`` that names the one before it, with the new ``HEAD`` in
:mod:`tieline.runs.schema`; ``tests/integration/test_runs_migrations.py`` fails until tables, head and history agree.
A revision that was released is never edited, and does not import the schema, which goes on changing.
"""
