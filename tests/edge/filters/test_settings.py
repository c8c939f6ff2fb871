"""All mistakes at once, and which entry counts for which sensor."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.filters.settings import FilterSettings, choose, read_filters
from edge.registry import Sensor

SAMPLE = Path("flink-conf/edge/filters.sample.yaml")
BAD = """\
clock: {limit_ms: 0}
filters:
  - kinds: [temprature]
    validity: flga
  - deadband: {absolute: 1, percent: 2}
    dedband: {}
  - features: {bands_hz: [[100, 10]]}
"""


def test_every_mistake_with_its_line(tmp_path: Path):
    path = tmp_path / "filters.yaml"
    path.write_text(BAD)
    with pytest.raises(EdgeError) as error:
        read_filters(path)
    lines = [line.removeprefix(f"{path}: ") for line in str(error.value).splitlines()]
    assert lines[0].startswith("line 1: clock.limit_ms: Input should be greater than 0")
    assert lines[1] == (
        'line 3: filters.0.kinds: unknown sensor kind "temprature" (did you mean "temperature"?)'
    )
    assert lines[2].startswith("line 4: filters.0.validity: Input should be 'flag', 'drop'")
    assert lines[3] == "line 5: filters.1.deadband: give either absolute or percent"
    assert lines[4] == ('line 6: filters.1.dedband: unknown key (did you mean "deadband"?)')
    assert lines[5] == (
        "line 7: filters.2.features.bands_hz: band [100, 10] is empty; give the lower end first"
    )
    assert len(lines) == 6


def test_for_each_step_the_first_entry_that_fits_and_names_it():
    settings = FilterSettings.model_validate(
        {
            "filters": [
                {"names": ["pump-1.*"], "validity": "off"},
                {"kinds": ["flow"], "validity": "drop", "downsample": "mean"},
                {"downsample": "last"},
            ]
        }
    )
    found = [
        choose(settings.filters, sensor)
        for sensor in (Sensor("pump-1.flow", kind="flow"), Sensor("pump-2.flow", kind="flow"),
                       Sensor("pump-2.level", kind="level"))
    ]  # fmt: skip
    assert [(c.validity, c.downsample, c.deadband) for c in found] == [
        ("off", "mean", None),
        ("drop", "mean", None),
        ("flag", "last", None),
    ]


def test_the_sample_is_what_the_document_says():
    settings = read_filters(SAMPLE)
    assert settings.clock == FilterSettings().clock
    assert settings.repeat_s == 120
    pump = Sensor("pump-001.vibration", kind="vibration")
    assert choose(settings.filters, pump).features is not None
