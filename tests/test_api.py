"""The API server's own word, from a TLS server on this computer in the tunnel's place."""

import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubefab import api
from kubefab.host import Host
from kubefab.log import Log
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


class Tunnel(Link):
    """A forwarded port behind which an API server answers."""

    folder: Path
    status, body = 200, b"ok"
    pair = (KEY, CERTIFICATE)

    @contextmanager
    def forward(self, port: int, remote_port: int) -> Iterator[None]:
        assert remote_port == 6443
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(outer.status if self.path == "/healthz" else 404)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *args: Any) -> None:
                pass

        (self.folder / "pem").write_bytes(self.pair[0] + self.pair[1])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "pem")
        server = HTTPServer(("127.0.0.1", port), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()
        server.server_close()


@pytest.fixture
def tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tunnel:
    monkeypatch.setenv("no_proxy", "localhost")
    made = Tunnel(inventory().master, Sudo())
    made.folder = tmp_path
    return made


def healthz(tunnel: Tunnel, ca: str = CA) -> str:
    return api.healthz(Host(tunnel.wanted, tunnel, Log(tunnel.folder)), ca)


def test_an_api_server_that_is_well_says_ok(tunnel: Tunnel) -> None:
    assert healthz(tunnel) == "ok"


def test_one_that_is_not_well_is_told_by_its_status(tunnel: Tunnel) -> None:
    tunnel.status, tunnel.body = 500, b"[-]etcd failed"
    assert healthz(tunnel) == "500 Internal Server Error"


def test_one_that_another_authority_vouches_for_is_not_believed(tunnel: Tunnel) -> None:
    tunnel.pair = certificate("kubernetes")
    assert "certificate verify failed" in healthz(tunnel).lower()


def test_one_that_goes_by_another_name_is_not_believed(tunnel: Tunnel) -> None:
    tunnel.pair = certificate("example.org")
    assert healthz(tunnel, b64encode(tunnel.pair[1]).decode()) != "ok"


def test_nobody_at_the_other_end_is_told(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def forward(port: int, remote_port: int) -> Iterator[None]:
        yield

    monkeypatch.setattr(tunnel, "forward", forward)
    assert "refused" in healthz(tunnel)
