"""Generated pages say what data, settings and commands say; the committed ones are current."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel, Field, PositiveInt, SecretStr

from jobs.common import reference
from jobs.common.contracts import ROOT, load_contracts, load_topics
from jobs.common.reference import check, cli_page, pages, settings_page, write


def table_row(page: str, first: str) -> list[str]:
    """Cells of the one table row whose first cell is `first`."""
    rows = [line for line in page.splitlines() if line.startswith(f"| {first} |")]
    assert len(rows) == 1, rows
    return [cell.strip() for cell in rows[0].strip("|").split(" | ")]


def test_the_committed_pages_are_current() -> None:
    assert check(pages()) == []


def test_every_page_says_that_it_is_generated() -> None:
    for text in pages().values():
        assert text.splitlines()[2] == "<!-- Generated, don't edit; run `hardiot docs`. -->"


def test_write_and_check(tmp_path: Path) -> None:
    made = {"docs/a.md": "# A\n", "docs/deep/b.md": "# B, \u00e9\n"}
    assert check(made, tmp_path) == ["docs/a.md", "docs/deep/b.md"]
    write(made, tmp_path)
    assert check(made, tmp_path) == []
    (tmp_path / "docs/a.md").write_text("# A, by hand\n")
    assert check(made, tmp_path) == ["docs/a.md"]


def test_contracts_are_told_in_full() -> None:
    page = pages()["docs/reference/contracts.md"]
    for contract in load_contracts().values():
        assert f"`{contract.contract}`, {contract.format}." in page
        for reason in contract.reasons:
            assert f"| `{reason.reason}` | {reason.meaning} | {reason.action} |" in page
    assert table_row(page, "`offset_ms`")[:4] == ["`offset_ms`", "int32", "ms", "0"]
    assert table_row(page, "`max_batch_bytes`")[1] == "2,097,152 bytes"


def test_topics_are_told_in_full() -> None:
    page = pages()["docs/reference/topics.md"]
    assert table_row(page, "`dead-letters`")[2:] == [
        "facility/gateway", "2", "30 days", "16 MiB", "zstd",
    ]  # fmt: skip
    assert table_row(page, "`readings.<facility>`")[4] == "48 h"
    assert table_row(page, "`catalogue`")[4] == "the newest of each key, for ever"
    for topic in load_topics():
        assert f"## {topic.name}\n\nOwner: {topic.owner}. Written by: {topic.writer}." in page


class Common(BaseModel):
    """What the two test jobs share."""

    bootstrap: str = Field("127.0.0.1:9092", description="Where Kafka is | was.")
    password: SecretStr = Field(SecretStr("secret-word"), description="To be kept.")
    properties: dict[str, SecretStr] = Field(default_factory=dict, description="More.")


class First(Common):
    """A job."""

    window_s: PositiveInt = Field(60, description="Length of a window, in seconds.")
    offset: int = Field(0, ge=-5, le=5, description="Moved by so much.")
    mode: Literal["fast", "slow"] = Field("fast", description="How.")
    name: str = Field(description="Must be given.")


class Second(Common):
    """Another job."""

    bootstrap: str = Field("elsewhere:1", description="Where Kafka is.")


def test_settings() -> None:
    (page,) = settings_page({"first_job": First, "second_job": Second}).values()
    common, first, second = (part.split("\n\n| setting")[1] for part in page.split("\n## ")[1:])
    assert table_row(common, "`password`")[1:] == ["`**********`", "secret", "To be kept."]
    assert table_row(common, "`properties`")[1:] == ["empty", "map of text to secret", "More."]
    assert table_row(first, "`window_s`")[1:3] == ["`60`", "integer > 0"]
    assert table_row(first, "`offset`")[1:3] == ["`0`", "integer >= -5 <= 5"]
    assert table_row(first, "`mode`")[1:3] == ["`fast`", "one of `fast`, `slow`"]
    assert table_row(first, "`name`")[1:3] == ["required", "text"]
    assert "| `bootstrap` | `127.0.0.1:9092` | text | Where Kafka is \\| was. |" in first
    assert table_row(second, "`bootstrap`")[1] == "`elsewhere:1`"
    assert "secret-word" not in page


def test_settings_of_one_job_are_all_its_own() -> None:
    (page,) = settings_page({"only_job": Common}).values()
    assert "## All jobs" not in page
    assert page.count("| `bootstrap` |") == 1


def test_a_job_without_settings_of_its_own() -> None:
    (page,) = settings_page({"a": Common, "b": Common}).values()
    assert page.endswith("## a\n\nNo settings of its own.\n\n## b\n\nNo settings of its own.\n")


def test_a_part_takes_nothing_from_what_all_jobs_share() -> None:
    (page,) = settings_page({"a": Common, "b": Common}, {"store": Second}).values()
    assert page.count("## All jobs") == 1
    assert "`flink-conf/jobs/store.yaml` or `HARDIOT__STORE__<SETTING>`" in page
    assert table_row(page.split("## store")[1], "`bootstrap`")[1] == "`elsewhere:1`"


def app() -> typer.Typer:
    plant = typer.Typer(name="plant", help="Runs a plant.", add_completion=False)

    @plant.command()
    def start(
        line: Annotated[str, typer.Argument(help="Which line.")],
        speed: Annotated[int, typer.Option("--speed", "-s", help="How fast.")] = 3,
        folder: Annotated[Path, typer.Option(help="Where.")] = ROOT / "build",
    ) -> None:
        """Start a line.

        Example: plant start a
        """

    @plant.command(hidden=True)
    def secret() -> None:
        """Not for everyone."""

    pumps = typer.Typer(help="About pumps.")

    @pumps.command()
    def show() -> None:
        """Show pumps."""

    @pumps.command()
    def stop() -> None:
        """Stop pumps."""

    plant.add_typer(pumps, name="pumps")
    return plant


def test_commands() -> None:
    ((path, page),) = cli_page(typer.main.get_command(app())).items()
    assert path == "docs/reference/cli.md"
    heads = [line for line in page.splitlines() if line.startswith("#")]
    assert heads == [
        "# Command line",
        "## plant start",
        "## plant pumps",
        "## plant pumps show",
        "## plant pumps stop",
    ]
    assert "Start a line.\n\nExample: plant start a" in page
    assert "How fast. [default: 3]" in table_row(page, "`-s, --speed <int>`")
    assert "Which line. [required]" in page
    assert "[default: build]" in page
    assert str(ROOT) not in page
    assert "--help" not in page


def test_a_metric_page_row() -> None:
    page = reference.pages()["docs/reference/metrics.md"]
    assert table_row(page, "`flink_taskmanager_job_task_operator_reason_dead_lettered`")[1:4] == [
        "counter",
        "records",
        "`job_name`, `operator_name`, `reason`",
    ]
