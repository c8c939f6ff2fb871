"""Sample settings: every key of a job with its meaning and default, made from its Settings."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

FOLDER = "flink-conf/jobs"


def samples(jobs: Mapping[str, type[BaseModel]]) -> dict[str, str]:
    """flink-conf/jobs/<job>.sample.yaml of each job, by path.

    `##` is prose, `#` a key at its default: taking away one `#` sets it.
    """
    return {f"{FOLDER}/{job}.sample.yaml": _sample(job, model) for job, model in jobs.items()}


def _sample(job: str, model: type[BaseModel]) -> str:
    head = (
        f"## Settings of {job}. Generated, don't edit; run `hardiot docs`.\n"
        f"## Copy this file to {job}.yaml and take the # from what you set.\n"
    )
    return head + "".join(_keys(model))


def _keys(model: type[BaseModel]) -> Iterator[str]:
    defaults = model.model_construct().model_dump(mode="json")
    for name, info in model.model_fields.items():
        prose = textwrap.wrap(info.description or "", 97)
        value = json.dumps(defaults[name])  # JSON is YAML
        yield "\n" + "".join(f"## {line}\n" for line in prose) + f"#{name}: {value}\n"
