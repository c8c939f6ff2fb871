"""A Flink cluster from the wheel: its configuration, and the commands of its processes.

The wheel's start scripts launch three more Java processes to read the configuration, for each
process that they start; we ask Flink once and start Java ourselves, in the foreground.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from jobs.common.errors import ClusterError
from jobs.local import archive, java, paths
from jobs.local.ports import LOOPBACK

JOBMANAGER = "jobmanager"
TASKMANAGER = "taskmanager"
_MAIN = {
    JOBMANAGER: "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
    TASKMANAGER: "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
}
_CLIENT = "org.apache.flink.client.cli.CliFrontend"
_MEMORY_TOOL = "org.apache.flink.runtime.util.bash.BashJavaUtils"
_MEMORY_COMMAND = {JOBMANAGER: "GET_JM_RESOURCE_PARAMS", TASKMANAGER: "GET_TM_RESOURCE_PARAMS"}
_MEMORY_RESULT = "BASH_JAVA_UTILS_EXEC_RESULT:"

Config = dict[str, Any]


def read_config(file: Path) -> Config:
    """Flink's configuration from a file of flat keys.

    Raises: ClusterError: it is no such file.
    """
    try:
        config = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ClusterError(f"{file}: {error}") from None
    nested = [key for key, value in config.items() if isinstance(value, dict)]
    if nested:
        raise ClusterError(f"{file}: write {nested[0]!r} as flat keys ({nested[0]}.<key>: value)")
    return dict(config)


def local_config(base: Config, run: Path, rest_port: int, rpc_port: int) -> Config:
    """The configuration of a run on this machine: the base with its addresses and folders."""
    hosts = ["jobmanager.rpc.address", "jobmanager.bind-host", "taskmanager.host"]
    hosts += ["taskmanager.bind-host", "rest.address", "rest.bind-address"]
    return {
        **base,
        **dict.fromkeys(hosts, LOOPBACK),
        # A JobManager of a few jobs works little: the quick compiler and the small collector
        # leave the cores to the TaskManagers, which start beside it.
        "env.java.opts.jobmanager": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "rest.port": rest_port,
        "jobmanager.rpc.port": rpc_port,
        "io.tmp.dirs": str(run / "tmp"),
        "web.tmpdir": str(run / "tmp"),
        "execution.checkpointing.dir": (run / "checkpoints").as_uri(),
        "execution.checkpointing.savepoint-dir": (run / "savepoints").as_uri(),
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }


def write_conf_dir(folder: Path, config: Config) -> None:
    """Write the folder that FLINK_CONF_DIR names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, width=10_000))
    (folder / "log4j.properties").write_text(paths.FLINK_LOG4J.read_text())


def environment(run: Path) -> dict[str, str]:
    """What every Flink process needs in its environment.

    PYTHONPATH: thread mode runs our functions in the JVM, and PEMJA reads no .pth files.
    OMP_NUM_THREADS: one slot is one core; NumPy must not start a pool of threads beside it.
    """
    home = paths.flink_home()
    first = paths.ROOT / "jobs" / "common" / "threadmode"  # see sitecustomize.py there
    mine = [str(first), str(paths.ROOT), str(home.parent)]
    python_path = [*mine, os.environ.get("PYTHONPATH", "")]
    return {
        "FLINK_HOME": str(home),
        "FLINK_CONF_DIR": str(run / "conf"),
        "FLINK_LIB_DIR": str(home / "lib"),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_PLUGINS_DIR": str(home / "plugins"),
        "FLINK_LOG_DIR": str(run / "log"),
        "PYTHONPATH": os.pathsep.join(filter(None, python_path)),
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(run / "tmp"),
    }


def class_path() -> str:
    """The class path of every Flink process."""
    return os.pathsep.join(map(str, _jars()))


def client_lib() -> Path:
    """A folder with the same jars, as links: PyFlink's own Java process takes FLINK_LIB_DIR."""
    folder = paths.BUILD / "flink-lib"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {jar.name: jar for jar in _jars()}
    for link in folder.iterdir():
        if link.readlink() != wanted.get(link.name):
            link.unlink()
    for name, jar in wanted.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(jar)
    return folder


def _jars() -> list[Path]:
    """Flink's own jars, its Python runtime, our connectors; flink-dist last, as Flink does it."""
    home = paths.flink_home()
    own = sorted((home / "lib").glob("*.jar"))
    python = sorted((home / "opt").glob("flink-python-*.jar"))
    own.sort(key=lambda jar: jar.name.startswith("flink-dist"))
    return [*python, *paths.jars("flink"), *own]


def memory_command(role: str, run: Path) -> list[str]:
    """Command that prints how Flink splits the configured memory of a process."""
    home = paths.flink_home()
    jars = [home / "bin" / "bash-java-utils.jar", *(home / "lib").glob("flink-dist-*.jar")]
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    tool = [_MEMORY_TOOL, _MEMORY_COMMAND[role], "--configDir", str(run / "conf")]
    return [java.java(), *quick, "-cp", os.pathsep.join(map(str, jars)), *tool]


def parse_memory(output: str) -> tuple[list[str], list[str]]:
    """Options for Java and for Flink, from the two result lines of the memory command.

    Raises: ClusterError: the lines are not there (mostly a wrong memory size).
    """
    lines = [
        line.removeprefix(_MEMORY_RESULT).split()
        for line in output.splitlines()
        if line.startswith(_MEMORY_RESULT)
    ]
    if len(lines) < 2:
        raise ClusterError(f"Flink refuses the memory sizes in {paths.FLINK_CONFIG}:\n{output}")
    return lines[-2], lines[-1]


def process_command(
    role: str,
    ident: str,
    run: Path,
    config: Config,
    memory: tuple[list[str], list[str]],
    prometheus_port: int,
    archives: archive.Options = archive.use,
) -> list[str]:
    """Command that runs a JobManager or TaskManager in the foreground.

    ident: names its log file and, of a TaskManager, its id in the web UI.
    """
    java_memory, flink_memory = memory
    options: dict[str, str | int] = {"metrics.reporter.prom.port": prometheus_port}
    if role == TASKMANAGER:
        options["taskmanager.resource-id"] = ident
    dynamic = [part for key, value in options.items() for part in ("-D", f"{key}={value}")]
    program = [
        "-cp",
        class_path(),
        _MAIN[role],
        "--configDir",
        str(run / "conf"),
        *flink_memory,
        *dynamic,
    ]
    return [*_java(role, ident, run, config, archives), *java_memory, *program]


def client_command(
    ident: str,
    run: Path,
    config: Config,
    arguments: list[str],
    archives: archive.Options = archive.use,
) -> list[str]:
    """Command of the Flink client: what `bin/flink <arguments>` runs."""
    java_options = _java("client", ident, run, config, archives)
    return [*java_options, "-cp", class_path(), _CLIENT, *arguments]


def _java(role: str, ident: str, run: Path, config: Config, archives: archive.Options) -> list[str]:
    program = java.java()
    options = [config.get("env.java.opts.all"), config.get(f"env.java.opts.{role}")]
    return [
        program,
        *[part for text in options if text for part in shlex.split(text)],
        *archives(role, program, class_path()),
        f"-Djava.io.tmpdir={run / 'tmp'}",
        f"-Dlog.file={run / 'log' / ident}.log",
        f"-Dlog4j.configurationFile=file:{run / 'conf' / 'log4j.properties'}",
    ]
