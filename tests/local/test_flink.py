"""Flink's configuration: complete, explained, and rendered for this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jobs.common.errors import ClusterError
from jobs.local import flink, paths

MEMORY = """\
INFO  [] - Final TaskExecutor Memory configuration:
BASH_JAVA_UTILS_EXEC_RESULT:-Xmx100 -Xms100
BASH_JAVA_UTILS_EXEC_RESULT:-D taskmanager.memory.managed.size=64b -D taskmanager.cpu.cores=1.0
"""


@pytest.fixture
def base() -> flink.Config:
    return flink.read_config(paths.FLINK_CONFIG)


def test_every_java_option_that_flink_ships_is_kept(base: flink.Config) -> None:
    shipped = yaml.safe_load((paths.flink_home() / "conf" / "config.yaml").read_text())
    wanted = shipped["env"]["java"]["opts"]["all"].split()
    assert len(wanted) > 15
    assert base["env.java.opts.all"].split() == wanted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("python.execution-mode", "thread"),
        ("classloader.parent-first-patterns.additional", "pemja."),
        ("taskmanager.numberOfTaskSlots", 1),
        ("state.backend.type", "hashmap"),
        ("execution.checkpointing.mode", "EXACTLY_ONCE"),
        ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION"),
        ("rest.bind-address", "localhost"),
    ],
)
def test_what_the_jobs_rely_on(base: flink.Config, key: str, value: object) -> None:
    assert base[key] == value


def test_every_setting_has_its_reason_above_it() -> None:
    explained = False
    for line in paths.FLINK_CONFIG.read_text().splitlines():
        if line.startswith("#"):
            explained = not line.startswith("# ---")
        elif line and not line.startswith(" "):
            assert explained, f"no reason above: {line}"
        elif not line:
            explained = False


def test_a_local_run_stays_on_loopback_and_in_its_folder(base: flink.Config) -> None:
    config = flink.local_config(base, Path("/run"), rest_port=20_003, rpc_port=20_004)
    assert config["rest.port"] == 20_003
    assert config["jobmanager.rpc.port"] == 20_004
    assert {config[key] for key in config if key.endswith(("-host", ".address", ".host"))} == {
        "127.0.0.1"
    }
    assert config["execution.checkpointing.dir"] == "file:///run/checkpoints"
    assert config["python.executable"] == sys.executable
    assert config["heartbeat.interval"] == "2s"


def test_the_written_configuration_is_read_back(tmp_path: Path, base: flink.Config) -> None:
    flink.write_conf_dir(tmp_path / "conf", base)
    assert flink.read_config(tmp_path / "conf" / "config.yaml") == base
    assert "${sys:log.file}" in (tmp_path / "conf" / "log4j.properties").read_text()


def test_nested_keys_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("rest:\n  port: 8081\n")
    with pytest.raises(ClusterError, match=r"write 'rest' as flat keys \(rest\.<key>: value\)"):
        flink.read_config(tmp_path / "config.yaml")


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"nothing\.yaml"):
        flink.read_config(tmp_path / "nothing.yaml")


def test_memory_options_are_flinks_own() -> None:
    java, options = flink.parse_memory(MEMORY)
    assert java == ["-Xmx100", "-Xms100"]
    assert options == [
        "-D",
        "taskmanager.memory.managed.size=64b",
        "-D",
        "taskmanager.cpu.cores=1.0",
    ]


def test_memory_sizes_that_flink_refuses_are_shown() -> None:
    with pytest.raises(ClusterError, match=r"(?s)refuses the memory sizes.*IllegalConfiguration"):
        flink.parse_memory("IllegalConfigurationException: sum is larger than total")


def test_a_taskmanager_has_its_own_name_log_and_metrics_port(base: flink.Config) -> None:
    memory = (["-Xmx100"], ["-D", "a=b"])
    command = flink.process_command(
        flink.TASKMANAGER, "taskmanager-2", Path("/run"), base, memory, 20_009
    )
    joined = " ".join(command)
    assert "-Dlog.file=/run/log/taskmanager-2.log" in command
    assert "taskmanager.resource-id=taskmanager-2" in command
    assert "metrics.reporter.prom.port=20009" in command
    assert "--add-opens=java.base/java.util=ALL-UNNAMED" in command
    assert joined.index("TaskManagerRunner") < joined.index("a=b")


def test_the_class_path_holds_our_jars_and_ends_with_flink() -> None:
    names = [Path(jar).name for jar in flink.class_path().split(os.pathsep)]
    assert "hardiot-kafka-1.jar" in names
    assert names[-1].startswith("flink-dist-")
    assert any(name.startswith("flink-python-") for name in names)


def test_the_clients_folder_holds_the_same_jars_and_no_stale_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    (tmp_path / "flink-lib").mkdir()
    (tmp_path / "flink-lib" / "old.jar").symlink_to("/gone/old.jar")
    links = {link.name for link in flink.client_lib().iterdir()}
    assert links == {Path(jar).name for jar in flink.class_path().split(os.pathsep)}


def test_beam_is_kept_out_of_java_only() -> None:
    """Here Python is a process of its own, as in process mode: Beam stays."""
    environment = {"PYTHONPATH": flink.environment(Path("/run"))["PYTHONPATH"]}
    code = "import sys, sitecustomize; print('apache_beam' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert shown.stdout == b"False\n"


def test_python_of_the_jvm_finds_project_and_packages() -> None:
    environment = flink.environment(Path("/run"))
    first, second, third = environment["PYTHONPATH"].split(os.pathsep)[:3]
    assert (Path(first) / "sitecustomize.py").is_file()
    assert second == str(paths.ROOT)
    assert (Path(third) / "pyflink").is_dir()
    assert environment["OMP_NUM_THREADS"] == "1"
