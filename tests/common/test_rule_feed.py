"""The topic of rulebooks as a job follows it, with a client that gives what a test says."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from jobs.common import rule_feed
from jobs.common.rule_feed import RuleFeed, RulesUnknown
from tests.udfs.plant import rule
from tests.udfs.rules.test_shelf import value
from udfs.rules.record import record_key

FOLDER = [rule("threshold: {above: 1}", name="folder")]
END = KafkaError(KafkaError._PARTITION_EOF)
ABSENT = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN)


class Message:
    def __init__(self, key: str, value: bytes | None, error: KafkaError | None = None) -> None:
        self.found = key.encode(), value, error

    def key(self) -> bytes:
        return self.found[0]

    def value(self) -> bytes | None:
        return self.found[1]

    def error(self) -> KafkaError | None:
        return self.found[2]


class Kafka:
    """Stands for the client; `say` is what it gets next."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[Message] = queue.Queue()
        self.closed = False

    def say(self, *messages: Message | KafkaError) -> None:
        for message in messages:
            error = Message("", None, message) if isinstance(message, KafkaError) else message
            self.waiting.put(error)

    def assign(self, places: list[Any]) -> None:
        assert [(place.topic, place.partition) for place in places] == [("rules", 0)]

    def poll(self, timeout_s: float) -> Message | None:
        try:
            return self.waiting.get(timeout=0.01)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()
    monkeypatch.setattr(rule_feed, "Consumer", lambda settings: made)
    monkeypatch.setattr(rule_feed, "WAIT_S", 0.3)
    return made


@pytest.fixture
def feed(kafka: Kafka) -> Any:
    made = RuleFeed(FOLDER, "nowhere:1")
    yield made
    made.close()


def book(revision: int, text: str | None = None) -> Message:
    data = value(revision) if text is None else value(revision, text=text)
    return Message(record_key(revision, "a"), data)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def names(feed: RuleFeed) -> list[str]:
    return [each.name for each in feed.newest.rules]


@pytest.mark.parametrize("answer", [END, ABSENT])
def test_without_a_rulebook_the_folder_counts(feed: RuleFeed, kafka: Kafka, answer: Any) -> None:
    kafka.say(answer)
    feed.open()
    assert names(feed) == ["folder"]
    assert feed.levels() == {"rules_revision": 0, "rulebooks_refused": 0}
    assert feed.at(0) == feed.newest and feed.at(3) is None


def test_a_start_reads_the_topic_to_its_end(feed: RuleFeed, kafka: Kafka) -> None:
    kafka.say(book(1), book(2), END)
    feed.open()
    assert (feed.newest.revision, names(feed)) == (2, ["hot"])
    assert feed.levels()["rules_revision"] == 2


def test_a_later_rulebook_comes_by_itself_and_those_before_can_be_asked_for(
    feed: RuleFeed, kafka: Kafka
) -> None:
    kafka.say(book(1, "rules: []"), END)
    feed.open()
    kafka.say(book(2), END)
    until(lambda: feed.newest.revision == 2)
    earlier = feed.at(1)
    assert earlier is not None and (earlier.revision, earlier.rules) == (1, [])
    assert feed.at(1) is earlier
    folder = feed.at(0)
    assert folder is not None and folder.rules == FOLDER


def test_a_bad_one_is_told_once_with_its_mistakes_and_changes_nothing(
    feed: RuleFeed, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.say(book(1), END)
    feed.open()
    with caplog.at_level(logging.ERROR):
        kafka.say(book(2, "rules: 3"), Message("rubbish", b""), END, END)
        until(lambda: kafka.waiting.empty() and len(caplog.records) >= 2)
    assert feed.newest.revision == 1 and feed.levels()["rulebooks_refused"] == 2
    assert sorted(record.getMessage().split("(")[0] for record in caplog.records) == [
        "a rulebook is refused: key 'rubbish' is not <revision of 8 digits>/<id>",
        "a rulebook is refused: revision 2: plant.yaml: line 1: rules 3 is not a list ",
    ]
    kafka.say(book(3), END)
    until(lambda: feed.newest.revision == 3)
    assert feed.levels() == {"rules_revision": 3, "rulebooks_refused": 0}


def test_without_an_answer_a_job_starts_with_what_it_has(
    feed: RuleFeed, kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.say(DOWN)
    feed.open()
    assert names(feed) == ["folder"]
    assert "was not read within 0 s; the job starts with revision 0" in caplog.text
    # but state that other rules made is not thrown away for want of an answer
    with pytest.raises(RulesUnknown, match="revision 4 of topic rules: Kafka does not answer"):
        feed.at(4)
    kafka.say(book(4), END)
    until(lambda: feed.newest.revision == 4)
    assert feed.at(4) == feed.newest


def test_an_error_in_the_thread_is_told_and_it_goes_on(
    feed: RuleFeed, kafka: Kafka, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rule_feed, "_AGAIN_S", 0.01)
    kafka.say(None, book(1), END)
    kafka.waiting.queue[0] = 3
    feed.open()
    assert feed.newest.revision == 1
    assert "topic rules cannot be followed" in caplog.text


def test_closing_ends_the_thread_and_the_client(feed: RuleFeed, kafka: Kafka) -> None:
    kafka.say(END)
    feed.open()
    feed.close()
    assert kafka.closed and not feed._thread.is_alive()
