"""A gateway day against the gateway's words: losses that were declared, late readings, silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.lake.tables import READINGS
from jobs.quality.words import Words
from tests.lake.compaction_plant import HOUR_MS, T0, Site, hour
from tests.quality import plant
from tests.quality.plant import change, compact, found, wrong
from udfs.book import Range
from udfs.ledger import Word


def ledger(catalog, lake_settings, **more) -> dict:
    seen = wrong(found(catalog, lake_settings, **more))
    return {name: rows for name, rows in seen.items() if name.startswith("ledger.")}


def test_a_loss_that_was_declared_is_none_and_one_that_was_not_is(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    site.archive(*hour()[:5], plant.chunk_without(5, (2, 3)), *hour()[6:])
    compact(site)
    plant.tell(site, plant.words(plant.batches(1), lost=[(32, 33)]))
    assert ledger(catalog, lake_settings) == {}
    # all that was told and not lost is proven, across the hole
    measured = found(catalog, lake_settings)
    assert measured.proven == measured.told > 0


@pytest.mark.parametrize("lost", [(32, 33), (300, 301)], ids=["before", "after"])
def test_an_incomplete_minute_of_which_nothing_was_said(lost, catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    site.archive(*hour()[:30], plant.chunk_without(30, (2,)), *hour()[31:])
    compact(site)
    plant.tell(site, plant.words(plant.batches(1), lost=[lost]))  # of minutes 5 and 50
    seen = ledger(catalog, lake_settings)
    assert seen["ledger.undeclared_minutes"] == [("", 1, "2026-01-01T00:30")]


def test_an_hour_that_is_gone(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    plant.archive(site, 3)
    plant.tell(site, plant.words(plant.batches(3)))
    change(
        site, READINGS, lambda rows: rows.filter([t.hour != 1 for t in rows["hour"].to_pylist()])
    )
    seen = ledger(catalog, lake_settings)
    assert seen["ledger.different_ranges"] == [
        ("", 1, "1:360-719, 00:59:54 to 01:59:55: told 1080, found 0")
    ] or seen["ledger.different_ranges"][0][2].endswith("told 1080, found 0")


def test_all_that_is_gone_is_unproven(site, catalog, lake_settings) -> None:
    change(site, READINGS, lambda rows: rows.slice(0, 1))
    (share,) = ledger(catalog, lake_settings)["ledger.unproven_share"]
    assert share[1] == 1.0


def test_late_readings_of_another_day_explain_a_difference(site, catalog, lake_settings) -> None:
    def without(rows):
        pairs = zip(rows["hour"].to_pylist(), rows["slot"].to_pylist(), strict=True)
        keep = [(time.hour, slot) != (1, 2) for time, slot in pairs]
        return rows.filter(keep)

    plant.archive(site, 3)
    plant.tell(site, plant.words(plant.batches(3))[120:])
    change(site, READINGS, without)
    assert "ledger.different_ranges" in ledger(catalog, lake_settings)
    plant.count(site, late=[0, 359])
    assert "ledger.different_ranges" in ledger(catalog, lake_settings)
    plant.count(site, late=[360])
    assert "ledger.different_ranges" not in ledger(catalog, lake_settings)


def test_what_was_told_after_an_outage_is_proven_for_its_own_time(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    plant.archive(site, 1)
    told = plant.words(plant.batches(1))
    ranges = tuple(found for word in told[30:] for found in word.ranges)
    after = replace(told[0], sent_through=5 * 360, sent_ms=T0 + 5 * HOUR_MS, ranges=ranges)
    plant.tell(site, told[:30])
    plant.tell(site, [after])
    measured = found(catalog, lake_settings, hours=1)
    assert measured.told == measured.proven == 3 * 6 * 56
    assert ledger(catalog, lake_settings, hours=1) == {}


def test_what_the_cloud_never_counted(site, catalog, lake_settings) -> None:
    plant.count(site, unaccounted=7)
    assert ledger(catalog, lake_settings) == {"ledger.unaccounted_batches": [("", 7, "")]}


def test_a_gateway_without_ranges_proves_nothing_and_fails_nothing(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    plant.archive(site, 1)
    told = [Word(w.facility, w.gateway, 1, w.sent_through, w.readings, sent_ms=w.sent_ms)
            for w in plant.words(plant.batches(1))]  # fmt: skip
    plant.tell(site, told)
    measured = found(catalog, lake_settings)
    assert (measured.told, measured.proven) == (0, 0)
    assert ledger(catalog, lake_settings) == {}
    assert measured.frames["ledger"][0]["unproven_share"] is None


def test_chains_go_over_losses_and_ends_of_epochs_and_not_over_what_is_untold() -> None:
    def word(epoch: int, ranges, lost=(), ended=()) -> Word:
        return Word("plant-07", "gw-1", epoch, 99, 0, lost, ended, 1, ranges)

    first = word(1, ((0, 9, 5, 1), (20, 29, 5, 2)), lost=((10, 15), (16, 19)))
    second = word(2, ((0, 9, 5, 3), (11, 19, 5, 4)), ended=((1, 29),))
    third = word(3, ((5, 9, 5, 5),), ended=((2, 19),))
    chains = Words([third, second, first, first]).chains()
    assert chains == [
        [Range(1, 0, 9, 5, 1), Range(1, 20, 29, 5, 2), Range(2, 0, 9, 5, 3)],
        [Range(2, 11, 19, 5, 4)],
        [Range(3, 5, 9, 5, 5)],
    ]


def test_when_a_number_was_made_is_taken_in_proportion() -> None:
    words = Words(
        [Word("plant-07", "gw-1", 1, n, 0, sent_ms=ms) for n, ms in ((10, 1000), (20, 2000))]
    )
    assert [words.when(1, number) for number in (5, 10, 15, 20, 30)] == [
        1000, 1000, 1500, 2000, 2000,
    ]  # fmt: skip
