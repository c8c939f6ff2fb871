"""hardiot simulate: a fleet of gateways that sends to Kafka at its own pace."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.errors import EdgeError
from edge.signals import stop_on_signals
from edge.simulator.console import MQTT_HELP, line, log_to_stderr, settings_with
from edge.simulator.fleet import facility_name
from edge.simulator.progress import Progress
from edge.simulator.run import simulate as run_simulation
from edge.simulator.settings import SimulatorSettings
from jobs.cli.output import Format, OutputOption, log, show_json
from jobs.cli.where import BootstrapOption, find_bootstrap
from jobs.common.errors import SettingsError
from jobs.common.topics import ensure_topics


def simulate(
    scenario: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    bootstrap: BootstrapOption = None,
    mqtt: Annotated[str | None, typer.Option(help=MQTT_HELP)] = None,
    facilities: Annotated[int | None, typer.Option(help="Number of facilities.")] = None,
    sensors: Annotated[int | None, typer.Option(help="Sensors of each gateway.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Event time to simulate.")] = None,
    speed: Annotated[float | None, typer.Option(help="Event seconds a second.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every value.")] = None,
    epoch: Annotated[int | None, typer.Option(help="Of a second run on the same Kafka.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="KIND:name=value,...")] = None,
    produce_only: Annotated[bool, typer.Option(help="Send nothing, do not wait.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Simulate facilities: catalogue, readings, faults, outages. Ctrl-C ends it cleanly.

    With --mqtt, or `mqtt` in the scenario, it stands for the machines behind the gateways.

    With --output json: one object a second, then the summary.

    Example: hardiot simulate --facilities 10 --sensors 5000 --seconds 60
    --fault "step:sensors=pump-001.bearing-*,from_s=20,for_s=30,size=40"
    """
    given = {
        "bootstrap": bootstrap,
        "facilities": facilities,
        "sensors": sensors,
        "seconds": seconds,
        "speed": speed,
        "seed": seed,
        "epoch": epoch,
        "produce_only": produce_only or None,
    }
    settings = settings_of(scenario, given, fault or [], mqtt)
    log_to_stderr()
    try:
        if not (settings.mqtt or settings.produce_only):
            settings = settings.model_copy(update={"bootstrap": find_bootstrap(bootstrap)})
            ensure_topics(settings.bootstrap, map(facility_name, range(settings.facilities)))
        report = _tell if output is Format.JSON else _show
        summary = run_simulation(settings, report, stop=stop_on_signals())
    except EdgeError as error:
        raise SettingsError(str(error)) from None
    if output is Format.JSON:
        show_json(asdict(summary), indent=None)
        return
    log.print(
        f"{summary.readings:,} readings in {summary.batches:,} batches, {summary.messages:,} "
        f"messages, {summary.seconds:.0f} s, {summary.duplicates} sent twice, at most "
        f"{summary.behind_ms:,.0f} ms behind"
    )


def command(scenario: Path, bootstrap: str = "", mqtt: str = "") -> list[str]:
    """`hardiot simulate` as a process of its own, to Kafka or MQTT; what it says is JSON lines."""
    way = ["--mqtt", mqtt] if mqtt else ["--bootstrap", bootstrap]
    given = ["--output", "json", *way, "--scenario", str(scenario)]
    return [sys.executable, "-m", "jobs.cli.main", "simulate", *given]


def settings_of(
    scenario: Path | None, given: dict[str, Any], faults: list[str], mqtt: str | None = None
) -> SimulatorSettings:
    """The scenario's settings with what was given in their place. Raises: SettingsError."""
    try:
        return settings_with(scenario, given, faults, mqtt)
    except EdgeError as error:
        raise SettingsError(str(error)) from None


def _tell(progress: Progress) -> None:
    show_json(asdict(progress), indent=None)


def _show(progress: Progress) -> None:
    log.print(line(progress))
