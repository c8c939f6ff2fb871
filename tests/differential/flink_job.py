"""Runs patterns through Flink's MATCH_RECOGNIZE: `python flink_job.py <work folder>`.

The folder holds events.csv and queries.json, a list of queries; each becomes one INSERT of a
statement set, so that all of a set share one start. Rows land in <folder>/found.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

from tests.differential.patterns import COLUMNS

_SET = 50  # queries of a job: more than that want memory rather than time
_SETTINGS = {
    "parallelism.default": "1",
    "python.executable": sys.executable,
    "python.client.executable": sys.executable,
    "taskmanager.memory.network.max": "128mb",
    "taskmanager.memory.network.min": "128mb",
    # one source for all queries of a set, and no checkpoints: what fails is run again
    "table.optimizer.reuse-source-enabled": "true",
}
# watermarks a millisecond behind: what has the newest time is not late
_EVENTS = """
CREATE TABLE events (
    asset INT, seq INT, time_ms BIGINT, name STRING,
    at_time AS TO_TIMESTAMP_LTZ(time_ms, 3),
    WATERMARK FOR at_time AS at_time - INTERVAL '0.001' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv')
"""
_FOUND = """
CREATE TABLE found (case_number INT, asset INT, {columns})
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv')
"""


def main(folder: Path) -> None:
    """Run all queries of the folder."""
    config = Configuration()
    for key, value in _SETTINGS.items():
        config.set_string(key, value)
    settings = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(config)
    env = TableEnvironment.create(settings.build())
    columns = ", ".join(f"{column} INT" for column in COLUMNS)
    env.execute_sql(_EVENTS.format(path=(folder / "events.csv").as_uri()))
    env.execute_sql(_FOUND.format(path=(folder / "found").as_uri(), columns=columns))
    queries = json.loads((folder / "queries.json").read_text())
    for first in range(0, len(queries), _SET):
        statements = env.create_statement_set()
        for query in queries[first : first + _SET]:
            statements.add_insert_sql(f"INSERT INTO found {query}")
        statements.execute().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
