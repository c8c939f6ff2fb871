"""Start a job from its own file: settings, environment, graph, submission."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyflink.datastream import StreamExecutionEnvironment

from jobs.common.environment import environment
from jobs.common.errors import HardiotError
from jobs.common.settings import JobSettings, load

S = TypeVar("S", bound=JobSettings)

Build = Callable[[StreamExecutionEnvironment, S], None]


def run(job: str, model: type[S], build: Build[S], argv: Sequence[str]) -> None:
    """Load the settings, build the graph, submit it. Exit 2: the settings are wrong."""
    try:
        settings = load(model, job, argv)
        name = job.replace("_", "-")
        env = environment(name, settings)
        build(env, settings)
    except HardiotError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    env.execute(name)
