"""What steps take from topics and give to topics."""

from __future__ import annotations

from typing import NamedTuple

READINGS, BACKLOG, LEDGER, CATALOGUE = "readings", "backlog", "ledger", "catalogue"
ADMISSION, EDGE_ALERTS, EDGE_ROLLUPS = "admission", "edge-alerts", "edge-rollups"
EDGE_DEAD_LETTERS = "edge-dead-letters"
COUNTED, ROLLUPS, ALERTS, DEAD_LETTERS = "counted", "rollups", "alerts", "dead-letters"
CONDITION_EVENTS, PATTERN_MATCHES = "condition-events", "pattern-matches"


class Record(NamedTuple):
    """A Kafka record as it was read; `key` is facility/gateway, from topic and record key."""

    key: str
    topic: str
    partition: int
    offset: int
    value: bytes

    @property
    def facility(self) -> str:
        """The tenant: what comes after the first dot of the topic's name."""
        return self.topic.partition(".")[2]

    @property
    def family(self) -> str:
        """readings, backlog or ledger: what comes before the first dot of the topic's name."""
        return self.topic.partition(".")[0]


class Output(NamedTuple):
    """A Kafka record to be written."""

    topic: str
    key: str
    value: bytes
    headers: dict[str, str] = {}  # noqa: RUF012 - a shared empty default, never written to


def dead_letter(record: Record, job: str, reason: str, detail: str, now_ms: int) -> Output:
    """The record as it came, with why it was refused and where it was found."""
    headers = {
        "reason": reason,
        "detail": detail,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "job": job,
        "refused_ms": str(now_ms),
    }
    return Output(DEAD_LETTERS, record.key, record.value, headers)
