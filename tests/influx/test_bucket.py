"""What answers mean, how long the server wants to be left alone, and what is shown."""

from __future__ import annotations

import email.utils
import time

import pytest

from jobs.influx.bucket import Answer, Bucket, Verdict, _retry_after_s
from jobs.local.ports import LOOPBACK, free_ports
from tests.influx.plant import policy

RETENTION = (
    '{"code":"unprocessable entity","message":"failure writing points to database: partial write: '
    'dropped 12 points outside retention policy of duration 24h0m0s - oldest point ..."}'
)
CONFLICT = (
    '{"code":"unprocessable entity","message":"failure writing points to database: partial write: '
    'field type conflict: input field \\"mean\\" on measurement \\"rollup\\" is type integer"}'
)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(204), Verdict.WRITTEN),
        (Answer(422, RETENTION), Verdict.WRITTEN),
        (Answer(422, CONFLICT), Verdict.LINES),
        (Answer(400, RETENTION), Verdict.LINES),
        (Answer(413), Verdict.LINES),
        (Answer(0, "timeout"), Verdict.AGAIN),
        (Answer(429), Verdict.AGAIN),
        (Answer(500), Verdict.AGAIN),
        (Answer(503), Verdict.AGAIN),
        (Answer(401), Verdict.REFUSED),
        (Answer(403), Verdict.REFUSED),
        (Answer(404), Verdict.REFUSED),
        (Answer(302), Verdict.REFUSED),
    ],
)
def test_what_an_answer_means(answer: Answer, verdict: Verdict) -> None:
    assert answer.verdict is verdict


def test_points_that_are_older_than_the_bucket_keeps_are_counted() -> None:
    assert Answer(422, RETENTION).expired == 12
    assert Answer(204, RETENTION).expired == 0


def test_how_long_to_wait() -> None:
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 57 <= _retry_after_s({"Retry-After": soon}) <= 60
    past = email.utils.formatdate(time.time() - 60, usegmt=True)
    texts = ("7", "100000", past, "soon", "")
    assert [_retry_after_s({"Retry-After": text}) for text in texts] == [7, 300, 0, 0, 0]


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "a-secret-token")
    under = policy().model_copy(update={"url": f"http://{LOOPBACK}:{free_ports(1)[0]}"})
    answer = Bucket(under, under.groups[0], timeout_s=5).write([b"x y=1 1\n"])
    assert (answer.status, answer.verdict, answer.cause) == (0, Verdict.AGAIN, "unreachable")
    assert "a-secret-token" not in answer.text
