"""A small job whose only purpose is to load the classes that every job loads (see train.py)."""

from __future__ import annotations

from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment


def main() -> None:
    """Three numbers through a keyed Python function."""
    env = StreamExecutionEnvironment.get_execution_environment()
    numbers = env.from_collection([1, 2, 3], Types.INT()).name("Count to three")
    keyed = numbers.key_by(lambda number: number % 2, Types.INT())
    keyed.reduce(lambda total, number: total + number).name("Add up").print()
    env.execute("training_job")


if __name__ == "__main__":
    main()
