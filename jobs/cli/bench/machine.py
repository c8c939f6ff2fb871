"""The machine under a figure, and the CPU time of processes on it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil

from jobs.local.process import Child


def describe() -> str:
    """Processor, cores and memory in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
    memory_gib = psutil.virtual_memory().total / 2**30
    return f"{model or platform.machine()}, {os.cpu_count()} cores, {memory_gib:.0f} GiB"


def cpu_s(child: Child) -> float:
    """User and system seconds of a process since its start; 0 when it is gone."""
    process = child.process()
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)
