"""Run the simulator by itself: python -m edge.simulator --help"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from edge import logs
from edge.errors import EdgeError
from edge.gateway import Gateway
from edge.settings import read_settings as read_gateway
from edge.signals import stop_on_signals
from edge.simulator import measure as measuring
from edge.simulator.behind import Machines
from edge.simulator.console import MQTT_HELP, line, log_to_stderr, settings_with
from edge.simulator.progress import Progress
from edge.simulator.run import simulate

app = typer.Typer(
    help="A fleet of gateways that sends readings to Kafka or MQTT.", no_args_is_help=True
)


@app.command()
def run(
    scenario: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka, as host:port.")] = None,
    mqtt: Annotated[str | None, typer.Option(help=MQTT_HELP)] = None,
    facilities: Annotated[int | None, typer.Option(help="Number of facilities.")] = None,
    sensors: Annotated[int | None, typer.Option(help="Sensors of each gateway.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Event time to simulate.")] = None,
    speed: Annotated[float | None, typer.Option(help="Event seconds a second.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every value.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="KIND:name=value,...")] = None,
    produce_only: Annotated[bool, typer.Option(help="Send nothing, do not wait.")] = False,
) -> None:
    """Run a simulation; the summary goes to stdout as JSON.

    Example: python -m edge.simulator run --facilities 3 --seconds 60
    --fault "step:sensors=pump-001.bearing-*,from_s=20,for_s=30,size=25"
    """
    given = {
        "bootstrap": bootstrap,
        "facilities": facilities,
        "sensors": sensors,
        "seconds": seconds,
        "speed": speed,
        "seed": seed,
        "produce_only": produce_only or None,
    }
    log_to_stderr()
    try:
        settings = settings_with(scenario, given, fault or [], mqtt)
        summary = simulate(settings, _show, stop=stop_on_signals())
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    json.dump(asdict(summary), sys.stdout, indent=2)


@app.command()
def behind(
    gateway: Annotated[Path, typer.Argument(help="Settings of the gateway (YAML).")],
    scenario: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Event time to simulate.")] = None,
) -> None:
    """Run a gateway with the machines behind it in one process: no broker is needed.

    The gateway goes on when the machines have ended. Progress goes to stdout, a JSON object a line.
    Example: python -m edge.simulator behind infra/edge/gateway.sample.yaml --seconds 60
    """
    try:
        found = read_gateway(gateway)
        logs.set_up(found.facility, found.gateway)
        machines = settings_with(scenario, {"seconds": seconds}, [])
        running = Gateway(
            found,
            lambda inbox, parts: [Machines(machines, found, inbox, parts.registry, _tell)],
        )
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    sys.exit(running.run(stop_on_signals()))


def _tell(progress: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(progress) + "\n")
    sys.stdout.flush()


@app.command()
def measure(
    facilities: Annotated[int, typer.Option(help="Number of facilities.")] = 20,
    sensors: Annotated[int, typer.Option(help="Sensors of each gateway.")] = 5000,
    batches: Annotated[int, typer.Option(help="Batches in all.")] = 4000,
) -> None:
    """Measure how fast one core makes batches, without sending.

    Example: python -m edge.simulator measure --sensors 5000
    """
    found = measuring.measure(facilities=facilities, sensors=sensors, batches=batches)
    json.dump(found, sys.stdout, indent=2)


def _show(progress: Progress) -> None:
    typer.echo(line(progress), err=True)


if __name__ == "__main__":
    app()
