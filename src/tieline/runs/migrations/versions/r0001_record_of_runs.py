"""The first tables: runs, their events, and the connections that they use."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_runs()
    _create_events()
    _create_run_connections()


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("uuid", sa.Text, nullable=False),
        *_texts("name", "project", "namespace", "kind", "engine", "status"),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.Column("started_at", sa.String(32)),
        sa.Column("finished_at", sa.String(32)),
        *_texts("reason", "message"),
        sa.Column("exit_code", sa.Integer),
        sa.Column("stop_requested", sa.Boolean, nullable=False),
        *_texts("job_file", "catalog_digest", "store", "store_prefix", "queue", "tags", "code"),
        sa.Column("outcome", sa.Text),
        *_texts("plan"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("uuid", name="uq_runs_uuid"),
    )
    op.create_index("ix_runs_name", "runs", ["name"])
    op.create_index("ix_runs_status", "runs", ["status"])


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        *_texts("status", "reason", "message"),
        sa.PrimaryKeyConstraint("run", "sequence", name="pk_events"),
        sa.ForeignKeyConstraint(["run"], ["runs.uuid"], name="fk_events_run", ondelete="CASCADE"),
    )


def _create_run_connections() -> None:
    op.create_table(
        "run_connections",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("connection", sa.Text, nullable=False),
        *_texts("namespace"),
        sa.PrimaryKeyConstraint("run", "connection", name="pk_run_connections"),
        sa.ForeignKeyConstraint(["run"], ["runs.uuid"], name="fk_run_connections_run", ondelete="CASCADE"),
    )
    op.create_index("ix_run_connections_connection_namespace", "run_connections", ["connection", "namespace"])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
