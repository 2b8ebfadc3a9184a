"""An imitation of the public names that a cluster comes from, made of the lab's own servers.

Two things of it are not the public ones': the authority that vouches for the names, which whoever shall believe it has
to be given, and the key that apt's repository is signed with.

As a program, it is `inv` on a computer where these names lead to the imitation and kubefab pins the imitation's key:
`IMITATION='{"address": …, "names": […], "key": …}' python -m tests.proof.imitation lab.up`.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.authority import Authority

HOP = {"host", "connection", "keep-alive", "transfer-encoding"}  # what is between two alone: RFC 9110, 7.6.1


class Imitation(BaseHTTPRequestHandler):
    """Passes on what is asked of a name, by hosts.yml's `mirrors` for it."""

    mirrors: Mapping[str, str]
    asked: list[str]
    timeout = 60

    def do_GET(self) -> None:
        name = self.headers["Host"]
        self.asked.append(f"https://{name}{self.path}")
        headers = {key: ", ".join(self.headers.get_all(key, [])) for key in self.headers if key.lower() not in HOP}
        url = self.mirrors[name] + self.path
        with requests.request(self.command, url, headers=headers, stream=True, timeout=60) as answer:
            self.send_response_only(answer.status_code)
            for key, value in answer.headers.items():
                if key.lower() not in HOP:
                    self.send_header(key, value)
            self.end_headers()
            for chunk in answer.raw.stream(2**20, decode_content=False):
                self.wfile.write(chunk)

    do_HEAD = do_GET

    def finish(self) -> None:
        """TLS's own farewell: apt takes an answer without it for one that was cut off."""
        super().finish()
        with suppress(OSError, ValueError):
            self.connection.unwrap()

    def log_message(self, *_: object) -> None:
        pass


def by_name(mirrors: Mapping[str, Any]) -> dict[str, str]:
    """hosts.yml's mirrors -> by the public name, where the lab has what is published there."""
    urls = {origin: mirror["url"] if isinstance(mirror, dict) else mirror for origin, mirror in mirrors.items()}
    return {urlsplit(origin).netloc or origin: url.rstrip("/") for origin, url in urls.items()}


@contextmanager
def imitated(address: str, authority: Authority, mirrors: Mapping[str, str]) -> Iterator[list[str]]:
    """The imitation at this address of the computer, until the end; what it was asked for so far."""
    asked: list[str] = []
    server = ThreadingHTTPServer((address, 443), type("Serving", (Imitation,), {"mirrors": mirrors, "asked": asked}))
    # Each connection's handshake in its own thread: who hangs in one holds up nobody.
    tls = authority.server(list(mirrors))
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def main() -> None:
    from invoke.main import program

    from kubefab import releases

    told = json.loads(os.environ["IMITATION"])
    resolve = socket.getaddrinfo

    def led(host: Any, *rest: Any, **more: Any) -> Any:
        return resolve(told["address"] if host in told["names"] else host, *rest, **more)

    socket.getaddrinfo = led
    releases.KEY = told["key"]
    program.run(["inv", *sys.argv[1:]])


if __name__ == "__main__":
    main()
