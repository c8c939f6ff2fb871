"""Sessions of edge nodes: births, numbers, deaths, and what comes again after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.block import Receipt
from edge.inputs.result import Result
from edge.inputs.sparkplug import SparkplugInput
from edge.registry import Registry, Sensor
from edge.sparkplug.decode import parse
from edge.sparkplug.encode import DeviceEncoder, device_death, node_birth, node_death
from edge.sparkplug.messages import DataType, Payload
from udfs.batch import Quality

NOW = 1_772_366_400_000
PUMP = [Sensor("pump-001.flow", unit="m3/h", kind="flow", low=0, high=90, period_ms=500),
        Sensor("pump-001.pressure", unit="bar", kind="pressure")]  # fmt: skip


class Plant:
    """An input, and what it published. `again` is the gateway after a kill."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.registry = Registry.open(folder, "plant-07", "gw-1")
        self.published: list[tuple[str, bytes]] = []
        self.input = SparkplugInput(
            self.registry, lambda *message: self.published.append(message), folder, **options
        )
        self.input.load()
        self.now_ms = NOW

    def again(self) -> Plant:
        return Plant(self.folder)

    def hears(self, topic: str, payload: bytes, dup: bool = False) -> Result:
        return self.input.on_message(f"spBv1.0/plant/{topic}", payload, self.now_ms, None, dup)

    def births(self, *devices: str, sensors: list[Sensor] = PUMP, at_ms: int = NOW) -> None:
        self.hears("NBIRTH/node-1", node_birth(at_ms, bd_seq=3))
        for seq, device in enumerate(devices, start=1):
            birth = DeviceEncoder(sensors).birth(at_ms, seq)
            self.hears(f"DBIRTH/node-1/{device}", birth)

    def data(self, seq: int, value: float = 1.0, dup: bool = False, **options: Any) -> Result:
        sent_ms = options.pop("at_ms", NOW + 1000 * seq)
        data = DeviceEncoder(PUMP).data(
            np.array([value, value + 1]), np.full(2, sent_ms), seq, **options
        )
        return self.hears("DDATA/node-1/line-01", data, dup)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def names(plant: Plant, result: Result) -> list[str]:
    (block,) = result.blocks
    return [plant.registry.sensor(slot).name for slot in block.slot.tolist()]


def reasons(result: Result) -> list[str]:
    return [refused.reason for refused in result.refused]


# -- births and names


def test_births_make_sensors_and_data_readings(plant: Plant) -> None:
    plant.births("line-01")
    assert plant.registry.sensors() == (
        Sensor("pump-001.flow", "m3/h", "flow", "pump-001", 0.0, 90.0, 500),
        Sensor("pump-001.pressure", "bar", "pressure", "pump-001"),
    )
    result = plant.data(2, value=21.5)
    (block,) = result.blocks
    assert names(plant, result) == ["pump-001.flow", "pump-001.pressure"]
    assert block.value.tolist() == [21.5, 22.5]
    assert block.time_ms.tolist() == [NOW + 2000] * 2
    assert (block.source, block.received_ms) == ("plant/node-1/line-01", NOW)
    assert (block.historical, result.refused, plant.published) == (False, [], [])


def test_a_later_birth_may_say_other_types_and_tags(plant: Plant) -> None:
    plant.births("line-01", sensors=[replace(PUMP[0], asset_type="Pump", tags="B, a,no tag!")])
    plant.registry.commit()
    plant.births("line-01", sensors=[replace(PUMP[0], asset_type="pump", tags="c")])
    plant.registry.commit()
    versions = [plant.registry.version(number) for number in (1, 2)]
    assert [(v.asset_type[0], v.tags[0]) for v in versions] == [("pump", "a,b"), ("pump", "c")]


def test_a_birth_gives_readings_but_its_nulls_do_not(plant: Plant) -> None:
    birth = DeviceEncoder(PUMP).birth(NOW, 0, np.array([7.5, np.nan]))
    (block,) = plant.hears("DBIRTH/node-1/line-01", birth).blocks
    assert (block.value.tolist(), block.quality.tolist()) == ([7.5], [Quality.GOOD])


def birth_of(*metrics: str, alias: int = 1, **more: Any) -> bytes:
    payload = Payload(timestamp=NOW, seq=0, **more)
    for place, name in enumerate(metrics):
        payload.metrics.add(name=name, alias=alias + place, datatype=DataType.DOUBLE, is_null=True)
    data: bytes = payload.SerializeToString()
    return data


@pytest.mark.parametrize("naming, device, metric, name", [
    ("metric", "line-01", "pump-001.flow", "pump-001.flow"),
    ("metric", "line-01", "pump-001/flow", "pump-001.flow"),
    ("metric", "pump-001", "flow", "pump-001.flow"),
    ("device.metric", "line-01", "pump-001/flow", "line-01.pump-001.flow"),
])  # fmt: skip
def test_names_of_sensors(tmp_path: Path, naming: Any, device: str, metric: str, name: str) -> None:
    plant = Plant(tmp_path, naming=naming)
    plant.hears(f"DBIRTH/node-1/{device}", birth_of(metric))
    (sensor,) = plant.registry.sensors()
    assert (sensor.name, sensor.asset) == (name, name.rpartition(".")[0])


def test_the_second_device_with_a_name_gets_another_one_and_keeps_it(plant: Plant) -> None:
    for topic in ("node-1/a", "node-1/b", "node-2/b"):
        plant.hears(f"DBIRTH/{topic}", birth_of("pump.flow", "pump/flow"))
    expected = [
        "pump.flow", "a.pump.flow",  # two metrics of one device
        "b.pump.flow", "node-1.b.pump.flow", "node-2.b.pump.flow", "plant.node-2.b.pump.flow",
    ]  # fmt: skip
    assert [sensor.name for sensor in plant.registry.sensors()] == expected
    plant.registry.commit()
    plant.input.save()
    again = plant.again()
    for topic in ("node-2/b", "node-1/b", "node-1/a"):
        again.hears(f"DBIRTH/{topic}", birth_of("pump.flow", "pump/flow"))
    assert [sensor.name for sensor in again.registry.sensors()] == expected


def test_what_is_no_measurement_is_no_sensor(plant: Plant) -> None:
    payload = Payload(timestamp=NOW, seq=0)
    payload.metrics.add(name="Properties/Version", alias=1, datatype=DataType.STRING)
    payload.metrics.add(name="Node Control/Scan Rate", alias=2, datatype=DataType.INT64)
    payload.metrics.add(name="Operator", alias=3, datatype=DataType.STRING, string_value="Ann")
    payload.metrics.add(name="Load", alias=4, datatype=DataType.FLOAT, float_value=0.5)
    result = plant.hears("NBIRTH/node-1", payload.SerializeToString())
    assert names(plant, result) == ["node-1.Load"]
    assert result.refused == []


def test_a_birth_that_gives_an_alias_twice_is_refused(plant: Plant) -> None:
    payload = Payload(timestamp=NOW, seq=0)
    for name in ("a.x", "a.y"):
        payload.metrics.add(name=name, alias=1, datatype=DataType.DOUBLE, double_value=1)
    assert reasons(plant.hears("DBIRTH/node-1/line-01", payload.SerializeToString())) == [
        "bad_birth"
    ]
    assert reasons(plant.data(1)) == ["no_birth"]


def test_a_full_registry_refuses_what_is_beyond_it(plant: Plant, monkeypatch: Any) -> None:
    monkeypatch.setattr("edge.registry.MAX_SENSORS", 1)
    result = plant.hears("DBIRTH/node-1/line-01", DeviceEncoder(PUMP).birth(NOW, 1))
    assert reasons(result) == ["too_many_sensors"]
    assert names(plant, plant.data(2)) == ["pump-001.flow"]


# -- numbers, and asking for births


def test_numbers_go_round_without_a_gap(plant: Plant) -> None:
    plant.births("line-01")
    for seq in range(2, 600):
        plant.data(seq % 256)
    assert plant.input.counts["gaps"] == 0
    assert plant.published == []


def test_a_gap_is_counted_and_births_are_asked_for_once(plant: Plant) -> None:
    plant.births("line-01")
    plant.data(2)
    result = plant.data(5)
    assert len(result.blocks) == 1, "its aliases are known: it is taken"
    plant.data(7)
    assert (plant.input.counts["gaps"], plant.input.counts["missing"]) == (2, 3)
    (command,) = plant.published
    assert command[0] == "spBv1.0/plant/NCMD/node-1"
    (metric,) = parse(command[1]).metrics
    assert (metric.name, metric.boolean_value) == ("Node Control/Rebirth", True)
    plant.now_ms += 10_000
    plant.data(9)
    assert len(plant.published) == 2


def test_a_message_that_is_sent_twice_is_no_gap(plant: Plant) -> None:
    plant.births("line-01")
    for seq in (2, 2, 3, 2, 3, 4):
        plant.data(seq)
    assert plant.input.counts["gaps"] == 0


def test_what_the_broker_sends_again_is_no_gap(plant: Plant) -> None:
    plant.births("line-01")
    for seq in range(2, 9):
        plant.data(seq)
    plant.input.save()
    for gateway in (plant, plant.again()):
        for seq in (3, 6, 7):  # those between were acknowledged
            gateway.data(seq, dup=True)
        gateway.data(9)
        assert gateway.input.counts["gaps"] == 0
        gateway.data(11)
        assert gateway.input.counts["gaps"] == 1


def test_what_is_sent_again_from_a_round_ago_is_no_gap(plant: Plant) -> None:
    plant.births("line-01")
    for number in range(2, 401):
        plant.data(number % 256)
    for number in (150, 170, 399):
        plant.data(number % 256, dup=True)
    plant.data(401 % 256)
    assert plant.input.counts["gaps"] == 0


def test_who_is_not_known_is_asked_for_births(plant: Plant) -> None:
    result = plant.data(7)
    assert (result.blocks, reasons(result)) == ([], ["no_birth"])
    assert result.refused[0].topic == "spBv1.0/plant/DDATA/node-1/line-01"
    assert [topic for topic, _ in plant.published] == ["spBv1.0/plant/NCMD/node-1"]
    plant.births("line-01")
    assert len(plant.data(2).blocks) == 1


def test_an_alias_that_no_birth_explains_is_refused_and_the_rest_is_taken(plant: Plant) -> None:
    plant.births("line-01", sensors=PUMP[:1])
    result = plant.data(2)
    assert names(plant, result) == ["pump-001.flow"]
    assert reasons(result) == ["no_birth"]
    assert "1 metrics that no birth explains" in result.refused[0].detail
    assert len(plant.published) == 1


def test_a_new_birth_of_the_node_makes_its_devices_unknown(plant: Plant) -> None:
    """Whose alias is whose, only the device's new birth says."""
    plant.births("line-01")
    plant.hears("NBIRTH/node-1", node_birth(NOW + 5000, bd_seq=4))
    assert reasons(plant.data(1)) == ["no_birth"]
    swapped = DeviceEncoder(PUMP[::-1]).birth(NOW + 5000, 2)
    plant.hears("DBIRTH/node-1/line-01", swapped)
    assert names(plant, plant.data(3)) == ["pump-001.pressure", "pump-001.flow"]


def test_a_birth_that_says_the_same_keeps_what_was_learned(plant: Plant) -> None:
    plant.births("line-01")
    plant.data(2)
    device = plant.input._nodes["plant", "node-1"].devices["line-01"]
    before = device.decoder()
    plant.births("line-01", at_ms=NOW + 5000)
    assert device.decoder() is before
    assert device.former is None


# -- deaths


def test_a_death_of_a_former_session_is_ignored(plant: Plant) -> None:
    plant.births("line-01")
    plant.hears("NDEATH/node-1", node_death(bd_seq=2))
    assert (plant.input.counts["stale_deaths"], plant.input.counts["deaths"]) == (1, 0)
    plant.data(2)
    assert plant.published == []


@pytest.mark.parametrize("topic, payload", [
    ("NDEATH/node-1", node_death(bd_seq=3)), ("DDEATH/node-1/line-01", device_death(NOW, 2)),
])  # fmt: skip
def test_after_a_death_data_are_taken_and_births_asked_for(
    plant: Plant, topic: str, payload: bytes
) -> None:
    plant.births("line-01")
    assert plant.hears(topic, payload).blocks == []
    assert plant.input.counts["deaths"] == 1
    assert len(plant.data(3).blocks) == 1
    assert len(plant.published) == 1


# -- after a kill


def test_births_outlive_the_process(plant: Plant) -> None:
    plant.births("line-01")
    assert plant.input.unsaved
    plant.input.save()
    assert not plant.input.unsaved
    plant.births("line-01")
    assert not plant.input.unsaved, "nothing new"
    # its slots were not committed: they are found again by name
    again = plant.again()
    result = again.data(2, dup=True)
    assert names(again, result) == ["pump-001.flow", "pump-001.pressure"]
    assert again.registry.sensor(0) == plant.registry.sensor(0)
    assert [topic for topic, _ in again.published] == ["spBv1.0/plant/NCMD/node-1"]


def test_a_birth_that_comes_again_does_not_make_its_devices_unknown(plant: Plant) -> None:
    """The birth of the node was not acknowledged before the kill, those of its devices were."""
    plant.births("line-01")
    plant.input.save()
    again = plant.again()
    again.hears("NBIRTH/node-1", node_birth(NOW, bd_seq=3), dup=True)
    assert len(again.data(2).blocks) == 1


def test_what_comes_again_from_before_a_birth_is_read_as_it_was_meant(plant: Plant) -> None:
    plant.births("line-01")
    old = DeviceEncoder(PUMP).data(np.array([1.0, 2.0]), np.full(2, NOW + 1), 2)
    plant.hears("NBIRTH/node-1", node_birth(NOW + 5000, bd_seq=4))
    plant.hears("DBIRTH/node-1/line-01", DeviceEncoder(PUMP[::-1]).birth(NOW + 5000, 1))
    plant.input.save()
    for gateway in (plant, plant.again()):
        result = gateway.hears("DDATA/node-1/line-01", old, dup=True)
        assert names(gateway, result) == ["pump-001.flow", "pump-001.pressure"]
        new = gateway.data(2, at_ms=NOW + 6000, dup=True)
        assert names(gateway, new) == ["pump-001.pressure", "pump-001.flow"]


def test_an_old_birth_that_comes_again_changes_nothing(plant: Plant) -> None:
    plant.hears("NBIRTH/node-1", node_birth(NOW + 5000, bd_seq=4))
    plant.hears("DBIRTH/node-1/line-01", DeviceEncoder(PUMP[::-1]).birth(NOW + 5000, 1))
    plant.hears("NBIRTH/node-1", node_birth(NOW, bd_seq=3), dup=True)
    plant.hears("DBIRTH/node-1/line-01", DeviceEncoder(PUMP).birth(NOW, 1), dup=True)
    new = plant.data(2, at_ms=NOW + 6000)
    assert names(plant, new) == ["pump-001.pressure", "pump-001.flow"]


@pytest.mark.parametrize("damage", [
    lambda text: text[:-1], lambda text: b"", lambda text: text.replace(b"flow", b"flaw"),
    lambda text: b"00000000 {}", lambda text: b"\xff\xfe",
])  # fmt: skip
def test_a_damaged_file_is_given_up(plant: Plant, damage: Any) -> None:
    plant.births("line-01")
    plant.input.save()
    path = plant.folder / "births.json"
    path.write_bytes(damage(path.read_bytes()))
    again = plant.again()
    assert again.input.counts["births_unusable"] == 1
    assert reasons(again.data(2)) == ["no_birth"]


# -- what else may come


def test_historical_readings_are_a_block_of_their_own(plant: Plant) -> None:
    plant.births("line-01")
    assert [block.historical for block in plant.data(2, historical=True).blocks] == [True]
    payload = Payload(timestamp=NOW, seq=3)
    payload.metrics.add(alias=1, double_value=1, is_historical=True)
    payload.metrics.add(alias=2, double_value=2)
    blocks = plant.hears("DDATA/node-1/line-01", payload.SerializeToString()).blocks
    assert [(b.historical, b.value.tolist()) for b in blocks] == [(False, [2.0]), (True, [1.0])]


def test_a_waveform_travels_with_a_block(plant: Plant) -> None:
    payload = Payload(timestamp=NOW, seq=0)
    samples = np.array([1.0, -2.0, 3.0])
    metric = payload.metrics.add(name="pump.wave", alias=1, datatype=DataType.DOUBLE_ARRAY)
    metric.bytes_value = samples.tobytes()
    metric.properties.keys.append("samplePeriodMs")
    metric.properties.values.add(double_value=0.25)
    (block,) = plant.hears("DBIRTH/node-1/line-01", payload.SerializeToString()).blocks
    (wave,) = block.waveforms
    assert (len(block), wave.slot, wave.period_ms) == (0, 0, 0.25)
    assert wave.samples.tolist() == samples.tolist()


@pytest.mark.parametrize("topic", [
    "spBv1.0/STATE/scada", "spBv1.0/plant/NCMD/node-1", "spBv1.0/plant/DDATA/node-1", "x", "",
    "spAv1.0/plant/NDATA/node-1",
])  # fmt: skip
def test_other_topics_are_passed_over_and_acknowledged(plant: Plant, topic: str) -> None:
    given_back: list[int] = []
    receipt = Receipt(lambda: given_back.append(1))
    result = plant.input.on_message(topic, b"?", NOW, receipt)
    assert (result.blocks, result.refused, result.receipt) == ([], [], receipt)
    receipt.release()
    assert given_back == [1]


TOPICS = ["NBIRTH/n", "DBIRTH/n/d", "NDATA/n", "DDATA/n/d", "NDEATH/n", "DDEATH/n/d"]
BIRTH = DeviceEncoder(PUMP).birth(NOW, 1)
DAMAGED = st.builds(
    lambda at, byte: BIRTH[:at] + bytes([byte]) + BIRTH[at + 1 :],
    st.integers(0, len(BIRTH)),
    st.integers(0, 255),
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(TOPICS), st.binary(max_size=40) | DAMAGED, st.booleans())
def test_nothing_that_comes_raises(plant: Plant, topic: str, payload: bytes, dup: bool) -> None:
    result = plant.hears(topic, payload, dup)
    assert all(refused.payload == payload for refused in result.refused)
