"""The `hardiot` command. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import sys

import typer

from jobs.cli import (
    admit,
    backtest,
    backup,
    demo,
    docs,
    gateway,
    jobs,
    lake,
    ledger,
    maintain,
    quality,
    query,
    restate,
    rulebooks,
    rules,
    simulate,
    sql,
    stack,
    trace,
    watch,
)
from jobs.cli.bench import main as bench
from jobs.cli.output import log
from jobs.common.errors import HardiotError, SettingsError

app = typer.Typer(
    name="hardiot",
    help="Industrial telemetry on Flink. Data go to stdout, progress to stderr.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    demo.demo,
    stack.doctor,
    stack.up,
    stack.down,
    stack.status,
    simulate.simulate,
    gateway.gateway,
    watch.watch,
    ledger.ledger,
    trace.trace,
    admit.admit,
    maintain.maintain,
    quality.quality,
    backup.backup,
    backup.restore,
    jobs.plan,
    bench.bench,
    docs.docs,
):
    app.command()(command)
app.command(context_settings=jobs.RUN_CONTEXT)(jobs.run)
app.command(context_settings=jobs.RUN_CONTEXT)(sql.sql)
rules.rules_app.command()(backtest.backtest)
rules.rules_app.command()(rulebooks.push)
rules.rules_app.command()(rulebooks.history)
rules.rules_app.command()(rulebooks.rollback)
rules.rules_app.command("list")(rulebooks.list_rules)
app.add_typer(rules.rules_app)
app.add_typer(lake.lake_app)
app.add_typer(query.query_app)
app.add_typer(restate.restate_app)


def main() -> None:
    """Run the command line; what the user can put right is told without a trace."""
    try:
        app()
    except SettingsError as error:
        log.print(str(error), style="red")
        sys.exit(2)
    except HardiotError as error:
        log.print(str(error), style="red")
        sys.exit(1)


if __name__ == "__main__":
    main()
