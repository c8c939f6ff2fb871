"""Run a file of SQL: its tables first, then all that it inserts, as one job.

A way for engineers to try patterns of their own on `condition-events`; see docs/sql-patterns.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field
from pyflink.table import StreamTableEnvironment

from jobs.common.environment import environment
from jobs.common.errors import HardiotError
from jobs.common.settings import JobSettings, load
from jobs.common.sql_script import Script, read_script, variables


class Settings(JobSettings):
    """Settings of run_sql."""

    file: Path = Field(
        Path("jobs/sql/overheating.sql"), description="The file; its stem names the job."
    )
    plans: Path | None = Field(
        None,
        description="Folder of compiled plans. With one, the plan of a file is compiled once and "
        "read from then on, so that its state outlasts a new version of Flink.",
    )


def submit(tables: StreamTableEnvironment, script: Script, plans: Path | None) -> None:
    """Create the tables, start the job."""
    for statement in script.tables:
        tables.execute_sql(statement)
    inserts = "STATEMENT SET BEGIN " + ";".join(script.inserts) + ";\nEND"
    if plans is None:
        tables.execute_sql(f"EXECUTE {inserts}")
        return
    # a plan holds names of tables only, so no address and no secret; and a changed file is
    # another plan, or the old one would go on without a word
    tables.get_config().set("table.plan.compile.catalog-objects", "IDENTIFIER")
    plans.mkdir(parents=True, exist_ok=True)
    path = plans.resolve() / f"{script.name}-{script.fingerprint}.json"
    place = path.as_uri().replace("'", "''")
    tables.execute_sql(f"COMPILE AND EXECUTE PLAN '{place}' FOR {inserts}")


def main(argv: Sequence[str]) -> None:
    """Load the settings, read the file, submit it. Exit 2: one of them is wrong."""
    try:
        settings = load(Settings, "run_sql", argv)
        script = read_script(settings.file, variables(settings))
        env = environment(f"sql-{script.name}", settings)
    except HardiotError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    submit(StreamTableEnvironment.create(env), script, settings.plans)


if __name__ == "__main__":
    main(sys.argv[1:])
