"""Tables into a backup and out again in another place: the same rows, the same history."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from jobs.backup.manifest import BackupError, Manifest, mistakes, read, write
from jobs.backup.pending import CHECKPOINT, JOB, OPERATOR, committed
from jobs.backup.store import Store
from jobs.backup.tables import PART, Newer, copy_tables, hold, pin
from jobs.backup.tables_restore import TablesBack
from jobs.lake.catalog import open_catalog
from jobs.lake.commit import COMMIT_ID, commit
from jobs.lake.events.tables import OFFSETS
from jobs.lake.files import data_files
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, READINGS, ROLLUPS, TABLES, load_table
from tests.backup.conftest import lake_in
from tests.lake.compaction_plant import HOUR_MS, T0, Site, chunk, hour, write_chunks

SETTLED = T0 + 5 * HOUR_MS
FLINK, SINK = "0" * 31 + "a", "1" * 31 + "b"


@dataclass
class Place:
    """A lake that has compacted hours, and chunks that are not compacted yet."""

    site: Site

    def rows(self, catalog: Catalog | None = None, lake: LakeSettings | None = None) -> dict:
        """All values of all tables."""
        found = {}
        for spec in TABLES:
            table = load_table(catalog or self.site.catalog, lake or self.site.lake, spec)
            found[spec.name] = sorted(map(repr, table.scan().to_arrow().to_pylist()))
        return found


@pytest.fixture
def place(catalog: Catalog, lake: LakeSettings) -> Place:
    site = Site(catalog, lake)
    site.archive(*hour(0))
    site.compactor().round(SETTLED)
    site.archive(*hour(1)[:20])
    table = site.table(CHUNKS)
    made = write_chunks(table, hour(1)[20:23])
    commit(table, [made], summary={JOB: FLINK, OPERATOR: SINK, CHECKPOINT: "7"})
    return Place(site)


def back_up(
    folder: Path, place: Place, with_data: bool = True, savepoints: dict[str, int] | None = None
) -> Manifest:
    store = Store(folder)
    site = place.site
    for job in savepoints or ():
        shutil.copytree(folder.parent / job, folder / "flink" / job)
        for path in (folder / "flink").rglob("*"):
            if path.is_file():
                store.adopt(path.relative_to(folder).as_posix())
    with hold(site.catalog, site.lake) as lease:
        pinned = pin(store, site.catalog, site.lake, savepoints or {})
        counts = {PART: copy_tables(store, pinned, lease, with_data)}
    manifest = Manifest(
        made="now", counts=counts, seconds={}, left_out=[], files=list(store.files.values())
    )
    write(folder, manifest)
    return manifest


def restore(folder: Path, catalog: Catalog, lake: LakeSettings) -> None:
    assert list(mistakes(folder, read(folder))) == []
    back = TablesBack(folder, read(folder), catalog, lake)
    assert list(back.mistakes()) == []
    back.restore()


def summaries(table: Table) -> list[dict[str, str]]:
    return [dict(s.summary.additional_properties) for s in table.metadata.snapshots if s.summary]


def test_every_value_and_the_history_come_back_in_another_place(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    rows = place.rows()
    manifest = back_up(tmp_path / "b" / "1", place)
    before = {spec.name: summaries(place.site.table(spec)) for spec in TABLES}
    shutil.rmtree(tmp_path / "lake")
    restore(tmp_path / "b" / "1", empty, elsewhere)
    assert place.rows(empty, elsewhere) == rows
    assert {name: len(some) for name, some in rows.items()} == {
        name: count["rows"] for name, count in manifest.counts[PART].items()
    }
    assert [len(rows[spec.name]) for spec in (CHUNKS, READINGS, ROLLUPS)] == [23, 3, 180]
    for spec in TABLES:
        assert summaries(load_table(empty, elsewhere, spec)) == before[spec.name]
    chunks = load_table(empty, elsewhere, CHUNKS)
    assert committed(chunks, FLINK) == 7
    assert all(COMMIT_ID in summary for summary in summaries(chunks))


def test_offsets_of_a_kafka_that_is_lost_are_forgotten_and_else_kept(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    commit(
        place.site.table(CHUNKS),
        [write_chunks(place.site.table(CHUNKS), hour(1)[23:24])],
        summary={OFFSETS: '[["alerts", 0, 7]]'},
    )
    back_up(tmp_path / "b", place)
    restore(tmp_path / "b", empty, elsewhere)
    assert summaries(load_table(empty, elsewhere, CHUNKS))[-1][OFFSETS] == '[["alerts", 0, 7]]'
    new = lake_in(tmp_path / "new")
    with open_catalog(new) as catalog:
        TablesBack(tmp_path / "b", read(tmp_path / "b"), catalog, new, new_kafka=True).restore()
        last = summaries(load_table(catalog, new, CHUNKS))[-1]
    assert OFFSETS not in last and COMMIT_ID in last


def test_nothing_in_the_restored_place_names_the_old_one(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    import fastavro

    back_up(tmp_path / "b", place)
    restore(tmp_path / "b", empty, elsewhere)
    texts = [p.read_text() for p in (tmp_path / "elsewhere").rglob("*.metadata.json")]
    for path in (tmp_path / "elsewhere").rglob("*.avro"):
        with path.open("rb") as source:
            records = list(fastavro.reader(source))
        texts += map(repr, records)
        for record in records if path.name.startswith("snap-") else ():
            manifest = Path(record["manifest_path"].removeprefix("file://"))
            assert manifest.stat().st_size == record["manifest_length"]
    assert len(texts) > 10
    assert not [text for text in texts if f"{tmp_path}/lake" in text]


def test_the_restored_lake_is_written_compacted_and_left_by_the_old_one(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    back_up(tmp_path / "b", place)
    restore(tmp_path / "b", empty, elsewhere)
    other = Site(empty, elsewhere)
    for site in (place.site, other):
        site.archive(*hour(1)[23:])
        site.compactor().round(SETTLED)
    assert other.readings() == place.site.readings()
    assert len(other.chunk_files()) == 0
    assert other.rollups().keys() == place.site.rollups().keys()


def test_metadata_alone_are_restored_beside_the_data_files_that_are_still_there(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    rows = place.rows()
    manifest = back_up(tmp_path / "b", place, with_data=False)
    assert not [file for file in manifest.files if file.path.endswith(".parquet")]
    (tmp_path / "lake" / "catalog.db").unlink()
    restore(tmp_path / "b", empty, elsewhere)
    assert place.rows(empty, elsewhere) == rows


def test_metadata_alone_are_refused_when_data_files_are_gone(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    back_up(tmp_path / "b", place, with_data=False)
    gone = [file.file_path for file in data_files(place.site.table(READINGS))]
    for path in gone:
        Path(path.removeprefix("file://")).unlink()
    found = list(TablesBack(tmp_path / "b", read(tmp_path / "b"), empty, elsewhere).mistakes())
    assert found == [f"{p}: not in the backup (--without-data), and not as it was" for p in gone]


def test_tables_that_are_there_are_all_named(place: Place, tmp_path: Path) -> None:
    back_up(tmp_path / "b", place)
    site = place.site
    back = TablesBack(tmp_path / "b", read(tmp_path / "b"), site.catalog, site.lake)
    assert len(list(back.mistakes())) == len(TABLES)


def test_a_place_with_files_of_somebody_is_left_alone(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    back_up(tmp_path / "b", place)
    theirs = tmp_path / "elsewhere" / "telemetry" / "chunks" / "data" / "theirs.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    with pytest.raises(BackupError, match=r"telemetry/chunks: not empty"):
        TablesBack(tmp_path / "b", read(tmp_path / "b"), empty, elsewhere).restore()
    assert empty.list_tables("telemetry") == []
    assert theirs.read_text() == "theirs"


def test_a_later_backup_links_the_data_files_of_the_one_before(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    first = back_up(tmp_path / "b" / "monday", place)
    place.site.archive(*hour(1)[23:30])
    second = back_up(tmp_path / "b" / "tuesday", place)
    data = [file for file in second.files if file.path.endswith(".parquet")]
    linked = [f for f in data if (tmp_path / "b" / "tuesday" / f.path).stat().st_nlink == 2]
    assert len(data) == len(linked) + 1
    assert {f.path for f in linked} == {f.path for f in first.files if f.path.endswith(".parquet")}
    shutil.rmtree(tmp_path / "b" / "monday")
    restore(tmp_path / "b" / "tuesday", empty, elsewhere)
    assert place.rows(empty, elsewhere) == place.rows()


def savepoint(folder: Path, table: Table, checkpoint: int, minutes: range) -> None:
    """What Flink leaves: a manifest of files in no snapshot, and its path in the savepoint."""
    from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus, write_manifest

    made = write_chunks(table, [chunk(minute) for minute in minutes])
    name = f"{FLINK}-{SINK}-00000-0-{checkpoint}-00001.avro"
    output = table.io.new_output(f"{table.location()}/metadata/{name}")
    with write_manifest(2, table.spec(), table.schema(), output, 0, "deflate") as writer:
        writer.add_entry(
            ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=0, data_file=made)
        )
    folder.mkdir(exist_ok=True)

    def as_java(path: str) -> str:
        return path.replace("file:///", "file:/")

    state = b"\x00\x01state" * 9 + f"\xfe{as_java(table.location())}/metadata/{name}\x02".encode(
        "latin1"
    )
    with (folder / "_metadata").open("ab") as sink:
        sink.write(state)


def test_what_a_savepoint_had_not_committed_is_committed_by_the_restore(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    table = place.site.table(CHUNKS)
    savepoint(tmp_path / FLINK, table, 7, range(80, 83))  # which the table has
    savepoint(tmp_path / FLINK, table, 8, range(83, 85))
    savepoint(tmp_path / FLINK, table, 9, range(85, 86))
    stale = f"{table.location()}/metadata/{FLINK}-{SINK}-00000-0-8-00009.avro"
    with table.io.new_output(stale).create() as sink:  # of an attempt that failed: nobody names it
        sink.write(b"never read")
    manifest = back_up(tmp_path / "b", place, savepoints={FLINK: 9})
    assert manifest.counts[PART]["chunks"]["rows"] == 26
    restore(tmp_path / "b", empty, elsewhere)
    chunks = load_table(empty, elsewhere, CHUNKS)
    minutes = sorted(chunks.scan().to_arrow()["minute"].to_pylist())
    assert len(minutes) == len(set(minutes)) == 26
    assert committed(chunks, FLINK, SINK) == 9


def test_a_table_that_went_on_past_the_savepoint_asks_for_another_one(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / FLINK).mkdir()
    (tmp_path / FLINK / "_metadata").write_bytes(b"state")
    with pytest.raises(Newer, match="chunks: has commits after the savepoint"):
        back_up(tmp_path / "b", place, savepoints={FLINK: 6})


def test_a_manifest_that_was_committed_meanwhile_asks_for_another_savepoint(
    place: Place, tmp_path: Path
) -> None:
    table = place.site.table(CHUNKS)
    savepoint(tmp_path / FLINK, table, 8, range(83, 85))
    for path in (tmp_path / "lake").rglob(f"{FLINK}*"):
        path.unlink()
    with pytest.raises(Newer, match="was committed meanwhile"):
        back_up(tmp_path / "b", place, savepoints={FLINK: 8})


def test_a_file_that_is_gone_is_named(place: Place, tmp_path: Path) -> None:
    gone = data_files(place.site.table(READINGS))[0].file_path
    Path(gone.removeprefix("file://")).unlink()
    with pytest.raises(BackupError, match=f"{gone}: table readings names it, and it is gone"):
        back_up(tmp_path / "b", place)
    assert not (tmp_path / "b" / "manifest.json").exists()


def test_other_types_and_partitions_are_kept(
    place: Place, tmp_path: Path, empty: Catalog, elsewhere: LakeSettings
) -> None:
    back_up(tmp_path / "b", place)
    restore(tmp_path / "b", empty, elsewhere)
    for spec in TABLES:
        old, new = place.site.table(spec), load_table(empty, elsewhere, spec)
        assert new.schema() == old.schema() and new.spec() == old.spec()
        assert new.properties == old.properties
        assert [f.partition for f in data_files(new)] == [f.partition for f in data_files(old)]
        lower = [f.lower_bounds for f in data_files(new)]
        assert lower == [f.lower_bounds for f in data_files(old)]
