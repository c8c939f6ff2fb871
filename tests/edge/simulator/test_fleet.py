import numpy as np

from edge.simulator.fleet import fleet
from edge.simulator.settings import PLANT
from edge.simulator.template import read_template
from udfs.catalogue import decode, encode

TEMPLATE = read_template(PLANT)


def test_facilities_of_any_size():
    catalogues = fleet(TEMPLATE, facilities=3, sensors=5000)
    assert [(c.key, len(c)) for c in catalogues] == [
        ("plant-0001/gw-1/1", 5000),
        ("plant-0002/gw-1/1", 5000),
        ("plant-0003/gw-1/1", 5000),
    ]
    assert len(set(catalogues[0].name)) == 5000
    assert set(catalogues[0].kind) == {
        "temperature", "vibration", "pressure", "flow", "position", "current", "speed", "level",
    }  # fmt: skip


def test_slots_follow_the_template():
    catalogue = fleet(TEMPLATE, facilities=1, sensors=12)[0]
    assert catalogue.name[:2] == ("pump-001.bearing-temperature", "pump-001.vibration-drive-end")
    assert catalogue.asset == ("pump-001",) * 7 + ("motor-001",) * 4 + ("compressor-001",)
    assert catalogue.unit[7:9] == ("°C", "mm/s")
    assert catalogue.low[:3].tolist() == [-20, 0, 0]
    assert catalogue.high[:3].tolist() == [120, 45, 45]
    assert catalogue.period_ms.dtype == np.int32


def test_a_small_facility_has_some_of_each_asset_type():
    assets = fleet(TEMPLATE, facilities=1, sensors=40)[0].asset
    assert list(dict.fromkeys(assets))[:7] == [
        "pump-001", "motor-001", "compressor-001", "boiler-001", "well-001", "hall-001", "pump-002",
    ]  # fmt: skip


def test_no_two_gateways_of_a_facility_share_an_asset():
    first, second = fleet(TEMPLATE, facilities=1, sensors=300, gateways=2)
    assert (first.gateway, second.gateway) == ("gw-1", "gw-2")
    assert not set(first.asset) & set(second.asset)


def test_without_a_number_there_is_one_train():
    catalogue = fleet(TEMPLATE, facilities=1)[0]
    assert len(catalogue) == 97
    assert len(set(catalogue.asset)) == 6 + 6 + 2 + 2 + 1 + 1


def test_catalogues_survive_the_wire():
    catalogue = fleet(TEMPLATE, facilities=1, sensors=500)[0]
    assert decode(encode(catalogue)).name == catalogue.name


def test_assets_have_their_type_and_tags():
    catalogue = fleet(TEMPLATE, facilities=2, sensors=40)[1]
    rows = set(zip(catalogue.asset, catalogue.asset_type, catalogue.tags, strict=True))
    assert ("pump-001", "pump", "rotating") in rows
    assert ("compressor-001", "compressor", "critical,rotating") in rows
    assert ("well-001", "well", "remote") in rows
