"""hardiot run and hardiot plan: submit a job, or show what it is made of."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, log, show_item, show_rows
from jobs.cli.where import find_stack
from jobs.common.settings import load
from jobs.local import flink, paths
from jobs.local.stack import Stack


class Job(StrEnum):
    """The jobs of the suite."""

    ROLLUP_READINGS = "rollup_readings"
    DETECT_ANOMALIES = "detect_anomalies"
    ARCHIVE_READINGS = "archive_readings"


# what answers within a second; the archive comes after it
LIVE: Mapping[Job, Sequence[str]] = {Job.ROLLUP_READINGS: (), Job.DETECT_ANOMALIES: ()}

JobArgument = Annotated[Job, typer.Argument(help="The job.")]

RUN_CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def run(
    context: typer.Context,
    job: JobArgument,
    state: Annotated[
        str | None,
        typer.Option("--from", help="Savepoint or checkpoint to go on from, a folder's path."),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Submit a job to the local cluster; further options are the job's own settings.

    Example: hardiot run rollup_readings --patience-s 3600
    """
    stack = find_stack()
    module = importlib.import_module(f"jobs.{job}")
    load(module.Settings, job, context.args)  # all mistakes at once, before anything starts
    args = list(context.args)
    if not any(item.startswith("--bootstrap") for item in args):
        args += ["--bootstrap", stack.bootstrap]
    log.print(f"submitting {job}")
    options = {"execution.state-recovery.path": state} if state else {}
    job_id = stack.submit(job, args, options)
    stack.rest.wait_running(job_id)
    show_item({"job": str(job), "id": job_id, "web_ui": f"{stack.web_ui}/#/job/{job_id}"}, output)


def start_jobs(stack: Stack, wanted: Mapping[Job, Sequence[str]]) -> dict[str, str]:
    """Submit jobs with further arguments and wait until they run. Returns: ids by job."""
    # PyIceberg takes two seconds, which no other command is to wait for
    from jobs.lake.catalog import open_catalog
    from jobs.lake.tables import ensure

    with open_catalog(stack.lake) as catalog:
        ensure(catalog, stack.lake)  # the archive's job looks at its table
    kafka = ["--bootstrap", stack.bootstrap]
    jobs = stack.submit_all({str(job): [*kafka, *args] for job, args in wanted.items()})
    for job_id in jobs.values():
        stack.rest.wait_running(job_id)
    return jobs


def plan(job: JobArgument, output: OutputOption = Format.TABLE) -> None:
    """Show a job's operators, with the names and uids under which their state is kept.

    Example: hardiot plan rollup_readings
    """
    show_rows(operators(job), output, title=str(job))


def operators(job: Job) -> list[dict[str, Any]]:
    """(id, name, uid, parallelism, inputs) of each operator, from Flink's own graph."""
    # PyFlink's own Java process takes its class path from here, if both are set before it starts
    os.environ["FLINK_HOME"] = str(paths.flink_home())
    os.environ["FLINK_LIB_DIR"] = str(flink.client_lib())
    module = importlib.import_module(f"jobs.{job}")
    environment = importlib.import_module("jobs.common.environment").environment
    settings = load(module.Settings, job, [], environ={})
    env = environment(module.NAME, settings)
    module.build(env, settings)
    graph = env._j_stream_execution_environment.getStreamGraph(False)
    nodes = json.loads(graph.getStreamingPlanAsJSON())["nodes"]
    uids = {str(n.getId()): n.getTransformationUID() for n in graph.getStreamNodes().toArray()}
    return [
        {
            "id": node["id"],
            "name": node["type"],
            "uid": uids.get(str(node["id"])),
            "parallelism": node["parallelism"],
            "inputs": ", ".join(str(i["id"]) for i in node.get("predecessors", [])),
        }
        for node in nodes
    ]
