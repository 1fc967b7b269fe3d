"""What a submit costs the API server: rights that were there a moment ago are not asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kube_rights import Space, opened, plan_of, space
from secrets_kube import kube

from servers.processes import eventually
from tieline.engines.kubernetes.preflight import preflight
from tieline.engines.kubernetes.remembered import Remembered
from tieline.errors import Refused
from tieline.secrets.memory import MemorySource
from tieline.secrets.sources import Sources

__all__ = ["kube"]
NO_CHANNELS = Sources([MemorySource({}, {})], "default")
PLAN = plan_of({"artifactsStore": {"name": "st", "kind": "s3", "schema": {"bucket": "s3://bucket"}}}, {})
REVIEWS = ("create selfsubjectrulesreviews", "create localsubjectaccessreviews")


@pytest.fixture(scope="module")
def ns(kube: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    with space(kube, tmp_path_factory.mktemp("kube")) as found:
        yield found


def reviews(ns: Space, home: Path, config: Path | None = None) -> int:
    """How many questions about rights a preflight asks."""
    with opened(config or ns.config) as api:
        with suppress(Refused):  # a right is missing: what was asked counts all the same
            preflight(PLAN, api, ns.name, NO_CHANNELS, account="tieline", remembered=Remembered(home / "c", api.asker))
        return sum(api.counted[review] for review in REVIEWS)


def test_rights_are_remembered_only_when_they_are_there(ns: Space, tmp_path: Path) -> None:
    nobody = ns.user("nobody")
    assert reviews(ns, tmp_path) == 4
    assert reviews(ns, tmp_path) == 4 - 1  # the account has no right yet; the submitter has all
    ns.apply("collector.yaml")
    eventually(lambda: reviews(ns, tmp_path) == 0)  # the server needs a moment to see a new role
    assert reviews(ns, tmp_path, nobody) > 0  # another user's answers are not theirs
    assert reviews(ns, tmp_path, nobody) > 0
