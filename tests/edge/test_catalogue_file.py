"""What the file says of a sensor counts more than what its device says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.catalogue_file import read_catalogue
from edge.errors import EdgeError
from edge.registry import Registry, Sensor

FILE = """\
sensors:
  - {name: "pump-*", asset: "{name}"}
  - {name: "*temperature", kind: temperature, unit: degC, low: -20, high: 120}
  - {name: pump-002.temperature, high: 90, period_ms: 500}
"""


def test_later_entries_count_more_and_what_they_do_not_say_stays(tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(FILE)
    complete = read_catalogue(path).complete
    assert complete(Sensor("fan.speed", unit="rpm")) == Sensor("fan.speed", unit="rpm")
    assert complete(Sensor("pump-001.flow", unit="m3/h", low=0)) == Sensor(
        "pump-001.flow", unit="m3/h", asset="pump-001", low=0
    )
    assert complete(Sensor("pump-002.temperature", unit="degF", low=0)) == Sensor(
        "pump-002.temperature", "degC", "temperature", "pump-002", -20, 90, 500
    )


def test_the_registry_asks_it_and_knows_what_is_to_be_converted(tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(FILE)
    registry = Registry.open(tmp_path, "plant-07", "gw-1", read_catalogue(path).complete)
    slot = registry.slot(Sensor("boiler.temperature", unit="degF"))
    assert registry.sensor(slot).unit == "degC"
    assert registry.reported_units() == {slot: "degF"}


def test_every_mistake_with_its_line(tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(
        "sensors:\n  - {name: a, kind: temprature, low: 5, high: 5}\n  - {units: bar}\n"
    )
    with pytest.raises(EdgeError) as error:
        read_catalogue(path)
    assert str(error.value).splitlines() == [
        f'{path}: line 2: sensors.0.kind: unknown sensor kind "temprature" '
        '(did you mean "temperature"?)',
        f"{path}: line 2: sensors.0.high: 5 is not above low, 5",
        f"{path}: line 3: sensors.1.name: Field required",
        f'{path}: line 3: sensors.1.units: unknown key (did you mean "unit"?)',
    ]
