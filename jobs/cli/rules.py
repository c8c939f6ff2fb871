"""hardiot rules: check rule files, run the tests that they carry, try a rule on history."""

from __future__ import annotations

import typer

rules_app = typer.Typer(
    name="rules",
    help="Check, test and back-test rules.\n\nExample: hardiot rules check",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@rules_app.command()
def check() -> None:
    """Tell all mistakes of rule files.

    Example: hardiot rules check
    """


@rules_app.command()
def test() -> None:
    """Run the tests that rules carry.

    Example: hardiot rules test
    """
