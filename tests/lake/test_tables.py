"""Tables: what they agree with, how they are made, and how older ones are brought up to date."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.types import IntegerType, LongType, StringType

from jobs.lake.catalog import open_catalog
from jobs.lake.errors import LakeError
from jobs.lake.evolve import create_or_evolve
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import Column, TableSpec
from jobs.lake.tables import (
    ALERTS,
    CHUNKS,
    READINGS,
    ROLLUPS,
    TABLES,
    ensure,
    load_table,
)
from udfs.alerts import AlertEvent
from udfs.archive.schemas import READINGS_SCHEMA, ROLLUPS_SCHEMA

JAVA = Path(__file__).parents[2] / "infra/jars/src/main/java/io/hardiot/lake/ChunkRows.java"
NAME = ("telemetry", "pumps")
PUMPS = TableSpec(
    "pumps",
    "A pump.",
    ("name",),
    (Column("name", StringType(), "Its name."), Column("turns", IntegerType(), "Turns a minute.")),
    {"name": ""},
)


def test_chunks_have_the_order_and_types_of_the_rows_that_flink_makes() -> None:
    rows = re.search(r"GenericRowData.of\((.*?)\);", JAVA.read_text(), re.DOTALL)
    assert rows is not None
    parts = re.split(r",\n", rows[1])
    made = [(_java_type(part), _java_name(part)) for part in parts]
    expected = [(str(field.field_type), field.name) for field in CHUNKS.schema().fields]
    assert made == expected
    assert all(field.required for field in CHUNKS.schema().fields)


def _java_name(part: str) -> str:
    found = re.search(r'header.get\("(\w+)"\)', part)
    return found[1].removesuffix("_ms") if found else "chunk"


def _java_type(part: str) -> str:
    types = {
        "StringData.": "string",
        "TimestampData.": "timestamptz",
        "Integer.": "int",
        "Boolean.": "boolean",
        "Long.": "long",
        "output.": "binary",
    }
    return next(name for start, name in types.items() if part.strip().startswith(start))


@pytest.mark.parametrize(
    ("spec", "schema"), [(READINGS, READINGS_SCHEMA), (ROLLUPS, ROLLUPS_SCHEMA)]
)
def test_what_compaction_makes_fits(spec: TableSpec, schema: pa.Schema) -> None:
    wanted = schema_to_pyarrow(spec.schema(), include_field_ids=False)
    assert [(field.name, field.nullable) for field in wanted] == [
        (field.name, field.nullable) for field in schema
    ]
    assert schema.empty_table().cast(_small(wanted)).schema.types == schema.types


def _small(schema: pa.Schema) -> pa.Schema:
    """PyIceberg says large_string and large_list, which in a file are the same."""
    plain = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    return pa.schema(
        field.with_type(
            pa.list_(pa.field("element", field.type.value_type))
            if pa.types.is_large_list(field.type)
            else plain.get(field.type, field.type)
        )
        for field in schema
    )


def test_alerts_have_the_fields_of_an_event() -> None:
    names = [column.name for column in ALERTS.columns]
    assert names[: len(fields(AlertEvent))] == [field.name for field in fields(AlertEvent)]


@pytest.mark.parametrize("spec", TABLES, ids=lambda spec: spec.name)
def test_every_table_is_told_and_has_its_key(spec: TableSpec, catalog: Catalog) -> None:
    table = catalog.load_table(("telemetry", spec.name))
    assert all(field.doc for field in table.schema().fields)
    assert set(spec.key) <= {field.name for field in table.schema().fields}
    assert table.format_version == 2
    assert table.properties["write.metadata.delete-after-commit.enabled"] == "true"
    parts = {part.name: str(part.transform) for part in table.spec().fields}
    assert parts == {
        f"{name}_{how}" if how else name: how or "identity" for name, how in spec.partitions.items()
    }
    assert [field.source_id for field in table.sort_order().fields] == [
        table.schema().find_field(name).field_id for name in spec.order
    ]


def test_ensure_again_does_nothing(catalog: Catalog, lake_settings: LakeSettings) -> None:
    places = [catalog.load_table(("telemetry", spec.name)).metadata_location for spec in TABLES]
    assert ensure(catalog, lake_settings) == []
    assert places == [
        catalog.load_table(("telemetry", spec.name)).metadata_location for spec in TABLES
    ]


def test_two_at_once_make_each_table_once(lake_settings: LakeSettings) -> None:
    def make(_: int) -> list[str]:
        with open_catalog(lake_settings) as catalog:
            return ensure(catalog, lake_settings)

    make_first = open_catalog(lake_settings)  # the file and its two tables
    make_first.create_namespace_if_not_exists("telemetry")
    with ThreadPoolExecutor(2) as pool:
        made = [line for lines in pool.map(make, range(2)) for line in lines]
    make_first.close()
    assert sorted(made) == sorted(f"telemetry.{spec.name}: made" for spec in TABLES)


def test_older_tables_get_new_columns_and_properties_and_keep_what_was_set(
    catalog: Catalog,
) -> None:
    create_or_evolve(catalog, NAME, PUMPS)
    table = catalog.load_table(NAME)
    with table.transaction() as change:
        change.set_properties({"write.target-file-size-bytes": "1"})
    newer = replace(
        PUMPS,
        columns=(
            Column("name", StringType(), "Its name.", required=False),
            Column("turns", LongType(), "Turns a minute."),
            Column("maker", StringType(), "Who made it.", required=False),
        ),
        more={"write.target-file-size-bytes": "2", "read.split.target-size": "3"},
    )
    assert create_or_evolve(catalog, NAME, newer) == [
        "telemetry.pumps: column maker added",
        "telemetry.pumps: column turns is long now",
        "telemetry.pumps: column name may be empty now",
        "telemetry.pumps: property read.split.target-size = 3",
    ]
    table = catalog.load_table(NAME)
    assert [(f.field_id, f.name, str(f.field_type), f.required) for f in table.schema().fields] == [
        (1, "name", "string", False),
        (2, "turns", "long", True),
        (3, "maker", "string", False),
    ]
    assert table.properties["write.target-file-size-bytes"] == "1"
    assert create_or_evolve(catalog, NAME, newer) == []
    # a program of the version before goes on
    assert create_or_evolve(catalog, NAME, PUMPS) == []


def test_what_cannot_be_evolved_is_refused_all_at_once(catalog: Catalog) -> None:
    create_or_evolve(catalog, NAME, PUMPS)
    other = replace(
        PUMPS,
        columns=(
            Column("turns", StringType(), "Turns."),
            Column("maker", StringType(), "Who made it."),
        ),
        partitions={},
    )
    with pytest.raises(LakeError) as caught:
        create_or_evolve(catalog, NAME, other)
    assert str(caught.value).splitlines() == [
        "telemetry.pumps: column turns is int, not string",
        "telemetry.pumps: column maker is not there and cannot be added: rows need it",
        "telemetry.pumps: column name is required, and this version does not know it",
        "telemetry.pumps: partitions are {'name': ''}, not {}",
    ]
    assert len(catalog.load_table(NAME).schema().fields) == 2


def test_a_table_that_is_not_there(lake_settings: LakeSettings) -> None:
    with (
        open_catalog(lake_settings) as catalog,
        pytest.raises(LakeError, match=r"telemetry\.chunks: .*`hardiot lake init`"),
    ):
        load_table(catalog, lake_settings, CHUNKS)
