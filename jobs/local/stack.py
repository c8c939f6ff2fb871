"""The local stack: Kafka, a JobManager and some TaskManagers, started and stopped whole.

with Stack(RUNS / "demo", taskmanagers=3) as stack:
    job_id = stack.submit("rollup_readings", ["--bootstrap", stack.bootstrap])
    stack.rest.wait_running(job_id)
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobs.common.errors import ClusterError
from jobs.lake.settings import LakeSettings
from jobs.local import archive, flink, kafka, paths, submit
from jobs.local.interrupts import ends_by_interrupt, uninterrupted
from jobs.local.launch import (
    EDGE,
    KAFKA,
    LINK,
    Launcher,
    assign_ports,
    clean,
    prometheus_key,
    taskmanager_names,
)
from jobs.local.ports import LOOPBACK
from jobs.local.process import Child, kill_strays, spawn, stop, wait_ready
from jobs.local.rest import FlinkRest
from jobs.local.state import State, load, locked, save

_READY_LIMIT_S = 90.0


class Stack:
    """One run of the stack, known by its folder; any process may open it by that folder.

    folder: state.json, configuration, logs, the broker's data and checkpoints.
    taskmanagers: how many are wanted; one slot each.
    config: Flink settings that replace those of flink-conf/config.yaml.
    report: told of each step, for a progress display.
    archives: use class archives (see archive.py), or record them.
    stop_limit_s: how long processes may take to end before they are killed.
    edge: give Kafka a listener for gateways that come by a link (see `link_ports`).
    lake: where jobs find the archive; unless told in this run's folder.
    """

    def __init__(
        self,
        folder: Path,
        taskmanagers: int = 2,
        config: Mapping[str, Any] | None = None,
        report: Callable[[str], None] = lambda step: None,
        archives: archive.Options = archive.use,
        stop_limit_s: float = 10.0,
        edge: bool = False,
        lake: LakeSettings | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.taskmanagers = taskmanagers
        self._overrides = dict(config or {})
        self._report = report
        self._archives = archives
        self._stop_limit_s = stop_limit_s
        self._edge = edge
        self.lake = lake or _lake_in(self.folder / "lake")
        self._state = load(self._state_file)
        self._signals = ExitStack()

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start what does not run yet and wait until it is in service.

        When nothing runs, leftovers of a crash are removed and everything begins empty. Whatever
        ends this early (an error, Ctrl-C) stops all that was started.

        Raises: ClusterError: a process ended early or was late; its last lines are in the text.
        """
        with ends_by_interrupt(), locked(self._lock_file):
            try:
                self._start()
            except BaseException:
                self._stop()
                raise

    def stop(self) -> None:
        """Stop every process of this run, also one that only its tag names."""
        with locked(self._lock_file):
            self._stop()

    def __enter__(self) -> Self:
        self._signals.enter_context(ends_by_interrupt())
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._signals.close()

    # --- what runs ------------------------------------------------------------------------------

    @property
    def parts(self) -> list[str]:
        """The processes that are wanted: kafka, jobmanager, taskmanager-1, ..."""
        return [KAFKA, flink.JOBMANAGER, *taskmanager_names(self.taskmanagers)]

    @property
    def children(self) -> dict[str, Child]:
        """Every process that was started, by name, also one that ended since."""
        return dict(self._state.children)

    @property
    def running(self) -> bool:
        """Whether every wanted process is alive."""
        return set(self.parts) <= set(self._state.alive())

    @property
    def kafka_alive(self) -> bool:
        """Whether the broker's process is alive."""
        return KAFKA in self._state.alive()

    @property
    def bootstrap(self) -> str:
        """Kafka's host:port."""
        return f"{LOOPBACK}:{self._port(KAFKA)}"

    @property
    def link_ports(self) -> tuple[int, int]:
        """Where `jobs.local.link.Link` is to listen, and where it leads; needs `edge`."""
        return self._port(LINK), self._port(EDGE)

    @property
    def rest_url(self) -> str:
        """Address of Flink's REST API."""
        return f"http://{LOOPBACK}:{self._port('rest')}"

    @property
    def web_ui(self) -> str:
        """Address of Flink's web UI."""
        return self.rest_url

    @property
    def prometheus(self) -> dict[str, int]:
        """Port of each Flink process's metrics, by process."""
        prefix = prometheus_key("")
        ports = self._state.ports.items()
        return {key.removeprefix(prefix): port for key, port in ports if key.startswith(prefix)}

    @cached_property
    def rest(self) -> FlinkRest:
        """Client of Flink's REST API."""
        return FlinkRest(self.rest_url)

    @property
    def log_folder(self) -> Path:
        """Where every process logs."""
        return self.folder / "log"

    @property
    def job_environment(self) -> dict[str, str]:
        """Where a job, or any other program of the suite, finds Kafka and the lake of this run."""
        return {
            "HARDIOT__BOOTSTRAP": self.bootstrap,
            "HARDIOT__LAKE__CATALOG": self.lake.catalog,
            "HARDIOT__LAKE__CATALOG_URI": self.lake.catalog_uri,
            "HARDIOT__LAKE__WAREHOUSE": self.lake.warehouse,
        }

    # --- what it does ---------------------------------------------------------------------------

    def submit(
        self, job: str, args: Sequence[str] = (), options: Mapping[str, str] | None = None
    ) -> str:
        """Submit jobs/<job>.py (or a file that ends in .py) with its arguments by `flink run`.

        options: Flink settings of this job alone (parallelism.default, ...).
        Returns: the job's id; its tasks may still be starting.
        Raises: JobError: it was refused; the text holds the cause and names the full trace.
        """
        return self.submit_all({job: args}, options)[job]

    def submit_all(
        self, jobs: Mapping[str, Sequence[str]], options: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Submit several jobs side by side, as each client takes seconds. Returns: ids by job."""
        clients = {
            job: self._client(job, submit.run_arguments(job, list(args), dict(options or {})))
            for job, args in jobs.items()
        }
        return {job: submit.job_id(job, client) for job, client in clients.items()}

    def spawn(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> Child:
        """Start a further process (a simulator, ...) that stops with the stack."""
        launcher = self._launcher()
        return launcher.spawn(name, list(command), launcher.ident(name), dict(env or {}))

    def kill(self, name: str) -> None:
        """kill -9 one process, as a crash would; `start` brings it back.

        Raises: ClusterError: it does not run.
        """
        child = self._state.children.get(name)
        process = child.process() if child else None
        if process is None:
            raise ClusterError(f"{name} does not run")
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=self._stop_limit_s)

    # --- how ------------------------------------------------------------------------------------

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def _lock_file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.lock")

    def _start(self) -> None:
        self._state = load(self._state_file)
        alive = set(self._state.alive()) & set(self.parts)
        missing = [part for part in self.parts if part not in alive]
        if not missing:
            return
        if not alive:
            self._begin_anew()
        assign_ports(self._state, self.parts, self._edge)
        began = time.monotonic()
        self._report(f"starting {', '.join(missing)}")
        self._launcher().launch(missing)
        self._wait_ready()
        self._report(f"ready after {time.monotonic() - began:.1f} s")

    def _begin_anew(self) -> None:
        stop(self._state.children.values(), self._stop_limit_s)
        if strays := kill_strays(self.folder):
            self._report(f"stopped {len(strays)} processes of an earlier run")
        clean(self.folder)
        self.__dict__.pop("rest", None)  # its address is about to change
        self._state = State()
        save(self._state, self._state_file)

    def _wait_ready(self) -> None:
        children = self._state.children
        broker, jobmanager = children[KAFKA], children[flink.JOBMANAGER]
        port = self._port(KAFKA)
        wait_ready("Kafka", lambda: kafka.is_ready(port), [broker], _READY_LIMIT_S)
        wait_ready("the JobManager", self.rest.answers, [jobmanager], _READY_LIMIT_S)
        needed = [children[part] for part in self.parts if part != KAFKA]
        wait_ready("Flink", self._all_registered, needed, _READY_LIMIT_S)

    def _all_registered(self) -> bool:
        """Whether each TaskManager's present process, not one that died before it, has its slot."""
        names = taskmanager_names(self.taskmanagers)
        wanted = {self._state.children[name].log.stem for name in names}
        listed = self.rest.taskmanagers()
        return wanted <= {manager["id"] for manager in listed if manager["slotsNumber"]}

    def _stop(self) -> None:
        with uninterrupted():
            self._state = load(self._state_file)
            stop(self._state.children.values(), self._stop_limit_s)
            kill_strays(self.folder)
            self._state.children.clear()
            if self.folder.exists():
                save(self._state, self._state_file)

    def _client(self, job: str, arguments: list[str]) -> Child:
        launcher = self._launcher()
        ident = launcher.ident(f"submit-{Path(job).stem}")
        command = flink.client_command(
            ident, self.folder, self._config(), arguments, self._archives
        )
        log = self.log_folder / f"{ident}.out"
        return spawn(f"submit {job}", command, log, self.folder, self._job_environment())

    def _job_environment(self) -> dict[str, str]:
        """A job that is not told its broker by a flag uses ours; so with the lake."""
        return {**flink.environment(self.folder), **self.job_environment}

    def _launcher(self) -> Launcher:
        return Launcher(self.folder, self._state, self._config(), self._archives)

    def _config(self) -> flink.Config:
        return {**flink.read_config(paths.FLINK_CONFIG), **self._overrides}

    def _port(self, name: str) -> int:
        try:
            return self._state.ports[name]
        except KeyError:
            raise ClusterError("the stack does not run: start it with `hardiot up`") from None


def _lake_in(folder: Path) -> LakeSettings:
    uri = f"sqlite:{folder / 'catalog.db'}"
    return LakeSettings.model_validate({"catalog_uri": uri, "warehouse": str(folder)})
