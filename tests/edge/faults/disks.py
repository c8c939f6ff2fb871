"""Real disks that are small, or that fail. What this machine does not allow is skipped, aloud."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_SBIN = "/usr/sbin:/sbin"
_ATTACH_S = 10.0


def _tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if found is None:
        pytest.skip(f"{name} is not installed (apt-get install {_PACKAGE[name]})")
    return found


_PACKAGE = {"strace": "strace", "mkfs.ext4": "e2fsprogs", "mount": "mount"}


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """`mount ARGUMENTS folder`, until the end; skips the test where that is not allowed."""
    folder.mkdir(exist_ok=True)
    if os.geteuid():
        pytest.skip("only root may mount a disk")
    made = subprocess.run([_tool("mount"), *arguments, str(folder)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"this machine does not mount a disk: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[Path]:
    """A disk in memory, of that size."""
    size = f"size={round(megabytes * 1024)}k"
    with mounted(folder, "-t", "tmpfs", "-o", size, "tmpfs") as disk:
        yield disk


def fill(disk: Path) -> Path:
    """Another program takes every free byte of a disk. Returns: its file."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return ballast


@contextmanager
def image_disk(image: Path, folder: Path, megabytes: int) -> Iterator[Path]:
    """A new ext4 in a file, with its journal, as a gateway's disk has it."""
    with image.open("wb") as file:
        file.truncate(megabytes * 1024**2)
    subprocess.run([_tool("mkfs.ext4"), "-q", str(image)], check=True)
    with mounted(folder, "-t", "ext4", "-o", "loop", str(image)) as disk:
        yield disk


@contextmanager
def injected(pid: int, call: str, what: str, log: Path) -> Iterator[None]:
    """Until the end, the process's calls of that name do what strace's `inject=` says."""
    trace = ["-fyqq", "-e", f"trace={call}", "-e", f"inject={call}:{what}", "-o", str(log)]
    with _attached(pid, trace):
        yield


@contextmanager
def _attached(pid: int, arguments: Sequence[str]) -> Iterator[None]:
    command = [_tool("strace"), *arguments, "-p", str(pid)]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until_traced(pid, tracer)
        yield
    finally:
        tracer.terminate()
        tracer.wait(_ATTACH_S)


def _wait_until_traced(pid: int, tracer: subprocess.Popen[str]) -> None:
    """All threads of it."""
    end_s = time.monotonic() + _ATTACH_S
    while time.monotonic() < end_s:
        if tracer.poll() is not None:
            assert tracer.stderr is not None
            pytest.skip(f"strace may not attach here: {tracer.stderr.read().strip()}")
        if all(_tracer_of(task) == tracer.pid for task in Path(f"/proc/{pid}/task").iterdir()):
            return
        time.sleep(0.01)
    raise AssertionError("strace did not attach to all threads")


def _tracer_of(task: Path) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in (task / "status").read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    return 0


def memory_mb(pid: int) -> float:
    """Resident memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
