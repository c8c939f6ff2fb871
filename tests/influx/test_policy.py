"""The policy file: every mistake at once with its line; what counts for whom; tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jobs.common.contracts import ROOT
from jobs.common.errors import SettingsError
from jobs.common.typed_yaml import FileMistakes
from jobs.influx.policy import NOBODY, Group, load_policy
from tests.influx.plant import catalogue, policy

GOOD = """\
url: http://influx:8086
org: hardiot
groups:
  - name: north
    facilities: ["plant-0*", mill]
    bucket: north
    token_file: /run/secrets/north
  - {name: rest, facilities: ["*"], bucket: rest, token_env: REST, url: "http://other:8086"}
sensors:
  - {kind: [temp*], publish: changed, deadband: 0.5, at_least_every_s: 300, fields: [mean]}
  - {asset: [pump-0], publish: never}
  - {sensor: ["*.flow"], fields: [last, count]}
"""


def mistakes(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "influx.yaml"
    path.write_text(text)
    with pytest.raises(FileMistakes) as found:
        load_policy(path)
    return [item.removeprefix(f"{path}: ") for item in found.value.mistakes]


def test_the_shipped_policy_is_good() -> None:
    found = load_policy(ROOT / "flink-conf" / "influx.yaml")
    assert [group.name for group in found.groups] == ["all"]
    assert found.sensors[-1].kind == ["*"]


def test_the_first_that_fits_counts(tmp_path: Path) -> None:
    (tmp_path / "influx.yaml").write_text(GOOD)
    found = load_policy(tmp_path / "influx.yaml")
    groups = [found.group_of(name) for name in ("plant-07", "mill", "plant-1")]
    assert [group and group.name for group in groups] == ["north", "north", "rest"]
    of = catalogue(kind=("temperature", "flow", "temperature", "flow"))
    # slot 1 is an asset that is never published, slot 3 a flow
    assert found.plan(of).tolist() == [0, NOBODY, 0, 2]
    other = catalogue(name=("a", "b", "c", "d"), kind=("x", "x", "x", "x"))
    assert found.plan(other).tolist() == [NOBODY] * 4


def test_nobody_has_a_facility_that_no_group_fits() -> None:
    only = policy(groups="[{name: a, facilities: [plant-1], bucket: b, token_env: T}]")
    assert only.group_of("plant-10") is None


def test_all_mistakes_of_a_file_are_told_with_line_and_remedy(tmp_path: Path) -> None:
    text = """\
url: http://influx:8086
org: hardiot
buckets: 3
groups:
  - name: North
    facilities: []
    bucket: north
  - {name: rest, facilities: ["*"], bucket: b, token_env: A, token_file: B}
sensors:
  - {kind: flow, publish: sometimes}
  - {publish: changed, deadband: -1, fields: [count]}
  - {deadband: 1, fields: [average]}
  - {feilds: [mean], fields: [mean, mean]}
"""
    assert mistakes(tmp_path, text) == [
        "line 5: groups.0.name: String should match pattern '^[a-z][a-z0-9-]{0,62}$'; "
        "found 'North'",
        "line 6: groups.0.facilities: List should have at least 1 item after validation, not 0; "
        "found []",
        "line 5: groups.0.token_env: one token is needed "
        "(give token_file: or token_env:, not both)",
        "line 8: groups.1.token_env: one token is needed "
        "(give token_file: or token_env:, not both)",
        "line 10: sensors.0.kind: Input should be a valid list; found 'flow'",
        "line 10: sensors.0.publish: Input should be 'always', 'changed' or 'never'; "
        "found 'sometimes'",
        "line 11: sensors.1.fields: none of them can change "
        "(have one of mean, min, max, first, last)",
        "line 11: sensors.1.deadband: Input should be greater than or equal to 0; found -1",
        "line 11: sensors.1.at_least_every_s: is needed by publish: changed (as in 300)",
        "line 12: sensors.2.fields.0: Input should be 'mean', 'min', 'max', 'first', 'last', "
        "'sum', 'stddev', 'count' or 'bad'; found 'average'",
        "line 12: sensors.2.deadband: means nothing with publish: always (write publish: changed)",
        "line 13: sensors.3.fields: a field is there twice (name each once)",
        'line 13: sensors.3.feilds: unknown key "feilds" (did you mean "fields"?)',
        'line 3: buckets: unknown key "buckets" (did you mean "bucket"?)',
    ]


@pytest.mark.parametrize(
    ("facilities", "said"),
    [
        (('["*"]', "[plant-1]"), 'no facility is left for groups after * (put "*" last)'),
        (("[a, b]", "[b]"), '"b" is of two groups (the first has it: remove the other)'),
    ],
)
def test_groups_that_nobody_would_reach(
    tmp_path: Path, facilities: tuple[str, str], said: str
) -> None:
    groups = [
        f"  - {{name: g{n}, facilities: {of}, bucket: b, token_env: T}}\n"
        for n, of in enumerate(facilities)
    ]
    text = f"url: x\norg: o\ngroups:\n{''.join(groups)}sensors: [{{}}]\n"
    assert mistakes(tmp_path, text) == [f"line 4: groups: {said}"]


def test_a_token_is_read_when_it_is_wanted_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "token"
    text = f"{{name: a, facilities: ['*'], bucket: b, token_file: {path}}}"
    group = Group.model_validate(yaml.safe_load(text))
    with pytest.raises(SettingsError, match=rf"group a: no token in {path}: .*No such file"):
        group.token()
    path.write_text("first\n")
    assert group.token().get_secret_value() == "first"
    path.write_text("second")
    assert group.token().get_secret_value() == "second"
    assert "second" not in f"{group.token()!r} {group.token()} {group!r}"
    path.write_text("\n")
    with pytest.raises(SettingsError, match=rf"group a: no token in {path}$"):
        group.token()


def test_a_token_of_the_environment() -> None:
    group = policy().groups[0]
    assert group.token({"TOKEN": "abc"}).get_secret_value() == "abc"
    with pytest.raises(SettingsError, match="group all: no token in environment TOKEN"):
        group.token({})
