"""Channels: ways to tell people. Most have one secret, a webhook's address, a token or a routing key, and no schema.

A secret of the older format has a JSON list of webhooks under ``POLYAXON_INTEGRATIONS_WEBHOOKS_<KIND>``: it is among
the access's credentials as ``webhooks``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, create_model

from tieline.kinds import keys
from tieline.kinds.base import Complaint, Kind
from tieline.kinds.bindings import as_text, assemble, credentials, from_secret, schema_entries, setting
from tieline.kinds.fields import FreeForm, Host, HttpUrl, MachinePath, OneOrMany, Port, Scalar, Shape
from tieline.model.access import Channel
from tieline.model.binding import Binding, Text, Value
from tieline.model.connection import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """One kind of channel: the fields that only it has, and the credentials in its secret beside a webhook's URL."""

    name: str
    title: str
    fields: Mapping[str, str]
    """Text fields, with their descriptions; ``url`` and ``channel`` where they mean something of their own."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a field may say, where it is one of a few words."""
    secrets: Mapping[str, tuple[str, ...]]
    """Further credentials: an entry, and the keys that may hold it."""
    by_url: bool = True
    """Whether an address alone is enough."""
    resolves: bool = False
    """Whether a success ends there what a failure began."""
    examples: tuple[Mapping[str, Any], ...]


class ChannelSchema(FreeForm):
    """A way to tell people. What is secret (usually the webhook's address) is better in the secret."""

    url: HttpUrl | None = None
    """The webhook's address, if it is no secret."""
    channel: Scalar | None = None
    """Where messages go, if the webhook or token doesn't say: #ml-runs."""
    ca_bundle: MachinePath | None = None
    """A PEM file of the certificates to trust; relative paths (./ca.pem) are relative to the catalog's file."""


class ChannelKind(Kind):
    """A kind that is a row; see :func:`_maker`."""

    family = "channels"
    row: ClassVar[ChannelRow]
    needs_schema = False
    relative_paths = ("caBundle",)

    def _found(self, connection: Connection) -> dict[str, Value | None]:
        word = self.row.name.upper()
        names = (
            "url",
            "webhook",
            "webhook-url",
            "webhook_url",
            f"{word}_URL",
            f"{word}_WEBHOOK_URL",
            f"{word}_WEBHOOK",
        )
        schema: ChannelSchema = connection.schema_ or ChannelSchema()
        return {
            "url": setting(connection, names, schema.url),
            "webhooks": setting(connection, (f"POLYAXON_INTEGRATIONS_WEBHOOKS_{word}",)),
            **{entry: from_secret(connection, (entry, *more)) for entry, more in self.row.secrets.items()},
        }

    def bind(self, connection: Connection) -> Binding:
        entries = {**schema_entries(connection.schema_ or ChannelSchema()), **self._found(connection)}
        return assemble(connection, self.row.name, {**entries, "uri": entries["url"]})

    def access(self, connection: Connection) -> Channel:
        schema = connection.schema_ or ChannelSchema()
        return Channel(
            service=self.row.name,
            url=schema.url,
            channel=schema.channel,
            resolves=self.row.resolves,
            options=options_of(schema, "url", "channel"),
            credentials=credentials(connection, self._found(connection)),
        )

    def check(self, connection: Connection) -> list[Complaint]:
        """A channel needs a secret (or a config map), unless its address is in the schema."""
        found = super().check(connection)
        schema = connection.schema_ or ChannelSchema()
        elsewhere = connection.secret or connection.config_map
        if elsewhere is None and not (self.row.by_url and schema.url):
            what = "the webhook's URL or the token" if self.row.by_url else "the key"
            found.append(("secret", f"nothing has {what}", f"add secret: {{name: …}} with {what}"))
        for name, words in self.row.choices.items():
            said = getattr(schema, name, None)
            if said is not None and said.lower() not in map(str.lower, words):
                found.append((f"schema.{name}", f"{said!r} is none of its words", f"use {' or '.join(words)}"))
        return found


def options_of(schema: FreeForm, *without: str) -> dict[str, str]:
    """All that the schema says besides these fields, as text, by the file's names for it."""
    data = schema.model_dump(by_alias=True, exclude_none=True, mode="json", exclude=set(without))
    return {name: as_text(value) for name, value in data.items()}


_SLACK = {
    "url": "The webhook's address, if it is no secret; with a token, the Web API's. Default: https://slack.com/api.",
    "channel": "Where messages go: #ml-runs. A token needs it; a webhook has a channel of its own.",
    "username": "The name that messages appear under.",
    "icon": "The emoji or image that they appear with: ':robot_face:'.",
}
ROWS = (
    ChannelRow(
        name="slack",
        title="A Slack channel",
        fields=_SLACK,
        secrets={"token": ("SLACK_TOKEN", "SLACK_BOT_TOKEN")},
        examples=(
            {"name": "my-slack", "kind": "slack", "secret": {"name": "my-slack"}},
            {
                "name": "team-slack",
                "kind": "slack",
                "schema": {"channel": "#ml-runs", "username": "tieline", "icon": ":robot_face:"},
                "secret": {"name": "slack-token", "items": ["SLACK_TOKEN"]},
            },
        ),
    ),
    ChannelRow(
        name="teams",
        title="A Microsoft Teams channel",
        fields={},
        secrets={},
        examples=({"name": "team", "kind": "teams", "secret": {"name": "teams-webhook"}},),
    ),
    ChannelRow(
        name="discord",
        title="A Discord channel",
        fields={"username": _SLACK["username"]},
        secrets={},
        examples=({"name": "lab", "kind": "discord", "secret": {"name": "discord-webhook"}},),
    ),
    ChannelRow(
        name="mattermost",
        title="A Mattermost channel",
        fields={name: text for name, text in _SLACK.items() if name in ("username", "icon")},
        secrets={},
        examples=(
            {
                "name": "town-square",
                "kind": "mattermost",
                "schema": {"channel": "town-square", "username": "tieline"},
                "secret": {"name": "mattermost-webhook"},
            },
        ),
    ),
    ChannelRow(
        name="pagerduty",
        title="A PagerDuty service",
        by_url=False,
        resolves=True,
        choices={"severity": ("critical", "error", "warning", "info")},
        fields={
            "url": "The address for events. Default: https://events.pagerduty.com/v2/enqueue.",
            "severity": "How bad a failure is: critical, error, warning or info. Default: error.",
            "component": "What is affected. Default: the job's name.",
        },
        secrets={
            "routing-key": (
                "routing_key",
                "routingKey",
                "integration_key",
                "service_key",
                "PAGERDUTY_ROUTING_KEY",
                "PAGERDUTY_INTEGRATION_KEY",
            )
        },
        examples=(
            {
                "name": "on-call",
                "kind": "pagerduty",
                "schema": {"severity": "error", "component": "nightly-training"},
                "secret": {"name": "pagerduty-key"},
            },
        ),
    ),
    ChannelRow(
        name="hipchat",
        title="A HipChat room (its servers of one's own)",
        fields={
            "url": "The server's address (with channel and a token), or that of a room's notification.",
            "channel": "The room, by its name or number.",
        },
        secrets={"token": ("HIPCHAT_TOKEN",)},
        examples=({"name": "room", "kind": "hipchat", "secret": {"name": "hipchat-webhook"}},),
    ),
    ChannelRow(
        name="webhook",
        title="Any address that takes a POST of JSON",
        choices={"method": ("POST", "PUT")},
        fields={"method": "POST or PUT. Default: POST."},
        secrets={
            "token": ("WEBHOOK_TOKEN", "access-token"),
            "signing-key": ("signing_key", "signingKey", "WEBHOOK_SIGNING_KEY"),
        },
        examples=(
            {"name": "dashboard", "kind": "webhook", "schema": {"url": "https://dashboard.example.org/hooks/runs"}},
            {
                "name": "audit",
                "kind": "webhook",
                "schema": {"url": "https://audit.example.org/runs", "method": "PUT"},
                "secret": {"name": "audit-token"},
            },
        ),
    ),
)


Mail = Annotated[
    str,
    Shape(
        r"^([^<>\x00-\x1f]*<[^@\s<>]+@[^@\s<>]+>|[^@\s<>,]+@[^@\s<>,]+)$",
        "this is no mail address",
        "write it like ml@example.org, or Name <ml@example.org>",
        ((r"\[\s*email", "a web page's protection of e-mail addresses was copied here|write the address itself"),),
    ),
]
MailList = Annotated[tuple[Mail, ...], Field(min_length=1), OneOrMany(",")]


class EmailSchema(FreeForm):
    """Mail, over an SMTP server."""

    host: Host
    """The SMTP server's name."""
    port: Port | None = None
    """Its port. Default: 587, or 465 with tls: implicit."""
    from_: Mail
    """Who the mail is from."""
    to: MailList
    """Who gets it: a list, or addresses with commas between them."""
    tls: bool | Literal["starttls", "implicit"] = True
    """starttls (true means it), implicit (from the first byte), or false: not encrypted."""
    ca_bundle: MachinePath | None = None
    """A PEM file of the certificates to trust; relative paths (./ca.pem) are relative to the catalog's file."""
    username: Scalar | None = None
    """Who logs in, if it is not in the secret."""
    subject: str | None = None
    """A word in front of every subject."""


class Email(Kind):
    """``email``."""

    name = "email"
    family = "channels"
    title = "Mail, over an SMTP server"
    schema = EmailSchema
    relative_paths = ("caBundle",)
    examples: ClassVar = (
        {
            "name": "mail",
            "kind": "email",
            "schema": {"host": "smtp.example.org", "from": "tieline@example.org", "to": ["ml@example.org"]},
        },
        {
            "name": "mail-outside",
            "kind": "email",
            "schema": {
                "host": "smtp.example.com",
                "port": 465,
                "from": "Tieline <tieline@example.org>",
                "to": "ml@example.org, on-call@example.org",
                "tls": "implicit",
                "subject": "[ml]",
            },
            "secret": {"name": "smtp-secret"},
        },
    )

    @staticmethod
    def _found(connection: Connection) -> dict[str, Value | None]:
        schema: EmailSchema = connection.schema_
        given = Text(text=schema.username) if schema.username else None
        return {
            "username": given or from_secret(connection, (*keys.USERNAME, "SMTP_USERNAME", "SMTP_USER")),
            "password": from_secret(connection, (*keys.PASSWORD, "SMTP_PASSWORD")),
        }

    @staticmethod
    def _port(schema: EmailSchema) -> int:
        return schema.port or (465 if schema.tls == "implicit" else 587)

    def bind(self, connection: Connection) -> Binding:
        schema: EmailSchema = connection.schema_
        port = Text(text=str(self._port(schema)))
        return assemble(connection, "smtp", {**schema_entries(schema), "port": port, **self._found(connection)})

    def access(self, connection: Connection) -> Channel:
        schema: EmailSchema = connection.schema_
        options = {**options_of(schema), "port": str(self._port(schema)), "to": ", ".join(schema.to)}
        options["tls"] = "none" if schema.tls is False else "starttls" if schema.tls is True else schema.tls
        found = credentials(connection, self._found(connection))
        return Channel(service="email", options=options, credentials=found)


class AppriseSchema(FreeForm):
    """Nothing is needed here: the addresses are in the secret."""


class Apprise(Kind):
    """``apprise``: its addresses have the tokens in them, so they are taken from a secret and nowhere else."""

    name = "apprise"
    family = "channels"
    title = "Anything that Apprise has an address for (needs `pip install 'tieline[apprise]'`)"
    schema = AppriseSchema
    needs_schema = False
    examples: ClassVar = (
        {"name": "phones", "kind": "apprise", "secret": {"name": "apprise-url"}},
        {"name": "everyone", "kind": "apprise", "secret": {"name": "apprise-urls", "items": ["APPRISE_URLS"]}},
    )

    @staticmethod
    def _found(connection: Connection) -> dict[str, Value | None]:
        return {
            "url": from_secret(connection, ("url", "APPRISE_URL")),
            "urls": from_secret(connection, ("urls", "APPRISE_URLS")),
        }

    def bind(self, connection: Connection) -> Binding:
        entries = schema_entries(connection.schema_ or AppriseSchema())
        return assemble(connection, self.name, {**entries, **self._found(connection)})

    def access(self, connection: Connection) -> Channel:
        options = options_of(connection.schema_ or AppriseSchema())
        return Channel(service=self.name, options=options, credentials=credentials(connection, self._found(connection)))

    def check(self, connection: Connection) -> list[Complaint]:
        """The addresses are in a secret."""
        found = super().check(connection)
        extra = getattr(connection.schema_, "model_extra", None) or {}
        found += [
            (f"schema.{name}", "an address of Apprise has tokens in it", "put it into a secret, and name that")
            for name in ("url", "urls")
            if name in extra
        ]
        if connection.secret is None:
            found.append(("secret", "nothing has an address for Apprise", "add secret: {name: …} with APPRISE_URL"))
        return found


_TYPES = {"url": HttpUrl | None}
"""Of the fields that are not just text."""


def _maker(row: ChannelRow) -> Callable[[], Kind]:
    def make() -> Kind:
        fields: dict[str, Any] = {
            name: (_TYPES.get(name, Scalar | None), Field(default=None, description=text))
            for name, text in row.fields.items()
        }
        word = row.name.capitalize()
        body = {
            "__doc__": f"``{row.name}``.",
            "__module__": __name__,
            "name": row.name,
            "title": row.title,
            "row": row,
            "schema": create_model(f"{word}Schema", __base__=ChannelSchema, __doc__=f"{row.title}.", **fields),
            "examples": row.examples,
        }
        return cast(Kind, type(word, (ChannelKind,), body)())

    return make


KINDS: dict[str, Callable[[], Kind]] = {
    **{row.name: _maker(row) for row in ROWS},
    Email.name: Email,
    Apprise.name: Apprise,
}
