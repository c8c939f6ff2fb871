"""A gateway's status for the tests of page, health and metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.alarms import AlarmBoard, Alarms
from edge.status import (
    Connection,
    InputStatus,
    RulesStatus,
    SpoolStatus,
    Status,
    UplinkStatus,
)
from edge.timings import Timings
from tests.edge.web.test_alarms import T0, alert

HOUR_MS = 3_600_000


def timings(*seconds: float) -> Timings:
    made = Timings()
    for each in seconds:
        made.note(each)
    return made


def status(**more: Any) -> Status:
    """All in order, unless said otherwise."""
    made = Status(
        facility="plant-07",
        gateway="gw-1",
        now_ms=T0,
        started_ms=T0 - 50 * HOUR_MS,
        spool=SpoolStatus(
            used_bytes=400_000_000,
            max_bytes=8_000_000_000,
            hours_left=31.4,
            pending={"raw": 2, "rollups": 0, "alerts": 0},
            oldest_ms=T0 - 1300,
            epoch=3,
            lost={"spool_full": 0},
            commits=timings(0.004, 0.004, 0.03, 60.0).durations(),
        ),
        uplink=UplinkStatus(
            Connection("kafka", True, T0 - 3 * HOUR_MS),
            sent={"live": 9000, "backlog": 120, "alerts": 3},
            acknowledged={"live": 8998, "backlog": 120, "alerts": 3},
            live_ack=timings(0.04).durations(),
            backlog_per_s=20_000,
        ),
        inputs=(
            InputStatus(Connection("mqtt", True, T0 - 200_000), 1_000_000, 5003.2, 2, 1),
            InputStatus(Connection("opcua-1", True, T0 - 200_000), 50, 1.0),
        ),
        rules=RulesStatus(
            revision=6,
            count=31,
            author="ana",
            reason="limits of line 2",
            pushed_ms=T0 - HOUR_MS,
            following=True,
            offered=6,
            unreadable={"no_topic": 0, "not_allowed": 0},
        ),
        idle_s={"pipeline": 0.1, "uplink": 0.02},
        batches=9123,
        dropped={"deadband": 700, "duplicate": 0},
        flagged={"stuck": 4},
        refused={"not_json": 0},
        passed_over=5,
        clock_offset_ms={"line-1": 20.0, "line-2": -900.0},
    )
    return replace(made, **more)


def link(connected: bool, detail: str = "", **more: Any) -> Connection:
    return Connection("kafka", connected, T0 - 47 * 60_000, detail, **more)


def alarms(*events: Any) -> Alarms:
    board = AlarmBoard("alarms")
    board.take(events or [alert(1, severity="critical"), alert(2, "pump-2.flow")])
    return board.view()
