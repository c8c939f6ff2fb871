"""A lake with a facility of two compacted hours."""

from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.settings import LakeSettings
from tests.lake.compaction_plant import Site
from tests.lake.conftest import catalog, lake_settings
from tests.quality import plant

__all__ = ["catalog", "lake_settings"]


@pytest.fixture
def site(catalog: Catalog, lake_settings: LakeSettings) -> Site:
    """Two whole hours of gateway gw-1, and its words."""
    made = Site(catalog, lake_settings)
    plant.archive(made)
    plant.tell(made, plant.words(plant.batches()))
    return made
