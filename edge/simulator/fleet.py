"""The fleet: as many facilities of as many sensors as asked for, made from one template.

    catalogues = fleet(template, facilities=500, sensors=1000)

Facilities are plant-0001, plant-0002, ...; gateways gw-1, gw-2, ... Slots of the same number are
alike in all facilities, so the texts of a catalogue are shared and 10,000 facilities are cheap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, count, islice
from typing import TYPE_CHECKING

import numpy as np

from udfs.catalogue import Catalogue, join_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.simulator.template import SensorSpec, Template


@dataclass(frozen=True, slots=True)
class Placed:
    """A sensor in its slot: the asset it belongs to, as pump-001, and its behaviour.

    asset_type: as pump. tags: as of `join_tags`.
    """

    asset: str
    spec: SensorSpec
    asset_type: str
    tags: str

    @property
    def name(self) -> str:
        """Unique within a facility, as pump-001.bearing-temperature."""
        return f"{self.asset}.{self.spec.name}"


def fleet(
    template: Template, facilities: int, sensors: int | None = None, gateways: int = 1
) -> list[Catalogue]:
    """Catalogues of all gateways, by facility, then gateway.

    Args: sensors: of each gateway; None means one train of assets, each once.
    """
    models = [_catalogue(place(template, sensors, gateway), gateway) for gateway in range(gateways)]
    return [
        replace(model, facility=facility_name(facility))
        for facility in range(facilities)
        for model in models
    ]


def facility_name(index: int) -> str:
    """Name of the facility of that index, from 0: plant-0001, ..."""
    return f"plant-{index + 1:04d}"


def gateway_name(index: int) -> str:
    """Name of the gateway of that index in its facility, from 0: gw-1, ..."""
    return f"gw-{index + 1}"


def place(template: Template, sensors: int | None = None, gateway: int = 0) -> list[Placed]:
    """The sensors of a facility's n-th gateway in slot order; assets repeat until there are enough.

    Assets are numbered by type through the facility: no two gateways have the same asset. The last
    asset is cut short where `sensors` asks for it.
    """
    train = list(_train(template))
    size = sum(len(template.assets[kind].sensors) for kind in train)
    wanted = sensors if sensors is not None else size
    trains_a_gateway = -(-wanted // size)
    first = gateway * trains_a_gateway
    endless = chain.from_iterable(_assets(template, train, number) for number in count(first))
    return list(islice(endless, wanted))


def _train(template: Template) -> Iterator[str]:
    """Asset types of one train, dealt in rounds, so that a small facility has some of each."""
    for turn in range(max(asset.count for asset in template.assets.values())):
        yield from (kind for kind, asset in template.assets.items() if turn < asset.count)


def _assets(template: Template, train: list[str], number: int) -> Iterator[Placed]:
    """All sensors of the train with that number, from 0."""
    seen: dict[str, int] = {}
    for kind in train:
        seen[kind] = seen.get(kind, 0) + 1
        made = template.assets[kind]
        asset = f"{kind}-{number * made.count + seen[kind]:03d}"
        labels = (made.asset_type or kind, join_tags(made.tags))
        yield from (Placed(asset, spec, *labels) for spec in made.sensors)


def _catalogue(placed: list[Placed], gateway: int) -> Catalogue:
    specs = [sensor.spec for sensor in placed]
    return Catalogue(
        facility="",
        gateway=gateway_name(gateway),
        version=1,
        name=tuple(sensor.name for sensor in placed),
        unit=tuple(spec.unit for spec in specs),
        kind=tuple(spec.kind for spec in specs),
        asset=tuple(sensor.asset for sensor in placed),
        low=np.array([spec.low for spec in specs], np.float64),
        high=np.array([spec.high for spec in specs], np.float64),
        period_ms=np.array([spec.period_ms for spec in specs], np.int32),
        asset_type=tuple(sensor.asset_type for sensor in placed),
        tags=tuple(sensor.tags for sensor in placed),
    )
