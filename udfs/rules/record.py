"""A rulebook: a set of rule files with a revision number, as one record of topic `rules`.

    key, value = record_key(7, uuid), encode(Rulebook(7, {"plant.yaml": text}, ...))
    rulebook = decode(value)             # ValueError: why it cannot be used
    found = rules(rulebook)              # RuleErrors: mistakes, with file and line

Contract hardiot.rulebook.v1: infra/contracts/rulebook.yaml. `udfs/rules/shelf.py` reads the topic.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from udfs.rules.rulebook import Rule, parse_all

RULEBOOK = "hardiot.rulebook.v1"
RULES = "rules"
"""The compacted topic; every revision has a key of its own, so none overwrites another."""

MAX_RULEBOOK_BYTES = 8_000_000
"""Of a record's value: some 20,000 rules. Every gateway keeps one on disk and in memory."""

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.yaml")
_KEY = re.compile(r"([0-9]{8,15})/[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Rulebook:
    """One revision. files: text by name, as in plant.yaml. created_ms: UTC epoch ms."""

    revision: int
    files: Mapping[str, str]
    author: str
    reason: str
    created_ms: int


def record_key(revision: int, ident: str) -> str:
    """The key of a record. ident: random, so that two who push at once both keep their record."""
    return f"{revision:08d}/{ident}"


def revision_of(key: str) -> int:
    """The revision that a record claims. Raises: ValueError: not such a key."""
    found = _KEY.fullmatch(key)
    if found is None or not int(found[1]):
        raise ValueError(f"key {key!r:.80} is not <revision of 8 digits>/<id>")
    return int(found[1])


def files_sum(files: Mapping[str, str]) -> str:
    """SHA-256 over the files as JSON, sorted by name, without spaces, in UTF-8; as hex."""
    text = json.dumps(dict(files), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def encode(rulebook: Rulebook) -> bytes:
    """The record's value, JSON. Raises: ValueError: `decode` would refuse it."""
    fields = {"contract": RULEBOOK} | asdict(rulebook) | {"sha256": files_sum(rulebook.files)}
    data = json.dumps(fields, ensure_ascii=False).encode()
    decode(data)
    return data


def decode(data: bytes) -> Rulebook:
    """Read a record's value. Raises: ValueError: too large, not a rulebook, or a wrong sum."""
    if len(data) > MAX_RULEBOOK_BYTES:
        raise ValueError(f"not a rulebook: {len(data)} bytes, at most {MAX_RULEBOOK_BYTES}")
    try:
        return _read(json.loads(data))
    except KeyError as error:
        raise ValueError(f"not a rulebook: {error!s:.80} is missing") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"not a rulebook: {error!s:.200}") from None


def rules(rulebook: Rulebook) -> list[Rule]:
    """Its rules, by file, then as they stand there. Raises: RuleErrors: with every mistake."""
    return parse_all(rulebook.files)


def _read(fields: object) -> Rulebook:
    if not isinstance(fields, dict):
        raise TypeError("no JSON object")
    if fields["contract"] != RULEBOOK:
        raise ValueError(f"contract {fields['contract']!r:.80}; this reader knows {RULEBOOK}")
    rulebook = Rulebook(
        revision=_whole(fields, "revision"),
        files=_files(fields["files"]),
        author=_text(fields, "author"),
        reason=_text(fields, "reason"),
        created_ms=_whole(fields, "created_ms"),
    )
    if files_sum(rulebook.files) != fields["sha256"]:
        raise ValueError("sha256 is not that of its files")
    return rulebook


def _files(files: object) -> dict[str, str]:
    if not isinstance(files, dict) or not files:
        raise TypeError("files is not an object with a text for each file")
    for name, text in files.items():
        if not _FILE.fullmatch(name):
            raise ValueError(f"file name {name!r:.120}: letters, digits, . _ - and .yaml")
        if not isinstance(text, str):
            raise TypeError(f"file {name} is not a text")
    return files


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} {value!r:.40} is not a text")
    return value


def _whole(fields: Mapping[str, object], name: str) -> int:
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**53:
        raise ValueError(f"{name} {value!r:.40} is not a whole number from 1")
    return value
