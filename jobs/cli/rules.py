"""hardiot rules: check rule files, run the tests that they carry, try a rule on history."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.output import Format, OutputOption, fail, log, show_json
from jobs.common.rules import ROOT, RulesError, parse, read_files
from udfs.rules.rulebook import Mistake, Rule, RuleErrors, parse_all
from udfs.trial.trial import Verdict, run_tests

rules_app = typer.Typer(
    name="rules",
    help="Check, test and back-test rules.\n\nExample: hardiot rules check",
    no_args_is_help=True,
    rich_markup_mode=None,
)

FOLDER = Path("flink-conf/rules")
PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(help=f"Rule files, or folders of them; else {FOLDER}.", show_default=False),
]


@rules_app.command()
def check(paths: PathsArgument = None, output: OutputOption = Format.TABLE) -> None:
    """Tell all mistakes of rule files at once, and what is missing in them.

    Example: hardiot rules check flink-conf/rules

    Exit code 1 when there are mistakes; warnings are none.
    """
    texts = read_texts(paths)
    mistakes: list[Mistake] = []
    warnings: list[Mistake] = []
    try:
        warnings = untested(parse_all(texts), texts)
    except RuleErrors as errors:
        mistakes = errors.mistakes
    if output is Format.JSON:
        told = [("mistake", each) for each in mistakes] + [("warning", each) for each in warnings]
        show_json([{"level": level, **asdict(each)} for level, each in told])
    else:
        for each in mistakes:
            typer.echo(str(each))
        for each in warnings:
            typer.echo(f"{each} [warning]")
    if mistakes:
        raise fail(f"{len(mistakes)} mistakes in {len({each.file for each in mistakes})} files")
    log.print(f"{len(texts)} files, no mistakes, {len(warnings)} warnings")


@rules_app.command()
def test(
    paths: PathsArgument = None,
    only: Annotated[
        str, typer.Option("--only", "-k", help="Only rules and tests with this in their name.")
    ] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Run the tests that rules carry; what differs from the expected alerts is told.

    Example: hardiot rules test -k bearing

    Exit code 1 when a test failed.
    """
    rules = parse(read_texts(paths))
    verdicts = [v for rule in rules for v in run_tests(rule) if only in v.rule or only in v.case]
    if output is Format.JSON:
        show_json([{**asdict(verdict), "passed": verdict.passed} for verdict in verdicts])
    else:
        for verdict in verdicts:
            typer.echo(told(verdict))
    failed = [verdict for verdict in verdicts if not verdict.passed]
    many = f"{len(verdicts)} tests of {len({v.rule for v in verdicts})} rules"
    if failed:
        raise fail(f"{many}, {len(failed)} failed")
    if only and not verdicts:
        raise fail(f'no test or rule has "{only}" in its name')
    log.print(f"{many}, all passed")


def told(verdict: Verdict) -> str:
    """A test's outcome for people."""
    head = f"{'passed' if verdict.passed else 'FAILED'}  {verdict.rule}: {verdict.case}"
    return "\n".join([head, *(f"        {problem}" for problem in verdict.problems)])


def read_texts(paths: list[Path] | None) -> dict[str, str]:
    """Rule files by their names. Raises: RulesError: none there, or one cannot be read."""
    texts: dict[str, str] = {}
    for path in paths or [ROOT / FOLDER]:
        files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
        if not files:
            raise RulesError(f"{path}: no rule files (*.yaml) there")
        texts |= read_files(files)
    return texts


def untested(rules: list[Rule], texts: Mapping[str, str]) -> list[Mistake]:
    """Rules without a test that fires, or without one that does not."""
    found = []
    for rule in rules:
        lacks = []
        if not any(case.expect for case in rule.tests):
            lacks.append("no test in which it fires")
        if not any(not case.expect for case in rule.tests):
            lacks.append("no test in which it stays quiet")
        for problem in lacks:
            fix = "add one under tests:, as in docs/rules.md"
            found.append(Mistake(*_place(rule, texts), f"{rule.name} has {problem}", fix))
    return sorted(found)


def _place(rule: Rule, texts: Mapping[str, str]) -> tuple[str, int]:
    """File and line of the rule's name."""
    name = re.compile(rf"^[^#]*\bname: *[\"']?{rule.name}(?![\w-])")
    for file, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if name.match(line):
                return file, number
    return next(iter(texts)), 1
