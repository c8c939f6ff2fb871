"""SQL over what questions give: each table that a query names is loaded, then DuckDB answers."""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import duckdb

from jobs.lake.query.result import Result
from jobs.lake.query.scope import QueryError

NAMES = (
    "readings", "rollups", "alerts", "ledger", "counted", "restatements", "dead_letters",
)  # fmt: skip


def ask(
    query: str,
    tables: Mapping[str, Callable[..., Result]],
    facility: str,
    scope: Mapping[str, Any],
) -> Result:
    """What the query gives, of these tables; it is computed now. Raises: QueryError."""
    named = [name for name in tables if re.search(rf"\b{name}\b", query, re.IGNORECASE)]
    if not named:
        raise QueryError(f"the query names no table; there are {', '.join(tables)}")
    taken = {name: set(inspect.signature(tables[name]).parameters) for name in named}
    for word in scope:
        if not any(word in words for words in taken.values()):
            raise QueryError(f'{", ".join(named)}: not limited by "{word}"')
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"set temp_directory = '{tempfile.gettempdir()}'")
    for name in named:
        given = {word: value for word, value in scope.items() if word in taken[name]}
        connection.register("coming", tables[name](facility, **given).reader())
        connection.execute(f"create table {name} as select * from coming")
        connection.unregister("coming")
    try:
        found = connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise QueryError(f"DuckDB does not take the query: {error}") from None
    return Result(found.schema, lambda: iter([found]), lambda: None, lambda: "no rows")
