"""hardiot ledger: is everything there that the gateways sent?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, fail, log, show_json, show_rows
from jobs.cli.where import BootstrapOption, find_bootstrap
from jobs.common.tail import Message, Tail
from udfs.batch import Refused
from udfs.ledger import Balance, Verdict, Word, compare, decode_word
from udfs.records import COUNTED, LEDGER

_SHOWN = 3
BAD = (Verdict.MISSING, Verdict.DIFFERENT)


class Books:
    """The newest word and the newest line of every gateway."""

    def __init__(self) -> None:
        self.words: dict[str, Word] = {}
        self.lines: dict[str, dict[str, Any]] = {}

    def take(self, message: Message) -> None:
        """Take in a record of `ledger.` or `counted.` topics."""
        family, _, facility = message.topic.partition(".")
        if family == COUNTED:
            self.lines[message.key] = json.loads(message.value)
            return
        try:
            word = decode_word(message.value)
        except Refused:  # the job sends it to the dead letters
            return
        key = f"{facility}/{word.gateway}"
        newest = self.words.get(key)
        if newest is None or word.epoch >= newest.epoch:
            self.words[key] = word

    def balances(self) -> list[Balance]:
        """One for each gateway, in the order of names."""
        keys = sorted(self.words.keys() | self.lines.keys())
        return [compare(self.words.get(key), self.lines.get(key)) for key in keys]


def ledger(
    bootstrap: BootstrapOption = None,
    facility: Annotated[str, typer.Option(help="Only this facility.")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Compare what the gateways say they sent with what the cloud counted.

    Example: hardiot ledger --facility plant-0001

    Exit code 1 when readings are missing, or are not those that were sent.
    """
    topics = [f"{LEDGER}.{facility}", f"{COUNTED}.{facility}"] if facility else []
    families = [] if facility else [LEDGER, COUNTED]
    books = Books()
    with Tail(find_bootstrap(bootstrap), topics, families, from_start=True) as tail:
        for message in tail.rest():
            books.take(message)
    balances = books.balances()
    if output is Format.JSON:
        show_json([asdict(item) for item in balances])
    else:
        show_rows([_row(item) for item in balances], output)
    wrong = [item for item in balances if item.verdict in BAD]
    if wrong:
        many = f"{len(wrong)} of {len(balances)} gateways have readings missing or different"
        raise fail(f"{many}: {_named(wrong)}")
    log.print(f"{len(balances)} gateways, nothing missing")


def _row(item: Balance) -> dict[str, Any]:
    """What fits on a line of a terminal; --output json has the rest."""
    return {
        "gateway": f"{item.facility}/{item.gateway}",
        "verdict": str(item.verdict),
        "sent": item.sent_readings,
        "counted": item.counted_readings,
        "verified": item.verified_readings,
        "missing": item.missing,
        "lost": item.declared_lost,
        "which": _which(item),
    }


def _named(wrong: list[Balance]) -> str:
    names = [f"{item.facility}/{item.gateway} {_which(item)}" for item in wrong[:5]]
    return "; ".join(names) + (" ..." if len(wrong) > 5 else "")


def _which(item: Balance) -> str:
    """The first numbers of each kind, gaps as 3-4, what was found as epoch:3-4."""
    found = [f"{first}-{last}" for first, last in item.gaps[:_SHOWN]]
    for kind, ranges in (("unaccounted", item.unaccounted), ("different", item.different)):
        found += [f"{kind} {epoch}:{first}-{last}" for epoch, first, last in ranges[:_SHOWN]]
    return ", ".join(found)
