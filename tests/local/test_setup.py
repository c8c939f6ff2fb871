"""The set-up script's long steps, and the list of targets."""

from __future__ import annotations

import re
import subprocess

from jobs.local.paths import ROOT


def setup(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["infra/setup.sh", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_step_hides_what_it_prints_and_says_how_long_it_took() -> None:
    done = setup("step", "Test of a step", "bash", "-c", "echo noise")
    assert done.returncode == 0
    assert re.fullmatch(r"==> Test of a step\n    done in \d+ s\n", done.stdout)
    assert (ROOT / "build" / "log" / "Test-of-a-step.log").read_text() == "noise\n"


def test_a_step_that_fails_shows_its_last_lines_and_its_log() -> None:
    done = setup("step", "Test of a step", "bash", "-c", "seq 100; exit 3")
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert lines[0] == "76"
    assert lines[-1].endswith("Test of a step (all of it in build/log/Test-of-a-step.log)")


def test_python_is_3_11_whatever_it_is_called() -> None:
    found = setup("python").stdout.strip()
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("Python 3.11.")


def test_make_alone_lists_the_targets() -> None:
    # under `make test` the outer make would have this one say where it is
    make = ["make", "--no-print-directory"]
    shown = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = [line.split()[1] for line in shown.splitlines()]
    assert targets == [
        "help", "setup", "demo", "test", "test-udfs", "test-faults", "check", "lock", "edge-env",
        "influxdb", "clean",
    ]  # fmt: skip
