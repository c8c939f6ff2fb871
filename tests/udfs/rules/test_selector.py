"""Selectors find the sensors that a slow and obvious test finds, and find them fast."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.udfs.plant import catalogue
from udfs.catalogue import Catalogue, split_tags
from udfs.rules.globs import Texts, matcher
from udfs.rules.rulebook import RuleErrors, parse
from udfs.rules.selector import Selector

letters = st.text("ab.-*?[]!\n", max_size=6)
many = st.lists(letters, max_size=8).map(lambda texts: texts + [f"x{i}" for i in range(64)])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(letters, max_size=8), many), letters)
@example(["ab"], "a*b*b")
@example(["aXb", "a"], "a*a")
@example(["ababax", "abaaba"], "*aba*aba*")
@example(["[a", "xa"] + [f"[{i}" for i in range(64)], "[a*")
def test_globs_are_those_of_fnmatch(texts: list[str], glob: str) -> None:
    expected = [i for i, text in enumerate(texts) if fnmatchcase(text, glob)]
    assert Texts(texts).matching(glob).tolist() == expected
    assert [i for i, text in enumerate(texts) if matcher(glob)(text)] == expected


PLANT = replace(
    catalogue(["temperature", "flow", "level", "temperature", "flow"]),
    name=("p1.t", "p1.f", "t1.l", "p2.t", "x"),
    asset=("p1", "p1", "t1", "p2", ""),
    asset_type=("pump", "pump", "tank", "pump", ""),
    tags=("critical,line-1", "critical,line-1", "line-1", "line-2", ""),
)


@pytest.mark.parametrize(
    ("said", "slots"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"asset_type": "pump"}, [0, 1, 3]),
        ({"asset_type": ["tank", "pu*", "pump"]}, [0, 1, 2, 3]),
        ({"asset_type": "fan"}, []),
        ({"tag": "critical"}, [0, 1]),
        ({"tag": "line-*"}, [0, 1, 2, 3]),
        ({"tag": ["line-1", "critical"]}, [0, 1]),
        ({"tag": ["line-2", "critical"]}, []),
        ({"tag": "line"}, []),
        ({"tag": "line-1", "kind": "temperature"}, [0]),
        ({"tag": "*", "asset_type": "pump", "kind": ["flow", "level"]}, [1]),
        ({"name": "p1.*", "asset": "p1", "kind": "flow"}, [1]),
        ({"name": "p1.t", "asset": "t1"}, []),
    ],
)
def test_a_selector_picks_slots(said: dict[str, object], slots: list[int]) -> None:
    assert Selector.model_validate(said).slots(PLANT).tolist() == slots


words = st.sampled_from(["a", "b", "ab", ""])
globs = st.sampled_from(["a", "b", "*", "a*", "?", "*b", "[ab]", "zz"])
some = st.lists(globs, min_size=1, max_size=2)


@st.composite
def plants(draw: st.DrawFn) -> Catalogue:
    n = draw(st.integers(0, 6))
    columns = [tuple(draw(words) for _ in range(n)) for _ in range(3)]
    tags = tuple(",".join(draw(st.lists(words, max_size=2))) for _ in range(n))
    name, asset, asset_type = columns
    kinds = [draw(st.sampled_from(["flow", "level"])) for _ in range(n)]
    return replace(catalogue(kinds), name=name, asset=asset, asset_type=asset_type, tags=tags)


@settings(max_examples=200, deadline=None)
@given(
    plants(),
    st.fixed_dictionaries(
        {},
        optional={
            "name": globs,
            "asset": globs,
            "kind": st.sampled_from(["flow", ["flow", "level"]]),
            "asset_type": some,
            "tag": some,
            "facility": st.sampled_from(["plant-1", "plant-*", "other"]),
            "gateway": st.sampled_from(["gw-?", "gw-2"]),
        },
    ),
)
def test_slots_as_by_asking_each_sensor(plant: Catalogue, said: dict[str, object]) -> None:
    made = Selector.model_validate(said)

    def fits(i: int) -> bool:
        tags = split_tags(plant.tags[i])
        pairs = [
            (made.name, plant.name[i]),
            (made.asset, plant.asset[i]),
            (made.facility, plant.facility),
            (made.gateway, plant.gateway),
        ]
        return (
            all(glob is None or fnmatchcase(text, glob) for glob, text in pairs)
            and (made.kind is None or plant.kind[i] in made.kind)
            and (
                made.asset_type is None
                or any(fnmatchcase(plant.asset_type[i], glob) for glob in made.asset_type)
            )
            and all(any(fnmatchcase(tag, glob) for tag in tags) for glob in made.tag or ())
        )

    assert made.slots(plant).tolist() == [i for i in range(len(plant)) if fits(i)]


def test_equal_selectors_are_one() -> None:
    same = [
        Selector(kind=["flow"], name="a*"),
        Selector.model_validate({"kind": "flow", "name": "a*"}),
    ]
    assert len(set(same)) == 1
    others = [Selector(name="a*"), Selector(asset="a*"), Selector(tag=["a*"]), Selector()]
    assert len({*same, *others}) == 5
    assert Selector(name="a") != "a"


def test_what_is_handed_out_is_not_to_be_written_to() -> None:
    found = Selector(name="x").slots(PLANT)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_a_label_that_can_fit_nothing_is_a_mistake() -> None:
    with pytest.raises(RuleErrors) as refused:
        parse(
            "rules:\n  - name: r\n    severity: info\n    text: t\n"
            "    condition: {stuck: {for_s: 5}}\n"
            "    sensors:\n      asset_type: Pump\n      tag: [ok, 'a,b']\n",
            "x.yaml",
        )
    assert str(refused.value).splitlines() == [
        'x.yaml: line 7: "Pump" fits no asset type and no tag '
        "(these are lower-case letters, digits and _ . : - only)",
        'x.yaml: line 8: "a,b" fits no asset type and no tag '
        "(these are lower-case letters, digits and _ . : - only)",
    ]


def test_a_catalogue_without_types_and_tags_has_none() -> None:
    bare = catalogue(["flow"])
    assert Selector(asset_type=["*"]).slots(bare).tolist() == [0]
    assert Selector(tag=["*"]).slots(bare).tolist() == []
    np.testing.assert_array_equal(Selector().slots(bare), [0])
