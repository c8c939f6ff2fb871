"""The series of a gateway's sensors: what each line begins with, made once a catalogue.

A series is measurement, asset, facility, gateway and sensor. A sensor's name is unique in its
gateway at best, so the gateway is always there; where two slots of a gateway would still be one
series, whose points would overwrite each other, the later ones have their slot as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.influx.policy import NOBODY, Policy
from udfs.catalogue import Catalogue

# No line can hold these: what ends a line, and a backslash before what it would escape
_UNWRITABLE = (
    (r"[\x00-\x1f\x7f]+", "_"),
    (r"\\+([,= ]|$)", r"/\1"),
    (r"\\\\+", "/"),
)
_SPECIAL = r"([,= ])"


@dataclass(frozen=True, eq=False)
class Series:
    """Of one catalogue of n sensors.

    sensor: n names, as InfluxDB has them.
    tags: n texts, as `,asset=pump-1,facility=plant-1,gateway=gw-1,sensor=flow `.
    plan: for each slot the entry of the policy, shape (n,), or NOBODY.
    """

    sensor: pa.StringArray
    tags: pa.StringArray
    plan: npt.NDArray[np.int32]
    gateway_tags: str

    def __len__(self) -> int:
        return len(self.plan)


def series_of(catalogue: Catalogue, policy: Policy) -> Series:
    """The series of a gateway's sensors under a policy."""
    facility, gateway = escaped([catalogue.facility, catalogue.gateway]).to_pylist()
    site = f",facility={facility},gateway={gateway}"
    tags = pc.binary_join_element_wise(
        _tag("asset", catalogue.asset), site, _tag("sensor", catalogue.name), ""
    )
    plan = policy.plan(catalogue)
    return Series(writable(catalogue.name), _told_apart(tags, plan), plan, f"{site} ")


def writable(texts: Sequence[str]) -> pa.StringArray:
    """Texts without the characters that no line can hold."""
    found = pa.array(texts, pa.string())
    for pattern, instead in _UNWRITABLE:
        found = pc.replace_substring_regex(found, pattern, instead)
    return found


def escaped(texts: Sequence[str]) -> pa.StringArray:
    """Texts as values of tags."""
    return pc.replace_substring_regex(writable(texts), _SPECIAL, r"\\\1")


def _tag(name: str, texts: Sequence[str]) -> pa.StringArray:
    """`,name=text`, or nothing: a tag cannot be empty."""
    values = escaped(texts)
    tags = pc.binary_join_element_wise(f",{name}=", values, "")
    return pc.if_else(pc.equal(values, ""), "", tags)


def _told_apart(tags: pa.StringArray, plan: npt.NDArray[np.int32]) -> pa.StringArray:
    """Each slot's own tags, with the space that ends them. Sensors of nobody take no series."""
    wanted = np.flatnonzero(plan != NOBODY)
    codes = tags.take(pa.array(wanted)).dictionary_encode().indices.to_numpy()
    first = np.zeros(len(wanted), np.bool_)
    first[np.unique(codes, return_index=True)[1]] = True
    slot = np.full(len(tags), "", object)
    slot[wanted[~first]] = [f",slot={at}" for at in wanted[~first]]
    return pc.binary_join_element_wise(tags, pa.array(slot, pa.string()), " ", "")
