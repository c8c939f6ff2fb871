"""A gateway runs on edge/requirements.txt alone, and on the cloud's own versions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
EDGE = ROOT / "edge"
# what is under edge/, and is not the gateway: the simulator stands for the machines before it
OTHER = ("simulator", "inputs/opcua")
OPCUA = EDGE / "requirements-opcua.txt"
OURS = {"edge", "udfs"}
HEAVY = ("pyflink", "apache_beam", "tensorflow", "pandas", "asyncua", "jobs")

Pin = tuple[str, frozenset[str]]


def pins(text: str) -> dict[str, Pin]:
    """Version and hashes by package of a locked requirements file."""
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " "))
    found = (re.match(r"([a-z0-9-]+)(?:\[.*?])?==(\S+)", entry) for entry in entries)
    return {
        match[1]: (match[2], frozenset(re.findall(r"--hash=(\S+)", match.string)))
        for match in found
        if match
    }


def named(text: str) -> set[str]:
    """The packages that a requirements.in asks for."""
    return {line for line in text.splitlines() if re.match(r"[a-z]", line)}


def gateway_files() -> list[Path]:
    files = sorted(EDGE.rglob("*.py"))
    return [f for f in files if not f.relative_to(EDGE).as_posix().startswith(OTHER)]


def imports(source: str) -> set[str]:
    """Top-level names of all that the source imports, wherever in it, at run time or for types."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    parts = {
        node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level
    }
    return {name.partition(".")[0] for name in plain | parts}


def unknown(names: set[str], packages: set[str]) -> set[str]:
    """Which imported names no asked-for package and not Python itself brings."""
    brings = packages_distributions()
    provided = {
        name
        for name, owners in brings.items()
        if any(owner.lower().replace("_", "-") in packages for owner in owners)
    }
    return names - provided - OURS - sys.stdlib_module_names


def differences(edge: dict[str, Pin], cloud: dict[str, Pin]) -> dict[str, tuple[Pin, Pin | None]]:
    return {name: (pin, cloud.get(name)) for name, pin in edge.items() if cloud.get(name) != pin}


def test_the_edge_runs_on_the_clouds_versions_and_files() -> None:
    edge = pins((EDGE / "requirements.txt").read_text())
    cloud = pins((ROOT / "requirements.txt").read_text())
    assert {"numpy", "paho-mqtt", "pyarrow"} <= set(edge)
    assert all(hashes for _, hashes in edge.values())
    assert differences(edge, cloud) == {}


def test_another_version_and_another_file_are_seen() -> None:
    one = pins("numpy==2.1.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\n")
    assert one == {"numpy": ("2.1.3", frozenset({"sha256:aa", "sha256:bb"}))}
    newer = pins("numpy==2.1.4 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n")
    fewer = pins("numpy==2.1.3 \\\n    --hash=sha256:aa\n")
    assert [set(differences(one, other)) for other in (one, newer, fewer, {})] == [
        set(), {"numpy"}, {"numpy"}, {"numpy"}
    ]  # fmt: skip


def test_all_that_is_asked_for_is_locked() -> None:
    asked = named((EDGE / "requirements.in").read_text())
    assert asked <= set(pins((EDGE / "requirements.txt").read_text()))


def test_the_gateway_imports_only_what_its_requirements_ask_for() -> None:
    asked = named((EDGE / "requirements.in").read_text())
    wrong = {
        path.relative_to(ROOT).as_posix(): missing
        for path in gateway_files()
        if (missing := unknown(imports(path.read_text()), asked))
    }
    assert wrong == {}


def test_opc_ua_imports_only_what_its_requirements_bring() -> None:
    brought = named((EDGE / "requirements.in").read_text()) | set(pins(OPCUA.read_text()))
    for path in (EDGE / "inputs").glob("opcua*.py"):
        assert unknown(imports(path.read_text()), brought) == set(), path


def test_opc_ua_brings_no_other_version_of_anything() -> None:
    both = pins((EDGE / "requirements.txt").read_text())
    both |= pins((ROOT / "requirements.txt").read_text())
    added = pins(OPCUA.read_text())
    assert "asyncua" in added
    assert differences({name: pin for name, pin in added.items() if name in both}, both) == {}


def test_an_import_that_nothing_brings_is_seen() -> None:
    source = (
        "import os, httpx\ndef late():\n    from pyflink.datastream import X\n    import yaml\n"
    )
    assert unknown(imports(source), {"pyyaml"}) == {"httpx", "pyflink"}


def test_no_module_of_the_gateway_loads_what_is_heavy() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in gateway_files()
        if path.name not in ("__init__.py", "__main__.py")
    ]
    code = (
        f"import sys, importlib\nfor name in {modules}: importlib.import_module(name)\n"
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
