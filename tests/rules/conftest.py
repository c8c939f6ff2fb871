"""A cluster of their own: rules are for all jobs of a cell, and other tests have theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.common.topics import ensure_topics
from jobs.local.stack import Stack
from tests.rules.cluster import CHANGING, FOLDER_RULE, TIMING, Cluster, rule


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Shared in the order of the files: test_changes.py begins without a pushed rulebook."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "plant.yaml").write_text("rules:" + rule(FOLDER_RULE, 40))
    with Stack(tmp_path_factory.mktemp("rules-stack") / "run", taskmanagers=2) as stack:
        ensure_topics(stack.bootstrap, [CHANGING, TIMING])
        yield Cluster(stack, stack.submit("detect_anomalies", ["--rules", str(folder)]))
