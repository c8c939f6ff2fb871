"""One running detect_anomalies for all tests of rules: Flink and Kafka start once for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from jobs.local.ports import LOOPBACK
from jobs.local.stack import Stack

CHANGING, TIMING = "changing", "timing"
FOLDER_RULE = "of-the-folder"


def rule(name: str, above: int) -> str:
    """A rule in YAML, for the facility whose rules change."""
    return f"""
  - name: {name}
    sensors: {{facility: {CHANGING}}}
    condition: {{threshold: {{above: {above}}}}}
    severity: warning
    text: "{{sensor}} is at {{value}}"
"""


@dataclass
class Cluster:
    """A stack and the job detect_anomalies on it."""

    stack: Stack
    job: str

    def metric(self, name: str) -> float | None:
        """The job's metric as Prometheus sees it, the largest of all TaskManagers."""
        found: list[float] = []
        for port in self.stack.prometheus.values():
            try:
                text = httpx.get(f"http://{LOOPBACK}:{port}/metrics").text
            except httpx.HTTPError:
                continue
            found += [
                float(line.rsplit(" ", 1)[1])
                for line in text.splitlines()
                if line.startswith(f"flink_taskmanager_job_task_operator_{name}{{")
            ]
        return max(found, default=None)


def until(true: Callable[[], bool], limit_s: float = 30) -> None:
    """Wait for something. Raises: AssertionError: it is not true by then."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
