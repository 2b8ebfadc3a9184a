"""A client that writes through a host's own way to the API servers, and remembers what was acknowledged."""

import secrets
import threading
import time
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import requests
import yaml
from requests.adapters import HTTPAdapter

from .harness import COUNTED, MEASURED, eventually, forwarded, on

LIMIT = 2  # seconds that a client like this waits for an answer
AIM = 3.0  # seconds that it is wanted to wait at most for the next acknowledged write
HAPROXY, SERVICE = "127.0.0.1:6443", "10.96.0.1:443"  # a worker's own, and what pods ask


def session_with(credentials: Path) -> requests.Session:
    session, adapter = requests.Session(), HTTPAdapter()
    adapter.init_poolmanager(1, 1, assert_hostname="kubernetes")
    session.trust_env = False
    session.mount("https://", adapter)
    session.verify = str(credentials / "ca")
    session.cert = (str(credentials / "certificate"), str(credentials / "key"))
    return session


class Writer:
    """One ConfigMap at a time; no name is ever used twice."""

    def __init__(self, port: int, credentials: Path) -> None:
        self._place = f"https://127.0.0.1:{port}/api/v1/namespaces/default/configmaps"
        self._credentials = credentials
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_on, daemon=True)
        self.acknowledged: dict[str, float] = {}  # name -> when
        self._thread.start()

    def _write_on(self) -> None:
        session, number, run = session_with(self._credentials), 0, secrets.token_hex(3)
        while not self._ended.wait(0.02):
            number += 1
            name = f"written-{run}-{number}"
            try:
                answer = session.post(self._place, json={"metadata": {"name": name}}, timeout=LIMIT)
            except requests.RequestException:
                session.close()
                session = session_with(self._credentials)
                continue
            if answer.status_code == 201:
                self.acknowledged[name] = time.monotonic()

    def gap(self, since: float) -> float:
        """The longest time between two acknowledged writes from this moment on, in seconds."""
        moments = list(self.acknowledged.values())
        return max(later - at for at, later in pairwise(moments) if later >= since)

    def gaps(self, what: str, since: float, wanted: float = AIM) -> None:
        """The longest is told at the end of the run; three times what is wanted is a failure."""
        gap = self.gap(since)
        MEASURED.append((f"no gap in writing: {what}", wanted, gap))
        assert gap < 3 * wanted

    def goes_on(self, writes: int = 20) -> None:
        """Until so many more are acknowledged."""
        there = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) >= there + writes, seconds=60)

    def ends(self) -> set[str]:
        self._ended.set()
        self._thread.join()
        return set(self.acknowledged)


@contextmanager
def writing(host: str, master: str, folder: Path, place: str = HAPROXY) -> Iterator[Writer]:
    """To where this place leads from this host, as the admin of this master."""
    take_credentials(master, folder)
    with forwarded(host, place) as port:
        writer = Writer(port, folder)
        writer.goes_on()
        yield writer
        writer.ends()


def take_credentials(master: str, folder: Path) -> None:
    """Those of its admin."""
    conf = yaml.safe_load(on(master, "cat /etc/kubernetes/admin.conf"))
    cluster, user = conf["clusters"][0]["cluster"], conf["users"][0]["user"]
    credentials = {
        "ca": cluster["certificate-authority-data"],
        "certificate": user["client-certificate-data"],
        "key": user["client-key-data"],
    }
    folder.mkdir(mode=0o700)
    for name, data in credentials.items():
        (folder / name).write_bytes(b64decode(data))


def none_is_lost(what: str, acknowledged: set[str], masters: Iterable[str]) -> None:
    """Each master has every one of them, by its own word; the numbers are told at the end of the run."""
    lost = {master: len(acknowledged - written(master)) for master in masters}
    COUNTED.append(f"{what}: {len(acknowledged)} writes acknowledged, {max(lost.values())} of them lost")
    assert not any(lost.values()), lost


def written(master: str) -> set[str]:
    """What of it this master's own API server has."""
    here = "kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443"
    names = on(master, f"{here} get configmaps -o name")
    return {name.removeprefix("configmap/") for name in names.split() if "/written-" in name}
