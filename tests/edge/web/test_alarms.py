from __future__ import annotations

import json
from dataclasses import replace

from edge.alarms import MAX_EVENTS, MAX_FIRING, AlarmBoard, Firing
from udfs.alerts import AlertEvent, from_json

T0 = 1_750_000_000_000
TOPIC = "hardiot/plant-07/gw-1/alarms"


def alert(number: int = 1, subject: str = "pump-1.flow", **more) -> AlertEvent:
    made = AlertEvent(
        id=f"id-{number}", status="firing", rule="flow-low", rule_version=1, severity="warning",
        facility="plant-07", gateway="gw-1", subject=subject, asset="pump-1", kind="flow",
        unit="m3/h", value=1.5, limit=2.0, onset_ms=T0 + number, event_ms=T0 + number,
        created_ms=T0 + number, late=False, text=f"{subject} is at 1.5 m3/h",
    )  # fmt: skip
    return replace(made, **more)


def ended(event: AlertEvent) -> AlertEvent:
    return replace(event, status="resolved", event_ms=event.event_ms + 500, text="it ended")


def test_an_alarm_is_retained_until_it_is_resolved() -> None:
    board = AlarmBoard(TOPIC)
    (told,) = board.take([alert()])
    assert (told.topic, told.retain) == (f"{TOPIC}/flow-low/pump-1.flow", True)
    assert from_json(told.payload) == alert()
    assert board.messages() == [told]
    resolved, clear = board.take([ended(alert())])
    assert (from_json(resolved.payload).status, resolved.retain) == ("resolved", False)
    assert (clear.topic, clear.payload, clear.retain) == (told.topic, b"", True)
    # a panel's broker that was away meanwhile still has the alarm
    assert board.messages() == [clear]


def test_what_was_told_is_not_told_again() -> None:
    board = AlarmBoard(TOPIC)
    events = [alert(1), alert(2, "pump-2.flow"), ended(alert(1))]
    assert len(board.take(events)) == 4
    assert board.take([alert(2, "pump-2.flow"), ended(alert(1))]) == []
    assert [event.id for event in board.view().firing] == ["id-2"]
    assert [(e.id, e.status) for e in board.view().events] == [
        ("id-1", "resolved"), ("id-2", "firing"), ("id-1", "firing"),
    ]  # fmt: skip


def updated(event: AlertEvent, severity: str, after_ms: int = 300) -> AlertEvent:
    return replace(event, status="updated", severity=severity, event_ms=event.event_ms + after_ms)


def test_an_alarm_that_escalates_takes_the_place_of_what_it_was() -> None:
    board = AlarmBoard(TOPIC)
    (told,) = board.take([alert(1)])
    board.take([alert(2, "pump-2.flow")])
    worse = updated(alert(1), "critical")
    (again,) = board.take([worse])
    assert (again.topic, again.retain, from_json(again.payload)) == (told.topic, True, worse)
    assert board.view().firing == (worse, alert(2, "pump-2.flow"))
    assert board.view().by_severity == {"critical": 1, "warning": 1, "info": 0}
    assert board.view().events[0] == worse
    assert board.messages()[0] == again
    # what a restart brings once more, the older ones too
    assert board.take([alert(1), worse, updated(alert(1), "info", 200)]) == []
    (down,) = board.take([updated(alert(1), "warning", 400)])
    assert from_json(down.payload).severity == "warning" and down.retain
    resolved, clear = board.take([ended(alert(1))])
    assert (resolved.retain, clear.payload) == (False, b"")


def test_an_update_of_an_alarm_whose_topic_a_newer_one_has_is_not_retained() -> None:
    board = AlarmBoard(TOPIC)
    board.take([alert(1), alert(2)])
    (only,) = board.take([updated(alert(1), "critical")])
    assert not only.retain


def test_an_update_of_an_alarm_that_nobody_knew_is_an_alarm() -> None:
    board = AlarmBoard(TOPIC)
    (told,) = board.take([updated(alert(1), "critical")])
    assert told.retain and board.view().count == 1
    assert len(board.take([ended(alert(1))])) == 2


def test_beyond_the_bound_an_update_changes_the_severity() -> None:
    firing = Firing()
    for number in range(MAX_FIRING + 2):
        firing.take(alert(number, f"s{number}"))
    last = alert(MAX_FIRING + 1, "s")
    assert firing.take(updated(last, "critical")) and not firing.take(updated(last, "critical"))
    assert firing.by_severity() == {"critical": 1, "warning": MAX_FIRING + 1, "info": 0}
    assert len(firing.events()) == MAX_FIRING
    assert firing.take(ended(last)) and firing.by_severity()["critical"] == 0


def test_subjects_cannot_make_other_topics() -> None:
    board = AlarmBoard(TOPIC)
    (told,) = board.take([alert(subject="line/1+#%\x00 ü")])
    assert told.topic == f"{TOPIC}/flow-low/line%2F1%2B%23%25%00 ü"


def test_a_newer_alarm_of_the_same_subject_keeps_the_topic() -> None:
    board = AlarmBoard(TOPIC)
    board.take([alert(1), alert(2)])
    (only,) = board.take([ended(alert(1))])
    assert not only.retain
    assert from_json(board.messages()[0].payload).id == "id-2"


def test_worst_first_then_newest() -> None:
    board = AlarmBoard(TOPIC)
    board.take([
        alert(1, "a", severity="info"), alert(2, "b"), alert(3, "c", severity="critical"),
        alert(4, "d"),
    ])  # fmt: skip
    view = board.view()
    assert [event.subject for event in view.firing] == ["c", "d", "b", "a"]
    assert view.by_severity == {"critical": 1, "warning": 2, "info": 1} and view.count == 4


def test_tens_of_thousands_are_counted_and_bounded() -> None:
    board, count = AlarmBoard(TOPIC), MAX_FIRING + 500
    many = [alert(n, f"s{n}") for n in range(count)]
    assert len(board.take(many)) == count
    view = board.view()
    assert (view.count, len(view.firing), len(view.events)) == (count, MAX_FIRING, MAX_EVENTS)
    cleared = board.take([ended(event) for event in many])
    assert sum(m.retain and not m.payload for m in cleared) == count
    assert board.view().count == 0


def test_after_a_start_the_board_goes_on() -> None:
    before = Firing()
    for event in (alert(1), alert(2, "pump-2.flow"), ended(alert(1))):
        before.take(event)
    after = Firing.from_plain(json.loads(json.dumps(before.to_plain())))
    board = AlarmBoard(TOPIC)
    messages = board.begin(after, recent=[alert(1), ended(alert(1)), alert(2, "pump-2.flow")])
    # the first was resolved, but the process may have gone before it told the broker
    assert [(m.topic[len(TOPIC) :], bool(m.payload)) for m in messages] == [
        ("/flow-low/pump-1.flow", False), ("/flow-low/pump-2.flow", True),
    ]  # fmt: skip
    assert board.take([alert(2, "pump-2.flow")]) == []
    assert len(board.take([ended(alert(2, "pump-2.flow"))])) == 2


def test_the_board_does_not_change_what_it_began_with() -> None:
    firing = Firing()
    firing.take(alert(1))
    board = AlarmBoard(TOPIC)
    board.begin(firing)
    board.take([ended(alert(1))])
    assert [event.id for event in firing.events()] == ["id-1"]
