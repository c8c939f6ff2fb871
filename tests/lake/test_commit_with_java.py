"""Iceberg's Java library, which is in Flink's sink, and PyIceberg commit to one table at once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.lake.catalog import java_catalog, open_catalog
from jobs.lake.commit import commit
from jobs.lake.files import data_files, write_parquet
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, ensure, load_table
from jobs.local.java import java
from jobs.local.paths import flink_home, jars
from tests.lake.chunk_rows import chunk_rows, minutes_in
from tests.support.rest_catalog import RestCatalogServer

pytestmark = pytest.mark.stack

PROGRAM = Path(__file__).parent / "java" / "AppendRows.java"
COMMITS = 10
NOON = 720
JAVAS = "minute_hour=2026-01-31-00"  # the hour of its files


@contextmanager
def appending(settings: LakeSettings, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A JVM that is about to commit minutes 0 to 9, one by one, as Flink is told of the catalog."""
    catalog = java_catalog(settings)
    class_path = [str(jar) for jar in jars("flink")] + [f"{flink_home()}/lib/*"]
    properties = [f"{key}={text}" for key, text in catalog.properties.items()]
    command = [java(), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", ":".join(class_path)]
    command += [str(PROGRAM), catalog.impl, "0", str(COMMITS), *properties]
    with (
        log.open("w") as sink,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", log.read_text()
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
def test_every_commit_of_both_takes_effect_once(
    kind: str, lake_settings: LakeSettings, rest_server: RestCatalogServer, tmp_path: Path
) -> None:
    """PyIceberg adds a row a commit from noon on, and replaces all of its own by every fourth."""
    if kind == "rest":
        lake_settings = LakeSettings(catalog="rest", catalog_uri=rest_server.url)
    log = tmp_path / "java.log"
    with open_catalog(lake_settings) as catalog:
        ensure(catalog, lake_settings)
        table = load_table(catalog, lake_settings, CHUNKS)
        with appending(lake_settings, log) as process:
            commits = 0
            while process.poll() is None or commits < COMMITS:
                own = [f for f in data_files(table) if JAVAS not in f.file_path]
                old = own if commits % 4 == 3 else []
                made = write_parquet(table, chunk_rows([NOON + commits]), row_group_rows=1)
                commit(table, add=[made], remove=old)
                commits += 1
                assert commits < 1000
        assert process.returncode == 0, log.read_text()
        table.refresh()
        since = (commits // 4) * 4 - 1
        assert minutes_in(table) == [*range(COMMITS), *range(NOON + since, NOON + commits)]
        assert len(table.snapshots()) == COMMITS + commits
