"""A rule over history: its alerts, how often, how long, and what it says when there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.udfs.plant import HOT, T0, batch, catalogue, live, rule
from udfs.batch import Batch
from udfs.trial.backtest import Backtest, Busy

PLANT = catalogue(("temperature", "flow"))
DAY_S = 86_400


def pair(hot: float, second: float, sequence: int | None = None) -> Batch:
    return batch([hot, 1.0], second, sequence)


def test_alerts_and_their_times() -> None:
    trial = Backtest(rule(HOT))
    values = [70] * 10 + [90] * 10 + [70] * 20 + [95] * 20
    for second, value in enumerate(values):
        trial.take(PLANT, pair(value, second))
    report = trial.report()
    first, second_life = report.alerts
    assert (first.firing.onset_ms, first.end_ms) == (T0 + 10_000, T0 + 20_000)
    assert (second_life.firing.onset_ms, second_life.end_ms) == (T0 + 40_000, None)
    assert (report.readings, report.batches, report.gateways) == (120, 60, 1)
    assert (report.sensors, report.assets, report.unmatched, report.stopped) == (2, 2, "", False)
    # s0 is on a0: 10 s, and 19 s to the last batch; both assets have 59 s of history
    assert report.busiest == [Busy("plant-1", "gw-1", "a0", 2, 29.0)]
    assert report.firing_share == pytest.approx(29 / (2 * 59))
    assert report.per_asset_day == pytest.approx(2 / (2 * 59 / DAY_S))


def test_only_the_assets_that_the_rule_watches_count() -> None:
    trial = Backtest(rule(HOT, "{kind: flow}"))
    for second in range(11):
        trial.take(PLANT, pair(90, second))
    report = trial.report()
    assert (report.sensors, report.assets, len(report.alerts)) == (1, 1, 0)
    assert report.asset_days == pytest.approx(10 / DAY_S)


def test_a_hole_in_history_is_no_time() -> None:
    trial = Backtest(rule(HOT, "{kind: temperature}"))
    for number, second in enumerate([*range(10), *range(5000, 5010)]):
        trial.take(PLANT, pair(90, second, number))
    report = trial.report()
    (life,) = report.alerts
    assert life.end_ms is None and report.asset_days == pytest.approx(18 / DAY_S)
    assert report.firing_share == 1.0


def test_overlapping_alerts_of_an_asset_count_once() -> None:
    plant = catalogue(("temperature", "temperature"))
    object.__setattr__(plant, "asset", ("a", "a"))
    trial = Backtest(rule("threshold: {above: 80}"))
    for second, values in enumerate([[90, 0]] * 5 + [[90, 90]] * 5 + [[0, 90]] * 5 + [[0, 0]]):
        trial.take(plant, batch(values, second))
    (busy,) = trial.report().busiest
    assert (busy.alerts, busy.firing_s) == (2, 15.0)


def test_no_readings_of_the_rules_sensors_is_said() -> None:
    trial = Backtest(rule(HOT, "{kind: vibration}"))
    trial.take(PLANT, pair(90, 0))
    assert trial.report().unmatched == (
        "the rule watches kind vibration; plant-1/gw-1 has s0 (temperature, asset a0), "
        "s1 (flow, asset a1)"
    )


def test_nothing_at_all() -> None:
    report = Backtest(rule(HOT)).report()
    assert (report.readings, report.alerts, report.unmatched) == (0, [], "")
    assert (report.per_asset_day, report.firing_share) == (0.0, 0.0)


def test_duplicates_are_passed_over_and_a_backlog_is_judged_as_late() -> None:
    values = [90.0] * 5 + [70.0]
    trial = Backtest(rule(HOT))
    plant = catalogue()
    late = [batch([v], 10 + i, lane="backlog") for i, v in enumerate(values)]
    for each in [*live([70] * 10, 0), *live([70] * 3, 16), *late, *late]:
        trial.take(plant, each)
    (life,) = trial.report().alerts
    assert life.firing.late and life.firing.onset_ms == T0 + 10_000
    assert (trial.report().batches, trial.report().late) == (19, 1)


def test_a_backlog_fills_its_hole_in_history() -> None:
    trial = Backtest(rule(HOT))
    plant = catalogue()
    late = [batch([90], 10 + i, lane="backlog") for i in range(90)]
    for each in [*live([90] * 10, 0), *live([90] * 10, 100), *late[:20]]:
        trial.take(plant, each)
    # 9 s before the outage, 20 s of its backlog, 9 s after it
    assert trial.report().asset_days == pytest.approx((9 + 20 + 9) / DAY_S)
    for each in late[20:]:
        trial.take(plant, each)
    assert trial.report().asset_days == pytest.approx(109 / DAY_S)
    assert trial.report().firing_share == 1.0


def test_a_catalogue_that_grew() -> None:
    trial = Backtest(rule("threshold: {above: 80}"))
    trial.take(catalogue(), batch([90], 0))
    grown = catalogue(("temperature", "temperature"), version=2)
    trial.take(grown, batch([70, 90], 1, version=2))
    trial.take(catalogue(), batch([70], 2))  # an older one, as a backlog may name, changes nothing
    report = trial.report()
    assert [(life.firing.subject, life.end_ms) for life in report.alerts] == [
        ("s0", T0 + 1000), ("s1", None),
    ]  # fmt: skip
    assert report.sensors == 2


def test_silence_is_judged_by_the_time_of_the_readings() -> None:
    trial = Backtest(rule("no_data: {for_s: 15, of: gateway}"))
    for number, second in enumerate([0, 1, 2, 100]):
        trial.take(PLANT, pair(1, second, number))
    (life,) = trial.report().alerts
    assert life.firing.event_ms == T0 + 17_000 and life.end_ms == T0 + 100_000
    assert trial.report().busiest[0].asset == ""


def test_it_says_when_it_is_enough() -> None:
    trial = Backtest(rule("threshold: {above: 80}"), most_alerts=3)
    for second in range(20):
        trial.take(PLANT, pair(90 if second % 2 else 70, second))
        if trial.stopped:
            break
    assert second == 5 and len(trial.report().alerts) == 3


def test_two_gateways_keep_apart() -> None:
    trial = Backtest(rule(HOT))
    for second in range(10):
        for gateway in ("gw-1", "gw-2"):
            each = pair(90, second)
            each.gateway = gateway
            trial.take(catalogue(("temperature", "flow"), gateway=gateway), each)
    report = trial.report()
    assert report.gateways == 2 and report.assets == 4
    assert np.unique([life.firing.id for life in report.alerts]).size == 2
