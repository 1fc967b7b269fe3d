"""The outbox: who is to be told of which event, each attempt, and the channels that runs were accepted with."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("owner", sa.Text))
    op.add_column("runs", sa.Column("watches", sa.Text))
    _create_channels()
    _create_notifications()
    _create_attempts()


def _create_channels() -> None:
    op.create_table(
        "channels",
        *_texts("digest", "connection", "namespace", "access", "sources", "holder"),
        sa.Column("held_until", sa.String(32)),
        sa.Column("allowance", sa.Float),
        sa.Column("allowance_at", sa.String(32)),
        sa.Column("paused_until", sa.String(32)),
        sa.PrimaryKeyConstraint("digest", name="pk_channels"),
    )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.Integer, nullable=False),
        *_texts("run"),
        sa.Column("sequence", sa.Integer, nullable=False),
        *_texts("connection", "namespace", "trigger", "channel", "subject"),
        sa.Column("resolves", sa.Boolean, nullable=False),
        *_texts("event_status", "facts", "state"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("next_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        *_texts("status", "reason", "reached"),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint("run", "sequence", "connection", name="uq_notifications_run_sequence_connection"),
    )
    op.create_index("ix_notifications_state_channel", "notifications", ["state", "channel"])
    op.create_index("ix_notifications_connection_subject", "notifications", ["connection", "subject"])


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("notification", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        *_texts("outcome", "status", "reason"),
        sa.Column("seconds", sa.Float),
        sa.Column("digest", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("notification", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(
            ["notification"], ["notifications.id"], name="fk_attempts_notification", ondelete="CASCADE"
        ),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
