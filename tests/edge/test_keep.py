"""What stays of raw data that a full spool dropped: minutes as the cloud would have made them."""

from __future__ import annotations

import pytest

from edge import codec, keep
from edge.simulator.build import expected_batches
from edge.simulator.settings import SimulatorSettings
from edge.spool.record import Kind, Stored
from udfs import rollup
from udfs.batch import Batch
from udfs.rollup import FINAL, PROVISIONAL, MinuteRollup
from udfs.windows import Windows

START_MS = 1_750_000_020_000 // 60_000 * 60_000 + 20_000  # 20 s into a minute
FACILITY, GATEWAY = "plant-0001", "gw-1"


def batches() -> list[Batch]:
    settings = SimulatorSettings(facilities=1, sensors=50, start_ms=START_MS, batches=200)
    return list(expected_batches(settings, FACILITY, GATEWAY))


def stored(batch: Batch, body: bytes | None = None) -> Stored:
    body = codec.encode(batch) if body is None else body
    return Stored(Kind.BATCH, batch.sequence, batch.epoch, batch.sequence, batch.time_ms,
                  len(batch), 0, 0, 0, body)  # fmt: skip


def minutes(records: list[Stored]) -> dict[int, MinuteRollup]:
    found = {}
    for body, minute_ms in keep.roll_up(FACILITY, GATEWAY, records):
        made = rollup.decode(keep.unpack(body))
        assert made.minute_ms == minute_ms
        found[minute_ms] = made
    return found


def expected() -> dict[int, MinuteRollup]:
    windows = Windows(FACILITY, GATEWAY)
    closed = [minute for batch in batches() for minute in windows.add(batch, 0).closed]
    return {minute.minute_ms: minute for minute in closed}


def test_whole_minutes_are_those_of_the_cloud_and_the_edges_are_provisional() -> None:
    # a segment from 10 s into the run to 170 s: minutes 1 and 2 are whole in it
    found = minutes([stored(batch) for batch in batches()[10:170]])
    first, one, two, last = sorted(found)
    for whole in (one, two):
        assert found[whole].revision == FINAL
        assert found[whole].same_as(expected()[whole])
    assert [found[at].revision for at in (first, last)] == [PROVISIONAL, PROVISIONAL]
    assert [found[at].batches for at in (first, last)] == [30, 10]
    assert sum(minute.readings() for minute in found.values()) == sum(
        len(batch) for batch in batches()[10:170]
    )


def test_a_body_that_cannot_be_read_costs_its_own_batch() -> None:
    records = [stored(batch) for batch in batches()[10:170]]
    records[75] = stored(batches()[85], b"junk")
    found = minutes(records)
    assert sum(minute.batches for minute in found.values()) == 159
    one = sorted(found)[1]
    assert not found[one].complete


def test_packed_rollups_are_small_and_damage_is_noticed() -> None:
    data = rollup.encode(expected()[sorted(expected())[1]])
    body = keep.pack(data)
    assert keep.unpack(body) == data
    assert len(body) < len(data)
    for bad in (b"", body[:3], body[:-1], b"\xff\xff\xff\xff" + body[4:], b"\x01\0\0\0" + body[4:]):
        with pytest.raises(ValueError, match="rollup"):
            keep.unpack(bad)
