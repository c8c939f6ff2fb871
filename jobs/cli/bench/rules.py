"""detect_anomalies from a full Kafka, under rules of every kind."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Consumer, TopicPartition

from edge.simulator.build import FleetBuilder
from edge.simulator.settings import SimulatorSettings
from jobs.cli.bench.full_kafka import END, SENSORS, WARM_UP, Point, fill, rates, state, wait
from jobs.cli.bench.pattern_cost import pattern_us
from jobs.cli.bench.rule_sets import faults_of, matching_of, rule_set
from jobs.cli.bench.watch_loop import entries
from jobs.cli.output import log
from jobs.common.tail import Tail
from jobs.detect_anomalies import NAME
from jobs.local.paths import RUNS
from jobs.local.stack import Stack
from udfs.condition_events import from_json
from udfs.records import ALERTS, CONDITION_EVENTS
from udfs.rules.rulebook import Rule, parse

BATCHES_A_S = 350  # so many batches are laid up for a second of measuring


def measure(rules: int, facilities: int, seconds: int, taskmanagers: int) -> dict[str, Any]:
    """Fill Kafka, start the job on it with so many rules, measure its middle part."""
    batches = max(seconds * BATCHES_A_S // facilities, 120)
    matching = matching_of(rules)
    text = rule_set(rules, matching)
    made = parse(text, "bench.yaml")
    with Stack(RUNS / "bench", taskmanagers, report=log.print) as stack:
        folder = stack.folder / "rules"
        folder.mkdir(exist_ok=True)
        (folder / "bench.yaml").write_text(text)
        sent, total = fill(stack, facilities, batches, faults_of(batches)), facilities * batches
        args = ["--bootstrap", stack.bootstrap, "--parallelism", str(taskmanagers)]
        job_id = stack.submit("detect_anomalies", [*args, "--rules", str(folder)])
        start = wait(stack, NAME, total * WARM_UP, "warming up")
        before = {topic: ends(stack.bootstrap, topic) for topic in (ALERTS, CONDITION_EVENTS)}
        end = wait(stack, NAME, total * END, "measuring")
        said = {topic: ends(stack.bootstrap, topic) - old for topic, old in before.items()}
        found = rates(start, end, sent / total) | state(stack, job_id, facilities * SENSORS)
        found |= _said(start, end, said) | _patterns(stack.bootstrap, made)
    load = (
        f"{rules} rules, {matching} of them about sensors of each gateway; {facilities} gateways "
        f"of {SENSORS} sensors, {batches} batches of 1 s each, with faults; {taskmanagers} "
        "TaskManagers of one slot, at least once, checkpoints every 5 s, lz4"
    )
    return found | {"load": load, "entries": _entries(made)}


def ends(bootstrap: str, topic: str) -> int:
    """Records that were ever written to a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        places = [TopicPartition(topic, partition) for partition in partitions]
        return sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    finally:
        consumer.close()


def _said(start: Point, end: Point, said: dict[str, int]) -> dict[str, Any]:
    seconds = end.at_s - start.at_s
    return {
        "alerts_per_s": said[ALERTS] / seconds,
        "condition_events_per_s": said[CONDITION_EVENTS] / seconds,
    }


def _patterns(bootstrap: str, rules: list[Rule]) -> dict[str, Any]:
    """The pattern engine alone, on the condition events that the job wrote."""
    with Tail(bootstrap, [CONDITION_EVENTS], from_start=True) as tail:
        noted = [from_json(message.value) for message in tail.rest()]
    return {"condition_events": len(noted), "us_per_condition_event": pattern_us(rules, noted)}


def _entries(rules: list[Rule]) -> int:
    plant = FleetBuilder(SimulatorSettings(facilities=1, sensors=SENSORS, batches=1))
    return entries(rules, plant.catalogues[0])
