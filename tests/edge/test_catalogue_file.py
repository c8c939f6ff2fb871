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


def test_types_and_tags_of_the_file_count_and_a_change_is_for_known_sensors_too(tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(
        "sensors:\n"
        '  - {name: "*", tags: [site-a]}\n'
        '  - {name: "pump-*", asset_type: pump, tags: [line-2, critical]}\n'
    )
    complete = read_catalogue(path).complete
    pump = complete(Sensor("pump-1.flow", asset_type="device", tags="said"))
    assert (pump.asset_type, pump.tags) == ("pump", "critical,line-2")
    fan = complete(Sensor("fan.speed", asset_type="fan", tags="said"))
    assert (fan.asset_type, fan.tags) == ("fan", "site-a")

    registry = Registry.open(tmp_path, "plant-07", "gw-1", complete)
    registry.slot(Sensor("pump-1.flow"))
    registry.commit()
    path.write_text('sensors:\n  - {name: "pump-*", unit: bar, tags: []}\n')
    registry = Registry.open(tmp_path, "plant-07", "gw-1", read_catalogue(path).complete)
    registry.slot(Sensor("pump-1.flow"))
    assert registry.commit()
    assert registry.version(1).tags == ("critical,line-2",)
    assert (registry.version(2).tags, registry.version(2).unit) == (("",), ("",))


def test_what_is_no_tag_is_refused(tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(
        f"sensors:\n  - {{name: a, asset_type: A pump, tags: ['a,b']}}\n"
        f"  - {{name: b, tags: {[f't{i}' for i in range(17)]}}}\n"
    )
    with pytest.raises(EdgeError) as error:
        read_catalogue(path)
    assert str(error.value).splitlines() == [
        f'{path}: line 2: sensors.0.asset_type: "A pump" is neither an asset type nor a tag; '
        "write it as line-2",
        f'{path}: line 2: sensors.0.tags.0: "a,b" is neither an asset type nor a tag; '
        "write it as line-2",
        f"{path}: line 3: sensors.1.tags: 17 tags; at most 16 are allowed",
    ]
