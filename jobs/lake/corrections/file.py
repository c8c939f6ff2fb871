"""Corrections as a person hands them in: a CSV or Parquet file, checked cell by cell.

corrections = read(Path("calibration.csv"))
# facility,gateway,sensor,time,value,quality
# plant-07,gw-1,pump-3.flow,2026-11-25T08:00:00Z,21.37,good
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from jobs.lake.errors import LakeError
from udfs.batch import NAME, Quality

NAMES = ("facility", "gateway", "sensor")
NEEDED = (*NAMES, "time", "value")
QUALITIES = {name.lower(): code for name, code in vars(Quality).items() if name.isupper()}
MOST_SHOWN = 20

_TIME = pa.timestamp("ms", tz="UTC")
_TIME_FIX = "write it as 2026-11-25T08:00:00Z or with an offset like +01:00, to the ms at most"


class CorrectionsError(LakeError):
    """Corrections that cannot be made: all mistakes, a line each."""

    def __init__(self, path: Path, mistakes: Iterable[tuple[int, str]]) -> None:
        found = sorted(mistakes)
        lines = [f"{path}: line {line}: {text}" for line, text in found[:MOST_SHOWN]]
        if len(found) > MOST_SHOWN:
            lines.append(f"{path}: {len(found) - MOST_SHOWN} more mistakes")
        super().__init__("\n".join(lines))


def read(path: Path) -> pa.Table:
    """The corrections: line, facility, gateway, sensor, time_ms, value, quality (null: as it is).

    Raises: CorrectionsError: the file is none, or has mistakes; LakeError: it cannot be read.
    """
    mistakes: list[tuple[int, str]] = []
    try:
        table, lines = _parquet(path) if path.suffix == ".parquet" else _csv(path, mistakes)
    except (OSError, pa.ArrowInvalid) as error:
        raise LakeError(f"{path}: cannot be read: {error}") from None
    _check_columns(path, table.column_names)
    checked = _Cells(table, lines, mistakes)
    columns = {name: checked.name(name) for name in NAMES}
    columns["time_ms"] = checked.cells("time", _to_ms, _TIME_FIX)
    columns["value"] = checked.cells("value", _to_number, "write a number, as 21.37")
    columns["quality"] = checked.quality()
    made = pa.table({"line": lines} | columns)
    if not mistakes:
        mistakes += _twice(made)
    if not len(table) and not mistakes:
        mistakes.append((1, "there are no corrections in it; write one reading a line"))
    if mistakes:
        raise CorrectionsError(path, mistakes)
    return made


def _csv(path: Path, mistakes: list[tuple[int, str]]) -> tuple[pa.Table, pa.Array]:
    """All cells as texts, and the line of each row."""
    wrong: list[int] = []

    def refuse(row: pa_csv.InvalidRow) -> str:
        wrong.append(row.number)
        found = f"{row.actual_columns} cells; it has {row.expected_columns} columns"
        mistakes.append((row.number, f"{found}: one comma too few or too many"))
        return "skip"

    table = pa_csv.read_csv(
        path,
        pa_csv.ReadOptions(use_threads=False),  # rows have numbers only then
        pa_csv.ParseOptions(invalid_row_handler=refuse, ignore_empty_lines=False),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys((*NEEDED, "quality"), pa.string()), strings_can_be_null=False
        ),
    )
    lines = np.setdiff1d(np.arange(2, len(table) + len(wrong) + 2), wrong)
    return table, pa.array(lines, pa.int64())


def _parquet(path: Path) -> tuple[pa.Table, pa.Array]:
    table = pq.read_table(path)
    return table, pa.array(np.arange(1, len(table) + 1), pa.int64())


def _check_columns(path: Path, names: list[str]) -> None:
    absent = [name for name in NEEDED if name not in names]
    strange = [name for name in names if name not in (*NEEDED, "quality")]
    if absent or strange:
        found = f"columns {', '.join(names)}; missing: {', '.join(absent) or 'none'}"
        fix = f"they are {', '.join(NEEDED)} and, if you like, quality"
        raise CorrectionsError(
            path, [(1, f"{found}, unknown: {', '.join(strange) or 'none'}; {fix}")]
        )


class _Cells:
    """Columns, turned into what they mean; cells that mean nothing become mistakes."""

    def __init__(self, table: pa.Table, lines: pa.Array, mistakes: list[tuple[int, str]]) -> None:
        self._table, self._lines, self._mistakes = table, lines, mistakes

    def name(self, column: str) -> pa.Array:
        """A text; facilities and gateways have names of a form."""
        texts = self.cells(column, lambda cells: cells.cast(pa.string()), "write a text")
        if column == "sensor":
            return self._only(column, texts, pc.greater(pc.utf8_length(texts), 0), "name one")
        fits = pc.match_substring_regex(texts, f"^(?:{NAME.pattern})$")
        return self._only(column, texts, fits, "use a-z, 0-9 and -, at most 63")

    def quality(self) -> pa.Array:
        """Codes, from words; null where there is none."""
        if "quality" not in self._table.column_names:
            return pa.nulls(len(self._table), pa.uint8())
        words = self.cells("quality", lambda cells: cells.cast(pa.string()), "write a word")
        words = pc.utf8_lower(pc.utf8_trim_whitespace(words))
        none = pc.fill_null(pc.equal(words, ""), True)
        place = pc.index_in(words, pa.array(list(QUALITIES)))
        known = pc.or_(none, pc.is_valid(place))
        self._only("quality", words, known, f"write one of {', '.join(QUALITIES)}")
        codes = pa.array(list(QUALITIES.values()), pa.uint8())
        return codes.take(place)

    def cells(self, column: str, change: Callable[[pa.Array], pa.Array], fix: str) -> pa.Array:
        """The column as `change` makes it; null where that fails or there was nothing."""
        found = self._table[column].combine_chunks()
        made: list[pa.Array] = []
        self._change(found, 0, change, lambda row: self._tell(column, found, row, fix), made)
        whole = pa.concat_arrays(made) if made else change(found)
        if column != "quality":
            for row in np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False)).tolist():
                self._tell(column, found, row, fix)
        return whole

    def _change(
        self,
        cells: pa.Array,
        start: int,
        change: Callable[[pa.Array], pa.Array],
        tell: Callable[[int], None],
        made: list[pa.Array],
    ) -> None:
        """By halves, until those cells are found that cannot be changed."""
        if not len(cells):
            return
        try:
            made.append(change(cells))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            if len(cells) == 1:
                tell(start)
                made.append(pa.nulls(1, change(cells[:0]).type))
                return
            half = len(cells) // 2
            self._change(cells[:half], start, change, tell, made)
            self._change(cells[half:], start + half, change, tell, made)

    def _only(self, column: str, cells: pa.Array, fits: pa.Array, fix: str) -> pa.Array:
        for row in np.flatnonzero(
            ~pc.fill_null(fits, True).to_numpy(zero_copy_only=False)
        ).tolist():
            self._tell(column, cells, row, fix)
        return cells

    def _tell(self, column: str, cells: pa.Array, row: int, fix: str) -> None:
        text = f'{column} "{cells[row].as_py()}" is none; {fix}'
        self._mistakes.append((self._lines[row].as_py(), text))


def _to_ms(cells: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(cells.type) and cells.type.tz is None:
        raise pa.ArrowInvalid("no zone")
    if pa.types.is_string(cells.type):
        cells = pc.utf8_trim_whitespace(cells)
    return cells.cast(_TIME).cast(pa.int64())


def _to_number(cells: pa.Array) -> pa.Array:
    if pa.types.is_string(cells.type):
        cells = pc.utf8_trim_whitespace(cells)
    numbers = cells.cast(pa.float64())
    if not pc.all(pc.is_finite(numbers), min_count=0).as_py():
        raise pa.ArrowInvalid("not finite")
    return numbers


def _twice(made: pa.Table) -> Iterable[tuple[int, str]]:
    """Readings that are corrected more than once, at their later lines."""
    keys = [*NAMES, "time_ms"]
    first = made.group_by(keys).aggregate([("line", "min"), ("line", "count")])
    for row in first.filter(pc.greater(first["line_count"], 1)).to_pylist():
        text = f"the reading of line {row['line_min']} once more; leave one of them"
        same: Any = pc.scalar(True)
        for name in keys:
            same &= pc.field(name) == row[name]
        for line in made.filter(same)["line"].to_pylist()[1:]:
            yield line, text
