"""Step merge: the files of a day, or small files of a month, become few large ones.

New files are written first, then one commit puts them in the place of the old ones. Whoever dies
before it leaves files that no table names, and the table as it was. When somebody else replaced one
of the old files meanwhile, what was written is thrown away, and the next round plans again.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.table import Table

from jobs.lake.errors import FilesChanged
from jobs.lake.files import discard
from jobs.lake.maintain.drop import KEPT
from jobs.lake.maintain.layout import layout_of
from jobs.lake.maintain.live import pick
from jobs.lake.maintain.merge_plan import Group, plan
from jobs.lake.maintain.policy import DAY_MS
from jobs.lake.maintain.stream import Window, stream
from jobs.lake.maintain.work import Deed, Work
from jobs.lake.maintain.write import write
from jobs.lake.spec import TableSpec
from jobs.lake.tables import READINGS, ROLLUPS
from udfs.archive.held import Held
from udfs.archive.hours import merge as one_part
from udfs.archive.schemas import READINGS_SCHEMA

STEP = "merge"
_HELD = ["facility", "gateway", "hour", "minutes"]


def merge(work: Work) -> Iterator[Deed]:
    """Merge what is due in every table, as far as the time goes."""
    more = work.deadline()
    for spec in KEPT:
        table = work.table(spec)
        for group in plan(work, table, spec):
            if not more():
                return
            yield _merge(work, table, spec, group)


def _merge(work: Work, table: Table, spec: TableSpec, group: Group) -> Deed:
    count = group.outputs(work.sizes)
    deed = Deed(
        STEP, spec.name, group.files[0].facility or "", "merge", len(group.files), group.rows,
        group.bytes, f"{_day(group.days.start)}, into {count}",
    )  # fmt: skip
    if work.dry_run:
        return deed
    old = pick(table, [live.path for live in group.files])
    if len(old) < len(group.files):
        return _put_off(deed)
    made = write(table, rows_of(table, spec, group), layout_of(spec), -(-group.rows // count))
    try:
        work.commit(STEP, table, made, old)
    except FilesChanged:
        discard(table, made)
        return _put_off(deed)
    return deed


def _put_off(deed: Deed) -> Deed:
    return Deed(deed.step, deed.table, deed.facility, "put off", why="somebody replaced its files")


def rows_of(table: Table, spec: TableSpec, group: Group) -> Iterator[pa.Table]:
    """The rows of the new files, in their order."""
    paths = [live.path for live in group.files]
    layout = layout_of(spec)
    if spec is READINGS:
        held = _held(table, paths)
        for rows in stream(table, paths, layout.order, rows=layout.rows_at_once):
            yield one_part([rows.cast(READINGS_SCHEMA)], 0, held)
    elif spec is ROLLUPS:
        for day in group.days:
            window = Window("minute", day * DAY_MS, (day + 1) * DAY_MS)
            near = [x.path for x in group.files if x.meets(window.low_ms, window.high_ms)]
            for rows in stream(table, near, layout.order, window, layout.rows_at_once):
                yield newest(rows, spec.key)
    elif layout.order:
        yield from stream(table, paths, layout.order, rows=layout.rows_at_once)
    else:
        for path in paths:
            yield from _as_they_are(table, path)


def newest(rows: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """Of rows with an equal key, which follow each other, the last."""
    if len(rows) < 2:
        return rows
    columns = [rows[name].combine_chunks() for name in key]
    same = pc.equal(columns[0][1:], columns[0][:-1])
    for column in columns[1:]:
        same = pc.and_(same, pc.equal(column[1:], column[:-1]))
    return rows.filter(pa.concat_arrays([pc.invert(same), pa.array([True])]))


def _held(table: Table, paths: list[str]) -> Held:
    """What all parts of each gateway hour hold together."""
    found = []
    for path in paths:
        with table.io.new_input(path).open() as source:
            for batch in pq.ParquetFile(source).iter_batches(1 << 16, columns=_HELD):
                rows = pa.Table.from_batches([batch])
                found.append(rows.group_by(_HELD).aggregate([]).select(_HELD))
    return Held.of(pa.concat_tables(found))


def _as_they_are(table: Table, path: str) -> Iterator[pa.Table]:
    with table.io.new_input(path).open() as source:
        for batch in pq.ParquetFile(source).iter_batches(1 << 13):
            yield pa.Table.from_batches([batch])


def _day(day: int) -> str:
    return str(pa.scalar(day, pa.date32()).as_py())
