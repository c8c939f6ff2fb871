"""hardiot rules push, list, history, rollback: rules that change while everything runs."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, fail, log, show_json, show_rows
from jobs.cli.rules import FOLDER, read_texts, told
from jobs.cli.where import BootstrapOption, find_bootstrap
from jobs.common import rulebooks
from jobs.common.history import utc
from jobs.common.rulebooks import Known, RulebooksError
from jobs.common.rules import parse
from jobs.common.topics import ensure_topics
from udfs.rules.diff import Diff, compare
from udfs.rules.record import Rulebook, files_sum, rules
from udfs.rules.rulebook import Rule
from udfs.rules.selector import Selector
from udfs.trial.sensors import selectors
from udfs.trial.trial import run_tests

ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why; for the history.")]
AuthorOption = Annotated[str, typer.Option("--author", help="Who; else your user name.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


def push(
    reason: ReasonOption,
    folder: Annotated[Path | None, typer.Argument(help=f"Folder of rules; else {FOLDER}.")] = None,
    author: AuthorOption = "",
    dry_run: DryOption = False,
    bootstrap: BootstrapOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give all jobs and gateways these rules, as one new revision; they run it within seconds.

    Example: hardiot rules push --reason "limits of line 2 after the overhaul"

    Exit code 1 when rules have mistakes, a test of theirs fails, or somebody else pushed at the
    same time; then nothing has changed.
    """
    texts = read_texts([folder] if folder else None)
    wanted = parse(texts)
    failed = [verdict for rule in wanted for verdict in run_tests(rule) if not verdict.passed]
    if failed:
        for verdict in failed:
            log.print(told(verdict))
        raise fail(f"{len(failed)} tests failed; nothing was pushed")
    files = {Path(name).name: text for name, text in texts.items()}
    _change(bootstrap, files, wanted, (author, reason), dry_run, output)


def rollback(
    revision: Annotated[int, typer.Argument(help="Whose rules come back.")],
    reason: ReasonOption,
    author: AuthorOption = "",
    dry_run: DryOption = False,
    bootstrap: BootstrapOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Push the rules of an earlier revision again, as a new one.

    Example: hardiot rules rollback 6 --reason "line 2 shakes when it starts"

    Exit code 1 when that revision is gone, cannot be used any more, or somebody else pushed at the
    same time; then nothing has changed.
    """
    known = rulebooks.read(find_bootstrap(bootstrap))
    try:
        edition = known.shelf.edition(revision)
    except KeyError:
        kept = ", ".join(map(str, known.shelf.revisions())) or "none"
        raise RulebooksError(f"revision {revision} is not there; there are: {kept}") from None
    except ValueError as error:
        raise RulebooksError(f"revision {revision} cannot be used any more:\n{error}") from None
    files = edition.rulebook.files
    _change(bootstrap, files, edition.rules, (author, reason), dry_run, output)


def list_rules(bootstrap: BootstrapOption = None, output: OutputOption = Format.TABLE) -> None:
    """Show the rules of the newest rulebook.

    Example: hardiot rules list
    """
    known = rulebooks.read(find_bootstrap(bootstrap))
    _tell_refused(known)
    if known.edition is None:
        log.print("no rulebook was pushed: jobs and gateways run the rules that they were given")
        show_rows([], output, title="rules")
        return
    book = known.edition.rulebook
    show_rows([_row(rule) for rule in known.edition.rules], output, title=_title(book))


def history(
    last: Annotated[int, typer.Option(min=1, help="How many revisions.")] = 20,
    bootstrap: BootstrapOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show who changed the rules when and why, newest first.

    Example: hardiot rules history --last 5
    """
    known = rulebooks.read(find_bootstrap(bootstrap))
    found, before = [], list[Rule]()
    for revision in known.shelf.revisions()[-last - 1 :]:
        row, before = _event(known, revision, before)
        found.append(row)
    show_rows(found[::-1][:last], output, title="rulebooks")


def _change(
    bootstrap: str | None,
    files: Mapping[str, str],
    wanted: list[Rule],
    who: tuple[str, str],
    dry_run: bool,
    output: Format,
) -> None:
    """Show what changes, then push it."""
    kafka = find_bootstrap(bootstrap)
    ensure_topics(kafka, [])
    known = rulebooks.read(kafka)
    _tell_refused(known)
    used = known.edition
    if used is not None and files_sum(used.rulebook.files) == files_sum(files):
        log.print(f"revision {used.rulebook.revision} has these rules; nothing was pushed")
        return
    diff = compare(used.rules if used else [], wanted)
    book = _book(known, files, *who)
    _show(book, diff, output)
    if dry_run:
        log.print(f"{len(wanted)} rules ({diff}); nothing was pushed")
        return
    rulebooks.push(kafka, known, book)
    log.print(f"revision {book.revision}: {len(wanted)} rules ({diff})")


def _book(known: Known, files: Mapping[str, str], author: str, reason: str) -> Rulebook:
    now_ms = time.time_ns() // 1_000_000
    return Rulebook(known.shelf.last + 1, files, author or getpass.getuser(), reason, now_ms)


def _show(book: Rulebook, diff: Diff, output: Format) -> None:
    warnings = diff.warnings()
    if output is Format.JSON:
        changed = {each.name: [each.before, each.after] for each in diff.changed}
        fields = {"revision": book.revision, "sha256": files_sum(book.files)}
        fields |= {"added": diff.added, "changed": changed, "removed": diff.removed}
        show_json(fields | {"warnings": warnings})
    else:
        for name in diff.added:
            typer.echo(f"+ {name}")
        for each in diff.changed:
            version = f"version {each.before} -> {each.after}" * (each.before != each.after)
            typer.echo(f"~ {each.name} {version or 'same version'}")
        for name in diff.removed:
            typer.echo(f"- {name}")
    for warning in warnings:
        log.print(f"warning: {warning}", style="yellow")


def _tell_refused(known: Known) -> None:
    for reason in known.shelf.refused:
        log.print(f"cannot be used by anybody: {reason}", style="yellow")


def _row(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "version": rule.version,
        "severity": rule.severity,
        "sensors": "; ".join(dict.fromkeys(map(_sensors, selectors(rule)))),
    }


def _sensors(selector: Selector) -> str:
    given = selector.model_dump(exclude_none=True)
    words = {k: ", ".join(v) if isinstance(v, list) else v for k, v in given.items()}
    return " ".join(f"{name}: {word}" for name, word in words.items()) or "all"


def _event(known: Known, revision: int, before: list[Rule]) -> tuple[dict[str, Any], list[Rule]]:
    """A line of the history, and the rules from there on."""
    row: dict[str, Any] = {"revision": revision, "when": "", "who": "", "change": "", "why": ""}
    try:
        book = known.shelf.rulebook(revision)
        row |= {"when": f"{utc(book.created_ms)}Z", "who": book.author, "why": book.reason}
        after = rules(book)
    except ValueError as error:
        return row | {"change": f"bad: {str(error).splitlines()[0]}"}, before
    return row | {"change": str(compare(before, after))}, after


def _title(book: Rulebook) -> str:
    return f"revision {book.revision} of {utc(book.created_ms)}Z by {book.author}: {book.reason}"
