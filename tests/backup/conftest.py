"""A lake to be backed up, and an empty place for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.catalog import open_catalog
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ensure


def lake_in(folder: Path) -> LakeSettings:
    """A lake on SQLite; nothing is there yet."""
    return LakeSettings(catalog_uri=f"sqlite:{folder}/catalog.db", warehouse=str(folder))


@pytest.fixture
def lake(tmp_path: Path) -> LakeSettings:
    return lake_in(tmp_path / "lake")


@pytest.fixture
def catalog(lake: LakeSettings) -> Iterator[Catalog]:
    """With all tables, empty."""
    with open_catalog(lake) as found:
        ensure(found, lake)
        yield found


@pytest.fixture
def elsewhere(tmp_path: Path) -> LakeSettings:
    """The empty place."""
    return lake_in(tmp_path / "elsewhere")


@pytest.fixture
def empty(elsewhere: LakeSettings) -> Iterator[Catalog]:
    """Its catalog, without any table."""
    with open_catalog(elsewhere) as found:
        yield found
