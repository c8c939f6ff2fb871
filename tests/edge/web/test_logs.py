from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from edge.logs import set_up


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_one_json_object_a_line() -> None:
    out = io.StringIO()
    set_up("plant-07", "gw-1", stream=out)
    structlog.get_logger().info("link_down", error="zu spät", raw=b"\xff")
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "link_down", "error": "zu spät", "raw": "b'\\xff'", "level": "info",
        "facility": "plant-07", "gateway": "gw-1",
    }  # fmt: skip


def test_secrets_are_masked() -> None:
    out = io.StringIO()
    set_up("plant-07", "gw-1", stream=out)
    structlog.get_logger().info("connect", password="hunter2", SASL_Secret="hunter2", user="gw")
    assert "hunter2" not in out.getvalue() and lines(out)[0]["user"] == "gw"


def test_levels() -> None:
    out = io.StringIO()
    set_up("plant-07", "gw-1", level="warning", stream=out)
    structlog.get_logger().info("small_talk")
    structlog.get_logger().warning("news")
    assert [line["event"] for line in lines(out)] == ["news"]


def test_libraries_have_the_same_form_and_are_quiet() -> None:
    out = io.StringIO()
    set_up("plant-07", "gw-1", stream=out)
    logging.getLogger("asyncua.client").info("every packet")
    logging.getLogger("asyncua.client").warning("lost %s", "it")
    (line,) = lines(out)
    assert (line["event"], line["level"], line["gateway"]) == ("lost it", "warning", "gw-1")


def test_an_exception_is_one_line() -> None:
    out = io.StringIO()
    set_up("plant-07", "gw-1", stream=out)
    try:
        raise OSError("disk gone")
    except OSError:
        structlog.get_logger().exception("spool_failed")
    (line,) = lines(out)
    assert "disk gone" in line["exception"] and line["level"] == "error"


def test_a_terminal_gets_plain_words() -> None:
    out = Terminal()
    set_up("plant-07", "gw-1", stream=out)
    structlog.get_logger().info("link_up")
    assert "link_up" in out.getvalue() and "{" not in out.getvalue()


def test_setting_up_twice_writes_once() -> None:
    out = io.StringIO()
    set_up("plant-07", "gw-1", stream=io.StringIO())
    set_up("plant-07", "gw-1", stream=out)
    structlog.get_logger().info("once")
    assert len(lines(out)) == 1
