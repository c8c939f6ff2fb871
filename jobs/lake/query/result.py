"""What a question gives: read as it is asked for, a part at a time.

found = lake.readings(facility="plant-07", sensor="pump-3.flow", since="2026-11-20")
found.df()                       # all of it, as a DataFrame
for batch in found.batches():    # however much it is
    ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

Batches = Iterator[pa.RecordBatch]


class Result:
    """Rows of one schema. Nothing is read before it is asked for, and each time anew.

    schema: of the rows; metadata of a field: `unit` and `description`.
    """

    def __init__(
        self,
        schema: pa.Schema,
        read: Callable[[], Iterator[pa.Table]],
        check: Callable[[], None],
        why: Callable[[], str],
    ) -> None:
        """Args: check: called when there was no row; it may raise. why: says why."""
        self.schema = schema
        self._read, self._check, self._why = read, check, why

    def why_nothing(self) -> str:
        """One sentence on why there is no row: a mistyped name, or a time without data."""
        return self._why()

    def batches(self) -> Batches:
        """The rows, some at a time: memory stays bounded, however many there are.

        Raises: QueryError: nobody has ever heard of the facility, or something cannot be read.
        """
        count = 0
        for table in self._read():
            for batch in table.cast(self.schema).combine_chunks().to_batches():
                count += len(batch)
                yield batch
        if not count:
            self._check()

    def reader(self) -> pa.RecordBatchReader:
        """The same for libraries that take Arrow: DuckDB, Polars, `pyarrow.dataset`."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def arrow(self) -> pa.Table:
        """All rows in memory; texts as dictionaries."""
        return self.reader().read_all().unify_dictionaries()

    def df(self) -> Any:
        """All rows as a DataFrame of pandas; texts are categories, times are in UTC."""
        return self.arrow().to_pandas(split_blocks=True, self_destruct=True)

    def limit(self, rows: int) -> Result:
        """The first rows; the others are not read."""

        def read() -> Iterator[pa.Table]:
            left = rows
            for table in self._read():
                yield table.slice(0, left)
                left -= len(table)
                if left <= 0:
                    break

        return Result(self.schema, read, self._check, self._why)

    def to_csv(self, place: Path | str | Any) -> int:
        """Write a CSV file with a line of names. place: a path, or a file open for bytes.

        Returns: rows written.
        """
        plain = self.schema
        for index, column in enumerate(plain):
            if pa.types.is_dictionary(column.type):
                plain = plain.set(index, column.with_type(column.type.value_type))
        with pa_csv.CSVWriter(_place(place), plain) as writer:
            return self._write(writer, plain)

    def to_parquet(self, place: Path | str | Any) -> int:
        """Write a Parquet file, zstd. place: a path, or a file open for bytes.

        Returns: rows written.
        """
        with pq.ParquetWriter(_place(place), self.schema, compression="zstd") as writer:
            return self._write(writer, self.schema)

    def _write(self, writer: Any, schema: pa.Schema) -> int:
        count = 0
        for batch in self.batches():
            writer.write_batch(batch.cast(schema))
            count += len(batch)
        return count


def _place(place: Path | str | Any) -> Any:
    return str(place) if isinstance(place, Path) else place
