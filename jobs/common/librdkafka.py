"""Kafka client properties as the jobs' settings have them (Java's names), for librdkafka.

    properties_of({"security.protocol": "SASL_SSL", "ssl.truststore.location": "ca.pem", ...})

Most names are the same. Certificates are PEM files for both; a keystore holds a key and its chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_RENAMED = {
    "ssl.truststore.location": ("ssl.ca.location",),
    "ssl.truststore.certificates": ("ssl.ca.pem",),
    "ssl.keystore.location": ("ssl.certificate.location", "ssl.key.location"),
    "ssl.keystore.certificate.chain": ("ssl.certificate.pem",),
    "ssl.keystore.key": ("ssl.key.pem",),
}
_DROPPED = ("ssl.truststore.type", "ssl.keystore.type")  # PEM is all that librdkafka reads
_JAAS = re.compile(r'\b(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"')


def properties_of(java: Mapping[str, str]) -> dict[str, str]:
    """The same connection for librdkafka."""
    found: dict[str, str] = {}
    for name, value in java.items():
        if name == "sasl.jaas.config":
            found |= {f"sasl.{what}": text for what, text in _JAAS.findall(value)}
        elif name not in _DROPPED:
            found |= dict.fromkeys(_RENAMED.get(name, (name,)), value)
    return found
