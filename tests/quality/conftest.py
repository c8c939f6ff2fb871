"""A lake, empty or with a facility of two compacted hours. Both are made once and copied back to
their place for each test: tables name their files by absolute paths.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.catalog import open_catalog
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ensure
from tests.lake.compaction_plant import Site
from tests.quality import plant


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `lake`, and of its copies `empty` and `full`."""
    folder = tmp_path_factory.mktemp("quality")
    settings = settings_of(folder)
    with open_catalog(settings) as catalog:
        ensure(catalog, settings)
    shutil.copytree(folder / "lake", folder / "empty")
    with open_catalog(settings) as catalog:
        site = Site(catalog, settings)
        plant.archive(site)
        plant.tell(site, plant.words(plant.batches()))
    shutil.copytree(folder / "lake", folder / "full")
    return folder


def settings_of(folder: Path) -> LakeSettings:
    return LakeSettings(catalog_uri=f"sqlite:{folder}/lake/catalog.db", warehouse=f"{folder}/lake")


@pytest.fixture
def lake_settings(lakes: Path, request: pytest.FixtureRequest) -> LakeSettings:
    """Of the lake as it is at first: full for who asks for `site`."""
    shutil.rmtree(lakes / "lake")
    shutil.copytree(lakes / ("full" if "site" in request.fixturenames else "empty"), lakes / "lake")
    return settings_of(lakes)


@pytest.fixture
def catalog(lake_settings: LakeSettings) -> Iterator[Catalog]:
    with open_catalog(lake_settings) as found:
        yield found


@pytest.fixture
def site(catalog: Catalog, lake_settings: LakeSettings) -> Site:
    """Two whole hours of gateway gw-1, and its words."""
    return Site(catalog, lake_settings)
