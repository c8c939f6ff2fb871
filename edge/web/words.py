"""A gateway's status in plain words, for somebody who is woken at 3 am and never saw it before.

    summary = summarise(status)     # headline, and a card each: cloud, store, inputs, ...

Everything has a level and says it in words as well; what is not in order says what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from edge.status import Connection, Counts, InputStatus, Status

_FEW_HOURS = 6
_CERTIFICATE_DAYS = 14
_DAY_MS = 86_400_000
_SHOWN = 300  # characters of a reason


class Level(StrEnum):
    """How bad it is, best first."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Card:
    """One part. hint: what to do, empty when there is nothing. facts: name and value."""

    title: str
    level: Level
    text: str
    hint: str = ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole page but for the alarms themselves."""

    level: Level
    headline: str
    cards: tuple[Card, ...]


def summarise(status: Status) -> Summary:
    """The status in words."""
    cards = (_cloud(status), _store(status), *_inputs(status), _rejects(status), _rules(status))
    severities = status.alarms.by_severity
    worst = [card.level for card in cards]
    if severities["critical"]:
        worst.append(Level.CRITICAL)
    elif status.alarms.count:
        worst.append(Level.WARNING)
    order = list(Level)
    level = max(worst, key=order.index)
    return Summary(level, _headline(status, cards), cards)


def _headline(status: Status, cards: Iterable[Card]) -> str:
    parts = []
    counts = {name: count for name, count in status.alarms.by_severity.items() if count}
    if counts:
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        total = status.alarms.count
        parts.append(f"{total} alarm{'s' if total > 1 else ''} ({listed}).")
    else:
        parts.append("No alarms.")
    wrong = [card.title.lower() for card in cards if card.level is not Level.OK]
    parts.append(f"Needs a look: {', '.join(wrong)}." if wrong else "This gateway is in order.")
    return " ".join(parts)


def _cloud(status: Status) -> Card:
    link, spool = status.uplink.connection, status.spool
    lasted = duration(status.now_ms - link.since_ms)
    facts = [("Waiting to be sent", _pending(status))]
    if status.spool.oldest_ms is not None:
        facts.append(("Oldest of it", f"{duration(status.now_ms - status.spool.oldest_ms)} old"))
    facts += [(f"Sent, {lane}", _number(n)) for lane, n in status.uplink.acknowledged.items()]
    facts += _certificate(status, link)
    if link.connected:
        level = Level.WARNING if _ends_soon(status, link) else Level.OK
        hint = "Its certificate must be renewed." if level is Level.WARNING else ""
        return Card("Cloud", level, f"Connected for {lasted}.", hint, tuple(facts))
    few = spool.hours_left is not None and spool.hours_left < _FEW_HOURS
    room = "" if spool.hours_left is None else f" for {_hours(spool.hours_left)} more"
    text = f"Not connected for {lasted}. Readings are kept on this box; there is room{room}."
    hint = "Alarms here go on working. Check the site's internet, then cable and router." + _said(
        link
    )
    return Card("Cloud", Level.CRITICAL if few else Level.WARNING, text, hint, tuple(facts))


def _pending(status: Status) -> str:
    waiting = sum(status.spool.pending.values())
    return f"{_number(waiting)} records" if waiting else "nothing"


def _store(status: Status) -> Card:
    spool = status.spool
    facts = (
        ("Used", f"{_bytes(spool.used_bytes)} of {_bytes(spool.max_bytes)}"),
        ("Number of this store", str(spool.epoch)),
        *_reasons("Lost for good", spool.lost, " batches"),
        *((("Damaged files", str(spool.damaged)),) if spool.damaged else ()),
    )
    if spool.failed:
        text = f"The disk does not take data any more: {spool.failed}."
        hint = "The gateway restarts by itself. If this stays, the disk must be replaced."
        return Card("Store", Level.CRITICAL, text, hint, facts)
    left = spool.hours_left
    share = 100 * spool.used_bytes / max(spool.max_bytes, 1)
    text = f"{share:.0f} % used."
    if left is not None:
        text += f" Room for {_hours(left)}."
    if left is not None and left < _FEW_HOURS:
        hint = "When it is full, the oldest readings are given up, and that is reported. "
        hint += "Get the cloud connected, or give the gateway more disk."
        return Card("Store", Level.WARNING, text, hint, facts)
    if spool.damaged or any(spool.lost.values()):
        hint = "What was lost has been reported to the cloud. Tell whoever looks after this box."
        return Card("Store", Level.WARNING, text, hint, facts)
    return Card("Store", Level.OK, text, "", facts)


def _inputs(status: Status) -> Iterator[Card]:
    if not status.inputs:
        hint = "Set mqtt: or opcua: in the gateway's settings."
        yield Card("Inputs", Level.WARNING, "Nothing is set to be read from.", hint)
    for each in status.inputs:
        yield _input(status, each)


def _input(status: Status, each: InputStatus) -> Card:
    link = each.connection
    title = f"Input {link.name}"
    lasted = duration(status.now_ms - link.since_ms)
    facts = (
        ("Readings", _number(each.readings)),
        *((("Messages missing", _number(each.sequence_gaps)),) if each.sequence_gaps else ()),
        *((("Asked to start over", _number(each.rebirths)),) if each.rebirths else ()),
        *_certificate(status, link),
    )
    if not link.connected:
        hint = "Check that the broker or server runs, and the cable to it." + _said(link)
        return Card(title, Level.CRITICAL, f"Not connected for {lasted}.", hint, facts)
    rate = f"{each.readings_per_s:,.0f} readings a second"
    if not each.readings_per_s:
        text = f"Connected for {lasted}, but nothing comes."
        hint = "Check that the machines are on and send."
        return Card(title, Level.WARNING, text, hint, facts)
    if _ends_soon(status, link):
        hint = "Its certificate must be renewed."
        return Card(title, Level.WARNING, f"Connected for {lasted}, {rate}.", hint, facts)
    return Card(title, Level.OK, f"Connected for {lasted}, {rate}.", "", facts)


def _rejects(status: Status) -> Card:
    """What is dropped on purpose is in order; what is refused is not understood."""
    refused = _reasons("Refused", status.refused, " messages")
    dropped, marked = _reasons("Dropped", status.dropped), _reasons("Marked", status.flagged)
    facts = (*refused, *dropped, *marked)
    if refused:
        text = "Some messages were not understood. They are kept and sent to the cloud."
        hint = "Tell whoever set up the machines' messages; the reasons are below."
        return Card("Messages", Level.WARNING, text, hint, facts)
    return Card("Messages", Level.OK, "All messages were understood.", "", facts)


def _rules(status: Status) -> Card:
    rules = status.rules
    what = f"rulebook {rules.revision}" if rules.revision else "the rules of this gateway's folder"
    text = f"{_number(rules.count)} rules run: {what}."
    facts = (
        *((("Pushed", f"by {rules.author}: {rules.reason}"),) if rules.revision else ()),
        *((("Refused rulebooks", _number(rules.refused)),) if rules.refused else ()),
        *((("Batches not judged", _number(rules.failed)),) if rules.failed else ()),
        *((("New rulebooks", _TROUBLES.get(rules.trouble, "")),) if rules.trouble else ()),
    )
    if rules.failed:
        hint = "Alarms here may be missing; readings are kept. Tell whoever looks after the rules."
        return Card("Rules", Level.CRITICAL, f"{text} They fail.", hint, facts)
    if rules.why:
        hint = f"Tell whoever looks after the rules. It says: {rules.why[:_SHOWN]}"
        text += " Another rulebook cannot be used, so these go on."
        return Card("Rules", Level.WARNING, text, hint, facts)
    if rules.trouble == "not_allowed":
        hint = "The gateway needs the right to read topic rules in Kafka."
        return Card("Rules", Level.WARNING, text, hint, facts)
    return Card("Rules", Level.OK, text, "", facts)


_TROUBLES = {
    "no_topic": "this cloud has none",
    "not_allowed": "the cloud does not let this gateway read them",
}


def _certificate(status: Status, link: Connection) -> tuple[tuple[str, str], ...]:
    if link.certificate_expires_ms is None:
        return ()
    left_ms = link.certificate_expires_ms - status.now_ms
    ends = f"ends in {duration(left_ms)}" if left_ms > 0 else "has ended"
    return (("Certificate", ends),)


def _ends_soon(status: Status, link: Connection) -> bool:
    ends_ms = link.certificate_expires_ms
    return ends_ms is not None and ends_ms - status.now_ms < _CERTIFICATE_DAYS * _DAY_MS


def _said(link: Connection) -> str:
    return f" It says: {link.detail}" if link.detail else ""


def _reasons(word: str, counts: Counts, unit: str = "") -> tuple[tuple[str, str], ...]:
    """Facts of the reasons that occurred, most frequent first."""
    some = sorted(((r, n) for r, n in counts.items() if n), key=lambda pair: (-pair[1], pair[0]))
    return tuple(
        (f"{word}, {reason.replace('_', ' ')}", f"{_number(n)}{unit}") for reason, n in some
    )


def _number(count: int) -> str:
    return f"{count:,}"


def _hours(hours: float) -> str:
    if hours >= 96:
        return f"{hours / 24:,.0f} days"
    return f"{hours:.0f} hours" if hours >= 2 else f"{max(hours, 0) * 60:.0f} minutes"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def duration(ms: int) -> str:
    """About how long: 45 s, 12 min, 3 h 20 min, 5 days. A clock that was set back gives 0 s."""
    seconds = max(ms, 0) // 1000
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} days"
