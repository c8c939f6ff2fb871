"""hardiot maintain: keep the tables in order, once or for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, fail, log, show_json, show_rows
from jobs.cli.where import find_lake
from jobs.common.service import on_end
from jobs.common.settings import load

if TYPE_CHECKING:  # PyIceberg takes two seconds, which no other command is to wait for
    from jobs.lake.maintain.work import Deed
    from jobs.maintain_tables import Maintainer


def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, and do nothing.")
    ] = False,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            help="Only these, by comma: coarser, drop, merge, expire, orphans, buckets, topics, "
            "quality.",
        ),
    ] = "",
    every: Annotated[
        str, typer.Option("--every", help="Again and again, as in 1h; else once.")
    ] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Make hours and days of rollups, drop what is past its time, merge small files, clean up.

    How long what is kept is said in flink-conf/retention.yaml. One maintainer works at a time;
    start it anew at any time.

    Example: hardiot maintain --dry-run --only drop,merge

    Exit code 1 when a step failed; the others were done all the same.
    """
    from jobs.lake.maintain.settings import JOB, MaintainSettings
    from jobs.maintain_tables import Maintainer

    steps = [name.strip() for name in only.split(",") if name.strip()]
    maintainer = Maintainer(load(MaintainSettings, JOB), find_lake(), steps)
    if every:
        _loop(maintainer, _seconds(every), dry_run, output)
        return
    report = maintainer.round(dry_run)
    if output is Format.JSON:
        show_json({
            "dry_run": dry_run,
            "deeds": [asdict(deed) for deed in report.deeds],
            "failures": report.failures,
            "seconds": report.seconds,
        })  # fmt: skip
    else:
        show_rows([_row(deed) for deed in report.deeds], output, "would be done" * dry_run)
    _end(report.failures, len(report.seconds))


def _loop(maintainer: Maintainer, every_s: float, dry_run: bool, output: Format) -> None:
    if dry_run:
        raise fail("--dry-run is for one round: leave --every out", 2)
    stop = Event()

    def told(deed: Deed) -> None:
        if output is Format.JSON:
            show_json(asdict(deed), indent=None)
        else:
            log.print(_line(deed))

    on_end(stop.set)
    maintainer.loop(every_s, stop, told)


def _seconds(text: str) -> float:
    from jobs.lake.maintain.policy import duration_ms

    try:
        return duration_ms(text) / 1000
    except ValueError as error:
        raise fail(f"--every: {error}, as in 1h", 2) from None


def _row(deed: Deed) -> Mapping[str, Any]:
    megabytes = {"megabytes": round(deed.bytes / (1 << 20), 3)}
    fields = asdict(deed)
    return {k: fields[k] for k in ("step", "table", "facility", "what", "files", "rows")} | (
        megabytes | {"why": deed.why}
    )


def _line(deed: Deed) -> str:
    where = f"{deed.table} {deed.facility}".strip()
    return f"{deed.step} {where}: {deed.what}, {deed.files} files, {deed.bytes:,} bytes {deed.why}"


def _end(failures: Mapping[str, str], steps: int) -> None:
    for step, why in failures.items():
        log.print(f"{step} failed: {why}", style="red")
    if failures:
        raise fail(f"{len(failures)} of {steps} steps failed")
