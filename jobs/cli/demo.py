"""hardiot demo: the whole spine on this machine, from simulated plants to alerts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from edge.simulator.fleet import facility_name
from jobs.cli.demo_state import ProgressFiles, Seen
from jobs.cli.demo_view import save_picture, screen
from jobs.cli.jobs import LIVE, Job, start_jobs
from jobs.cli.output import Format, OutputOption, log, show_item
from jobs.cli.simulate import command, settings_of
from jobs.common.errors import HardiotError
from jobs.common.tail import Tail
from jobs.common.topics import ensure_topics
from jobs.local import mosquitto, process
from jobs.local.interrupts import ends_by_interrupt
from jobs.local.paths import ROOT, RUNS
from jobs.local.ports import LOOPBACK
from jobs.local.process import Child
from jobs.local.site import Site
from jobs.local.stack import Stack
from jobs.local.storage import Storage
from udfs.ledger import Verdict
from udfs.records import ALERTS, COUNTED, DEAD_LETTERS, EDGE_ALERTS, LEDGER, ROLLUPS

SCENARIO = ROOT / "edge" / "simulator" / "scenarios" / "edge.yaml"
CUT_AT_S, CUT_FOR_S = 25, 15  # when the second plant has no network
COMMIT_EVERY_S = 5  # of the archive; 60 in production
ASK_S = 1.0  # between two looks at what the gateways say
LAST_ALERTS_S = 5  # how long alerts are taken after the last reading
KEPT_S = 30
SETTLE_S = 40  # for the last ledger lines: every 10 s, committed every 5 s


def demo(
    seconds: Annotated[int, typer.Option(min=5, help="How long readings are sent.")] = 60,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
    scenario: Annotated[Path, typer.Option(help="What is simulated.")] = SCENARIO,
    capture: Annotated[
        Path | None, typer.Option(help="Save the last screen as a picture (SVG).")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Start Kafka and Flink, submit the jobs, simulate plants, show what happens, stop it all.

    Example: hardiot demo --seconds 120
    """
    began_s = time.time()
    stack = Stack(RUNS / "demo", 4, report=lambda step: log.print(f"demo: {step}"), edge=True)
    with ends_by_interrupt():
        try:
            stack.stop()  # what an earlier run left: this one begins empty
            stack.start()
            storage = Storage(stack)
            seen = _run(stack, storage, scenario, seconds, output)
            kept = _kept(storage, seen)
            if capture:
                save_picture(capture, screen(seen, 0, stack.web_ui))
            show_item(_summary(seen, began_s) | kept, output, title="summary")
        finally:
            if keep:
                log.print(f"left running: {stack.web_ui}; stop it with `hardiot down --name demo`")
            else:
                stack.stop()
    if any(item.verdict is not Verdict.EQUAL for item in seen.balances()):
        raise HardiotError("the two sides of the ledger are not equal; see the summary")


def _run(stack: Stack, storage: Storage, scenario: Path, seconds: int, output: Format) -> Seen:
    settings = settings_of(scenario, {"seconds": seconds}, [])
    names = [facility_name(number) for number in range(settings.facilities)]
    ensure_topics(stack.bootstrap, names)
    log.print(f"demo: submitting {', '.join(Job)}")
    every = ["--commit-every-s", str(COMMIT_EVERY_S)]
    jobs = start_jobs(stack, {**LIVE, Job.ARCHIVE_READINGS: every})
    log.print(f"demo: {len(jobs)} jobs run; web UI {stack.web_ui}")
    storage.start(COMMIT_EVERY_S)
    if storage.influxdb is None:
        log.print("demo: InfluxDB is not built (`make influxdb`, 10 minutes): no points for it")
    site = Site(stack, names)
    topics, families = (ALERTS, ROLLUPS, DEAD_LETTERS), (COUNTED, LEDGER, EDGE_ALERTS)
    with Tail(stack.bootstrap, topics, families, from_start=True) as tail:
        machines = _start_site(stack, site, scenario, seconds)
        return _watch(stack, site, tail, machines, seconds, output)


def _start_site(stack: Stack, site: Site, scenario: Path, seconds: int) -> list[Child]:
    """Start broker, gateways and machines. Returns: the processes that tell how it goes."""
    cut, link = site.facilities[1:2], site.start_link(CUT_AT_S, CUT_FOR_S)
    if mosquitto.program() is None:
        log.print("demo: Mosquitto is not installed: the machines run inside their gateways")
        arguments = ["--scenario", str(scenario), "--seconds", str(seconds)]
        return site.start_gateways(cut, link, arguments)
    site.start_broker()
    site.start_gateways(cut, link)
    page = site.pages[site.facilities[0]]
    log.print(f"demo: {len(site.facilities)} gateways take readings; page of the first: {page}")
    sending = [*command(scenario, mqtt=f"{LOOPBACK}:{site.broker_port}"), "--seconds", str(seconds)]
    return [stack.spawn("simulator", sending)]


def _watch(
    stack: Stack, site: Site, tail: Tail, machines: list[Child], seconds: int, output: Format
) -> Seen:
    """Follow the topics until the machines have ended and the ledger is settled."""
    seen, progress = Seen(), ProgressFiles([child.log for child in machines])
    end_s = time.monotonic() + seconds
    limit_s, alerts_until_s = end_s + SETTLE_S, end_s
    console = Console(stderr=True)
    quiet = output is Format.JSON or not console.is_terminal
    with Live(console=console, auto_refresh=False, transient=True) as live:
        told_s = asked_s = 0.0
        while time.monotonic() < limit_s:
            for message in tail.poll(0.1):
                # when the plants are switched off, that they are silent is no news
                if message.topic != ALERTS or time.monotonic() < alerts_until_s:
                    seen.take(message)
            seen.progress = progress.read()
            running = not progress.ended and all(child.alive for child in machines)
            now_s = time.monotonic()
            if running:
                alerts_until_s = now_s + LAST_ALERTS_S
            if now_s - asked_s > ASK_S:
                seen.gateways = {name: site.status(name) for name in site.facilities}
                asked_s = now_s
            if not quiet:
                live.update(screen(seen, max(end_s - now_s, 0), stack.web_ui), refresh=True)
            elif now_s - told_s > 10:
                log.print(_line(seen))
                told_s = now_s
            if not running and (_settled(seen) or not seen.progress):
                break
    if not seen.progress:
        raise HardiotError(f"the machines ended without a word:\n{process.tail(machines[0])}")
    return seen


def _settled(seen: Seen) -> bool:
    """Whether the gateways have sent all that came, and the cloud has all that they sent."""
    balances = seen.balances()
    waiting = sum(item.pending for item in balances)
    return bool(balances) and not waiting and all(b.verdict is Verdict.EQUAL for b in balances)


def _kept(storage: Storage, seen: Seen) -> dict[str, Any]:
    """What storage holds once it holds every minute that was rolled up, or the time is over."""
    log.print("demo: waiting for the last commit of the archive")
    deadline = time.monotonic() + KEPT_S
    while True:
        minutes, readings = storage.archived()
        if readings >= seen.rolled_readings or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    found = {"minutes_archived": minutes, "readings_archived": readings}
    return found | ({"points_in_influxdb": storage.points()} if storage.influxdb else {})


def _line(seen: Seen) -> str:
    """The screen in one line, for a log."""
    return (
        f"demo: {seen.progress.get('readings_per_s', 0):,.0f} readings/s in, "
        f"{seen.rollups} rollups, {sum(seen.alerts.values())} alerts"
    )


def _summary(seen: Seen, began_s: float) -> dict[str, Any]:
    balances = seen.balances()
    unequal = [item for item in balances if item.verdict is not Verdict.EQUAL]
    latency = {"p50": seen.percentile_ms(0.5), "p99": seen.percentile_ms(0.99)}
    return {
        "readings_made": seen.progress.get("readings", 0),
        "readings_that_came_twice": seen.repeats,
        "readings_sent": sum(item.sent_readings for item in balances),
        "readings_counted": sum(item.counted_readings for item in balances),
        "gateways_equal": len(balances) - len(unequal),
        "gateways_not_equal": len(unequal),
        "batches_missing": sum(item.missing for item in balances),
        "batches_declared_lost": sum(item.declared_lost for item in balances),
        "duplicates_dropped": sum(item.duplicates for item in balances),
        "rollups_final": seen.rollups,
        "rollups_incomplete": seen.incomplete,
        "readings_in_rollups": seen.rolled_readings,
        "dead_letters": sum(seen.dead_letters.values()),
        **{f"dead_letters_{why}": count for why, count in sorted(seen.dead_letters.items())},
        "alerts": sum(seen.alerts.values()),
        **{f"alerts_{rule}": count for rule, count in sorted(seen.alerts.items())},
        "alerts_updated": seen.updated,
        "alerts_resolved": seen.resolved,
        "alerts_seen_at_the_edge_first": seen.edge_first,
        "batches_by_backlog": seen.sent("backlog"),
        "latency_p50_ms": latency["p50"],
        "latency_p99_ms": latency["p99"],
        "first_alert_after_s": round((seen.first_alert_s or began_s) - began_s, 1),
    }
