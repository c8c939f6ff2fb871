"""Logs of a gateway: one line an event on stderr, JSON for machines, plain words on a terminal.

    set_up("plant-07", "gw-1")
    log = structlog.get_logger()
    log.warning("link_down", error="timed out")

    {"event": "link_down", "error": "timed out", "level": "warning", "facility": "plant-07", ...}

Whoever writes with the standard `logging` (MQTT and OPC UA clients) gets the same form.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

_SECRET = re.compile(r"password|passwd|secret|token|credential|private", re.IGNORECASE)
# libraries that tell of every packet or reconnect; their warnings are enough
_NOISY = ("asyncua", "asyncio", "paho")


def set_up(facility: str, gateway: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up logging of the whole process; to be called once, first of all.

    Args: level: debug, info, warning or error. stream: stderr unless given.
    """
    out = stream or sys.stderr
    shared = _shared(facility, gateway)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_form(out.isatty())
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _shared(facility: str, gateway: str) -> list[Processor]:
    def name(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {**event, "facility": facility, "gateway": gateway}

    return [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name,
        _mask,
    ]


def _form(terminal: bool) -> list[Processor]:
    last: list[Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=repr),
    ]
    if terminal:  # shows exceptions in its own way
        last = [structlog.dev.ConsoleRenderer()]
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]


def _mask(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Nothing that is called a secret is written, whoever thought of logging it."""
    return {key: "***" if _SECRET.search(key) else value for key, value in event.items()}
