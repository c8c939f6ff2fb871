"""Where the parts of the local stack lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from jobs.common.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
FLINK_CONFIG = ROOT / "flink-conf" / "config.yaml"
FLINK_LOG4J = ROOT / "flink-conf" / "log4j.properties"
POM = ROOT / "infra" / "jars" / "pom.xml"
JAVA_SOURCES = ROOT / "infra" / "jars" / "src"
BUILD = ROOT / "build"
JARS = BUILD / "jars"
RUNS = BUILD / "run"


def flink_home() -> Path:
    """The Flink distribution inside the apache-flink wheel, found without importing it.

    Raises: ClusterError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise ClusterError("Flink is not installed in this Python: run `make setup`")
    return Path(spec.origin).parent


def jars(folder: str) -> list[Path]:
    """The jars that Maven put into build/jars/<folder>, sorted.

    Raises: ClusterError: there are none.
    """
    found = sorted((JARS / folder).glob("*.jar"))
    if not found:
        raise ClusterError(f"{JARS / folder}: no jars: run `make setup`")
    return found
