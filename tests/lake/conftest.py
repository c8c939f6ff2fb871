"""A lake in a folder of the test, behind SQLite or a REST catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.catalog import open_catalog
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ensure
from tests.support.rest_catalog import RestCatalogServer


@pytest.fixture
def lake_settings(tmp_path: Path) -> LakeSettings:
    """A lake on SQLite that is nowhere else; nothing is there yet."""
    return LakeSettings(
        catalog_uri=f"sqlite:{tmp_path}/lake/catalog.db", warehouse=f"{tmp_path}/lake"
    )


@pytest.fixture
def catalog(lake_settings: LakeSettings) -> Iterator[Catalog]:
    """Its catalog, with all tables, empty."""
    with open_catalog(lake_settings) as found:
        ensure(found, lake_settings)
        yield found


@pytest.fixture
def rest_server(tmp_path: Path) -> Iterator[RestCatalogServer]:
    """A REST catalog with a warehouse of its own."""
    with RestCatalogServer(tmp_path / "rest") as server:
        yield server
