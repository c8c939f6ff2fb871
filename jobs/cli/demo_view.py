"""The demo's screen: what flows, what was lost, what was found."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jobs.cli.demo_state import Seen
from jobs.cli.watch import clock
from udfs.ledger import Verdict

_STYLE = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_VERDICT = {
    Verdict.EQUAL: "green",
    Verdict.BEHIND: "cyan",
    Verdict.MISSING: "red",
    Verdict.DIFFERENT: "red",
    Verdict.UNHEARD: "dim",
}
_SHOWN_GATEWAYS = 12


def screen(seen: Seen, left_s: float, web_ui: str) -> Group:
    """The whole screen."""
    return Group(_flow(seen, left_s, web_ui), _gateways(seen), _alerts(seen))


def save_picture(path: Path, shown: Group) -> None:
    """Save a screen as SVG, as a terminal of 110 columns shows it."""
    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True)
    console.print(shown)
    picture = console.export_svg(title="make demo")
    # a picture that is looked at must not fetch a font from somewhere
    path.write_text(re.sub(r"@font-face\s*\{.*?\}", "", picture, flags=re.DOTALL))


def _flow(seen: Seen, left_s: float, web_ui: str) -> Panel:
    rate = seen.progress.get("readings_per_s", 0.0)
    p50, p99 = seen.percentile_ms(0.5), seen.percentile_ms(0.99)
    latency = "-" if p50 is None else f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms"
    text = Text()
    text.append(f"{rate:>12,.0f} readings/s", "bold")
    text.append(f"     {seen.progress.get('readings', 0):,} made by machines, ")
    text.append(f"{seen.repeats:,} came twice\n")
    text.append(f"{seen.rollups:>12,} rollups out   {seen.rolled_readings:,} readings in them, ")
    text.append(f"{seen.incomplete} incomplete, {seen.provisional} provisional\n")
    text.append(f"{sum(seen.alerts.values()):>12,} alerts        {latency} from send to reader\n")
    text.append(f"{sum(seen.dead_letters.values()):>12,} dead letters  web UI {web_ui}")
    return Panel(text, title="HardIoT", subtitle=f"{left_s:.0f} s left", border_style="blue")


def _gateways(seen: Seen) -> Table:
    """The gateways, those first that are not equal."""
    table = Table(title="ledger", title_justify="left", expand=True, header_style="bold")
    table.add_column("gateway")
    table.add_column("link")
    for name in ("on disk", "sent", "counted", "verified", "missing", "lost"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    balances = sorted(seen.balances(), key=lambda item: item.verdict is Verdict.EQUAL)
    for item in balances[:_SHOWN_GATEWAYS]:
        numbers = (item.sent_readings, item.counted_readings, item.verified_readings)
        cells = [
            "-" if number < 0 else f"{number:,}"
            for number in (*numbers, item.missing, item.declared_lost)
        ]
        verdict = Text(str(item.verdict), _VERDICT[item.verdict])
        name = f"{item.facility}/{item.gateway}"
        table.add_row(name, *_site(seen.gateways.get(item.facility)), *cells, verdict)
    if len(balances) > _SHOWN_GATEWAYS:
        table.caption = f"and {len(balances) - _SHOWN_GATEWAYS} more"
    return table


def _site(said: dict[str, Any] | None) -> tuple[Text, str]:
    """What the gateway says: its link to Kafka, and batches that wait in its spool."""
    if said is None:
        return Text("-", "dim"), "-"
    up = said["uplink"]["connection"]["connected"]
    link = Text("up", "green") if up else Text("down", "red")
    return link, f"{said['spool']['pending']['raw']:,}"


def _alerts(seen: Seen) -> Table:
    table = Table(title="alerts", title_justify="left", expand=True, header_style="bold")
    table.add_column("time", no_wrap=True)
    table.add_column("severity")
    table.add_column("facility")
    table.add_column("what", ratio=1)
    table.add_column("latency", justify="right")
    for alert in seen.newest:
        latency = "late" if alert["late"] else f"{alert['latency_ms'] or 0:,.0f} ms"
        severity = Text(alert["severity"], _STYLE.get(alert["severity"], ""))
        facility = alert["facility"]
        table.add_row(clock(alert["event_ms"]), severity, facility, alert["text"], latency)
    return table
