"""Run by itself, in a sandbox: masters that are imitated behind a real haproxy, one lost in each way; the gaps as JSON.

usage: imitated_masters.py CONFIGURATION CERTIFICATE    the masters' names and addresses: 127.0.0.11 and those after it
"""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

CONFIGURATION, CERTIFICATE = sys.argv[1:]
ADDRESSES = [f"127.0.0.{number}" for number in (11, 12, 13)]
PORT, LONGEST = 6443, 12  # seconds that the client, as a watch would, waits for an answer


class Master(ThreadingHTTPServer):
    """An API server, as far as haproxy and a client that writes can tell."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        super().__init__((address, PORT), Answers)
        self.address, self.etcd, self.anonymous, self.asked = address, True, True, 0
        self.open: set[socket.socket] = set()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(CERTIFICATE)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def finish_request(self, request: Any, client_address: object) -> None:
        with self.context.wrap_socket(request, server_side=True) as secured:
            self.open.add(secured)
            super().finish_request(secured, client_address)

    def handle_error(self, *_: object) -> None: ...

    def is_asked(self, times: int) -> None:
        """Until it has told haproxy so many times more how it is."""
        there = self.asked
        while self.asked < there + times:
            time.sleep(0.05)


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Master

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Master", self.server.address)
        self.end_headers()

    def do_GET(self) -> None:
        """haproxy asks without credentials."""
        self._answer((200 if self.server.etcd else 500) if self.server.anonymous else 401)
        self.server.asked += 1

    def do_POST(self) -> None:
        while not self.server.etcd:
            time.sleep(0.1)
        self._answer(201)

    def log_message(self, *_: object) -> None: ...


class Client(threading.Thread):
    """Writes one thing at a time, and remembers when it was told that it is written, and by whom."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.told: list[tuple[float, str]] = []
        self.ended = False

    def run(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = None
        while not self.ended:
            try:
                connection = connection or http.client.HTTPSConnection(
                    "127.0.0.1", PORT, timeout=LONGEST, context=context
                )
                connection.request("POST", "/")
                answer = connection.getresponse()
                answer.read()
                self.told.append((time.monotonic(), answer.headers["Master"]))
            except (OSError, http.client.HTTPException):
                if connection:
                    connection.close()
                connection = None
            time.sleep(0.02)

    def gap(self, since: float) -> float:
        moments = [at for at, _ in self.told]
        return max(later - at for at, later in pairwise(moments) if later >= since)

    def writes(self, number: int) -> None:
        """Until so many more are."""
        there = len(self.told)
        while len(self.told) < there + number:
            time.sleep(0.05)


def run(*words: str) -> None:
    subprocess.run(words, check=True)


class Crash:
    """Its process ends: the kernel closes all of its connections, and refuses new ones."""

    def lose(self, masters: dict[str, Master], address: str) -> None:
        gone = masters.pop(address)
        gone.shutdown()
        gone.server_close()
        for one in gone.open:
            with suppress(OSError):  # it was closed before
                one.shutdown(socket.SHUT_RDWR)

    def back(self, masters: dict[str, Master], address: str) -> None:
        masters[address] = Master(address)


class WithoutEtcd:
    def lose(self, masters: dict[str, Master], address: str) -> None:
        masters[address].etcd = False

    def back(self, masters: dict[str, Master], address: str) -> None:
        masters[address].etcd = True


class WithoutAnonymous(Crash):
    """From now on no master tells who has no credentials: haproxy is to go on with them, and to see who ends."""

    def lose(self, masters: dict[str, Master], address: str) -> None:
        for one in masters.values():
            one.anonymous = False
        for one in masters.values():
            one.is_asked(3)  # two checks that failed would have marked it down by then
        super().lose(masters, address)


class CutOff:
    def lose(self, masters: dict[str, Master], address: str) -> None:
        run("iptables", "-I", "INPUT", "-d", address, "-j", "DROP")
        run("iptables", "-I", "INPUT", "-s", address, "-j", "DROP")

    def back(self, masters: dict[str, Master], address: str) -> None:
        run("iptables", "-F", "INPUT")


def main() -> None:
    run("ip", "link", "set", "lo", "up")
    masters = {address: Master(address) for address in ADDRESSES}
    haproxy = subprocess.Popen(["haproxy", "-W", "-f", CONFIGURATION], stdout=-3, stderr=-3)
    client = Client()
    client.start()
    gaps = {}
    for name, way, reloads in (
        ("API server", Crash(), False),
        ("etcd", WithoutEtcd(), False),
        ("network", CutOff(), False),
        ("network, after a reload", CutOff(), True),
        ("API server, with no anonymous requests", WithoutAnonymous(), False),  # the last: it stays so
    ):
        client.writes(20)
        if reloads:
            haproxy.send_signal(signal.SIGUSR2)
            for master in masters.values():
                master.is_asked(2)  # once it may be by the former process
        address, since = client.told[-1][1], time.monotonic()
        way.lose(masters, address)
        client.writes(20)
        gaps[name] = round(client.gap(since), 2)
        way.back(masters, address)
        masters[address].is_asked(2)  # the first time it may have been away yet
    client.ended = True
    haproxy.kill()
    print(json.dumps(gaps))


main()
