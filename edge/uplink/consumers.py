"""What all consumers of a gateway have in common: they only read, and nobody's offsets move."""

from __future__ import annotations

from typing import Any

from edge import tls
from edge.settings import UplinkSettings


def consumer_settings(settings: UplinkSettings, client_id: str) -> dict[str, Any]:
    """Properties of librdkafka for a consumer that is told what to read; callbacks left out."""
    found: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "client.id": client_id,
        "group.id": client_id,  # librdkafka wants one, and never uses it
        "enable.auto.commit": False,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        "log_level": 2,
    }
    return found | (tls.kafka_properties(settings.tls) if settings.tls else {})
