"""``custom``: any mapping that an admin gives to jobs, checked by a JSON Schema that the admin writes beside it."""

from typing import Any, ClassVar

from tieline.kinds.adminschema import broken, unknown
from tieline.kinds.base import Complaint, Kind
from tieline.kinds.bindings import SAFE_ENTRY, assemble, credentials, from_secret, schema_entries
from tieline.kinds.fields import FreeForm
from tieline.model.access import Access, Http, Socket
from tieline.model.binding import Binding, Value
from tieline.model.connection import Connection


class CustomSchema(FreeForm):
    """Any mapping. Every key is an entry: text as it is, everything else as JSON."""

    fields_: dict[str, Any] | None = None
    """A JSON Schema for the other keys: what is required, and of which type. Its keywords: type, properties, required,
    additionalProperties, items, enum, const, pattern, minimum, maximum, minLength, maxLength, minItems, maxItems."""


class Custom(Kind):
    """``custom``."""

    name = "custom"
    family = "custom"
    title = "Anything else: a mapping of your own"
    schema = CustomSchema
    own_keys = True
    needs_schema = False
    examples: ClassVar = (
        {"name": "settings", "kind": "custom", "schema": {"tracking": "https://tracking.example.org", "retries": 3}},
        {
            "name": "robot",
            "kind": "custom",
            "schema": {
                "type": "robot",
                "host": "arm.example.org",
                "port": 7000,
                "axes": ["x", "y", "z"],
                "fields": {
                    "properties": {
                        "host": {"type": "string", "minLength": 1},
                        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                        "axes": {"type": "array", "items": {"enum": ["x", "y", "z"]}},
                    },
                    "required": ["host", "port"],
                },
            },
            "secret": {"name": "robot-secret", "items": ["pin"]},
        },
    )

    @staticmethod
    def _secrets(connection: Connection) -> dict[str, Value | None]:
        """An entry for each item of the secret, where the catalog names them."""
        items = (connection.secret.items if connection.secret else None) or ()
        return {item: from_secret(connection, (item,)) for item in items if SAFE_ENTRY.match(item)}

    def bind(self, connection: Connection) -> Binding:
        schema: CustomSchema = connection.schema_ or CustomSchema()
        own = schema_entries(schema.model_copy(update={"fields_": None}))
        type_ = (schema.model_extra or {}).get("type")
        entries = {name: value for name, value in own.items() if name not in ("type", "provider", "fields")}
        return assemble(
            connection,
            type_ if isinstance(type_, str) and type_ else "custom",
            {**entries, **self._secrets(connection)},
        )

    def access(self, connection: Connection) -> Access:
        given = (connection.schema_ or CustomSchema()).model_extra or {}
        login = credentials(connection, self._secrets(connection))
        url, host, port = (given.get(name) for name in ("url", "host", "port"))
        if isinstance(url, str) and url.startswith(("http://", "https://")):
            return Http(url=url, tls=url.startswith("https:"), credentials=login)
        number = port if isinstance(port, int) and 0 < port < 65536 else None
        return Socket(host=host if isinstance(host, str) else None, port=number, credentials=login)

    def check(self, connection: Connection) -> list[Complaint]:
        """The admin's JSON Schema has known keywords only, and the other keys are as it says."""
        allowed = ("schema.type", "schema.provider")  # here they do say what it is
        found = [item for item in super().check(connection) if item[0] not in allowed]
        schema: CustomSchema = connection.schema_ or CustomSchema()
        if schema.fields_ is not None:
            wrong = list(unknown(schema.fields_, "schema.fields"))
            found += wrong or broken(schema.model_extra or {}, {"type": "object", **schema.fields_}, "schema")
        return found


KINDS = {Custom.name: Custom}
