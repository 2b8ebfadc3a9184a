"""A client that holds a watch open, as controllers do: it goes on from what it has seen, and asks anew where told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from .harness import eventually, forwarded
from .writer import session_with, take_credentials

GONE = 410  # its versions are of before


class Watcher:
    """Of ConfigMaps: their names, as far as this client knows."""

    def __init__(self, port: int, credentials: Path) -> None:
        self._place = f"https://127.0.0.1:{port}/api/v1/namespaces/default/configmaps"
        self._credentials = credentials
        self._ended = threading.Event()
        self.names: set[str] = set()
        self.expired = 0  # how often it was told that its versions are of before
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        version = ""
        while not self._ended.wait(0.1):
            try:
                with session_with(self._credentials) as session:
                    version = self._watched(session, version or self._listed(session))
            except (requests.RequestException, ValueError):
                continue

    def _listed(self, session: requests.Session) -> str:
        answer = session.get(self._place, timeout=5)
        answer.raise_for_status()
        self.names = {one["metadata"]["name"] for one in answer.json()["items"]}
        return str(answer.json()["metadata"]["resourceVersion"])

    def _watched(self, session: requests.Session, version: str) -> str:
        """The last version that was seen; "" where all is to be asked for anew."""
        asked = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        with session.get(self._place, params=asked, timeout=(5, 30), stream=True) as answer:
            if answer.status_code == GONE:
                return self._is_expired()
            answer.raise_for_status()
            try:
                for line in answer.iter_lines():
                    if (event := json.loads(line))["type"] == "ERROR":
                        return self._is_expired() if event["object"].get("code") == GONE else version
                    version = self._learned(event)
            except requests.RequestException:
                return version  # the connection is lost, and what it has seen is not
        return version

    def _learned(self, event: dict[str, Any]) -> str:
        about = event["object"]["metadata"]
        if event["type"] == "DELETED":
            self.names.discard(about["name"])
        elif event["type"] != "BOOKMARK":
            self.names.add(about["name"])
        return str(about["resourceVersion"])

    def _is_expired(self) -> str:
        self.expired += 1
        return ""

    def knows(self, *there: str, without: tuple[str, ...] = (), seconds: float = 120) -> None:
        eventually(lambda: set(there) <= self.names and not self.names & set(without), seconds)

    def ends(self) -> None:
        self._ended.set()


@contextmanager
def watching(master: str, folder: Path) -> Iterator[Watcher]:
    """By this master's own API server, as its admin."""
    take_credentials(master, folder)
    with forwarded(master, "127.0.0.1:6443") as port:
        watcher = Watcher(port, folder)
        yield watcher
        watcher.ends()
