"""The cloud's token: how fast the backlog of this gateway may come, and until when."""

from __future__ import annotations

import structlog
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from edge.settings import UplinkSettings
from edge.uplink.consumers import consumer_settings
from udfs.batch import MAX_FUTURE_MS
from udfs.records import ADMISSION
from udfs.shares import Grant, decode_grant

log = structlog.get_logger()

_AT_ONCE = 100
_LIMITS = {
    "auto.offset.reset": "latest",
    # a token is some hundred bytes; the default would hold 64 MB of them
    "queued.max.messages.kbytes": 256,
    "fetch.message.max.bytes": 64 * 1024,
}


class Tokens:
    """Which token counts, by our own clock. A stale one must not let 500 gateways start at once."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self.refused = 0

    def newest(self, values: list[bytes], now_ms: int) -> tuple[float, int] | None:
        """Rate in readings a second, and when it expires, of the newest token for us among these.

        A token lives as long as the cloud said, from now on: so a clock that is a minute wrong
        neither kills nor prolongs it. One that is older than any clock may be wrong is stale.
        """
        found: tuple[float, int] | None = None
        for value in values:
            grant = self._read(value)
            if grant is None or grant.gateway != self._gateway:
                continue
            stale = abs(now_ms - grant.given_ms) > MAX_FUTURE_MS
            life_ms = 0 if stale else grant.expires_ms - grant.given_ms
            found = (grant.readings_per_s, now_ms + life_ms)
        return found

    def _read(self, value: bytes) -> Grant | None:
        try:
            return decode_grant(value)
        except ValueError as error:
            self.refused += 1
            log.warning("token_refused", detail=str(error))
            return None


class AdmissionReader:
    """Reads `admission.<facility>` from its end on, without a group: nobody else's offsets move."""

    def __init__(self, settings: UplinkSettings, facility: str, gateway: str) -> None:
        self._tokens = Tokens(gateway)
        self._consumer = Consumer(
            consumer_settings(settings, f"hardiot-{facility}-{gateway}") | _LIMITS
        )
        place = TopicPartition(f"{ADMISSION}.{facility}", 0, OFFSET_END)
        self._consumer.assign([place])

    def poll(self, now_ms: int) -> tuple[float, int] | None:
        """The newest token that came since the last call: rate, and when it expires."""
        try:
            messages = self._consumer.consume(_AT_ONCE, 0)
        except KafkaException as error:
            log.warning("admission_trouble", error=str(error))
            return None
        values = [item.value() or b"" for item in messages if item.error() is None]
        return self._tokens.newest(values, now_ms)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
