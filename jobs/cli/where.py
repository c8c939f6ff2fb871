"""Which Kafka and which Flink a command talks to: what it is told, else the stack that is up."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Annotated

import typer

from jobs.common.errors import HardiotError
from jobs.common.settings import PREFIX, load
from jobs.lake.settings import LakeSettings
from jobs.local.paths import RUNS
from jobs.local.stack import Stack

BootstrapOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap", help="Kafka brokers, host:port; else the stack that `hardiot up` started."
    ),
]
STACKS = ("local", "demo")  # of `hardiot up` and of `hardiot demo --keep`


def find_bootstrap(given: str | None) -> str:
    """Kafka's address. Raises: HardiotError: none was given, and no stack is up."""
    return given or os.environ.get(f"{PREFIX}BOOTSTRAP") or find_stack().bootstrap


def find_lake() -> LakeSettings:
    """Where the archive is: as it is told, else of the local stack that is up."""
    told = load(LakeSettings, "lake")
    if told == LakeSettings.model_validate({}):
        with suppress(HardiotError):  # none is up
            return find_stack().lake
    return told


def find_stack() -> Stack:
    """The local stack that is up. Raises: HardiotError: none is."""
    for name in STACKS:
        if (RUNS / name / "state.json").exists():
            stack = Stack(RUNS / name)
            if stack.kafka_alive:
                return stack
    raise HardiotError("no local stack is up: start one with `hardiot up`, or give --bootstrap")
