from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.simulator.settings import PLANT
from edge.simulator.template import read_template

GOOD = """
description: A plant.
assets:
  pump:
    sensors:
      - {name: flow, kind: flow, unit: m3/h, low: 0, high: 100, base: 50}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "plant.yaml"
    path.write_text(text)
    return path


def test_reads_a_template(tmp_path):
    template = read_template(write(tmp_path, GOOD))
    assert template.assets["pump"].sensors[0].unit == "m3/h"
    assert template.assets["pump"].count == 1


@pytest.mark.parametrize("path", sorted(PLANT.parent.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_templates_are_valid(path):
    assert read_template(path).assets


def test_all_mistakes_at_once_with_their_lines(tmp_path):
    text = """
description: A plant.
assets:
  pump:
    sensors:
      - {name: flow, kind: flw, unit: m3/h, low: 0, high: 100, base: 50}
      - {name: heat, kind: temperature, unit: °C, low: 0, high: 100, base: 98, nois: 2}
      - {name: level, kind: level, unit: "%", low: 0, high: 100, base: 98, noise: 1}
  Motor:
    sensors: []
"""
    path = write(tmp_path, text)
    with pytest.raises(EdgeError) as caught:
        read_template(path)
    lines = str(caught.value).replace(str(path), "plant.yaml").splitlines()
    kinds = "'temperature', 'vibration', 'pressure', 'flow', 'position', 'current', 'speed'"
    assert lines == [
        "plant.yaml: line 6: assets.pump.sensors.0.kind: "
        f"Input should be {kinds} or 'level', not 'flw'",
        'plant.yaml: line 7: assets.pump.sensors.1.nois: unknown key (did you mean "noise"?)',
        "plant.yaml: line 8: assets.pump.sensors.2: base 98 +- 5 (spread, daily, drift, "
        "5 x noise) leaves the valid range 0 to 100",
        "plant.yaml: line 9: assets.Motor.[key]: "
        "String should match pattern '^[a-z0-9][a-z0-9-]{0,40}$', not 'Motor'",
        "plant.yaml: line 9: assets.Motor: an asset type needs at least one sensor",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("assets: [", "not YAML"),
        (GOOD.replace("- {name", "- {clock_offset_ms: 1000, name"), "less than period_ms"),
        (GOOD + GOOD.splitlines()[-1], "sensor name is there twice: flow"),
        ("", "line 1: document: Input should be a valid dictionary"),
    ],
)
def test_refuses(tmp_path, text, message):
    with pytest.raises(EdgeError, match=message):
        read_template(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(EdgeError, match=r"none\.yaml: cannot be read: No such file"):
        read_template(tmp_path / "none.yaml")
