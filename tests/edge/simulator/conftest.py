"""What the simulator's tests share."""

from __future__ import annotations

import pytest

START_MS = 1_750_000_000_000  # a whole number of ticks of 1 s


class MemoryUplink:
    """Keeps what is published; serving makes its clock's time pass."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.time_ms = float(now_ms)
        self.records: list[tuple[str, str, bytes]] = []
        self.stall_ms = (0.0, 0.0)

    def now_ms(self) -> int:
        return int(self.time_ms)

    def publish(self, topic: str, key: str, value: bytes) -> bool:
        if self.is_stalled():
            return False
        self.records.append((topic, key, value))
        return True

    def serve(self, wait_s: float) -> None:
        self.time_ms += max(wait_s * 1000, 1)

    def drain(self, timeout_s: float) -> int:
        self.time_ms += timeout_s * 1000 if self.is_stalled() else 0
        return int(self.is_stalled())

    def close(self, timeout_s: float) -> int:
        return self.drain(timeout_s)

    def is_stalled(self) -> bool:
        return self.stall_ms[0] <= self.time_ms < self.stall_ms[1]

    def topic(self, name: str) -> list[bytes]:
        return [value for topic, _, value in self.records if topic == name]


@pytest.fixture
def memory() -> MemoryUplink:
    return MemoryUplink()
