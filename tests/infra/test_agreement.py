"""The contracts as data and the code that implements them say the same."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.common.contracts import ROOT, Contract, Key, load_contracts, load_topics
from udfs import alerts, batch, catalogue, detect_step, ledger, records, rollup, rollup_step, shares
from udfs.alerts import AlertEvent
from udfs.condition_events import ConditionEvent, from_json, to_json
from udfs.rules import record

CONTRACTS = load_contracts()
PYTHON = {
    "string": (str,),
    "integer": (int,),
    "number": (float, int, type(None)),
    "boolean": (bool,),
    "ranges": (list,),
    "object": (dict,),
}


def arrow_types(contract: Contract) -> dict[str, pa.DataType]:
    return {column.name: pa.type_for_alias(column.type) for column in contract.columns}


def names(keys: tuple[Key, ...], required: bool | None = None) -> set[str]:
    return {key.name for key in keys if required in (None, key.required)}


def assert_json(contract: Contract, found: dict[str, Any]) -> None:
    """Every required field is there, nothing else is, and each is of its type."""
    known = {key.name: key.type for key in contract.fields_}
    assert set(found) <= set(known)
    assert names(contract.fields_, required=True) <= set(found)
    wrong = {
        name: value
        for name, value in found.items()
        if not isinstance(value, PYTHON[known[name]])
        or (isinstance(value, bool) and known[name] != "boolean")
    }
    assert wrong == {}


def test_readings() -> None:
    contract = CONTRACTS[batch.CONTRACT]
    fields = {name: field.type for name, field in batch._FIELDS.items()}
    assert arrow_types(contract) == fields
    assert names(contract.header) == batch._KEYS
    numbers = {key.name for key in contract.header if key.type == "integer"}
    assert numbers == set(batch._NUMBERS)
    assert [found.reason for found in contract.reasons] == list(batch.Reason)
    assert {limit.name: limit.value for limit in contract.limits} == {
        "max_batch_bytes": batch.MAX_BATCH_BYTES,
        "max_future_ms": batch.MAX_FUTURE_MS,
        "max_offset_ms": batch.MAX_OFFSET_MS,
    }


def header_without(key: str) -> bytes:
    """A batch that lacks one header key."""
    whole = batch.encode(batch.Batch("plant-07", "gw-1", 1, 2, 3, np.array([1.0])))
    table = pa.ipc.open_stream(whole).read_all()
    rest = {name: text for name, text in table.schema.metadata.items() if name != key.encode()}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.with_metadata(rest)) as writer:
        writer.write_batch(table.replace_schema_metadata(rest).to_batches()[0])
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("key", CONTRACTS[batch.CONTRACT].header, ids=lambda key: key.name)
def test_readings_need_the_keys_that_are_required(key: Key) -> None:
    if key.required:
        with pytest.raises(batch.Refused, match=key.name):
            batch.decode(header_without(key.name))
    else:
        assert len(batch.decode(header_without(key.name))) == 1


def test_readings_columns_that_may_be_absent() -> None:
    columns = {column.name: column.default for column in CONTRACTS[batch.CONTRACT].columns}
    assert columns == {"value": None, "sensor": "0, 1, 2, ...", "offset_ms": "0", "quality": "0"}
    found = batch.decode(header_without("traceparent"))
    assert (found.sensor, found.offset_ms, found.quality) == (None, None, None)


def test_catalogue() -> None:
    contract = CONTRACTS[catalogue.CONTRACT]
    text, number = ("a",), np.array([1.0])
    made = catalogue.Catalogue(
        "plant-07", "gw-1", 1, text, text, text, text, number, number, np.array([1000], np.int32)
    )
    schema = pa.ipc.open_stream(catalogue.encode(made)).schema
    assert arrow_types(contract) == dict(zip(schema.names, schema.types, strict=True))
    assert names(contract.header) == {key.decode() for key in schema.metadata}
    optional = {column.name for column in contract.columns if column.default is not None}
    assert optional == set(catalogue._LATER)


def test_rollup() -> None:
    contract = CONTRACTS[rollup.CONTRACT]
    assert arrow_types(contract) == {
        name: pa.from_numpy_dtype(np.dtype(dtype)) for name, dtype in rollup.COLUMNS.items()
    }
    assert [key.name for key in contract.header] == list(rollup.HEADER)


def test_alert_fields() -> None:
    contract = CONTRACTS["hardiot.alert.v1"]
    types = {"str": "string", "int": "integer", "bool": "boolean", "float | None": "number"}
    expected = {
        name: types[str(field.type)] for name, field in AlertEvent.__dataclass_fields__.items()
    }
    assert {key.name: key.type for key in contract.fields_} == expected
    assert contract.example is not None
    data = json.dumps(contract.example).encode()
    assert json.loads(alerts.to_json(alerts.from_json(data))) == contract.example


def test_condition_event() -> None:
    contract = CONTRACTS["hardiot.condition-event.v1"]
    types = {"str": "string", "int": "integer", "bool": "boolean", "float | None": "number"}
    expected = [
        (name, types[str(field.type)])
        for name, field in ConditionEvent.__dataclass_fields__.items()
    ]
    assert [(key.name, key.type) for key in contract.fields_] == expected
    event = from_json(json.dumps(contract.example).encode())
    assert json.loads(to_json(event)) == contract.example
    (topic,) = (topic for topic in load_topics() if topic.name == records.CONDITION_EVENTS)
    assert (topic.key, event.key) == ("facility/gateway/asset", "plant-07/gw-1/pump-3")


def test_alert_headers() -> None:
    contract = CONTRACTS["hardiot.alert.v1"]
    assert contract.example is not None
    _, _, headers = alerts.to_cloudevent(AlertEvent(**contract.example))
    assert set(headers) | {detect_step.SENT_MS} == names(contract.record_headers)
    _, _, bare = alerts.to_cloudevent(AlertEvent(**contract.example | {"traceparent": ""}))
    assert set(bare) == names(contract.record_headers, required=True)
    (topic,) = (topic for topic in load_topics() if topic.name == "alerts")
    assert topic.key == "alert id"


def test_ledger() -> None:
    contract = CONTRACTS[ledger.WORD]
    word = ledger.Word(
        "plant-07", "gw-1", 1, 9, 50, ((1, 2),), ((0, 7),), 5, ((3, 9, 35, 2**64 - 1),), 9, 0
    )
    found = json.loads(ledger.encode_word(word))
    assert_json(contract, found)
    assert set(found) == names(contract.fields_)
    required = {name: found[name] for name in names(contract.fields_, required=True)}
    assert ledger.decode_word(json.dumps(required).encode()).sent_through == 9


@pytest.mark.parametrize("name", sorted(names(CONTRACTS[ledger.WORD].fields_, required=True)))
def test_ledger_needs_the_fields_that_are_required(name: str) -> None:
    example = dict(CONTRACTS[ledger.WORD].example or {})
    assert ledger.decode_word(json.dumps(example).encode()).lost == ((120, 180),)
    del example[name]
    with pytest.raises(batch.Refused):
        ledger.decode_word(json.dumps(example).encode())


def test_counted() -> None:
    step = rollup_step.RollupStep("plant-07", "gw-1")
    record = records.Record("plant-07/gw-1", "readings.plant-07", 0, 0, b"")
    step.on_batch(batch.Batch("plant-07", "gw-1", 1, 0, 3, np.array([1.0])), record, now_ms=1000)
    (line,) = [
        output for output in step.on_timer(20_000) if output.topic.startswith(records.COUNTED)
    ]
    contract = CONTRACTS[ledger.COUNTED]
    found = json.loads(line.value)
    assert_json(contract, found)
    assert set(found) == names(contract.fields_)
    (topic,) = (topic for topic in load_topics() if topic.contract == contract.contract)
    assert (topic.key, line.key) == ("facility/gateway", "plant-07/gw-1")


def test_admission() -> None:
    contract = CONTRACTS[shares.ADMISSION]
    grant = shares.Grant("plant-07", "gw-1", 20_400.0, 1_767_312_015_000, 1_767_312_000_000)
    found = json.loads(shares.encode_grant(grant))
    assert_json(contract, found)
    assert found == contract.example
    assert set(found) == names(contract.fields_, required=True)


@pytest.mark.parametrize("name", sorted(names(CONTRACTS[shares.ADMISSION].fields_)))
def test_admission_needs_every_field(name: str) -> None:
    example = dict(CONTRACTS[shares.ADMISSION].example or {})
    assert shares.decode_grant(json.dumps(example).encode()).readings_per_s == 20_400.0
    del example[name]
    with pytest.raises(ValueError, match="not a token"):
        shares.decode_grant(json.dumps(example).encode())


def test_rulebook() -> None:
    contract = CONTRACTS[record.RULEBOOK]
    assert contract.example is not None
    book = record.decode(json.dumps(contract.example).encode())
    found = json.loads(record.encode(book))
    assert_json(contract, found)
    assert found == contract.example
    assert record.rules(book) == []
    assert contract.limits[0].value == record.MAX_RULEBOOK_BYTES
    (topic,) = (topic for topic in load_topics() if topic.contract == record.RULEBOOK)
    assert topic.name == record.RULES
    assert topic.max_message_bytes > 2 * record.MAX_RULEBOOK_BYTES


@pytest.mark.parametrize("name", sorted(names(CONTRACTS[record.RULEBOOK].fields_)))
def test_rulebook_needs_every_field(name: str) -> None:
    example = dict(CONTRACTS[record.RULEBOOK].example or {})
    del example[name]
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        record.decode(json.dumps(example).encode())


def test_dead_letter() -> None:
    record = records.Record("plant-07/gw-1", "readings.plant-07", 0, 7, b"bytes")
    letter = records.dead_letter(record, "rollup_readings", "not_arrow", "cut short", 5)
    contract = CONTRACTS["hardiot.dead-letter.v1"]
    assert set(letter.headers) == names(contract.record_headers)
    assert (letter.value, letter.key) == (b"bytes", "plant-07/gw-1")


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.contract)
def test_every_contract_names_its_code_and_has_a_right_example(contract: Contract) -> None:
    assert contract.code
    assert [path for path in contract.code if not (ROOT / path).exists()] == []
    if contract.fields_:
        assert_json(contract, contract.example or {})


def test_a_batch_that_is_too_large_still_reaches_the_dead_letters() -> None:
    sizes = {topic.name: topic.max_message_bytes for topic in load_topics()}
    for lane in ("readings.<facility>", "backlog.<facility>"):
        assert 2 * batch.MAX_BATCH_BYTES < sizes[lane] < sizes["dead-letters"]


def test_every_topic_is_written_and_read_by_somebody_known() -> None:
    jobs = {"rollup_readings", "detect_anomalies", "deliver_alerts", "publish_rollups",
            "archive_readings", "archive_events", "compact_readings", "run_sql"}  # fmt: skip
    for topic in load_topics():
        assert {topic.writer} <= jobs | {"gateway", "hardiot admit", "hardiot rules"}
        readers = {"gateway", "hardiot ledger", "hardiot watch", "hardiot rules"}
        assert set(topic.readers) <= jobs | readers
