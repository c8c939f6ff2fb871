"""Slots never move, whatever happens to the process or the file."""

from __future__ import annotations

import json
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from edge import labels as label_history
from edge import registry as registries
from edge.errors import EdgeError
from edge.registry import COPY, FILE, Registry, Sensor
from udfs import catalogue as catalogues


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.open(tmp_path, "plant-07", "gw-1")


def again(tmp_path: Path) -> Registry:
    return Registry.open(tmp_path, "plant-07", "gw-1")


def test_new_names_get_the_next_slot_and_known_ones_keep_theirs(registry: Registry):
    assert [registry.slot(Sensor(name)) for name in ("a", "b", "a", "c")] == [0, 1, 0, 2]
    assert registry.find("b") == 1
    assert registry.find("d") is None
    assert registry.slot(Sensor("b", unit="bar")) == 1
    assert registry.sensor(1).unit == ""  # what was said first stays


def test_a_commit_makes_a_version_that_a_later_process_reads(registry: Registry, tmp_path: Path):
    registry.slot(Sensor("a", unit="bar", kind="pressure", asset="pump-1", low=0, high=16))
    assert registry.commit()
    registry.slot(Sensor("b", period_ms=100))
    assert registry.commit()
    later = again(tmp_path)
    assert later.newest == 2
    assert [later.slot(Sensor(name)) for name in ("c", "b", "a")] == [2, 1, 0]
    old, new = later.version(1), later.version(2)
    assert (old.name, new.name) == (("a",), ("a", "b"))
    assert (new.unit, new.kind, new.asset) == (("bar", ""), ("pressure", ""), ("pump-1", ""))
    assert new.low.tolist() == [0, -np.inf]
    assert new.high.tolist() == [16, np.inf]
    assert new.period_ms.tolist() == [1000, 100]
    assert catalogues.decode(catalogues.encode(new)).name == ("a", "b")


def test_nothing_new_makes_no_version(registry: Registry):
    assert not registry.commit()
    registry.slot(Sensor("a"))
    assert registry.commit()
    assert not registry.commit()
    assert registry.newest == 1


def test_what_was_not_committed_is_gone_after_a_kill(registry: Registry, tmp_path: Path):
    registry.slot(Sensor("a"))
    registry.commit()
    registry.slot(Sensor("b"))
    assert again(tmp_path).find("b") is None


@pytest.mark.parametrize("number", [0, 2])
def test_an_unknown_version_is_an_error(registry: Registry, number: int):
    registry.slot(Sensor("a"))
    registry.commit()
    with pytest.raises(IndexError, match=f"catalogue {number}; there are 1 to 1"):
        registry.version(number)


def test_names_are_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registries, "MAX_SENSORS", 2)
    assert [registry.slot(Sensor(name)) for name in ("a", "b", "c", "a")] == [0, 1, None, 0]


def test_a_damaged_file_is_made_good_by_its_copy(registry: Registry, tmp_path: Path):
    registry.slot(Sensor("a"))
    registry.slot(Sensor("b"))
    registry.commit()
    whole = (tmp_path / FILE).read_bytes()
    for at in range(0, len(whole), 7):
        for spoilt in (whole[:at], whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]):
            (tmp_path / FILE).write_bytes(spoilt)
            assert again(tmp_path).find("b") == 1


def test_a_damaged_file_without_a_copy_is_never_guessed_at(registry: Registry, tmp_path: Path):
    registry.slot(Sensor("a"))
    registry.commit()
    for name in (FILE, COPY):
        (tmp_path / name).write_text((tmp_path / name).read_text().replace('"a"', '"b"'))
    with pytest.raises(EdgeError, match=r"catalogue\.json: damaged .*checksum[\s\S]*put back"):
        again(tmp_path)


def test_the_file_of_another_gateway_is_refused(registry: Registry, tmp_path: Path):
    registry.slot(Sensor("a"))
    registry.commit()
    with pytest.raises(EdgeError, match="belongs to plant-07/gw-1, not plant-08/gw-1"):
        Registry.open(tmp_path, "plant-08", "gw-1")


def test_a_disk_that_refuses_leaves_the_old_version(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    registry.slot(Sensor("a"))
    registry.commit()
    registry.slot(Sensor("b"))

    def refuse(path: Path, data: bytes) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(registries, "replace_file", refuse)
    with pytest.raises(OSError, match="No space"):
        registry.commit()
    assert registry.newest == 1
    assert again(tmp_path).newest == 1


def test_the_catalogue_file_completes_what_a_device_says(tmp_path: Path):
    def complete(sensor: Sensor) -> Sensor:
        return Sensor(sensor.name, unit="bar", kind="pressure")

    registry = Registry.open(tmp_path, "plant-07", "gw-1", complete)
    registry.slot(Sensor("a", unit="psi"))
    registry.slot(Sensor("b", unit="bar"))
    assert registry.sensor(0).kind == "pressure"
    assert registry.reported_units() == {0: "psi"}
    registry.commit()
    assert again(tmp_path).reported_units() == {0: "psi"}
    later = Registry.open(tmp_path, "plant-07", "gw-1", complete)
    later.slot(Sensor("a", unit="bar"))  # the device was set right
    assert not later.commit()  # no new version for it
    assert again(tmp_path).reported_units() == {}


def labels(registry: Registry, version: int) -> list[tuple[str, str]]:
    made = registry.version(version)
    return list(zip(made.asset_type, made.tags, strict=True))


def test_a_changed_tag_makes_a_version_and_earlier_ones_stay(registry: Registry, tmp_path: Path):
    registry.slot(Sensor("a", asset_type="pump", tags="old"))
    registry.slot(Sensor("b"))
    registry.commit()
    registry.slot(Sensor("a", unit="bar", asset_type="pump", tags="new"))
    assert labels(registry, 1) == [("pump", "old"), ("", "")]  # what is not committed is not told
    assert registry.commit()
    registry.slot(Sensor("c", tags="c"))
    registry.commit()
    registry.slot(Sensor("a", asset_type="tank", tags="new"))
    registry.slot(Sensor("b", tags="b"))
    registry.commit()
    for each in (registry, again(tmp_path)):
        assert each.newest == 4
        assert labels(each, 1) == [("pump", "old"), ("", "")]
        assert labels(each, 2) == [("pump", "new"), ("", "")]
        assert labels(each, 3) == [("pump", "new"), ("", ""), ("", "c")]
        assert labels(each, 4) == [("tank", "new"), ("", "b"), ("", "c")]
        assert each.version(4).unit[0] == ""  # all else is as it was said first


def test_a_tag_that_came_back_before_the_commit_is_no_change(registry: Registry):
    registry.slot(Sensor("a", tags="one"))
    registry.commit()
    for tags in ("two", "three", "one"):
        registry.slot(Sensor("a", tags=tags))
    assert not registry.commit()
    assert (registry.newest, labels(registry, 1)) == (1, [("", "one")])


def test_changes_of_tags_are_bounded(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(label_history, "MAX_VERSIONS", 2)
    for tags in "abcd":
        registry.slot(Sensor("a", tags=tags))
        registry.commit()
    assert (registry.newest, labels(registry, 3)) == (3, [("", "c")])
    later = again(tmp_path)
    later.slot(Sensor("a", tags="e"))
    assert not later.commit()


def test_a_file_of_before_has_no_types_and_no_tags(registry: Registry, tmp_path: Path):
    registry.slot(Sensor("a", unit="bar", tags="gone"))
    registry.commit()
    data = json.loads((tmp_path / FILE).read_bytes().partition(b" ")[2])
    del data["former"], data["sensors"]["asset_type"], data["sensors"]["tags"]
    text = json.dumps(data).encode()
    (tmp_path / FILE).write_bytes(f"{google_crc32c.value(text):08x} ".encode() + text)
    old = again(tmp_path)
    assert (old.sensor(0), labels(old, 1)) == (Sensor("a", unit="bar"), [("", "")])
    old.slot(Sensor("a", asset_type="pump"))
    assert old.commit()
    assert (labels(old, 1), labels(old, 2)) == ([("", "")], [("pump", "")])
