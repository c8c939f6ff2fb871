"""What a rule of some version says, as it was written, from topic `rules` or from a folder.

found = in_topic(rulebooks.read(bootstrap), "bearing-hot", 2) or in_files(texts, "bearing-hot", 2)
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from jobs.common.rulebooks import Known
from udfs.rules.record import Rulebook


@dataclass(frozen=True)
class RuleSource:
    """A rule's text, the file that it stands in, and the rulebook, None of a folder."""

    text: str
    file: str
    rulebook: Rulebook | None = None


def in_topic(known: Known, name: str, version: int) -> RuleSource | None:
    """The rule in the newest of the kept rulebooks that has it in that version."""
    for revision in reversed(known.shelf.revisions()):
        try:
            book = known.shelf.rulebook(revision)
        except ValueError:  # nobody could go by it
            continue
        found = in_files(book.files, name, version)
        if found is not None:
            return RuleSource(found.text, found.file, book)
    return None


def in_files(files: Mapping[str, str], name: str, version: int) -> RuleSource | None:
    """The rule in rule files, by their names."""
    for file in sorted(files):
        for text, said in _rules(files[file]):
            if said.get("name") == name and int(said.get("version", "1")) == version:
                return RuleSource(text, file)
    return None


def _rules(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each rule's lines, and the words at its top; none of a file that is no YAML."""
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return
    lines = text.splitlines()
    pairs = tree.value if isinstance(tree, yaml.MappingNode) else ()
    for key, value in pairs:
        if key.value == "rules" and isinstance(value, yaml.SequenceNode):
            for rule in value.value:
                if not isinstance(rule, yaml.MappingNode):
                    continue
                begin, end = rule.start_mark, rule.end_mark
                # a block ends where the next thing begins, which may be lines further down
                last = end.line + (rule.flow_style or end.index >= len(text))
                rest = lines[begin.line + 1 : last]
                own = "\n".join([" " * begin.column + lines[begin.line][begin.column :], *rest])
                yield textwrap.dedent(own).rstrip(), _words(rule)


def _words(rule: yaml.MappingNode) -> dict[str, str]:
    return {k.value: v.value for k, v in rule.value if isinstance(v, yaml.ScalarNode)}
