"""Try a rule on history: which alerts it would have raised, how often, and for how long.

    backtest = Backtest(rule, from_ms, to_ms)
    for catalogue, batch in history:                 # each gateway's in the order of time
        backtest.take(catalogue, batch)
    report = backtest.report()

Memory: a watch for each gateway, and at most MOST_ALERTS alerts; a rule that raises more is of no
use to anybody, so whoever feeds it should stop there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from udfs.alerts import AlertEvent
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions.gaps import GAP_PERIODS
from udfs.coverage import Coverage, Verdict
from udfs.rules.model import Rule
from udfs.trial.lives import Life, Lives
from udfs.trial.replay import Replay
from udfs.trial.sensors import selectors, unmatched

MOST_ALERTS = 100_000
_DAY_MS = 86_400_000
_PAUSE_MS = 60_000  # nothing for longer than this, and than GAP_PERIODS, is a hole

Place = tuple[str, str, str]  # facility, gateway, asset
Span = tuple[int, int]


@dataclass(slots=True)
class Site:
    """One gateway in a back-test. slots: how many sensors the rule watches there.

    holes: pauses in its history, begin and end, ascending; they count neither as time in which the
    rule could have fired, nor as time for which it did.
    """

    replay: Replay
    first_ms: int
    last_ms: int
    coverage: Coverage = field(default_factory=Coverage)
    version: int = -1
    slots: int = 0
    assets: set[str] = field(default_factory=set)
    pause_ms: int = _PAUSE_MS
    holes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def span_ms(self) -> int:
        """The time of which there is history."""
        return self.covered(self.first_ms, self.last_ms)

    def note(self, time_ms: int) -> None:
        """A batch of that time came. A backlog fills its hole from the front."""
        if time_ms >= self.last_ms:
            if time_ms - self.last_ms > self.pause_ms:
                self.holes.append((self.last_ms, time_ms))
            self.last_ms = time_ms
            return
        at = bisect_right(self.holes, time_ms, key=lambda hole: hole[1])
        if at < len(self.holes) and 0 < time_ms - self.holes[at][0] <= self.pause_ms:
            end = self.holes[at][1]
            self.holes[at : at + 1] = [(time_ms, end)] if end - time_ms > self.pause_ms else []

    def covered(self, begin_ms: int, end_ms: int) -> int:
        """How much of a span there is history of."""
        at = bisect_right(self.holes, begin_ms, key=lambda hole: hole[1])
        missing = 0
        for begin, end in islice(self.holes, at, None):
            if begin >= end_ms:
                break
            missing += min(end, end_ms) - max(begin, begin_ms)
        return end_ms - begin_ms - missing


@dataclass(frozen=True, slots=True)
class Busy:
    """An asset and what it raised. firing_s: with at least one alert firing."""

    facility: str
    gateway: str
    asset: str
    alerts: int
    firing_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a rule would have done. Times are UTC epoch ms; the span is that of the readings found.

    asset_days: assets of the rule's sensors, times the days of their history without its holes.
    firing_share: of that time, with at least one alert firing. late: how many alerts were found in
    a backlog. unmatched: why no reading is of the rule's sensors.
    """

    rule: str
    first_ms: int
    last_ms: int
    readings: int
    batches: int
    gateways: int
    sensors: int
    assets: int
    asset_days: float
    alerts: Sequence[Life]
    late: int
    busiest: Sequence[Busy]
    firing_share: float
    stopped: bool
    unmatched: str

    @property
    def per_asset_day(self) -> float:
        """Alerts an asset and day."""
        return len(self.alerts) / self.asset_days if self.asset_days else 0.0


class Backtest:
    """A rule over the history of any number of gateways. stopped: it raised too much to go on."""

    def __init__(self, rule: Rule, most_alerts: int = MOST_ALERTS) -> None:
        self.stopped = False
        self._rule = rule
        self._most = most_alerts
        self._sites: dict[tuple[str, str], Site] = {}
        self._lives = Lives()
        self._readings = self._batches = 0

    def take(self, catalogue: Catalogue, batch: Batch) -> None:
        """Judge a batch that is decoded and checked; one that was there before is passed over."""
        site = self._site(catalogue, batch)
        admitted = site.coverage.admit(batch.epoch, batch.sequence, batch.time_ms, batch.time_ms)
        site.coverage.settled.clear()
        if admitted is Verdict.DUPLICATE:
            return
        self._readings += len(batch)
        self._batches += 1
        site.note(batch.time_ms)
        self._hear(site.replay.take(catalogue, batch))

    def report(self, busiest: int = 10) -> Report:
        """What was found so far."""
        sites = list(self._sites.values())
        watched = [site for site in sites if site.slots]
        asset_ms = sum(len(site.assets) * site.span_ms for site in watched)
        firing = self._firing_ms()
        counts = Counter(place_of(life.firing) for life in self._lives.all)
        busy = sorted(counts, key=lambda place: (-counts[place], place))[:busiest]
        return Report(
            rule=self._rule.key,
            first_ms=min((site.first_ms for site in sites), default=0),
            last_ms=max((site.last_ms for site in sites), default=0),
            readings=self._readings,
            batches=self._batches,
            gateways=len(sites),
            sensors=sum(site.slots for site in watched),
            assets=sum(len(site.assets) for site in watched),
            asset_days=asset_ms / _DAY_MS,
            alerts=self._lives.all,
            late=sum(life.firing.late for life in self._lives.all),
            busiest=[Busy(*place, counts[place], firing[place] / 1000) for place in busy],
            firing_share=sum(firing.values()) / asset_ms if asset_ms else 0.0,
            stopped=self.stopped,
            unmatched="" if watched or not sites else self._why_none(sites[0].replay.catalogue),
        )

    def _site(self, catalogue: Catalogue, batch: Batch) -> Site:
        key = catalogue.facility, catalogue.gateway
        site = self._sites.get(key)
        if site is None:
            replay = Replay([self._rule], catalogue)
            site = self._sites[key] = Site(replay, batch.time_ms, batch.time_ms)
        site.first_ms = min(site.first_ms, batch.time_ms)
        if catalogue.version > site.version:
            site.version = catalogue.version
            fastest_ms = int(catalogue.period_ms.min(initial=_PAUSE_MS))
            site.pause_ms = max(_PAUSE_MS, GAP_PERIODS * fastest_ms)
            chosen = [selector.slots(catalogue).tolist() for selector in selectors(self._rule)]
            slots = {slot for each in chosen for slot in each}
            site.slots, site.assets = len(slots), {catalogue.asset[slot] for slot in slots}
        return site

    def _hear(self, events: Sequence[AlertEvent]) -> None:
        for event in events:
            self._lives.take(event)
        self.stopped = self.stopped or len(self._lives.all) >= self._most

    def _firing_ms(self) -> Counter[Place]:
        """How long each asset had at least one alert; what still fires, to its last batch."""
        spans: dict[Place, list[Span]] = {}
        for life in self._lives.all:
            first = life.firing
            end_ms = life.end_ms or self._sites[first.facility, first.gateway].last_ms
            spans.setdefault(place_of(first), []).append((first.onset_ms, end_ms))
        total: Counter[Place] = Counter()
        for place, each in spans.items():
            covered = self._sites[place[0], place[1]].covered
            total[place] = sum(covered(*span) for span in _union(each))
        return total

    def _why_none(self, catalogue: Catalogue) -> str:
        return unmatched(self._rule, catalogue)


def place_of(event: AlertEvent) -> Place:
    """Where an alert belongs; one about a whole gateway has no asset."""
    return event.facility, event.gateway, event.asset


def _union(spans: list[Span]) -> Iterator[Span]:
    """What the spans cover, without overlaps."""
    until = -(2**62)
    for begin, end in sorted(spans):
        if end > until:
            yield max(begin, until), end
            until = end
