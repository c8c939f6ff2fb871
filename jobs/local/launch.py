"""The steps of a start: a clean folder, ports, configuration, processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from jobs.common.errors import ClusterError
from jobs.local import archive, flink, kafka
from jobs.local.interrupts import uninterrupted
from jobs.local.ports import free_ports
from jobs.local.process import Child, finish, spawn, tail
from jobs.local.state import State, save

KAFKA = "kafka"
EDGE, LINK = "edge", "link"  # Kafka's listener for gateways, and the port that it tells them
_FOLDERS = (
    "gateways",
    "mosquitto",
    "conf",
    "kafka",
    "log",
    "tmp",
    "checkpoints",
    "savepoints",
    "lake",
    "influxdb",
)
_PREPARE_LIMIT_S = 60.0

Memory = tuple[list[str], list[str]]


def taskmanager_names(count: int) -> list[str]:
    """taskmanager-1, taskmanager-2, ..."""
    return [f"{flink.TASKMANAGER}-{number}" for number in range(1, count + 1)]


def clean(folder: Path) -> None:
    """Throw away what an earlier run left in its folder, and nothing else that may lie there."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("log", "tmp"):
        (folder / name).mkdir(parents=True)


def assign_ports(state: State, parts: Iterable[str], edge: bool = False) -> None:
    """Give a free port to everything that listens and has none yet. edge: to a link, too."""
    flink_parts = [part for part in parts if part != KAFKA]
    wanted = [KAFKA, "controller", "rest", "rpc", *map(prometheus_key, flink_parts)]
    wanted += [EDGE, LINK] if edge else []
    missing = [key for key in wanted if key not in state.ports]
    found = free_ports(len(missing), taken=state.ports.values())
    state.ports.update(zip(missing, found, strict=True))


def prometheus_key(part: str) -> str:
    """Name under which the port of a Flink process's metrics is noted."""
    return f"prometheus/{part}"


class Launcher:
    """Starts the processes of one run and notes each before anything can interrupt it.

    config: the settings of flink-conf/config.yaml. archives: use class archives, or record them.
    """

    def __init__(
        self, folder: Path, state: State, config: flink.Config, archives: archive.Options
    ) -> None:
        self._folder = folder
        self._archives = archives
        self._state = state
        self._config = config
        self._properties = folder / "conf" / "kafka.properties"

    def launch(self, parts: Iterable[str]) -> None:
        """Start some of kafka, jobmanager, taskmanager-1, ...; they are not ready yet.

        Flink's memory sizes and Kafka's data folder are prepared side by side: three short-lived
        Java processes that would cost a second each.
        """
        names = list(parts)
        roles = list(dict.fromkeys(_role(name) for name in names if name != KAFKA))
        self._write_files()
        tools = {role: self._tool(f"memory-{role}", self._memory_command(role)) for role in roles}
        if KAFKA in names and not (self._folder / "kafka" / "meta.properties").exists():
            tools[KAFKA] = self._tool("format", kafka.format_command(self._properties))
        memory = {role: flink.parse_memory(_output(tools[role])) for role in roles}
        for name in names:
            if name != KAFKA:
                self._launch_flink(name, memory[_role(name)])
        if KAFKA in tools:
            _output(tools[KAFKA])
        if KAFKA in names:
            self.spawn(KAFKA, kafka.broker_command(self._properties, self._archives), KAFKA, {})

    def spawn(self, name: str, command: list[str], ident: str, env: dict[str, str]) -> Child:
        """Start one process and note it. ident: stem of its log file."""
        log = self._folder / "log" / f"{ident}.out"
        with uninterrupted():
            child = spawn(name, command, log, self._folder, env)
            self._state.children[name] = child
            save(self._state, self._folder / "state.json")
        return child

    def ident(self, name: str) -> str:
        """A log name not used yet: a process that is started again must not hide its past."""
        number, ident = 1, name
        while (self._folder / "log" / f"{ident}.out").exists():
            number += 1
            ident = f"{name}.{number}"
        return ident

    def _write_files(self) -> None:
        ports = self._state.ports
        config = flink.local_config(self._config, self._folder, ports["rest"], ports["rpc"])
        flink.write_conf_dir(self._folder / "conf", config)
        edge = (ports[EDGE], ports[LINK]) if EDGE in ports else None
        text = kafka.server_properties(
            self._folder / "kafka", ports[KAFKA], ports["controller"], edge
        )
        self._properties.write_text(text)

    def _memory_command(self, role: str) -> list[str]:
        return flink.memory_command(role, self._folder)

    def _tool(self, name: str, command: list[str]) -> Child:
        log = self._folder / "log" / f"{self.ident(name)}.out"
        return spawn(name, command, log, self._folder)

    def _launch_flink(self, name: str, memory: Memory) -> None:
        ident = self.ident(name)
        port = self._state.ports[prometheus_key(name)]
        command = flink.process_command(
            _role(name), ident, self._folder, self._config, memory, port, self._archives
        )
        self.spawn(name, command, ident, flink.environment(self._folder))


def _role(name: str) -> str:
    return flink.JOBMANAGER if name == flink.JOBMANAGER else flink.TASKMANAGER


def _output(tool: Child) -> str:
    """What a short-lived tool printed. Raises: ClusterError: it failed."""
    if finish(tool, _PREPARE_LIMIT_S) != 0:
        raise ClusterError(f"{tool.name} failed: {tool.log}\n{tail(tool)}")
    return tool.log.read_text()
