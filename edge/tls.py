"""Certificates of the gateway's connections: MQTT and Kafka, renewed without a restart.

    client.tls_set_context(context(settings))        # paho
    Producer(kafka_properties(settings) | {...})     # confluent-kafka
    if watch.changed(): ...                          # then connect again

Nothing here opens a connection. A wrong file is an `EdgeError` that names the file.
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from edge.certificates import expires_ms
from edge.errors import EdgeError
from edge.settings import TlsSettings

# what the other side says, or OpenSSL about it, in words for the person who has to act
_MEANINGS = {
    "CERTIFICATE_EXPIRED": "it says that our certificate has expired; renew it",
    "UNKNOWN_CA": "it does not trust the CA of our certificate",
    "CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "BAD_CERTIFICATE": "it does not accept our certificate",
    "CERTIFICATE_REVOKED": "our certificate was revoked",
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours; set tls.certificate and tls.key",
    "ACCESS_DENIED": "our certificate has no access there",
    "HANDSHAKE_FAILURE": "no TLS version or cipher in common, or it wants a certificate of ours",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "PROTOCOL_VERSION": "it offers no TLS of version 1.2 or newer",
}


def files(settings: TlsSettings) -> tuple[Path, ...]:
    """The files that the connection reads."""
    return tuple(p for p in (settings.ca, settings.certificate, settings.key) if p is not None)


def context(settings: TlsSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer, with the other side's certificate and host name verified.

    Raises: EdgeError: a file is missing, is not what it should be, or the key is another one's.
    """
    check_readable(settings)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_verify_locations(cafile=settings.ca)
    except ssl.SSLError:
        raise EdgeError(f"{settings.ca}: holds no certificates in PEM") from None
    if settings.certificate is not None and settings.key is not None:
        _load_own(made, settings.certificate, settings.key)
    return made


def check_readable(settings: TlsSettings) -> None:
    """Raises: EdgeError: one line for each file that this user cannot read."""
    problems = []
    for path in files(settings):
        try:
            path.read_bytes()
        except OSError as error:
            problems.append(f"{path}: cannot be read: {error.strerror}")
    if problems:
        raise EdgeError("\n".join(problems))


def _load_own(made: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # without a password function OpenSSL would ask on the terminal, and wait
        made.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise EdgeError(f"{key}: is not the key of {certificate}") from None
        expires_ms(certificate)  # raises when it is the certificate
        raise EdgeError(f"{key}: holds no key in PEM, or one with a password") from None


def kafka_properties(settings: TlsSettings) -> dict[str, str]:
    """Properties of confluent-kafka for the same connection.

    librdkafka reads the files once, when a client is made: make another when `Watch` says so.
    """
    properties = {
        "security.protocol": "ssl",
        "ssl.ca.location": str(settings.ca),
        "ssl.endpoint.identification.algorithm": "https",
    }
    if settings.certificate is not None:
        properties["ssl.certificate.location"] = str(settings.certificate)
        properties["ssl.key.location"] = str(settings.key)
    return properties


def explain(error: Exception) -> str:
    """Why a TLS connection was refused, in words; of another error its own text."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return "it closed the connection; if it keeps doing so, its log says what it refuses"
    if isinstance(error, ssl.SSLError) and error.reason:
        for name, meaning in _MEANINGS.items():
            if error.reason.endswith(name):
                return meaning
    return str(error)


class Watch:
    """Tells when the files of a connection have new content that fits together.

    Certificate and key are renewed one after the other: between the two nothing is told, and the
    connection goes on with what it has. Ask every few seconds; while nothing changes that costs
    three stats.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._stats = self._stat()
        self._digest = self._hash()
        self.problem = ""
        """Why the new files are not used, empty when there is nothing to say."""

    def changed(self) -> bool:
        """Whether to connect again; once for each change."""
        stats = self._stat()
        if stats == self._stats and not self.problem:
            return False
        digest = self._hash()
        if digest == self._digest:
            self._stats, self.problem = stats, ""
            return False
        try:
            context(self._settings)
        except EdgeError as error:
            self.problem = str(error)
            return False
        # hashed before they were tried: what changed since then is seen at the next look
        self._stats, self._digest, self.problem = stats, digest, ""
        return True

    def expires_ms(self) -> int | None:
        """When the own certificate in use ends, UTC epoch ms; None without one, or unreadable."""
        try:
            path = self._settings.certificate
            return None if path is None else expires_ms(path)
        except EdgeError:
            return None

    def _stat(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stat(path) for path in files(self._settings))

    def _hash(self) -> bytes:
        total = hashlib.sha256()
        for path in files(self._settings):
            try:
                total.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError:
                total.update(b"unreadable")
        return total.digest()


def _stat(path: Path) -> tuple[int, int, int]:
    """What changes with a file, also when a link to it is turned over (Kubernetes does that)."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)
