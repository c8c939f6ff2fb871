from __future__ import annotations

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.settings import LakeSettings
from tests.lake.maintain.plant import Lake


@pytest.fixture
def lake(catalog: Catalog, lake_settings: LakeSettings) -> Lake:
    """Empty tables on SQLite."""
    return Lake(catalog, lake_settings)
