"""Java's names of Kafka's settings in those of librdkafka."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaException

from jobs.common.librdkafka import properties_of


def test_what_has_another_name_is_renamed_and_the_rest_stays() -> None:
    assert properties_of(
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
            'username="cell-1" password="a b;=c";',
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": "/etc/ca.pem",
            "ssl.keystore.location": "/etc/job.pem",
            "ssl.key.password": "secret",
        }
    ) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "cell-1",
        "sasl.password": "a b;=c",
        "ssl.ca.location": "/etc/ca.pem",
        "ssl.certificate.location": "/etc/job.pem",
        "ssl.key.location": "/etc/job.pem",
        "ssl.key.password": "secret",
    }


def test_librdkafka_takes_the_names() -> None:
    names = properties_of({"sasl.mechanism": "PLAIN", "ssl.truststore.certificates": ""})
    Consumer({"group.id": "g"} | names).close()
    with pytest.raises(KafkaException, match="No such configuration property"):
        Consumer({"group.id": "g"} | properties_of({"sasl.login.class": "x"}))
