"""hardiot quality: is what is archived as it should be?"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, fail, log, show_json, show_rows
from jobs.cli.where import BootstrapOption, find_lake
from jobs.common.history import time_of, utc
from jobs.common.settings import PREFIX
from jobs.lake.settings import LakeSettings

if TYPE_CHECKING:  # Great Expectations and PyIceberg take seconds, which no other command waits for
    from jobs.quality.check import Scope
    from jobs.quality.limits import Limits
    from jobs.quality.report import Failure, Report, Result

_TABLES = ("readings", "rollups")
_ALL = "*"


def quality(
    facility: Annotated[str, typer.Option(help="Only facilities of this name or glob.")] = _ALL,
    since: Annotated[str, typer.Option(help="From then on; else 24 h before --until.")] = "",
    until: Annotated[str, typer.Option(help="To before then; else what is settled.")] = "",
    table: Annotated[str, typer.Option(help="readings or rollups; else both.")] = "",
    docs: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("build/data-docs"),
    limits: Annotated[Path, typer.Option(help="The suites.")] = Path("flink-conf/quality.yaml"),
    metrics: Annotated[
        Path | None, typer.Option(help="Write metrics there, for Prometheus' text files.")
    ] = None,
    bootstrap: BootstrapOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Check tables readings and rollups, and write pages of what was found.

    Example: hardiot quality --facility plant-07 --since 2026-11-20 --until 2026-11-21

    With brokers (--bootstrap or HARDIOT__BOOTSTRAP) sensors are held against the ranges of their
    catalogue, and what fails is an alert. Exit code 1 when something fails.
    """
    from jobs.quality.check import check
    from jobs.quality.limits import load_limits

    if table not in ("", *_TABLES):
        raise fail(f'no table "{table}": write {" or ".join(_TABLES)}, or leave it out', 2)
    now_ms = time.time_ns() // 1_000_000
    lake, judged = find_lake(), load_limits(limits)
    span = _span(since, until, judged, now_ms)
    brokers = bootstrap or os.environ.get(f"{PREFIX}BOOTSTRAP")
    scope, close = _scope(facility, (table,) if table else _TABLES, brokers)
    try:
        report = check(lake, judged, *span, scope=scope, docs=docs, now_ms=now_ms)
    finally:
        close()
    if metrics is not None:
        _write_metrics(report, now_ms, metrics)
    if brokers:
        _alert(lake, report, judged.severity, brokers, now_ms)
    _show(report, output)
    if not report.ok:
        raise fail(_verdict(report))
    log.print(_verdict(report))


def _span(since: str, until: str, limits: Limits, now_ms: int) -> tuple[int, int]:
    from jobs.quality.check import last_day
    from jobs.quality.sites import DAY_MS

    until_ms = time_of(until, end=True) if until else last_day(limits, now_ms)[1]
    since_ms = time_of(since) if since else until_ms - DAY_MS
    if since_ms >= until_ms:
        raise fail(f"nothing is between {utc(since_ms)} and {utc(until_ms)}", 2)
    return since_ms, until_ms


def _scope(facility: str, tables: tuple[str, ...], brokers: str | None) -> tuple[Scope, Any]:
    """What is to be checked, and what to close at the end."""
    from jobs.lake.maintain.policy import FILE, load_policy
    from jobs.lake.query.names import Asked
    from jobs.quality.check import Scope

    policy = load_policy(FILE)

    def kept_ms(name: str) -> int:
        return policy.kept_ms("readings", name)

    if not brokers:
        return Scope(facility, tables, kept_ms=kept_ms), lambda: None
    asked = Asked(brokers)
    return Scope(facility, tables, asked.find, kept_ms), asked.close


def _write_metrics(report: Report, now_ms: int, path: Path) -> None:
    from jobs.quality.metrics import write

    write(report, now_ms, path)


def _alert(lake: LakeSettings, report: Report, severity: str, brokers: str, now_ms: int) -> None:
    from jobs.lake.catalog import open_catalog
    from jobs.quality.alerts import Outbox, news, open_alerts

    with open_catalog(lake) as catalog:
        events = news(report, open_alerts(catalog, lake, report), severity, now_ms)
    if events:
        with Outbox(brokers) as outbox:
            log.print(f"{outbox.send(events)} alert events sent")


def _show(report: Report, output: Format) -> None:
    if output is Format.JSON:
        show_json(report.to_json())
        return
    results = list(report.results.values())
    show_rows([_row(result) for result in results], output, "checks")
    failed = [(result, worst) for result in results for worst in result.worst]
    if failed:
        show_rows([_worst(*pair) for pair in failed], output, "the worst")
    for result in results:
        if result.failed:
            log.print(f"{result.suite}.{result.check}: {result.says} If not: {result.fix}.")
    for place, why in report.unread.items():
        log.print(f"{place}: {why}", style="red")


def _row(result: Result) -> dict[str, Any]:
    limits = sorted(set(result.limits.values()))
    return {
        "suite": result.suite,
        "check": result.check,
        "at most": ", ".join(f"{limit:g}" for limit in limits),
        "checked": result.checked,
        "failed": result.failed,
    }


def _worst(result: Result, worst: Failure) -> dict[str, Any]:
    return {
        "check": f"{result.suite}.{result.check}",
        "gateway": f"{worst.facility}/{worst.gateway}",
        "hour": worst.hour,
        "where": " ".join(word for word in (worst.kind, worst.at) if word),
        "value": f"{worst.value:g}",
    }


def _verdict(report: Report) -> str:
    span = f"{utc(report.since_ms)} to {utc(report.until_ms)}"
    seen = f"{report.readings:,} readings of {report.facilities} facilities, {span}"
    if report.told:
        seen += f"; {report.proven / report.told:.1%} of {report.told:,} told are proven"
    failed = sum(1 for result in report.results.values() if result.failed)
    said = f"{failed} of {len(report.results)} checks fail: " if failed else ""
    said += f"{len(report.unread)} facility days cannot be read: " if report.unread else ""
    return f"{said}{seen}" + (f"; see {report.site}" if report.site else "")
