"""hardiot rules backtest: what a rule would have done with the readings of the past."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, fail, log, show_item, show_json, show_rows
from jobs.cli.rules import FOLDER, read_texts
from jobs.cli.where import BootstrapOption, find_bootstrap
from jobs.common.errors import HardiotError
from jobs.common.history import EVER_MS, History, time_of, utc
from jobs.common.history_files import FileHistory
from jobs.common.rules import RulesError, parse
from udfs.rules.model import Rule
from udfs.rules.selector import KINDS
from udfs.trial.backtest import Backtest, Report
from udfs.trial.lives import Life
from udfs.trial.sensors import place
from udfs.wording import hint

_SHOWN = 20


def backtest(
    rule: Annotated[
        str, typer.Argument(help="A rule's name, or a file of one rule, or FILE:NAME.")
    ],
    since: Annotated[
        str, typer.Option("--from", help="Begin: a date, a date and time (UTC), or epoch ms.")
    ] = "",
    until: Annotated[str, typer.Option("--to", help="End; a date alone is the whole day.")] = "",
    data: Annotated[
        Path | None, typer.Option(help="History in Parquet or CSV: a file, or a folder of them.")
    ] = None,
    lake: Annotated[
        bool,
        typer.Option("--lake", help="History in the archive; catalogues are Kafka's if it is up."),
    ] = False,
    bootstrap: BootstrapOption = None,
    facility: Annotated[
        str, typer.Option(help="From Kafka or the archive: only facilities like this.")
    ] = "*",
    kind: Annotated[
        list[str] | None,
        typer.Option(help='Of files: what sensors are, as in "Accelerometer*=vibration".'),
    ] = None,
    folder: Annotated[Path, typer.Option("--rules", help="Where rules have names.")] = FOLDER,
    output: OutputOption = Format.TABLE,
) -> None:
    """Try a rule on history: files (--data), the archive (--lake), else what Kafka still holds.

    Example: hardiot rules backtest vibration-high --data history/ --from 2026-11-01

    Exit code 1 when there are no readings of the rule's sensors.
    """
    tried = find_rule(rule, folder)
    from_ms = time_of(since) if since else -EVER_MS
    to_ms = time_of(until, end=True) if until else EVER_MS
    history = _history(tried, data, lake, bootstrap, facility, kind or [])
    begun_s = time.perf_counter()
    report = run(tried, history, from_ms, to_ms)
    elapsed_s = time.perf_counter() - begun_s
    if output is Format.JSON:
        show_json(as_json(report, elapsed_s))
    elif report.readings and not report.unmatched:
        _show(report, elapsed_s)
    if not report.readings or report.unmatched:
        raise fail(_why_nothing(report))
    if report.stopped:
        log.print(f"stopped after {len(report.alerts):,} alerts: nobody could read more")


def find_rule(name: str, folder: Path = FOLDER) -> Rule:
    """The rule of that name, of that file, or of FILE:NAME. Raises: RulesError: there is none."""
    file, _, inside = name.partition(":")
    in_file = file.endswith((".yaml", ".yml"))
    rules = parse(read_texts([Path(file)] if in_file else _folder(folder)))
    wanted = inside if in_file else name
    if in_file and not inside and len(rules) == 1:
        return rules[0]
    names = [each.name for each in rules]
    if wanted not in names:
        if not wanted:
            raise RulesError(f"{file} has {len(rules)} rules; say which: {file}:{names[0]}")
        raise RulesError(
            f'no rule "{wanted}" in {file if in_file else folder} ({hint(wanted, names)})'
        )
    return rules[names.index(wanted)]


def _folder(folder: Path) -> list[Path] | None:
    """None stands for the project's own rules, wherever the command runs."""
    return None if folder == FOLDER else [folder]


def _history(
    rule: Rule,
    data: Path | None,
    lake: bool,
    bootstrap: str | None,
    facility: str,
    kinds: Sequence[str],
) -> History:
    if data is not None and (lake or bootstrap is not None):
        other = "--lake" if lake else "--bootstrap"
        raise fail(f"--data and {other}: history comes from one of them", 2)
    if data is not None:
        return FileHistory(data, *place(rule), dict(map(_kind, kinds)))
    if lake:
        return _archive(rule, bootstrap, facility)
    from jobs.common.history_kafka import KafkaHistory  # files need no client

    return KafkaHistory(find_bootstrap(bootstrap), facility)


def _archive(rule: Rule, bootstrap: str | None, facility: str) -> History:
    """Catalogues are Kafka's, where one is given or up."""
    from kafka.errors import KafkaError

    from jobs.common.catalogues import TopicCatalogues
    from jobs.common.tail import no_answer
    from jobs.lake.history.source import LakeHistory  # PyIceberg takes two seconds

    try:
        broker = find_bootstrap(bootstrap)
    except HardiotError:
        return LakeHistory(rule, facility)
    try:
        return LakeHistory(rule, facility, published=TopicCatalogues(broker))
    except KafkaError as error:
        raise no_answer(broker, error) from None


def _kind(text: str) -> tuple[str, str]:
    glob, _, kind = text.rpartition("=")
    if not glob or kind not in KINDS:
        raise fail(f'--kind "{text}": write NAME=KIND ({hint(kind, KINDS)})', 2)
    return glob, kind


def run(rule: Rule, history: History, from_ms: int, to_ms: int) -> Report:
    """The rule over all of the history, or until it raised too much."""
    trial = Backtest(rule)
    for catalogue, batch in history.read(from_ms, to_ms):
        trial.take(catalogue, batch)
        if trial.stopped:
            break
    return trial.report()


def _why_nothing(report: Report) -> str:
    if not report.readings:
        return "no readings at all in that time"
    return f"no readings of the rule's sensors in that time: {report.unmatched}"


def _show(report: Report, elapsed_s: float) -> None:
    show_item(summary(report, elapsed_s), Format.TABLE, title=report.rule)
    if not report.alerts:
        return
    show_rows([asdict(busy) for busy in report.busiest], Format.TABLE, "assets with most alerts")
    show_rows(list(map(_line, report.alerts[:_SHOWN])), Format.TABLE, "alerts")
    if len(report.alerts) > _SHOWN:
        log.print(f"and {len(report.alerts) - _SHOWN:,} more alerts (--output json has them all)")


def summary(report: Report, elapsed_s: float) -> dict[str, Any]:
    """The figures of a back-test."""
    return {
        "from": utc(report.first_ms),
        "to": utc(report.last_ms),
        "readings": report.readings,
        "gateways": report.gateways,
        "sensors": report.sensors,
        "assets": report.assets,
        "alerts": len(report.alerts),
        "late": report.late,
        "alerts_per_asset_day": round(report.per_asset_day, 6),
        "firing_share": round(report.firing_share, 6),
        "readings_per_s": round(report.readings / elapsed_s) if elapsed_s else 0,
        "stopped": report.stopped,
    }


def alert_row(life: Life) -> dict[str, Any]:
    """An alert of the past. end_ms and duration_s are null while it fires at the end."""
    first = life.firing
    end_ms = life.end_ms
    return {
        "facility": first.facility,
        "gateway": first.gateway,
        "subject": first.subject,
        "severity": first.severity,
        "onset_ms": first.onset_ms,
        "firing_ms": first.event_ms,
        "end_ms": end_ms,
        "duration_s": None if end_ms is None else (end_ms - first.onset_ms) / 1000,
        "value": first.value,
        "unit": first.unit,
        "late": first.late,
        "text": first.text,
    }


def _line(life: Life) -> dict[str, Any]:
    """An alert in the width of a terminal."""
    row = alert_row(life)
    return {
        "subject": row["subject"],
        "onset": utc(row["onset_ms"]),
        "end": "" if row["end_ms"] is None else utc(row["end_ms"]),
        "duration_s": row["duration_s"],
        "value": row["value"],
        "unit": row["unit"],
    }


def as_json(report: Report, elapsed_s: float) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "rule": report.rule,
        **summary(report, elapsed_s),
        "from_ms": report.first_ms,
        "to_ms": report.last_ms,
        "unmatched": report.unmatched,
        "busiest": [asdict(busy) for busy in report.busiest],
        "history": [alert_row(life) for life in report.alerts],
    }
