"""Counters of our operators, read from a TaskManager's Prometheus endpoint at once.

Flink's REST API shows them some seconds late, too coarse for a rate.
"""

from __future__ import annotations

import re

import httpx

_LINE = re.compile(r"^flink_taskmanager_job_task_operator_(\w+)\{([^}]*)\} ([-0-9.eE+]+)$", re.M)


def operator_sum(ports: list[int], metric: str, job: str) -> float:
    """Sum of one of our counters over the subtasks of a job; 0 before its start."""
    return sum(_one(port, metric, job.replace("-", "_")) for port in ports)


def _one(port: int, metric: str, job: str) -> float:
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.HTTPError:
        return 0.0
    return sum(
        float(value)
        for name, labels, value in _LINE.findall(text)
        if name == metric and f'job_name="{job}"' in labels
    )
