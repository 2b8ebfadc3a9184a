"""The API server's own word, from a TLS server on this computer at the tunnel's end."""

import errno
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import paramiko
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubefab import api
from kubefab.facts.api import FORBIDDEN
from kubefab.host import LOOK_SECONDS, Host
from kubefab.log import Log
from kubefab.patience import USUAL
from kubefab.ssh import Link
from kubefab.sudo import Sudo
from tests.fakes import inventory


def certificate(name: str) -> tuple[bytes, bytes]:
    """A key and a certificate that signs itself, in PEM, for this DNS name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret, made.public_bytes(serialization.Encoding.PEM)


KEY, CERTIFICATE = certificate("kubernetes")
CA = b64encode(CERTIFICATE).decode()


class Master(Link):
    """A host whose channels lead to an API server here."""

    status, body = 200, b"ok"
    pair = (KEY, CERTIFICATE)
    refuses: int | None = None  # as sshd does, by this code
    port = 0

    def transport(self) -> Self:  # type: ignore[override]
        return self

    def open_channel(self, kind: str, to: tuple[str, int], origin: tuple[str, int], timeout: float) -> socket.socket:
        assert (kind, to) == ("direct-tcpip", ("localhost", 6443))
        if self.refuses:
            raise paramiko.ChannelException(self.refuses, "refused")
        return socket.create_connection(("127.0.0.1", self.port))

    @contextmanager
    def serving(self, folder: Path) -> Iterator[None]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status if self.path == "/readyz" else 404)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *args: Any) -> None:
                pass

        (folder / "pem").write_bytes(self.pair[0] + self.pair[1])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "pem")
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Admin(Host):
    """A master on which the cluster's admin is told this."""

    told: str = "ok\n"
    asked: list[str] = field(default_factory=list)

    def ask(
        self, script: str, *args: str, payload: str = "", secret: bool = False, seconds: float = LOOK_SECONDS
    ) -> str:
        self.asked.append(" ".join((script, *args)))
        return self.told


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Master:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return Master(inventory().founder, Sudo())


def readyz(master: Master, folder: Path, ca: str = CA) -> str:
    with master.serving(folder):
        return api.readyz(Host(master.wanted, master, Log(folder)), ca)


def test_an_api_server_that_is_well_says_ok(master: Master, tmp_path: Path) -> None:
    assert readyz(master, tmp_path) == "ok"


def test_one_that_is_not_well_is_told_by_its_status(master: Master, tmp_path: Path) -> None:
    master.status, master.body = 500, b"[-]etcd failed"
    assert readyz(master, tmp_path) == "500 Internal Server Error"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("told", ["ok", "error: You must be logged in to the server (Unauthorized)"])
def test_one_that_tells_nobody_without_credentials_is_asked_as_the_clusters_admin(
    master: Master, tmp_path: Path, status: int, told: str
) -> None:
    master.status = status
    host = Admin(master.wanted, master, Log(tmp_path), told=f"{told}\n")
    with master.serving(tmp_path):
        assert api.readyz(host, CA) == told
    assert host.asked == ["ask-readyz.sh 5"]


def test_one_that_refuses_and_is_not_believed_is_not_asked_again(master: Master, tmp_path: Path) -> None:
    master.status, master.pair = 401, certificate("kubernetes")
    host = Admin(master.wanted, master, Log(tmp_path))
    with master.serving(tmp_path):
        assert api.readyz(host, CA).startswith("not believed: ")
    assert not host.asked


def test_one_that_another_authority_vouches_for_is_not_believed(master: Master, tmp_path: Path) -> None:
    master.pair = certificate("kubernetes")
    assert readyz(master, tmp_path) == "not believed: certificate verify failed: self-signed certificate"


def test_one_that_goes_by_another_name_is_not_believed(master: Master, tmp_path: Path) -> None:
    master.pair = certificate("example.org")
    said = readyz(master, tmp_path, b64encode(master.pair[1]).decode())
    assert said.startswith("not believed: ")
    assert "kubernetes" in said


def test_nobody_at_the_other_end_is_told(master: Master, tmp_path: Path) -> None:
    master.refuses = 2
    assert readyz(master, tmp_path) == "nobody listens at localhost:6443"


def test_an_sshd_that_forbids_forwarding_is_told_with_a_cluster_and_without(master: Master, tmp_path: Path) -> None:
    master.refuses = 1
    assert readyz(master, tmp_path) == readyz(master, tmp_path, "") == FORBIDDEN


def test_without_a_cluster_there_is_no_answer(master: Master, tmp_path: Path) -> None:
    assert readyz(master, tmp_path, "") == ""


def test_one_that_hangs_up_is_told(master: Master, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        master.port = server.getsockname()[1]

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        said = api.readyz(Host(master.wanted, master, Log(tmp_path)), CA)
    assert said == "it hung up without an answer"


def test_one_that_is_silent_is_not_waited_for_for_long(master: Master, tmp_path: Path) -> None:
    master.network.patience = replace(USUAL, readyz=0.05, silent_readyz=0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        master.port = server.getsockname()[1]
        assert api.readyz(Host(master.wanted, master, Log(tmp_path)), CA) == "no answer within 0.05 s"
        assert api.readyz(Host(master.wanted, master, Log(tmp_path)), CA, silent=True) == "no answer within 0.01 s"


@pytest.mark.parametrize("ca", [CA[:-30], b64encode(b"no PEM").decode(), "QUJD"])
def test_an_authority_that_was_cut_off_is_told(master: Master, tmp_path: Path, ca: str) -> None:
    assert readyz(master, tmp_path, ca) == "not asked: the CA in /etc/kubernetes/admin.conf cannot be read"


def test_no_room_here_is_told(master: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    assert readyz(master, tmp_path) == "not asked: on this computer: No space left on device"
