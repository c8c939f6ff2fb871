"""The doctor reads the machine and never falls over what it finds."""

from __future__ import annotations

from pathlib import Path

from jobs.local import doctor, paths


def test_pins_are_read_with_normalised_names() -> None:
    text = "# comment\nPyYAML==6.0.2 \\\n    --hash=sha256:00\nruamel.yaml==0.18 ; x\n"
    assert doctor.pins(text) == {"pyyaml": "6.0.2", "ruamel-yaml": "0.18"}


def test_versions_are_read_from_our_pom() -> None:
    found = doctor.pom_versions(paths.POM)
    assert set(found) >= {"flink.version", "flink.kafka.version", "kafka.version"}
    assert found["flink.kafka.version"].endswith("-2.2")


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("8000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    assert doctor.cgroup_memory(tmp_path) == 5_000


def test_no_limit_is_no_number(tmp_path: Path) -> None:
    assert doctor.cgroup_memory(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("3000\n")
    assert doctor.cgroup_memory(tmp_path) is None


def test_a_check_that_cannot_look_is_a_failure_not_a_crash() -> None:
    def _our_jar() -> doctor.Check:
        raise FileNotFoundError("pom.xml")

    check = doctor._run(_our_jar)
    assert (check.name, check.status) == ("our jar", "fail")
    assert "pom.xml" in check.found


def test_every_check_has_its_own_name() -> None:
    names = [check.name for check in doctor.examine()]
    assert len(set(names)) == len(names) == 11
