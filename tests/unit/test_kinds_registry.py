"""Which kinds are known, what looking one up costs, and what other packages may add."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tieline.errors import Code, InvalidInput
from tieline.kinds import registry
from tieline.kinds.base import Kind
from tieline.model.access import ObjectStore, Volume

TABLE = {
    "volumes": "host_path volume_claim",
    "buckets": "s3 gcs wasb",
    "code": "git ssh",
    "images": "registry",
    "clouds": "aws gcp azure",
    "databases": "postgres mysql mssql oracle vertica redis mongo cassandra sqlite presto snowflake databricks "
    "cloudant jdbc hive_cli hive_metastore hive_server2",
    "services": "http grpc ftp hdfs samba jenkins pig_cli segment",
    "channels": "slack teams discord mattermost pagerduty hipchat webhook email apprise",
    "custom": "custom",
}
KAFKA = """
from tieline.kinds.base import Kind
from tieline.kinds.bindings import assemble, schema_entries
from tieline.model.access import Socket
from tieline.model.form import Form

class KafkaSchema(Form):
    host: str

class Kafka(Kind):
    name = "kafka"
    family = "streams"
    title = "A Kafka cluster"
    schema = KafkaSchema

    def bind(self, connection):
        return assemble(connection, "kafka", schema_entries(connection.schema_))

    def access(self, connection):
        return Socket(host=connection.schema_.host)
"""

Package = Callable[..., None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Installs a distribution on ``sys.path``: its name, its module's source, and the kinds that it declares."""
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.forget()
    modules: list[str] = []

    def install(dist: str, source: str, **kinds: str) -> None:
        module = dist.replace("-", "_")
        modules.append(module)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        points = "".join(f"{name} = {module}:{value}\n" for name, value in kinds.items())
        (info / "entry_points.txt").write_text(f"[tieline.kinds]\n{points}")

    yield install
    registry.forget()
    for module in modules:
        sys.modules.pop(module, None)


def test_every_kind_of_the_field_is_known() -> None:
    assert registry.names() == " ".join(TABLE.values()).split()
    for kind in registry.all_kinds():
        assert kind.name in TABLE[kind.family].split()
        assert kind.title
        assert kind.schema.__doc__


def test_a_name_that_is_no_kind() -> None:
    assert registry.get("S3") is None
    assert registry.get("nosuch") is None


def test_a_kind_is_made_once() -> None:
    assert registry.get("postgres") is registry.get("postgres")


def test_the_same_answer_whatever_the_row() -> None:
    needed = {kind.name for kind in registry.all_kinds() if kind.needs_schema}
    assert needed == {
        "host_path", "volume_claim", "s3", "gcs", "wasb", "git", "registry", "sqlite", "email",
    }  # fmt: skip


def test_fields_that_may_be_relative_are_fields() -> None:
    for kind in registry.all_kinds():
        aliases = {info.alias for info in kind.schema.model_fields.values()}
        assert set(kind.relative_paths) <= aliases, kind.name
    hooks = {kind.name: kind.relative_paths for kind in registry.all_kinds() if kind.relative_paths}
    assert hooks["host_path"] == ("hostPath",)
    assert hooks["sqlite"] == ("path",)
    assert hooks["git"] == ("url", "caBundle")


def test_the_stores_are_the_kinds_that_give_a_store() -> None:
    gives = [
        kind.name
        for kind in registry.all_kinds()
        if inspect.get_annotations(kind.access, eval_str=True)["return"] in (ObjectStore, Volume)
    ]
    assert registry.store_names() == gives


def test_the_default_store_is_a_folder_of_this_machine() -> None:
    connection = registry.local_folder("artifacts-store", "/home/me/.tieline", "The default")
    kind = registry.get(connection.kind)
    assert kind is not None
    assert kind.check(connection) == []
    assert kind.access(connection) == Volume(host_path="/home/me/.tieline", mount_path="/home/me/.tieline")


def test_a_catalog_of_buckets_imports_no_other_family() -> None:
    script = (
        "import sys\n"
        "from tieline.kinds import registry\n"
        "assert 'pydantic' not in sys.modules and 'importlib.metadata' not in sys.modules\n"
        "registry.get('s3').schema.model_validate({'bucket': 's3://data'})\n"
        "print(*sorted(name for name in sys.modules if name.startswith('tieline.kinds.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("tieline.kinds.") for name in done.stdout.split()}
    assert loaded == {"registry", "base", "bindings", "derived", "keys", "fields", "google", "buckets"}


def test_another_package_adds_a_kind(package: Package) -> None:
    package("tieline-kafka", KAFKA, kafka="Kafka")
    kind = registry.get("kafka")
    assert isinstance(kind, Kind)
    assert kind.schema.model_validate({"host": "k"})
    assert registry.names()[-1] == "kafka"
    assert [found.name for found in registry.all_kinds()][-1] == "kafka"


def test_packages_are_not_looked_at_for_a_built_in_kind(package: Package) -> None:
    package("tieline-broken", "raise RuntimeError('no')", s3="S3", kafka="Kafka")
    assert registry.get("s3") is not None
    assert type(registry.get("s3")).__module__ == "tieline.kinds.buckets"


@pytest.mark.parametrize(
    ("source", "value", "says"),
    [
        ("raise RuntimeError('out of order')", "Kafka", "RuntimeError: out of order"),
        ("import nosuchmodule", "Kafka", "No module named 'nosuchmodule'"),
        ("x = 1", "Kafka", "AttributeError"),
        ("class Kafka: pass", "Kafka", "is no tieline.kinds.base.Kind"),
        (KAFKA.replace('name = "kafka"', 'name = "kafkaa"'), "Kafka", "its class is named 'kafkaa'"),
        (KAFKA.replace("    schema = KafkaSchema\n", ""), "Kafka", "its class has no schema"),
        (KAFKA.replace("def bind", "def bound"), "Kafka", "abstract"),
    ],
)
def test_a_broken_package_is_named(package: Package, source: str, value: str, says: str) -> None:
    package("tieline-kafka", source, kafka=value)
    assert "kafka" in registry.names()
    with pytest.raises(InvalidInput) as caught:
        registry.get("kafka")
    assert caught.value.code is Code.UNKNOWN_KIND
    message = str(caught.value)
    assert "package tieline-kafka" in message
    assert says in message
    assert "correct or uninstall tieline-kafka" in message


def test_a_package_may_not_replace_a_built_in_kind(package: Package) -> None:
    package("tieline-mine", KAFKA, s3="Kafka")
    assert registry.names().count("s3") == 1
    with pytest.raises(InvalidInput, match="tieline-mine can't be used: that name is built in"):
        list(registry.all_kinds())


def test_two_packages_may_not_declare_one_kind(package: Package) -> None:
    package("tieline-kafka", KAFKA, kafka="Kafka")
    package("other-kafka", KAFKA, kafka="Kafka")
    with pytest.raises(InvalidInput, match="packages other-kafka and tieline-kafka can't be used"):
        registry.get("kafka")
