"""Certificates: what is trusted, what is refused and in which words, and renewal while running."""

from __future__ import annotations

import getpass
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge import tls
from edge.certificates import expires_ms
from edge.errors import EdgeError
from edge.settings import TlsSettings
from tests.edge.authority import Authority, openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca")).create()
    for name in ("broker", "gw-1"):
        made.issue(name)
    made.issue("expired", days=-1)
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("stranger"), "stranger").create()
    made.issue("gw-1")
    made.issue("broker")
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A Mosquitto that wants a certificate of everybody."""

    def __init__(self, folder: Path, ca: Path, certificate: Path, key: Path) -> None:
        self.port = free_port()
        config = folder / f"{self.port}.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\ncafile {ca}\ncertfile {certificate}\nkeyfile {key}\n"
            "require_certificate true\nuse_identity_as_username true\n"
            f"user {getpass.getuser()}\n"  # as root it would become one that cannot read the files
        )
        self.process = subprocess.Popen(
            [shutil.which("mosquitto", path="/usr/sbin:/usr/bin"), "-c", str(config)],
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("Mosquitto did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(5)


@pytest.fixture
def broker(authority: Authority, tmp_path: Path) -> Iterator[Broker]:
    made = Broker(
        tmp_path,
        authority.certificate,
        authority.folder / "broker.pem",
        authority.folder / "broker.key",
    )
    yield made
    made.stop()


CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me"


def connect(made: ssl.SSLContext, port: int, words: bytes = CONNECT) -> bytes:
    """Say something over TLS; what comes back. With TLS 1.3 a refusal only shows in the answer."""
    plain = socket.create_connection(("127.0.0.1", port), 5)
    with plain, made.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        secure.sendall(words)
        return secure.recv(4)


def refusal(settings: TlsSettings, port: int) -> str:
    """Nothing is sent: into a connection that is closed already, it would hide the reason."""
    with pytest.raises(OSError) as caught:
        connect(tls.context(settings), port, b"")
    return tls.explain(caught.value)


CONNACK = b"\x20\x02\x00\x00"


def test_a_certificate_of_the_trusted_ca_is_let_in(authority: Authority, broker: Broker):
    assert connect(tls.context(authority.settings("gw-1")), broker.port) == CONNACK


def test_our_own_bad_certificates_are_refused_in_words(
    authority: Authority, stranger: Authority, broker: Broker
):
    foreign = stranger.settings("gw-1").model_copy(update={"ca": authority.certificate})
    assert refusal(authority.settings("expired"), broker.port) == (
        "it says that our certificate has expired; renew it"
    )
    assert refusal(authority.settings(), broker.port) == (
        "it wants a certificate of ours; set tls.certificate and tls.key"
    )
    assert refusal(foreign, broker.port) == "it does not trust the CA of our certificate"


def test_what_is_not_of_tls_keeps_its_words():
    assert "it closed the connection" in tls.explain(ssl.SSLEOFError(8, "EOF occurred"))
    assert tls.explain(OSError(111, "Connection refused")) == "[Errno 111] Connection refused"


def test_a_broker_that_is_not_trusted_is_refused_in_words(
    authority: Authority, stranger: Authority, tmp_path: Path
):
    broker = Broker(
        tmp_path,
        stranger.certificate,
        stranger.folder / "broker.pem",
        stranger.folder / "broker.key",
    )
    try:
        found = refusal(authority.settings("gw-1"), broker.port)
        assert found == "its certificate is refused: self-signed certificate in certificate chain"
    finally:
        broker.stop()


def test_an_expired_broker_is_refused_in_words(authority: Authority, tmp_path: Path):
    broker = Broker(
        tmp_path,
        authority.certificate,
        authority.folder / "expired.pem",
        authority.folder / "expired.key",
    )
    try:
        found = refusal(authority.settings("gw-1"), broker.port)
        assert found == "its certificate is refused: certificate has expired"
    finally:
        broker.stop()


def test_a_broker_of_another_name_is_refused(authority: Authority, broker: Broker):
    made = tls.context(authority.settings("gw-1"))
    plain = socket.create_connection(("127.0.0.1", broker.port), 5)
    with plain, pytest.raises(ssl.SSLCertVerificationError) as caught:
        made.wrap_socket(plain, server_hostname="broker.plant-07")
    assert "Hostname mismatch" in tls.explain(caught.value)


def test_old_tls_is_not_spoken(authority: Authority):
    made = tls.context(authority.settings())
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2
    assert made.verify_mode == ssl.CERT_REQUIRED
    assert made.check_hostname


def test_the_next_connection_uses_a_renewed_certificate(
    authority: Authority, broker: Broker, tmp_path: Path
):
    settings = copy(authority, "expired", tmp_path)
    watch = tls.Watch(settings)
    assert "expired" in refusal(settings, broker.port)
    assert not watch.changed()
    certificate, key = authority.issue("renewed")
    shutil.copy(certificate, settings.certificate)
    assert not watch.changed()  # half of the pair: the key is still the old one's
    assert watch.problem == f"{settings.key}: is not the key of {settings.certificate}"
    shutil.copy(key, settings.key)
    assert watch.changed()
    assert watch.problem == ""
    assert not watch.changed()
    assert connect(tls.context(settings), broker.port) == CONNACK


def copy(authority: Authority, name: str, folder: Path) -> TlsSettings:
    files = authority.settings(name)
    return TlsSettings(
        ca=shutil.copy(files.ca, folder / "ca.pem"),
        certificate=shutil.copy(files.certificate, folder / "own.pem"),
        key=shutil.copy(files.key, folder / "own.key"),
    )


def test_a_link_that_is_turned_over_is_a_change(authority: Authority, tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, name in ((old, "gw-1"), (new, "broker")):
        folder.mkdir()
        copy(authority, name, folder)
    link = tmp_path / "data"
    link.symlink_to(old)
    settings = TlsSettings(ca=link / "ca.pem", certificate=link / "own.pem", key=link / "own.key")
    watch = tls.Watch(settings)
    link.unlink()
    link.symlink_to(new)
    assert watch.changed()


def test_a_file_that_was_only_touched_is_no_change(authority: Authority, tmp_path: Path):
    settings = copy(authority, "gw-1", tmp_path)
    watch = tls.Watch(settings)
    settings.ca.touch()
    assert not watch.changed()


def test_a_renewal_that_is_taken_back_leaves_no_problem(authority: Authority, tmp_path: Path):
    settings = copy(authority, "gw-1", tmp_path)
    watch = tls.Watch(settings)
    before = settings.certificate.read_bytes()
    settings.certificate.write_text("nonsense")
    assert not watch.changed()
    assert watch.problem == f"{settings.certificate}: holds no certificate in PEM"
    settings.certificate.write_bytes(before)
    assert not watch.changed()
    assert watch.problem == ""
    settings.ca.unlink()
    assert not watch.changed()
    assert watch.problem == f"{settings.ca}: cannot be read: No such file or directory"


def test_wrong_files_are_named_all_at_once(tmp_path: Path):
    settings = TlsSettings(ca=tmp_path / "ca", certificate=tmp_path / "c", key=tmp_path / "k")
    with pytest.raises(EdgeError) as caught:
        tls.context(settings)
    assert str(caught.value).splitlines() == [
        f"{tmp_path / name}: cannot be read: No such file or directory" for name in ("ca", "c", "k")
    ]


def test_files_of_another_kind_are_named(authority: Authority, tmp_path: Path):
    settings = copy(authority, "gw-1", tmp_path)
    certificate = settings.certificate.read_bytes()
    settings.key.write_bytes(certificate)
    with pytest.raises(EdgeError, match=r"own\.key: holds no key in PEM, or one with a password"):
        tls.context(settings)
    settings.certificate.write_text("nonsense")
    with pytest.raises(EdgeError, match=r"own\.pem: holds no certificate in PEM"):
        tls.context(settings)
    settings.ca.write_text("nonsense")
    with pytest.raises(EdgeError, match=r"ca\.pem: holds no certificates in PEM"):
        tls.context(settings)


def test_a_key_with_a_password_does_not_wait_at_a_terminal(authority: Authority, tmp_path: Path):
    settings = copy(authority, "gw-1", tmp_path)
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", settings.key, "-aes256", "-passout", "pass:abcd", "-out", locked)
    with pytest.raises(EdgeError, match=r"locked\.key: holds no key in PEM, or one with a pass"):
        tls.context(settings.model_copy(update={"key": locked}))


def test_kafka_gets_the_same_files(authority: Authority):
    settings = authority.settings("gw-1")
    assert tls.kafka_properties(settings) == {
        "security.protocol": "ssl",
        "ssl.ca.location": str(settings.ca),
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.certificate.location": str(settings.certificate),
        "ssl.key.location": str(settings.key),
    }
    assert "ssl.key.location" not in tls.kafka_properties(authority.settings())
    from confluent_kafka import Producer

    Producer(tls.kafka_properties(settings))  # librdkafka knows them and can read the files


@pytest.mark.parametrize(
    ("end", "expected"),
    [("491231235959Z", "2049-12-31T23:59:59"), ("20500101000000Z", "2050-01-01T00:00:00")],
)
def test_the_end_of_a_certificate(authority: Authority, tmp_path: Path, end: str, expected: str):
    path = tmp_path / "long.pem"
    openssl("x509", "-in", authority.certificate, "-signkey", authority.key, "-days", "1",
            "-out", tmp_path / "copy.pem")  # fmt: skip
    (tmp_path / "index.txt").touch()
    (tmp_path / "serial").write_text("01")
    config = tmp_path / "ca.cnf"
    config.write_text(
        f"[ca]\ndefault_ca=x\n[x]\ndatabase={tmp_path}/index.txt\nserial={tmp_path}/serial\n"
        f"new_certs_dir={tmp_path}\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    openssl("req", "-new", "-key", authority.key, "-subj", "/CN=x", "-out", tmp_path / "x.csr")
    openssl("ca", "-batch", "-config", config, "-in", tmp_path / "x.csr", "-out", path,
            "-cert", authority.certificate, "-keyfile", authority.key,
            "-startdate", "20240101000000Z", "-enddate", end, "-notext")  # fmt: skip
    at = datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert expires_ms(path) == int(at.timestamp()) * 1000


def test_of_a_chain_the_first_certificate_counts(authority: Authority, tmp_path: Path):
    own = authority.folder / "gw-1.pem"
    chain = tmp_path / "chain.pem"
    chain.write_text(own.read_text() + authority.certificate.read_text())
    assert expires_ms(chain) == expires_ms(own) < expires_ms(authority.certificate)
    watch = tls.Watch(authority.settings("gw-1"))
    assert watch.expires_ms() == expires_ms(own)
    assert abs(expires_ms(own) / 1000 - time.time() - 86_400) < 120


def test_damaged_certificates_are_never_guessed_at(authority: Authority, tmp_path: Path):
    path = tmp_path / "cut.pem"
    der = ssl.PEM_cert_to_DER_cert((authority.folder / "gw-1.pem").read_text())
    for length in range(0, 200, 7):  # before the dates are complete
        path.write_text(ssl.DER_cert_to_PEM_cert(der[:length]))
        with pytest.raises(EdgeError, match="holds no certificate in PEM"):
            expires_ms(path)
