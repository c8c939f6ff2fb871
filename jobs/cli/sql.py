"""hardiot sql: run a file of SQL as a job on the local cluster."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.output import Format, OutputOption, log, show_item
from jobs.cli.where import find_stack
from jobs.common.settings import load
from jobs.common.sql_script import read_script, variables
from jobs.common.topics import ensure_topics
from jobs.local.stack import Stack

JOB = "run_sql"


def sql(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file: CREATE TABLE and INSERT statements.")],
    output: OutputOption = Format.TABLE,
) -> None:
    """Submit a file of SQL to the local cluster; further options are settings of run_sql.

    Example: hardiot sql jobs/sql/overheating.sql --starting-offsets latest
    """
    stack = find_stack()
    job_id = submit_file(stack, file, context.args)
    found = {"job": file.stem, "id": job_id, "web_ui": f"{stack.web_ui}/#/job/{job_id}"}
    show_item(found, output)


def submit_file(stack: Stack, file: Path, more: list[str]) -> str:
    """Submit and wait until it runs. Returns: the job's id.

    Raises: HardiotError: settings or file are wrong, told before anything starts; or Flink refuses.
    """
    args = ["--file", str(file.resolve()), *more]
    if not any(item.startswith("--bootstrap") for item in args):
        args += ["--bootstrap", stack.bootstrap]
    settings = load(importlib.import_module(f"jobs.{JOB}").Settings, JOB, args)
    read_script(settings.file, variables(settings))
    ensure_topics(settings.bootstrap, [])
    log.print(f"submitting {file}")
    job_id = stack.submit(JOB, args)
    stack.rest.wait_running(job_id)
    return job_id
