"""Child processes: each in a group of its own, found again by id and start time, stopped whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobs.common.errors import ClusterError

# In the environment of every child and of all that it starts: the folder of its run. It finds
# what no note names, because its parent was killed before it could write one.
TAG = "HARDIOT_RUN"

_SAME_START_S = 1.0  # a clock that is set moves what the kernel reports as a start time
_POLL_S = 0.1


@dataclass(frozen=True)
class Child:
    """One process that we started.

    started: start time, epoch seconds; with it an id that now belongs to another process is known.
    log: what it prints.
    """

    name: str
    pid: int
    started: float
    log: Path

    def process(self) -> psutil.Process | None:
        """The live process, or None when it ended, was killed, or its id is another's now."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) >= _SAME_START_S:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(self.pid, os.WNOHANG)  # if it is our own child, let it go
                return None
        except psutil.NoSuchProcess:
            return None
        return process

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process() is not None


def spawn(
    name: str, command: Sequence[str], log: Path, run: Path, env: Mapping[str, str] | None = None
) -> Child:
    """Start a command in a new session; its output is appended to `log`.

    run: folder of the run that it belongs to. env: added to our own environment.
    Raises: ClusterError: the program is not there.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **(env or {}), TAG: str(run)}
    try:
        with log.open("ab") as output:
            popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
    except FileNotFoundError as error:
        raise ClusterError(f"{name}: {error.filename} is not there: run `hardiot doctor`") from None
    popen.returncode = 0  # psutil waits for it; Popen would warn that it was left running
    return Child(name, popen.pid, _start_time(popen.pid), log)


def _start_time(pid: int) -> float:
    """Also of a child that ended at once: it stays as a zombie until somebody waits for it."""
    return psutil.Process(pid).create_time()


def finish(child: Child, limit_s: float) -> int:
    """Wait until a short-lived child ends. Returns: its exit status.

    Raises: ClusterError: it did not end in time (it is stopped then).
    """
    try:
        return int(psutil.Process(child.pid).wait(timeout=limit_s) or 0)
    except psutil.TimeoutExpired:
        stop([child], limit_s=1)
        raise ClusterError(
            f"{child.name}: not done after {limit_s:.0f} s; see {child.log}"
        ) from None


def wait_ready(
    what: str, check: Callable[[], bool], children: Iterable[Child], limit_s: float
) -> None:
    """Wait until `check` answers yes.

    Raises: ClusterError: one of the children that it needs ended first, or the time is over.
    """
    needed = list(children)
    deadline = time.monotonic() + limit_s
    while not check():
        for child in needed:
            if not child.alive:
                raise ClusterError(
                    f"{child.name} ended while it started: {child.log}\n{tail(child)}"
                )
        if time.monotonic() > deadline:
            logs = ", ".join(str(child.log) for child in needed)
            raise ClusterError(f"{what} is not ready after {limit_s:.0f} s; see {logs}")
        time.sleep(_POLL_S)


def tail(child: Child, lines: int = 8) -> str:
    """The last lines that a child printed."""
    text = child.log.read_text(errors="replace") if child.log.exists() else ""
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-lines:])


def stop(children: Iterable[Child], limit_s: float) -> None:
    """Ask all groups to end, wait together, kill what is left of them, wait until it is gone.

    Only groups whose leader is certainly ours are touched.
    """
    ours = [process for child in children if (process := child.process())]
    members = [member for process in ours for member in _family(process)]
    for process in ours:
        _signal_group(process.pid, signal.SIGTERM)
    psutil.wait_procs(ours, timeout=limit_s)
    for process in ours:
        _signal_group(process.pid, signal.SIGKILL)  # also the workers of a leader that ended
    _wait_gone(members, limit_s)


def _wait_gone(processes: list[psutil.Process], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process) -> bool:
    """A zombie does not: whoever adopted it has yet to wait for it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def kill_strays(run: Path) -> list[int]:
    """Kill whatever carries the tag of this run. Returns: the ids that were killed."""
    strays = [process for process in psutil.process_iter() if _tag(process) == str(run)]
    for process in strays:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_gone(strays, limit_s=5)
    return [process.pid for process in strays]


def _tag(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(TAG)
    except (psutil.Error, OSError):  # another user's, or it just ended
        return None
