"""Whether the internet is at hand: asked of servers on this computer, good ones and others."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kubefab import downloads, inventory, releases
from lab import hosts, internet, packages
from lab.internet import Answer, Question
from tests.authority import Authority

ROOT = Path(__file__).parent.parent
FILE = b"what is published"
SHA256 = hashlib.sha256(FILE).hexdigest()
OCI = internet.IMAGE_TYPES[0]


class Server(BaseHTTPRequestHandler):
    """Says what its path asks for."""

    over: threading.Event  # set: whoever hangs lets go

    def do_GET(self) -> None:
        known: dict[str, Callable[[], None]] = {
            "/file": lambda: self.say(200, FILE),
            "/greeting": lambda: self.say(200, b"<html>Welcome to our hotel!</html>", "text/html"),
            "/moved": lambda: self.say(302, b"", location="/file"),
            "/lost": lambda: self.say(404, FILE),
            "/nowhere": lambda: self.say(302, b"", location="https://[/"),
            "/drips": self.drip,
            "/babbles": self.babble,
            "/short": lambda: self.say(200, b"what is", **{"Content-Length": "17"}),
            "/hangs": self.hang,
        }
        known[self.path]()

    def say(self, status: int, body: bytes, kind: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def babble(self) -> None:
        self.wfile.write(b"220 mail.example ESMTP\r\n")

    def hang(self) -> None:
        self.over.wait(60)

    def drip(self) -> None:
        """A byte now and then: no wait for a single one is ever too long."""
        self.send_response(200)
        self.end_headers()
        while not self.over.wait(0.05):
            self.wfile.write(b".")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(authority: Authority | None, name: str = "localhost") -> Iterator[str]:
    """Such a server's address: by TLS, believed under that name, or without encryption."""
    over = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Other", (Server,), {"over": over}))
    if authority:
        server.socket = authority.server([name]).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if authority else 'http'}://localhost:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Believed by this computer for the time of the test."""
    made = Authority(tmp_path, "of the tests")
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    return made


@pytest.fixture
def server(authority: Authority) -> Iterator[str]:
    with serving(authority) as address:
        yield address


def silence(url: str, seconds: float = 30) -> str:
    return internet.silence(Question(url, lambda answer: internet.is_file(SHA256, answer)), seconds)


@pytest.mark.parametrize("path", ["file", "moved"])
def test_what_is_published_is_an_answer_wherever_a_redirection_leads(server: str, path: str) -> None:
    assert silence(f"{server}/{path}") == ""


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("greeting", "status 200, and not what is published there"),
        ("lost", "status 404, and not what is published there"),
        ("nowhere", "Invalid IPv6 URL"),
        ("babbles", "220 mail.example ESMTP"),
        ("short", "status 200, and not what is published there"),
    ],
)
def test_a_greeting_is_no_answer_nor_is_an_error(server: str, path: str, says: str) -> None:
    assert says in silence(f"{server}/{path}")


def test_nothing_is_believed_without_encryption(server: str) -> None:
    with serving(None) as plain:
        assert silence(f"{plain}/file") == "it leads to a page without encryption"


def test_a_name_that_another_certificate_is_for_is_silent(authority: Authority) -> None:
    with serving(authority, "elsewhere.invalid") as address:
        assert "'localhost'" in silence(f"{address}/file")


def test_an_authority_that_this_computer_does_not_know_is_silent(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "others").mkdir()
    with serving(Authority(tmp_path / "others", "unknown")) as address:
        assert "issuer certificate" in silence(f"{address}/file")


def test_no_proxy_is_asked_for_machines_would_not_be(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert silence(f"{server}/file") == ""


def test_whoever_hangs_is_left_behind_and_holds_up_no_other(server: str, authority: Authority) -> None:
    """By whichever way: one says nothing, one says a byte now and then, for ever."""
    with serving(authority) as other, serving(authority) as third:
        urls = (f"{server}/hangs", f"{other}/drips", f"{third}/file")
        asked = [Question(url, lambda answer: answer.body == FILE) for url in urls]
        found = internet.ask(asked, seconds=5)
    assert [found[question.name] for question in asked] == ["no answer in 5 s", "no answer in 5 s", ""]


def test_nobody_there_is_told_in_the_systems_words() -> None:
    assert silence("https://127.0.0.1:1/") == "Connection refused"


# What is asked


@pytest.fixture
def asked() -> dict[str, Question]:
    return {question.name: question for question in internet.questions(hosts.wanted())}


def test_each_public_name_is_asked_once_for_what_kubefab_will_ask_of_it(asked: dict[str, Question]) -> None:
    version = hosts.wanted().cluster.kubernetes
    minor, flannel = version.rpartition(".")[0], releases.release(version).flannel.version
    raw = "https://raw.githubusercontent.com/flannel-io/flannel"
    assert [question.url for question in asked.values()] == [
        f"https://pkgs.k8s.io/core:/stable:/v{minor}/deb/Release.key",
        f"{raw}/v{flannel}/Documentation/kube-flannel.yml",
        f"https://registry.k8s.io/v2/pause/manifests/{releases.release(version).pause}",
        "https://ghcr.io/v2/flannel-io/flannel-cni-plugin/manifests/v1.9.1-flannel3",
    ]


def test_they_are_those_that_the_labs_mirrors_stand_in_for(asked: dict[str, Question]) -> None:
    """Nothing else is ever asked for this cluster: an e2e run with these mirrors alone shows it."""
    mirrored = inventory.load(ROOT / "hosts.yml").mirrors
    assert set(asked) <= {prefix.removeprefix("https://").removesuffix("/") for prefix in mirrored}


def test_apts_key_is_real_by_its_fingerprint() -> None:
    answer = Answer("https://", 200, {}, (packages.KEYS / "Release.key").read_bytes())
    mine = (packages.KEYS / "fingerprint").read_text().strip()
    assert internet.is_key(mine, answer)
    assert not internet.is_key(releases.KEY, answer)
    assert not internet.is_key(mine, Answer("https://", 200, {}, b"<html>Welcome!</html>"))


def test_the_key_that_counts_is_the_public_one(asked: dict[str, Question]) -> None:
    assert downloads.signer(hosts.wanted()) == releases.KEY
    answer = Answer("https://", 200, {}, (packages.KEYS / "Release.key").read_bytes())
    assert not asked["pkgs.k8s.io"].is_real(answer)


@pytest.mark.parametrize(
    ("status", "headers", "real"),
    [
        (200, {"content-type": OCI}, True),
        (401, {"www-authenticate": 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'}, True),
        (401, {"www-authenticate": "Basic"}, False),
        (401, {}, False),
        (200, {"content-type": "text/html"}, False),
        (404, {"content-type": OCI}, False),
    ],
)
def test_a_registry_gives_the_image_or_says_where_to_get_a_token(
    status: int, headers: dict[str, str], real: bool
) -> None:
    assert internet.is_image(Answer("https://", status, headers, b"")) == real
