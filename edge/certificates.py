"""When a certificate ends, read from its bytes: the standard library has no public way.

A certificate is DER: nested (tag, length, content). The way to the date (RFC 5280, 4.1):

    Certificate > TBSCertificate > [version], serial, algorithm, issuer, validity > notAfter
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from edge.errors import EdgeError

_END = "-----END CERTIFICATE-----"
_SEQUENCE, _VERSION, _INTEGER, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x02, 0x17, 0x18


def expires_ms(path: Path) -> int:
    """When the certificate ends, UTC epoch milliseconds. Of a chain, the first one: one's own.

    Raises: EdgeError: the file cannot be read, or holds no certificate.
    """
    try:
        text = path.read_text(encoding="ascii")
        end = text.index(_END) + len(_END)
        der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE-----") : end])
        return _not_after_ms(der)
    except OSError as error:
        raise EdgeError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise EdgeError(f"{path}: holds no certificate in PEM") from None


def _not_after_ms(der: bytes) -> int:
    certificate, _ = _take(der, _SEQUENCE)
    rest, _ = _take(certificate, _SEQUENCE)
    if rest[:1] == bytes([_VERSION]):
        _, rest = _take(rest, _VERSION)
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serial number, algorithm, issuer
        _, rest = _take(rest, tag)
    validity, _ = _take(rest, _SEQUENCE)
    _, rest = _take(validity, validity[0] if validity else 0)  # notBefore
    return _time_ms(rest)


def _take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Content of the first element, which has this tag, and what comes after it.

    Raises: ValueError: another tag, or it is longer than the data.
    """
    if len(data) < 2 or data[0] != tag:
        raise ValueError("not the element that was expected")
    length, begin = data[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(data[2:begin], "big")
    if begin + length > len(data):
        raise ValueError("longer than its data")
    return data[begin : begin + length], data[begin + length :]


def _time_ms(data: bytes) -> int:
    """YYMMDDHHMMSSZ (until 2049: 50 is 1950) or YYYYMMDDHHMMSSZ."""
    if data[:1] == bytes([_UTC_TIME]):
        text = _take(data, _UTC_TIME)[0].decode("ascii")
        text = ("20" if text < "5" else "19") + text
    else:
        text = _take(data, _GENERALIZED_TIME)[0].decode("ascii")
    at = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return int(at.timestamp()) * 1000
