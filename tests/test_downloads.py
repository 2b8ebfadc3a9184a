"""What is fetched, each believed only by its pin, from a server on this computer."""

import hashlib
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from kubefab import downloads
from kubefab.errors import HostError

KEYS = Path(__file__).parent.parent / "lab" / "keys"
ARMORED = (KEYS / "Release.key").read_bytes()
FINGERPRINT = (KEYS / "fingerprint").read_text().strip()
BEGIN, END = b"-----BEGIN PGP PUBLIC KEY BLOCK-----", b"-----END PGP PUBLIC KEY BLOCK-----"


class Server:
    """Answers each path with what it was told to, in turn; the last answer stays."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                answers = outer.answers.get(self.path, [(404, b"")])
                status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def put(self, path: str, *answers: tuple[int, bytes]) -> str:
        self.answers[path] = list(answers)
        return self.url + path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    downloads.fetch.cache_clear()
    running = Server()
    thread = threading.Thread(target=running.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.http.shutdown()
    running.http.server_close()


def armored(packets: bytes) -> bytes:
    return BEGIN + b"\nComment: made up\n\n" + b64encode(packets) + b"\n=abcd\n" + END + b"\n"


def test_the_pinned_bytes_are_believed(server: Server) -> None:
    url = server.put("/a.yml", (200, b"text"))
    assert downloads.pinned(url, hashlib.sha256(b"text").hexdigest()) == b"text"


def test_what_was_fetched_once_is_kept_by_its_pin(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url, pin = server.put("/a.yml", (200, b"text")), hashlib.sha256(b"text").hexdigest()
    assert downloads.kept(url, pin) == b"text"
    downloads.fetch.cache_clear()
    assert downloads.kept("http://nowhere.invalid/", pin) == b"text"
    (tmp_path / "kubefab" / pin).write_bytes(b"spoilt")
    assert downloads.kept(url, pin) == b"text"


def test_a_file_of_this_computer_is_read_where_a_mirror_says_so(tmp_path: Path) -> None:
    (tmp_path / "a b.yml").write_bytes(b"text")
    pin = hashlib.sha256(b"text").hexdigest()
    assert downloads.pinned(f"file://{tmp_path}/a%20b.yml", pin) == b"text"
    with pytest.raises(HostError, match="No such file"):
        downloads.pinned(f"file://{tmp_path}/none.yml", pin)


def test_other_bytes_are_refused_by_both_digests(server: Server) -> None:
    url = server.put("/a.yml", (200, b"other"))
    with pytest.raises(HostError) as refused:
        downloads.pinned(url, "0" * 64)
    assert refused.value.what == f"{url}: its sha256 is {hashlib.sha256(b'other').hexdigest()}, pinned is {'0' * 64}"


def test_one_run_fetches_a_url_once(server: Server) -> None:
    url = server.put("/a.yml", (200, b"text"))
    assert [downloads.fetch(url) for _ in range(3)] == [b"text"] * 3
    assert server.asked == ["/a.yml"]


def test_what_is_not_there_is_not_asked_for_again(server: Server) -> None:
    with pytest.raises(HostError, match="/gone: 404 Not Found"):
        downloads.fetch(f"{server.url}/gone")
    assert server.asked == ["/gone"]


def test_a_server_in_trouble_is_asked_again(server: Server) -> None:
    url = server.put("/a.yml", (503, b""), (200, b"text"))
    assert downloads.fetch(url) == b"text"
    assert server.asked == ["/a.yml"] * 2


def test_a_server_that_stays_in_trouble_is_told(server: Server) -> None:
    url = server.put("/a.yml", (503, b""))
    with pytest.raises(HostError, match=r"/a\.yml: 503 Service Unavailable") as told:
        downloads.fetch(url)
    assert server.asked == ["/a.yml"] * 3
    assert "mirrors" in told.value.hint


def test_nobody_at_the_other_end_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HostError, match=r"http://127\.0\.0\.1:1/x: .*refused"):
        downloads.fetch("http://127.0.0.1:1/x")


def test_a_failure_is_not_remembered(server: Server) -> None:
    url = server.put("/a.yml", (404, b""), (200, b"text"))
    with pytest.raises(HostError):
        downloads.fetch(url)
    assert downloads.fetch(url) == b"text"


def test_the_pinned_key_becomes_apts_keyring(server: Server) -> None:
    keyring = downloads.key(server.put("/Release.key", (200, ARMORED)), FINGERPRINT)
    assert list(downloads.keys(keyring)) == [FINGERPRINT]
    assert b"-----" not in keyring


def test_another_key_is_refused_by_both_fingerprints(server: Server) -> None:
    url = server.put("/Release.key", (200, ARMORED))
    with pytest.raises(HostError) as refused:
        downloads.key(url, "A" * 40)
    assert refused.value.what == f"{url}: its key is {FINGERPRINT}, pinned is {'A' * 40}"
    assert "`key: FINGERPRINT`" in refused.value.hint


def test_of_several_keys_the_pinned_one_alone_is_believed(server: Server) -> None:
    stowaway, packets = b"\xc6\x06\x04abcde\xb4\x01u", downloads.dearmored(ARMORED)
    url = server.put("/Release.key", (200, armored(stowaway + packets + stowaway)))
    assert downloads.key(url, FINGERPRINT) == packets


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Sign in to this network</html>", armored(b""), BEGIN + b"\n\nabc\n" + END, ARMORED[:300]],
)
def test_what_is_no_key_is_refused(server: Server, body: bytes) -> None:
    url = server.put("/Release.key", (200, body))
    with pytest.raises(HostError, match=r"its key is none, pinned is|this is no OpenPGP key"):
        downloads.key(url, FINGERPRINT)


def test_an_armor_from_windows_is_read_too() -> None:
    assert downloads.dearmored(ARMORED.replace(b"\n", b"\r\n")) == downloads.dearmored(ARMORED)


@pytest.mark.parametrize(
    "header",
    [
        b"\x98\x06",  # the old format, one byte of length
        b"\x99\x00\x06",  # two
        b"\x9a\x00\x00\x00\x06",  # four
        b"\xc6\x06",  # the new format, one byte
        b"\xc6\xff\x00\x00\x00\x06",  # five
    ],
)
def test_a_packets_length_is_written_in_many_ways(header: bytes) -> None:
    body = b"\x04abcde"
    expected = hashlib.sha1(b"\x99\x00\x06" + body).hexdigest().upper()
    assert list(downloads.keys(header + body + b"\xb4\x01u")) == [expected]


def test_a_long_packet_in_the_new_format_has_two_bytes_of_length() -> None:
    body = b"\x04" + b"k" * 499
    expected = hashlib.sha1(b"\x99" + (500).to_bytes(2, "big") + body).hexdigest().upper()
    size = bytes([((500 - 192) >> 8) + 192, (500 - 192) & 0xFF])
    assert list(downloads.keys(b"\xc6" + size + body)) == [expected]


@pytest.mark.parametrize("cache", ["/proc/none", "/dev/null/x", "nobody's home"])
def test_a_cache_that_cannot_be_written_costs_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    """Full, read-only, or of a user without a passwd entry: what was fetched is right all the same."""
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    if cache == "nobody's home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    url = server.put("/a.yml", (200, b"text"))
    assert downloads.kept(url, hashlib.sha256(b"text").hexdigest()) == b"text"


def test_a_cache_without_room_keeps_no_half(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: Path, data: bytes) -> int:
        file.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "write_bytes", full)
    url = server.put("/a.yml", (200, b"text"))
    assert downloads.kept(url, hashlib.sha256(b"text").hexdigest()) == b"text"
    assert list((tmp_path / "kubefab").iterdir()) == []


@pytest.mark.parametrize("url", ["file:///a%00b", "file:///proc/self/mem", "file:///"])
def test_a_file_that_cannot_be_read_is_told(url: str) -> None:
    downloads.fetch.cache_clear()
    with pytest.raises(HostError, match=url):
        downloads.fetch(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x: Connection refused"),
        ("http://nowhere.invalid/x", "http://nowhere.invalid/x: Name or service not known"),
    ],
)
def test_a_librarys_exception_is_no_message(
    server: Server, monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    def asked(name: str, *rest: Any, really: Any = socket.getaddrinfo) -> Any:
        if name == "nowhere.invalid":  # whatever the computer's own resolver says of it
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return really(name, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    with pytest.raises(HostError) as told:
        downloads.fetch(url)
    assert told.value.what == said
