"""Files over HTTP, for as long as the lab is up: run by itself, from a copy that outlives the checkout."""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

NOT_FOUND = (
    "Not Found: what Docker and the add-ons want is built by inv lab.up --everything, "
    "another Kubernetes by inv lab.up --kubernetes VERSION"
)


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        super().send_error(code, NOT_FOUND if code == 404 else message, explain)


def serve(address: str, port: str, folder: str) -> None:
    ThreadingHTTPServer((address, int(port)), partial(Handler, directory=folder)).serve_forever()


if __name__ == "__main__":
    serve(*sys.argv[1:])
