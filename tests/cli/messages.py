"""Records as `Tail` gives them, without a broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from jobs.common.tail import Message
from udfs.alerts import AlertEvent, to_cloudevent
from udfs.ledger import Word, encode_word

READ_S = 1_700_000_010.0


def counted(gateway: str = "gw-1", **changes: Any) -> Message:
    """A line of the cloud."""
    line = {
        "contract": "hardiot.counted.v1", "facility": "plant-1", "gateway": gateway, "epoch": 1,
        "batches": 10, "readings": 500, "epoch_readings": 500, "bad_readings": 0, "duplicates": 1,
        "late": 0, "refused": 2, "gaps": [], "missing": 0, "declared_lost": 0,
        "contiguous_through": 9, "highest": 9, "event_time_ms": 1_700_000_009_000,
        "counted_ms": 1_700_000_010_000,
    } | changes  # fmt: skip
    value = json.dumps(line).encode()
    return Message("counted.plant-1", f"plant-1/{gateway}", value, {}, READ_S)


def word(gateway: str = "gw-1", epoch: int = 1, readings: int = 500, through: int = 9) -> Message:
    """A gateway's word."""
    value = encode_word(Word("plant-1", gateway, epoch, through, readings))
    return Message("ledger.plant-1", gateway, value, {}, READ_S)


def alert(number: int = 1, status: str = "firing", **changes: Any) -> Message:
    """An alert; its batch was sent half a second before it is read."""
    fields = {
        "id": f"id-{number}", "status": status, "rule": "bearing-hot", "rule_version": 1,
        "severity": "critical", "facility": "plant-1", "gateway": "gw-1",
        "subject": "p1.bearing", "asset": "p1", "kind": "temperature", "unit": "°C",
        "value": 97.5, "limit": 95.0, "onset_ms": 1_700_000_009_000,
        "event_ms": 1_700_000_009_250, "created_ms": 1_700_000_009_600, "late": False,
        "text": "p1.bearing is at 97.5 °C",
    } | changes  # fmt: skip
    key, value, headers = to_cloudevent(AlertEvent(**fields))
    headers["batch_sent_ms"] = "1700000009500"
    return Message("alerts", key, value, headers, READ_S)


def dead_letter(reason: str = "not_arrow") -> Message:
    headers = {"reason": reason, "detail": "what", "topic": "readings.plant-1", "offset": "17"}
    return Message("dead-letters", "plant-1/gw-1", b"junk", headers, READ_S)


class FakeTail:
    """Stands for `Tail`: gives what is in `stock`, notes how it was opened."""

    stock: list[Message] = []  # noqa: RUF012 - set by each test
    opened: tuple[Any, ...] = ()

    def __init__(self, *args: Any, **more: Any) -> None:
        FakeTail.opened = (*args, more)

    def rest(self) -> list[Message]:
        return self.stock

    def follow(self, seconds: float | None = None) -> Iterator[Message]:
        return iter(self.stock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        pass
