"""The tables of the lake; docs/storage.md says what each is for.

    ensure(catalog, settings)                       # makes what is missing, adds new columns
    chunks = load_table(catalog, settings, CHUNKS)

Order and types of CHUNKS are those of infra/jars, ChunkRows.java: Flink takes them by position.
"""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    TimestamptzType,
)

from jobs.lake.errors import LakeError
from jobs.lake.evolve import create_or_evolve
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import Column, ListOf, TableSpec

TEXT, BYTES, FLAG = StringType(), BinaryType(), BooleanType()
INT, LONG, DOUBLE, TIME = IntegerType(), LongType(), DoubleType(), TimestamptzType()

_GATEWAY = (
    Column("facility", TEXT, "The site."),
    Column("gateway", TEXT, "The edge box."),
)
_SENSOR = (
    *_GATEWAY,
    Column("slot", INT, "Number of the sensor in its gateway's catalogue, from 0."),
    Column("sensor", TEXT, "Name of the sensor, from the catalogue of the readings."),
    Column("asset", TEXT, "The machine that it is on."),
    Column("kind", TEXT, "Kind of the sensor, such as temperature."),
    Column("unit", TEXT, "Unit of the values."),
)
_KAFKA = (
    Column("topic", TEXT, "Kafka topic that the record came from."),
    Column("partition", INT, "Its partition."),
    Column("offset", LONG, "Its offset."),
    Column("received", TIME, "When Kafka took it in."),
    Column("body", BYTES, "The record as it came, byte for byte.", stats=False),
)
_ROLLUP = (
    Column("count", INT, "Readings that entered the sums."),
    Column("sum", DOUBLE, "Sum of values, in the sensor's unit; 0 when count is 0."),
    Column("sum_sq", DOUBLE, "Sum of squares of values; 0 when count is 0."),
    Column("min", DOUBLE, "Smallest value; null when count is 0.", False),
    Column("max", DOUBLE, "Largest value; null when count is 0.", False),
    Column("first", DOUBLE, "Value of the earliest reading; null when count is 0.", False),
    Column("last", DOUBLE, "Value of the latest reading; null when count is 0.", False),
    Column("bad", INT, "Readings that may not enter a sum."),
)

CHUNKS = TableSpec(
    "chunks",
    "A gateway's closed minute, or what came later of it (revision 2, 3, ...), until compacted.",
    ("facility", "gateway", "minute", "revision"),
    (
        *_GATEWAY,
        Column("minute", TIME, "When the minute begins."),
        Column("revision", INT, "1: the minute as it was closed; 2, 3, ...: what came later."),
        Column("complete", FLAG, "Whether all batches of the minute were there."),
        Column("missing", INT, "Batches that are known to be lost."),
        Column("batches", INT, "Batches in the chunk."),
        Column("readings", LONG, "Readings in the chunk."),
        Column("chunk", BYTES, "The readings: udfs/archive/chunk.py, compressed.", stats=False),
    ),
    {"facility": "", "minute": "hour"},
    more={"write.parquet.compression-codec": "uncompressed"},  # the chunk is compressed
)

READINGS = TableSpec(
    "readings",
    "A sensor hour, or what came later of it (a further part), as lists of readings.",
    ("facility", "gateway", "slot", "hour", "part"),
    (
        *_SENSOR,
        Column("hour", TIME, "When the hour begins."),
        Column("part", INT, "0, 1, ...: all parts together are the hour."),
        Column(
            "minutes",
            BYTES,
            "60 bytes: of each minute the highest revision of the gateway's chunk that is in here.",
            stats=False,
        ),
        Column("readings", INT, "Readings in the row."),
        Column("first_ms", INT, "Time of the first reading, ms of the hour."),
        Column("step_ms", INT, "From one time to the next, ms; null: uneven.", False),
        Column("times_ms", ListOf(INT), "Times, ms of the hour, rising; null: even.", False, False),
        Column("scale", INT, "Decimal places of values; null: doubles are used.", False),
        Column("values", ListOf(INT), "Values * 10^scale; null: doubles.", False, False),
        Column("doubles", ListOf(DOUBLE), "Values that are no such decimals.", False, False),
        Column("qualities", ListOf(INT), "Quality of each; null: all good.", False, False),
    ),
    {"facility": "", "hour": "day"},
    {"gateway": "", "slot": "", "hour": "", "part": ""},
)

ROLLUPS = TableSpec(
    "rollups",
    "A sensor minute, one row a key: a restated minute replaces its row.",
    ("facility", "gateway", "slot", "minute", "source"),
    (
        *_SENSOR,
        Column("minute", TIME, "When the minute begins."),
        Column("revision", INT, "The highest is valid; above 1: restated."),
        Column("complete", FLAG, "Whether all batches of the minute were there."),
        Column("missing", LONG, "Batches that are known to be lost."),
        Column("source", TEXT, "cloud, or edge: rolled up at the gateway, for its spool was full."),
        *_ROLLUP,
    ),
    {"facility": "", "minute": "month"},
    {"minute": "day", "gateway": "", "slot": ""},
)


def _coarser(name: str, word: str, partition: str) -> TableSpec:
    return TableSpec(
        name,
        f"A sensor {word}, from the rollups of its minutes.",
        ("facility", "gateway", "slot", "time"),
        (
            *_SENSOR,
            Column("time", TIME, f"When the {word} begins."),
            Column("minutes", INT, "Minutes that are in it."),
            Column("complete", FLAG, f"Whether all minutes of the {word} are there, and complete."),
            *_ROLLUP,
        ),
        {"facility": "", "time": partition},
        {"gateway": "", "slot": "", "time": ""},
    )


ROLLUPS_HOUR = _coarser("rollups_hour", "hour", "month")
ROLLUPS_DAY = _coarser("rollups_day", "day", "year")

ALERTS = TableSpec(
    "alerts",
    "One event of an alert: it fires, is updated, or is resolved.",
    ("id", "status", "event_ms"),
    (
        Column("id", TEXT, "The alert's id; the same from firing to resolved."),
        Column("status", TEXT, "firing, updated or resolved."),
        Column("rule", TEXT, "Name of the rule that saw it."),
        Column("rule_version", INT, "Version of that rule."),
        Column("severity", TEXT, "info, warning or critical, from this event on."),
        *_GATEWAY,
        Column("subject", TEXT, "A sensor, an asset, or gateway."),
        Column("asset", TEXT, "The machine; empty for a gateway."),
        Column("kind", TEXT, "Kind of the sensor, or asset, or gateway."),
        Column("unit", TEXT, "Unit of value and limit."),
        Column("value", DOUBLE, "What was seen; null when nothing was.", False),
        Column("limit", DOUBLE, "What is allowed; null when there is no one number.", False),
        Column("onset_ms", LONG, "When the finding began, UTC epoch ms."),
        Column("event_ms", LONG, "Event time of what this event tells, UTC epoch ms."),
        Column("created_ms", LONG, "When the event was made, UTC epoch ms."),
        Column("late", FLAG, "Found in a backlog: nobody was paged."),
        Column("text", TEXT, "One sentence for a person."),
        Column("traceparent", TEXT, "W3C trace context; empty when there is none."),
        Column("event_time", TIME, "event_ms as a time."),
        *_KAFKA,
    ),
    {"facility": "", "event_time": "month"},
)

LEDGER = TableSpec(
    "ledger",
    "A word of a gateway: what it says it sent.",
    ("facility", "gateway", "time"),
    (
        *_GATEWAY,
        Column("time", TIME, "When it was said; when it was received where it does not tell."),
        Column("epoch", LONG, "The spool generation spoken of."),
        Column("sent_through", LONG, "Highest sequence number that was sent, -1 before the first."),
        Column("readings", LONG, "Readings sent in this epoch."),
        Column("lost", LONG, "Batches of this epoch that will never come."),
        Column("acknowledged_through", LONG, "Up to here Kafka has it all, -1 before the first."),
        Column("pending", LONG, "Batches in the spool; null: not said.", False),
        *_KAFKA,
    ),
    {"facility": "", "time": "month"},
)

COUNTED = TableSpec(
    "counted",
    "What the cloud counted of a gateway.",
    ("facility", "gateway", "time"),
    (
        *_GATEWAY,
        Column("time", TIME, "When it was counted."),
        Column("epoch", LONG, "Newest spool generation seen, 0 before the first batch."),
        Column("batches", LONG, "Batches taken in, each sequence number once."),
        Column("readings", LONG, "Readings in those batches, bad ones included."),
        Column("epoch_readings", LONG, "Readings of that epoch alone."),
        Column("bad_readings", LONG, "Readings that may not enter a sum."),
        Column("duplicates", LONG, "Batches dropped because they were there already."),
        Column("late", LONG, "Readings that came after their minute was published."),
        Column("refused", LONG, "Records sent to the dead letters."),
        Column("missing", LONG, "Batches in all gaps."),
        Column("declared_lost", LONG, "Batches that the gateway declared lost."),
        Column("contiguous_through", LONG, "The first hole minus 1, -1 before the first."),
        Column("highest", LONG, "Highest sequence number seen, -1 before the first."),
        Column("verified_readings", LONG, "Readings in ranges found equal; null: not said.", False),
        Column("unaccounted_batches", LONG, "Acknowledged, never seen; null: not said.", False),
        *_KAFKA,
    ),
    {"facility": "", "time": "month"},
)

DEAD_LETTERS = TableSpec(
    "dead_letters",
    "A refused record with its bytes, and why.",
    ("topic", "partition", "offset"),
    (
        Column("facility", TEXT, "The site, as topic and key gave it."),
        Column("gateway", TEXT, "The edge box, as the key gave it."),
        Column("reason", TEXT, "One of the reasons of the contract."),
        Column("detail", TEXT, "What was found, and what is allowed."),
        Column("job", TEXT, "The job that refused it."),
        Column("refused", TIME, "When it was refused."),
        Column("source_topic", TEXT, "Topic of the refused record."),
        Column("source_partition", INT, "Its partition."),
        Column("source_offset", LONG, "Its offset."),
        *_KAFKA,
    ),
    {"received": "day"},
)

RESTATEMENTS = TableSpec(
    "restatements",
    "One sensor minute that was changed: when, why, before and after.",
    ("id",),
    (
        Column("id", TEXT, "Of the change; the same when it is done again."),
        *_SENSOR,
        Column("minute", TIME, "The minute that was changed."),
        Column("source", TEXT, "cloud or edge, as in rollups."),
        Column("restated", TIME, "When it was changed."),
        Column("reason", TEXT, "late readings, or what the person wrote who corrected it."),
        Column("author", TEXT, "compact_readings, or the name of that person."),
        Column(
            "readings",
            TEXT,
            "What was corrected by hand: JSON list of [time_ms, value, quality, value and quality "
            "from now on]; null: late readings, none was replaced.",
            False,
            stats=False,
        ),
        Column("revision_before", INT, "Revision of the row before; null: there was none.", False),
        Column("revision", INT, "Revision of the row from now on."),
        *(Column(f"{c.name}_before", c.type, f"Before: {c.doc}", False) for c in _ROLLUP),
        *(Column(f"{c.name}_after", c.type, f"After: {c.doc}", c.required) for c in _ROLLUP),
    ),
    {"facility": "", "minute": "month"},
)

TABLES = (
    CHUNKS, READINGS, ROLLUPS, ROLLUPS_HOUR, ROLLUPS_DAY, ALERTS, LEDGER, COUNTED, DEAD_LETTERS,
    RESTATEMENTS,
)  # fmt: skip


def ensure(catalog: Catalog, settings: LakeSettings) -> list[str]:
    """Make the namespace and the tables that are missing, and bring older ones up to date.

    Returns: what was done, a line a change. Raises: LakeError: a table has what cannot be evolved.
    """
    catalog.create_namespace_if_not_exists(settings.namespace)
    return [
        line
        for spec in TABLES
        for line in create_or_evolve(catalog, (settings.namespace, spec.name), spec)
    ]


def load_table(catalog: Catalog, settings: LakeSettings, spec: TableSpec) -> Table:
    """The table as it is now. Raises: LakeError: it is not there."""
    try:
        return catalog.load_table((settings.namespace, spec.name))
    except NoSuchTableError:
        name = f"{settings.namespace}.{spec.name}"
        raise LakeError(f"{name}: no such table: make it with `hardiot lake init`") from None
