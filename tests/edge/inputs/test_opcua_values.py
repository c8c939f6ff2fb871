"""One publishing interval of OPC UA values as columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from asyncua import ua

from edge.inputs.opcua_values import Monitored, read_values

NOW = 1_714_564_805_000
AT = datetime(2024, 5, 1, 12, 0, 0, 250_900, tzinfo=UTC)
AT_MS = 1_714_564_800_250


def item(place: int, value: Any, status: int = 0, **stamps: datetime) -> Any:
    data = ua.DataValue(ua.Variant(value), ua.StatusCode(status), **stamps)
    return ua.MonitoredItemNotification(ClientHandle=place, Value=data)


@pytest.fixture
def monitored() -> Monitored:
    return Monitored(("a", "b", "c"), np.array([10, 11, 12], np.uint32), np.zeros(3, np.bool_))


def test_columns_in_the_order_of_the_notifications(monitored: Monitored):
    items = [
        item(2, 2**40, SourceTimestamp=AT, ServerTimestamp=AT.replace(year=2025)),
        item(0, False, ua.StatusCodes.Uncertain, ServerTimestamp=AT),
        item(2, -1.5, ua.StatusCodes.BadNotConnected),
    ]
    result, overflows = read_values(items, monitored, "opc.tcp://x:1", NOW)
    [block] = result.blocks
    assert block.slot.tolist() == [12, 10, 12]
    assert block.value.tolist() == [2.0**40, 0.0, -1.5]
    assert block.quality.tolist() == [0, 1, 2]
    assert block.time_ms.tolist() == [AT_MS, AT_MS, NOW]
    assert (block.slot.dtype, block.time_ms.dtype) == ("u4", "i8")
    assert (block.value.dtype, block.quality.dtype) == ("f8", "u1")
    assert (block.source, block.received_ms) == ("opc.tcp://x:1", NOW)
    assert (result.refused, overflows) == ([], 0)


@pytest.mark.parametrize(
    "empty",
    [ua.DataValue(ua.Variant(None), None), ua.DataValue(ua.Variant(float("nan")))],
)
def test_what_has_no_value_is_bad_whatever_its_status(monitored: Monitored, empty: Any):
    items = [ua.MonitoredItemNotification(ClientHandle=1, Value=empty)]
    result, _ = read_values(items, monitored, "x", NOW)
    assert np.isnan(result.blocks[0].value).tolist() == [True]
    assert result.blocks[0].quality.tolist() == [2]


def test_the_first_value_of_a_subscription_is_of_now_if_it_is_old(monitored: Monitored):
    monitored.fresh[:2] = True
    recent = datetime(2024, 5, 1, 12, 0, 4, tzinfo=UTC)
    old = AT.replace(hour=11)
    items = [item(place, 1.0, SourceTimestamp=old) for place in (0, 2, 0)]
    items.append(item(1, 1.0, SourceTimestamp=recent))
    times = read_values(items[:2], monitored, "x", NOW)[0].blocks[0].time_ms.tolist()
    times += read_values(items[2:], monitored, "x", NOW)[0].blocks[0].time_ms.tolist()
    assert times == [NOW, AT_MS - 3_600_000, AT_MS - 3_600_000, NOW - 1000]
    assert not monitored.fresh.any()


def test_what_is_no_number_is_refused_and_the_rest_is_read(monitored: Monitored):
    items = [item(0, "x" * 5000), item(1, [1.0, 2.0]), item(2, 3.0), item(0, b"\0")]
    result, _ = read_values(items, monitored, "x", NOW)
    assert result.blocks[0].slot.tolist() == [12]
    assert result.blocks[0].value.tolist() == [3.0]
    found = [(refused.reason, refused.topic, len(refused.payload)) for refused in result.refused]
    assert found == [
        ("not_a_number", "a", 1000),
        ("not_a_number", "b", 0),
        ("not_a_number", "a", 0),
    ]
    assert read_values(items[:1], monitored, "x", NOW)[0].blocks == []


def test_values_before_which_the_server_dropped_others_are_counted(monitored: Monitored):
    overflow = 0x480
    items = [item(0, 1.0, overflow), item(1, 1.0), item(2, 1.0, ua.StatusCodes.Bad | overflow)]
    result, overflows = read_values(items, monitored, "x", NOW)
    assert overflows == 2
    assert result.blocks[0].quality.tolist() == [0, 0, 2]
