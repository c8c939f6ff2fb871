"""hardiot backup and hardiot restore: a cell into a folder, and out of it in an empty place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr

from jobs.cli.output import Format, OutputOption, fail, log, show_json, show_rows
from jobs.cli.where import BootstrapOption, find_bootstrap, find_lake, find_stack
from jobs.common.errors import HardiotError
from jobs.local.paths import ROOT

if TYPE_CHECKING:  # PyIceberg takes two seconds, which no other command is to wait for
    from jobs.backup.run import Places

PARTS = ("conf", "offsets", "kafka", "flink", "lake", "influx")
TOKEN = "HARDIOT_INFLUX_OPERATOR_TOKEN"
_CONF = ROOT / "flink-conf"

FolderArgument = Annotated[Path, typer.Argument(help="The folder of the backup.")]
OnlyOption = Annotated[str, typer.Option(help=f"Parts by comma, of {', '.join(PARTS)}.")]
FlinkOption = Annotated[
    str | None, typer.Option("--flink", help="Flink's REST address; else the stack that is up.")
]
InfluxOption = Annotated[
    str | None, typer.Option("--influx", help="InfluxDB's address; else of flink-conf/influx.yaml.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option("--influx-token-file", help=f"The operator's token; else {TOKEN}."),
]


def backup(
    folder: FolderArgument,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look whether each file is as it was written.")
    ] = False,
    only: OnlyOption = "conf,offsets,kafka,flink,lake,influx",
    without_data: Annotated[
        bool, typer.Option("--without-data", help="Tables' metadata alone, no data files.")
    ] = False,
    bootstrap: BootstrapOption = None,
    flink: FlinkOption = None,
    influx: InfluxOption = None,
    influx_token_file: TokenOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Back up a cell into an empty folder: tables, InfluxDB, topics, savepoints, flink-conf.

    Secrets are not in it. Exit 1: it is no backup, or `--verify` found mistakes.

    Example: hardiot backup /backups/monday --only lake,kafka
    """
    from jobs.backup.run import back_up

    if verify:
        _verify(folder)
        return
    parts = _parts(only)
    places = _places(parts, bootstrap, flink, influx, influx_token_file)
    manifest = back_up(folder, places, parts, not without_data, log.print)
    _show(manifest.counts, output)
    for line in manifest.left_out:
        log.print(f"left out: {line}")


def restore(
    folder: FolderArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at everything, and change nothing.")
    ] = False,
    only: OnlyOption = "conf,kafka,flink,lake,influx",
    conf: Annotated[
        Path | None, typer.Option(help="An empty folder for flink-conf; else it stays where it is.")
    ] = None,
    copies: Annotated[
        int | None, typer.Option(min=1, help="Copies of each partition; else as many as it had.")
    ] = None,
    bootstrap: BootstrapOption = None,
    influx: InfluxOption = None,
    influx_token_file: TokenOption = None,
) -> None:
    """Restore a backup into an empty place: the lake of the settings, a new Kafka and InfluxDB.

    All that is wrong is told at once, and nothing is changed then. Exit 1.

    Example: hardiot restore /backups/monday --dry-run
    """
    from jobs.backup.restore import Restore

    parts = _parts(only)
    places = _places([p for p in parts if p != "flink"], bootstrap, None, influx, influx_token_file)
    with Restore(folder, places, parts, conf, copies) as work:
        for line in work.plan():
            log.print(line)
        if dry_run:
            log.print("nothing was changed: --dry-run")
            return
        work.run(log.print)


def _verify(folder: Path) -> None:
    from jobs.backup.manifest import mistakes, read

    manifest = read(folder)
    found = list(mistakes(folder, manifest))
    if found:
        raise fail("\n".join(found))
    size = sum(file.bytes for file in manifest.files)
    log.print(f"{len(manifest.files)} files, {size:,} bytes: as they were written {manifest.made}")


def _parts(text: str) -> list[str]:
    wanted = text.split(",")
    if unknown := [part for part in wanted if part not in PARTS]:
        raise fail(f"--only {','.join(unknown)}: of {', '.join(PARTS)}", 2)
    return [part for part in PARTS if part in wanted]


def _places(
    parts: Sequence[str],
    bootstrap: str | None,
    flink: str | None,
    influx: str | None,
    token_file: Path | None,
) -> Places:
    """Where the wanted parts are. Raises: HardiotError: all that is not known."""
    from jobs.backup.run import Places

    found: dict[str, Any] = {"conf": _CONF}
    wrong = []
    for name, wanted, find in (
        ("bootstrap", {"kafka", "offsets"}, lambda: find_bootstrap(bootstrap)),
        ("flink", {"flink"}, lambda: flink or find_stack().rest_url),
        ("lake", {"lake"}, find_lake),
        ("influx", {"influx"}, lambda: influx or _influx_url()),
        ("influx_token", {"influx"}, lambda: _token(token_file)),
    ):
        try:
            found |= {name: find()} if wanted & set(parts) else {}
        except HardiotError as error:
            wrong.append(str(error))
    if wrong:
        raise HardiotError("\n".join(dict.fromkeys(wrong)))
    return Places(**found)


def _influx_url() -> str:
    from jobs.influx.policy import load_policy

    return load_policy(_CONF / "influx.yaml").url


def _token(file: Path | None) -> SecretStr:
    try:
        text = file.read_text().strip() if file else os.environ.get(TOKEN, "")
    except OSError as error:
        raise HardiotError(f"--influx-token-file {file}: {error.strerror}") from None
    if not text:
        raise HardiotError(
            f"InfluxDB: give the operator's token in {TOKEN}, or leave it out: --only"
        )
    return SecretStr(text)


def _show(counts: dict[str, dict[str, Any]], output: Format) -> None:
    if output is Format.JSON:
        show_json(counts)
        return
    show_rows([{"part": part, "what": str(count)} for part, count in counts.items()], output)
