"""hardiot lake: tables are made once, and listed with what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli.main import app
from jobs.common.errors import HardiotError
from jobs.common.settings import load
from jobs.lake.catalog import open_catalog
from jobs.lake.commit import commit
from jobs.lake.files import write_parquet
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, TABLES, load_table
from tests.lake.chunk_rows import chunk_rows


@pytest.fixture(autouse=True)
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", f"sqlite:{tmp_path}/catalog.db")
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", str(tmp_path))


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["lake", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_init_and_tables() -> None:
    with pytest.raises(HardiotError, match="make it with `hardiot lake init`"):
        run("tables")
    run("init")
    run("init")
    settings = load(LakeSettings, "lake")
    with open_catalog(settings) as catalog:
        table = load_table(catalog, settings, CHUNKS)
        commit(table, add=[write_parquet(table, chunk_rows([1, 2]), row_group_rows=1)])
    chunks, *others = json.loads(run("tables", "--output", "json"))
    size = chunks.pop("megabytes")
    assert chunks == {"table": "chunks", "rows": 2, "files": 1, "snapshots": 1}
    assert 0 < size < 0.1
    assert [other["table"] for other in others] == [spec.name for spec in TABLES[1:]]
    assert {other["rows"] for other in others} == {0}
