"""Commands about the local stack: up, down, status, doctor."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, Row, fail, log, show_item, show_rows
from jobs.common.errors import HardiotError
from jobs.local import paths
from jobs.local.checks import Check
from jobs.local.doctor import examine
from jobs.local.stack import Stack

_MARKS = {"ok": "ok", "warn": "WARN", "fail": "FAIL"}

NameOption = Annotated[
    str, typer.Option("--name", "-n", help="Which stack; several can run side by side.")
]
TaskManagersOption = Annotated[
    int, typer.Option("--taskmanagers", "-t", min=1, help="TaskManagers, one slot each.")
]


def up(
    taskmanagers: TaskManagersOption = 3,
    name: NameOption = "local",
    output: OutputOption = Format.TABLE,
) -> None:
    """Start Kafka and Flink on loopback; what runs already stays, what died comes back.

    Nothing is kept from an earlier run: topics and checkpoints begin empty.

    Example: hardiot up --taskmanagers 2
    """
    stack = open_stack(name, taskmanagers)
    try:
        stack.start()
    except HardiotError as error:
        raise fail(str(error)) from None
    show_item(addresses(stack), output)


def down(name: NameOption = "local") -> None:
    """Stop everything that `hardiot up` started, also after a crash.

    Example: hardiot down
    """
    try:
        open_stack(name).stop()
    except HardiotError as error:
        raise fail(str(error)) from None
    log.print(f"{name}: stopped")


def status(name: NameOption = "local", output: OutputOption = Format.TABLE) -> None:
    """Show the processes of the stack and the jobs on it. Exit 1: some part is down.

    Example: hardiot status --output json
    """
    stack = open_stack(name)
    processes = process_rows(stack)
    jobs = job_rows(stack) if processes else []
    if output is Format.JSON:
        where = addresses(stack) if processes else {}
        show_item({**where, "processes": processes, "jobs": jobs}, output)
    else:
        show_rows(processes, output, title=f"stack {name}")
        if processes:
            show_rows(jobs, output, title=f"jobs ({stack.web_ui})")
    if not processes or not all(row["alive"] for row in processes):
        raise typer.Exit(1)


def doctor(output: OutputOption = Format.TABLE) -> None:
    """Say what is missing or does not fit together, each with its fix. Exit 1: something fails.

    Example: hardiot doctor
    """
    found = examine()
    show_rows([check_row(check, output) for check in found], output)
    if any(check.status == "fail" for check in found):
        raise typer.Exit(1)


def open_stack(name: str, taskmanagers: int = 3) -> Stack:
    """The stack of this name, running or not; its progress goes to stderr."""
    return Stack(paths.RUNS / name, taskmanagers, report=lambda step: log.print(f"{name}: {step}"))


def addresses(stack: Stack) -> dict[str, Any]:
    """Where the parts of a running stack answer."""
    return {
        "kafka": stack.bootstrap,
        "web_ui": stack.web_ui,
        "prometheus": ", ".join(f"127.0.0.1:{port}" for port in stack.prometheus.values()),
        "logs": str(stack.log_folder),
    }


def process_rows(stack: Stack) -> list[Row]:
    """One row a process that was started."""
    return [
        {"process": name, "alive": child.alive, "pid": str(child.pid), "log": str(child.log)}
        for name, child in stack.children.items()
    ]


def job_rows(stack: Stack) -> list[Row]:
    """One row a job that Flink knows; none while the JobManager does not answer."""
    if not stack.rest.answers():
        return []
    return [_job_row(stack, job["jid"], job["name"], job["state"]) for job in stack.rest.jobs()]


def _job_row(stack: Stack, job_id: str, name: str, state: str) -> Row:
    """A job, the process that it runs in, and what last stopped it."""
    where = stack.rest.taskmanagers_of(job_id) if state == "RUNNING" else set()
    hosts = [child for child in stack.children.values() if child.log.stem in where]
    return {
        "job": name,
        "state": state,
        "process": ", ".join(child.name for child in hosts),
        "pid": ", ".join(str(child.pid) for child in hosts),
        "last_error": stack.rest.last_error(job_id),
        "id": job_id,
    }


def check_row(check: Check, output: Format) -> Row:
    """One row of the doctor's table; programs get the plain status."""
    status = check.status if output is Format.JSON else _MARKS[check.status]
    return {"check": check.name, "status": status, "found": check.found, "fix": check.fix}
