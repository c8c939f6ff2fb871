"""Settings: which source wins, and all mistakes at once with where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, PositiveInt

from jobs.common.errors import SettingsError
from jobs.common.settings import JobSettings, Loaded, load


class Settings(JobSettings):
    """Those of a job with one key of its own."""

    patience_s: PositiveInt = Field(5, description="How long to wait, in seconds.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


def read(
    folder: Path, text: str | None = None, env: dict[str, str] | None = None, flags: str = ""
) -> Settings:
    folder.mkdir(exist_ok=True)
    if text is not None:
        (folder / "roll_up.yaml").write_text(text)
    return load(Settings, "roll_up", flags.split(), env or {}, folder)


def mistakes(folder: Path, *args: Any, **more: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(folder, *args, **more)
    return str(caught.value).splitlines()


EVERY_JOB = {"HARDIOT__PATIENCE_S": "30"}
THIS_JOB = {"HARDIOT__ROLL_UP__PATIENCE_S": "40"}


@pytest.mark.parametrize(
    ("patience_s", "text", "env", "flags"),
    [
        (5, None, {}, ""),
        (20, "patience_s: 20", {}, ""),
        (30, "patience_s: 20", EVERY_JOB, ""),
        (40, "patience_s: 20", EVERY_JOB | THIS_JOB, ""),
        (50, "patience_s: 20", EVERY_JOB | THIS_JOB, "--patience-s 50"),
        (50, "patience_s: 20", EVERY_JOB | THIS_JOB, "--patience-s=50"),
        (50, None, {}, "--patience_s 50"),
        (60, None, {}, "--patience-s 50 --patience-s 60"),
        (30, None, {"hardiot__Patience_s": "30"}, ""),
        (5, None, {"HARDIOT__OTHER_JOB__PATIENCE_S": "70", "PATIENCE_S": "80"}, ""),
        (5, "", {}, ""),
        (5, "# only a comment", {}, ""),
    ],
)
def test_the_stronger_source_wins(
    folder: Path, patience_s: int, text: str | None, env: dict[str, str], flags: str
) -> None:
    assert read(folder, text, env, flags).patience_s == patience_s


def test_sources_are_mixed_key_by_key(folder: Path) -> None:
    env = {"HARDIOT__BOOTSTRAP": "kafka:9092"}
    settings = read(folder, "parallelism: 4\npatience_s: 20", env, "--discovery-s 3")
    assert (settings.parallelism, settings.patience_s) == (4, 20)
    assert (settings.bootstrap, settings.discovery_s) == ("kafka:9092", 3)
    assert settings.starting_offsets == "earliest"


def test_settings_do_not_change(folder: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(folder).patience_s = 1  # type: ignore[misc]


PATIENCE = 'unknown key (did you mean "patience_s"?)'
BOOTSTRAP = 'unknown key (did you mean "bootstrap"?)'


@pytest.mark.parametrize(
    ("line", "text", "env", "flags"),
    [
        (f"jobs/roll_up.yaml: patienc_s: {PATIENCE}", "patienc_s: 1", {}, ""),
        (f"environment HARDIOT__BOOTSTRP: {BOOTSTRAP}", None, {"HARDIOT__BOOTSTRP": "x"}, ""),
        (
            f"environment HARDIOT__ROLL_UP__PATIENCE: {PATIENCE}",
            None,
            {"HARDIOT__ROLL_UP__PATIENCE": "2"},
            "",
        ),
        (f"flag --patience-m: {PATIENCE}", None, {}, "--patience-m 3"),
        (f"flag --patience-m: {PATIENCE}", None, {}, "--patience-m=3"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(
    folder: Path, line: str, text: str | None, env: dict[str, str], flags: str
) -> None:
    assert mistakes(folder, text, env, flags) == [line]


def test_an_unknown_key_that_is_near_to_nothing_lists_what_is_known(folder: Path) -> None:
    (line,) = mistakes(folder, "xyz: 1")
    assert line == (
        "jobs/roll_up.yaml: xyz: unknown key; known: bootstrap, facilities, starting_offsets, "
        "discovery_s, parallelism, kafka, patience_s"
    )


@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        ("-p 4", ["flag --p: unknown key"]),
        ("stray", ["flag --stray: unknown key"]),
        ("--xyz 1 stray", ["flag --xyz: unknown key", "flag --stray: unknown key"]),
        ("--patience-s 3 4", ["flag --4: unknown key"]),
        ("--patience-s", ["flag --patience-s: input should be a valid integer"]),
        ("--bootstrap --patience-s 3", ["flag --bootstrap: input should be a valid string"]),
        ("--patience-s -3", ["flag --patience-s: input should be greater than 0"]),
        ("--patience-s= ", ["flag --patience-s: input should be a valid integer"]),
        ("--kafka x", ["flag --kafka: input should be a valid dictionary"]),
    ],
)
def test_nothing_on_the_command_line_is_passed_over(
    folder: Path, flags: str, lines: list[str]
) -> None:
    found = mistakes(folder, flags=flags)
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))


def test_all_mistakes_at_once(folder: Path) -> None:
    env = {"HARDIOT__PARALLELISM": "many", "HARDIOT__ROLL_UP__KAFKA": "nonsense"}
    assert mistakes(folder, "discovery: 5\nstarting_offsets: newest", env, "--patience-s 0") == [
        "jobs/roll_up.yaml: starting_offsets: input should be 'earliest' or 'latest'",
        "environment HARDIOT__PARALLELISM: input should be a valid integer, unable to parse string "
        "as an integer",
        "environment HARDIOT__ROLL_UP__KAFKA: input should be a valid dictionary",
        "flag --patience-s: input should be greater than 0",
        'jobs/roll_up.yaml: discovery: unknown key (did you mean "discovery_s"?)',
    ]


def test_a_mistake_is_told_where_the_strongest_source_has_it(folder: Path) -> None:
    lines = mistakes(folder, "patience_s: 0", {"HARDIOT__PATIENCE_S": "-1"})
    assert lines == ["environment HARDIOT__PATIENCE_S: input should be greater than 0"]
    assert read(folder, "patience_s: 0", EVERY_JOB).patience_s == 30


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n- b", "not a list of `key: value` lines"),
        ("hello", "not a list of `key: value` lines"),
        ("5: 1", "not a list of `key: value` lines"),
        ("0", "not a list of `key: value` lines"),
        ("a: [", "not YAML"),
    ],
)
def test_a_file_that_is_no_settings(folder: Path, text: str, problem: str) -> None:
    assert mistakes(folder, text)[0].startswith(f"{folder}/roll_up.yaml: {problem}")


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "env", "argv"),
    [
        ("kafka: {sasl.password: hunter2}", {}, []),
        ("", {"HARDIOT__KAFKA": '{"sasl.password": "hunter2"}'}, []),
        ("", {"HARDIOT__ROLL_UP__KAFKA": "{sasl.password: hunter2}"}, []),
        ("", {}, ["--kafka", "{sasl.password: hunter2}"]),
    ],
)
def test_secrets_are_masked(folder: Path, text: str, env: dict[str, str], argv: list[str]) -> None:
    read(folder, text)
    settings = load(Settings, "roll_up", argv, env, folder)
    assert settings.kafka["sasl.password"].get_secret_value() == SECRET
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_secret_is_not_told_in_a_mistake(folder: Path) -> None:
    lines = mistakes(folder, "kafka: [hunter2]\npatience_s: hunter2")
    assert len(lines) == 2 and not any(SECRET in line for line in lines)


class Store(Loaded):
    """What is set like a job, and is none."""

    place: str = Field("here", description="Where it is.")


def test_a_part_is_set_by_its_own_names_and_leaves_those_of_jobs_alone(folder: Path) -> None:
    env = {"HARDIOT__BOOTSTRAP": "kafka:9092", "HARDIOT__PLACE": "x", "HARDIOT__STORE__PLACE": "y"}
    assert load(Store, "store", environ=env, folder=folder).place == "y"
    with pytest.raises(SettingsError, match="HARDIOT__STORE__PLAC: unknown key"):
        load(Store, "store", environ={"HARDIOT__STORE__PLAC": "y"}, folder=folder)
