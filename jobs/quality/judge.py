"""Great Expectations: frames of facts against suites, and Data Docs of what came of it.

    judge = Judge(folder, "2026-01-31", now_ms)
    judge.run("readings", "readings", limits, rows, report)
    judge.write()

It works on pandas frames, so it never sees a reading: a frame is a row a gateway hour. Nothing is
sent anywhere: analytics are off, and all but the site is in memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import great_expectations as gx
import pandas as pd  # type: ignore[import-untyped]
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.core.expect_column_values_to_be_between import (
    ExpectColumnValuesToBeBetween,
)
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.row_conditions import Column

from jobs.common.errors import HardiotError
from jobs.quality.facts import Row
from jobs.quality.limits import Limits, checks, meaning
from jobs.quality.report import Failure, Report, Result

_MARK = ".hardiot-quality"
_OURS = ("validations", "expectations", "static", "index.html", _MARK)
_SHOWN = 20  # failing rows of a check on its page

Judged = tuple[str, float, Any, str]  # check, limit, row condition or None, its text


class Judge:
    """One run: a validation for each suite and part of the facilities."""

    def __init__(self, folder: Path | None, run: str, now_ms: int) -> None:
        """Args: folder: of the site, None for none. Raises: HardiotError: it is somebody else's."""
        self._folder = folder
        if folder is not None:
            _claim(folder)
        config = DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        )
        self._context = gx.get_context(mode="ephemeral", project_config=config)
        self._facts = self._context.data_sources.add_pandas("facts")
        self._run_id = RunIdentifier(run, run_time=datetime.fromtimestamp(now_ms / 1000, UTC))
        self._suites: dict[str, Any] = {}
        self._names: Counter[str] = Counter()

    def run(self, title: str, suite: str, limits: Limits, rows: list[Row], report: Report) -> None:
        """Judge a frame, and note in the report what fails.

        Args: title: of the suite; facilities with limits of their own have another.
        """
        if not rows:
            return
        frame = pd.DataFrame(rows)
        judged = list(_judged(suite, limits, frame))
        if not judged:
            return
        found = self._validate(title, suite, judged, frame)
        report.seen |= {(f, g, suite) for f, g in zip(frame.facility, frame.gateway, strict=True)}
        for (check, limit, _, _), passed, some in zip(judged, found, _parts(judged, frame),
                                                      strict=True):  # fmt: skip
            failures = [] if passed else _failures(check, limit, some)
            result = report.results.setdefault(
                (suite, check), Result(suite, check, *meaning(suite, check))
            )
            result.add(title, limit, int(some[check].notna().sum()), failures)
            report.note(suite, check, failures)

    def write(self) -> Path | None:
        """Write the site. Returns: its first page."""
        if self._folder is None:
            return None
        site: Any = {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(self._folder.absolute()),
            },
            "site_index_builder": {
                "class_name": "DefaultSiteIndexBuilder",
                "show_cta_footer": False,
            },
        }
        self._context.add_data_docs_site("hardiot", site)
        self._context.build_data_docs(site_names=["hardiot"])
        index = self._folder / "index.html"
        index.write_text(_with_links(index.read_text(encoding="utf-8"), self._folder), "utf-8")
        return index

    def _validate(
        self, title: str, suite: str, judged: list[Judged], frame: pd.DataFrame
    ) -> list[bool]:
        """Whether each expectation passes."""
        ends = (frame.hour.iloc[0][:10], frame.facility.iloc[0], frame.facility.iloc[-1])
        name = self._name("_".join([title, *dict.fromkeys(ends)]))
        asset = self._facts.add_dataframe_asset(name)
        definition = gx.ValidationDefinition(
            name=name,
            data=asset.add_batch_definition_whole_dataframe(name),
            suite=self._suite(title, suite, judged, name),
        )
        keys = [k for k in ("facility", "gateway", "hour", "kind") if k in frame]
        found = self._context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame},
            run_id=self._run_id,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": keys,
                "partial_unexpected_count": _SHOWN,
                "return_unexpected_index_query": False,
            },
        )
        for each in found.results:
            if each.exception_info.get("raised_exception"):
                raise HardiotError(f"{name}: {each.exception_info['exception_message']}")
        results: Any = found.results
        by_id = {each.expectation_config.id: bool(each.success) for each in results}
        return [by_id[each.id] for each in definition.suite.expectations]

    def _name(self, text: str) -> str:
        """As a name of a file, of a frame that is no other's."""
        name = re.sub(r"[^\w.-]+", "_", text)
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"

    def _suite(self, title: str, suite: str, judged: list[Judged], name: str) -> Any:
        """The suite of that title; anew when it judges other kinds than before."""
        key = f"{title} {[(check, text) for check, _, _, text in judged]}"
        if key not in self._suites:
            used = any(old.name == title for old in self._suites.values())
            made = self._context.suites.add(gx.ExpectationSuite(name=name if used else title))
            for check, limit, condition, _ in judged:
                made.add_expectation(
                    ExpectColumnValuesToBeBetween(
                        column=check,
                        min_value=0,
                        max_value=limit,
                        row_condition=condition,
                        notes=" ".join(meaning(suite, check)[:1]),
                        severity=FailureSeverity.CRITICAL,
                    )
                )
            self._suites[key] = made
        return self._suites[key]


def _with_links(page: str, folder: Path) -> str:
    """The first page with a plain list of the others: its own table needs scripts of the net."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/**/*.html"))
    items = "".join(f'<li><a href="{quote(path)}">{escape(path)}</a></li>' for path in paths)
    return page.replace("</body>", f"<h2>All pages</h2><ul>{items}</ul></body>")


def _judged(suite: str, limits: Limits, frame: pd.DataFrame) -> Iterator[Judged]:
    """The checks that have a limit; those of kinds by kind."""
    if suite != "kinds":
        given = getattr(limits, suite)
        for check in checks(suite):
            if (limit := getattr(given, check)) is not None:
                yield check, limit, None, ""
        return
    for check in checks(suite):
        groups: dict[float, list[str]] = {}
        for kind in sorted(frame["kind"].unique()):
            limit = getattr(limits.kind(kind), check)
            if limit is not None:
                groups.setdefault(limit, []).append(kind)
        for limit, kinds in groups.items():
            yield check, limit, Column("kind").is_in(kinds), ",".join(kinds)


def _parts(judged: list[Judged], frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows that each check is about."""
    for _, _, condition, text in judged:
        yield frame if condition is None else frame[frame["kind"].isin(text.split(","))]


def _failures(check: str, limit: float, frame: pd.DataFrame) -> list[Failure]:
    some = frame[frame[check] > limit]
    kinds = some["kind"] if "kind" in some else [""] * len(some)
    columns = (some[check], some.facility, some.gateway, some.hour, kinds, some[f"{check}_at"])
    return [Failure(float(v), f, g, h, k, a) for v, f, g, h, k, a in zip(*columns, strict=True)]


def _claim(folder: Path) -> None:
    """Make sure that the folder is ours: Great Expectations removes the old pages in it."""
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in folder.iterdir()}
    others = sorted(there - set(_OURS) if _MARK in there else there)
    if others:
        raise HardiotError(f"{folder} has files of others ({others[0]}): name another with --docs")
    (folder / _MARK).touch()
