"""The direct input hands columns on as they are, under the registry's slots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge import registry as registries
from edge.block import Receipt
from edge.inputs.direct import DirectInput
from edge.inputs.result import Result
from edge.registry import Registry, Sensor
from udfs.batch import Batch
from udfs.catalogue import Catalogue

RECEIVED = 1_700_000_000_500


def catalogue(*names: str) -> Catalogue:
    count = len(names)
    return Catalogue(
        facility="plant-07",
        gateway="gw-9",
        version=1,
        name=names,
        unit=("bar",) * count,
        kind=("pressure",) * count,
        asset=("pump-1",) * count,
        low=np.zeros(count),
        high=np.full(count, 16.0),
        period_ms=np.full(count, 1000, np.int32),
    )


def batch(value: list[float], **columns: np.ndarray) -> Batch:
    return Batch("plant-07", "gw-9", 1, 0, 1_700_000_000_000, np.array(value), **columns)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.open(tmp_path, "plant-07", "gw-1")


@pytest.fixture
def taken() -> list[Result]:
    return []


@pytest.fixture
def direct(registry: Registry, taken: list[Result]) -> DirectInput:
    made = DirectInput(taken.append, registry)
    made.catalogue(catalogue("a", "b", "c"))
    return made


def test_a_batch_becomes_a_block_of_the_same_columns(direct: DirectInput, taken: list[Result]):
    given = batch(
        [1.5, 2.5],
        sensor=np.array([0, 2], np.uint32),
        offset_ms=np.array([0, 40], np.int32),
        quality=np.array([0, 2], np.uint8),
    )
    direct.offer(given, RECEIVED)
    [block] = taken[0].blocks
    assert block.slot.tolist() == [0, 2]
    assert block.time_ms.tolist() == [1_700_000_000_000, 1_700_000_000_040]
    assert block.value.tolist() == [1.5, 2.5]
    assert block.quality.tolist() == [0, 2]
    assert (block.source, block.received_ms, block.historical) == ("direct", RECEIVED, False)
    assert block.value is given.value
    assert block.slot is given.sensor
    assert block.quality is given.quality


def test_absent_columns_have_their_defaults(direct: DirectInput, taken: list[Result]):
    direct.offer(batch([1, 2, 3]), RECEIVED)
    direct.offer(batch([1, 2]), RECEIVED)
    first, second = (result.blocks[0] for result in taken)
    assert first.slot.tolist() == [0, 1, 2]
    assert second.slot.tolist() == [0, 1]
    assert (first.slot.dtype, first.time_ms.dtype, first.quality.dtype) == ("u4", "i8", "u1")
    assert first.time_ms.tolist() == [1_700_000_000_000] * 3
    assert first.quality.tolist() == [0, 0, 0]


def test_sensors_that_had_slots_already_keep_them(tmp_path: Path, taken: list[Result]):
    registry = Registry.open(tmp_path, "plant-07", "gw-1")
    registry.slot(Sensor("other"))
    registry.slot(Sensor("b"))
    direct = DirectInput(taken.append, registry)
    direct.catalogue(catalogue("a", "b", "c"))
    direct.offer(batch([1, 2, 3]), RECEIVED)
    direct.offer(batch([4], sensor=np.array([2], np.uint32)), RECEIVED)
    assert [result.blocks[0].slot.tolist() for result in taken] == [[2, 1, 3], [3]]
    assert registry.sensor(3) == Sensor("c", "bar", "pressure", "pump-1", 0.0, 16.0, 1000)


def test_a_new_version_adds_its_sensors(direct: DirectInput, taken: list[Result]):
    direct.catalogue(catalogue("a", "b", "c", "d"))
    direct.offer(batch([1, 2, 3, 4]), RECEIVED)
    assert taken[0].blocks[0].slot.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        (batch([1, 2, 3, 4]), "slot 3; the catalogue has 3"),
        (batch([1], sensor=np.array([7], np.uint32)), "slot 7; the catalogue has 3"),
    ],
)
def test_a_slot_that_is_nobodys_is_refused(
    direct: DirectInput, taken: list[Result], given: Batch, detail: str
):
    direct.offer(given, RECEIVED)
    assert taken[0].blocks == []
    [refused] = taken[0].refused
    assert (refused.reason, refused.detail) == ("slot_out_of_range", detail)


def test_columns_of_different_lengths_are_refused(direct: DirectInput, taken: list[Result]):
    slot, time_ms = np.array([0, 1], np.uint32), np.zeros(2, np.int64)
    direct.offer_columns(slot, time_ms, np.zeros(3), None, RECEIVED)
    direct.offer_columns(slot, time_ms, np.zeros(2), np.zeros(1, np.uint8), RECEIVED)
    assert [result.refused[0].reason for result in taken] == ["bad_columns", "bad_columns"]
    assert not any(result.blocks for result in taken)


def test_the_receipt_is_given_once_everything_is_released(direct: DirectInput, taken: list[Result]):
    given: list[str] = []
    receipt = Receipt(lambda: given.append("given"))
    direct.offer(batch([1, 2, 3]), RECEIVED, receipt)
    [result] = taken
    assert result.receipt is result.blocks[0].receipt is receipt
    receipt.hold()  # the ticks, for the block
    receipt.release()  # the pipeline, for the result
    assert given == []
    receipt.release()
    assert given == ["given"]


def test_the_receipt_of_what_is_refused_or_empty_goes_with_it(
    direct: DirectInput, taken: list[Result]
):
    given: list[int] = []
    for number, found in enumerate((batch([1, 2, 3, 4]), batch([]))):
        direct.offer(found, RECEIVED, Receipt(lambda number=number: given.append(number)))
    for result in taken:
        assert result.blocks == []
        result.receipt.release()
    assert given == [0, 1]


def test_a_full_registry_is_said(
    registry: Registry, taken: list[Result], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registries, "MAX_SENSORS", 2)
    direct = DirectInput(taken.append, registry)
    with pytest.raises(ValueError, match="plant-07/gw-9/1: too many sensors for the registry"):
        direct.catalogue(catalogue("a", "b", "c"))
