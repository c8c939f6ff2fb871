"""hardiot docs: write the generated reference pages, or check that they are current."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import BaseModel

from edge.catalogue_file import Document
from edge.filters.settings import FilterSettings
from edge.inputs.mapping import Mapping as JsonMapping
from edge.settings import GatewaySettings
from jobs import detect_anomalies, rollup_readings, run_sql
from jobs.cli.output import fail, log
from jobs.common import reference
from jobs.common.edge_reference import edge_page
from jobs.common.samples import samples
from jobs.common.settings import JobSettings, Loaded
from jobs.influx.settings import Settings as PublishSettings
from jobs.lake.maintain.settings import MaintainSettings
from jobs.lake.settings import LakeSettings

SETTINGS: dict[str, type[JobSettings]] = {
    "rollup_readings": rollup_readings.Settings,
    "detect_anomalies": detect_anomalies.Settings,
    "run_sql": run_sql.Settings,
    "publish_rollups": PublishSettings,
}

PARTS: dict[str, type[Loaded]] = {"lake": LakeSettings, "maintain_tables": MaintainSettings}

EDGE_FILES: dict[str, type[BaseModel]] = {
    "The gateway (`gateway.yaml`)": GatewaySettings,
    "Filters (`filters`)": FilterSettings,
    "Sensors (`catalogue`)": Document,
    "JSON topics (`mqtt.json_mapping`)": JsonMapping,
}


def docs(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Only say which are stale.")] = False,
) -> None:
    """Write docs/reference and the sample settings. Exit 1: --check found stale ones.

    Example: hardiot docs --check
    """
    pages = reference.pages()
    pages |= (
        reference.settings_page(SETTINGS, PARTS)
        | edge_page(EDGE_FILES)
        | reference.cli_page(context.find_root().command)
        | samples({**SETTINGS, **PARTS})
    )
    if not check:
        reference.write(pages)
        log.print(f"{len(pages)} pages written")
        return
    stale = reference.check(pages)
    if stale:
        raise fail("stale, run `hardiot docs`: " + ", ".join(map(str, stale)))
    log.print(f"{len(pages)} pages are current")
