"""Who asks a Service ten times a second, as people do who must not notice that the cluster is upgraded."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import cycle

import yaml

from lab.settings import address

from .harness import MASTER, eventually, kubectl, objects

NAME = "asked"
LIMIT = 5  # seconds that a client like this waits for an answer
PAUSE = 0.1
WWW = "mkdir -p /www && hostname >/www/index.html && exec busybox httpd -f -p 8080 -h /www"
LABELS = {"app": NAME}


def _objects() -> list[dict[str, object]]:
    """Two pods that are never on one node; each goes on answering for as long as somebody may still be led to it."""
    apart = {"labelSelector": {"matchLabels": LABELS}, "topologyKey": "kubernetes.io/hostname"}
    container = {
        "name": "web",
        "image": "busybox:1.37.0",
        "command": ["sh", "-c", WWW],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }
    pod = {
        "terminationGracePeriodSeconds": 7,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "containers": [container],
    }
    selector, template = {"matchLabels": LABELS}, {"metadata": {"labels": LABELS}, "spec": pod}
    about, port = {"metadata": {"name": NAME}}, {"port": 80, "targetPort": 8080}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            **about,
            "spec": {"replicas": 2, "selector": selector, "template": template},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            **about,
            "spec": {"minAvailable": 1, "selector": selector},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            **about,
            "spec": {"type": "NodePort", "selector": LABELS, "ports": [port]},
        },
    ]


def deployed(master: str = MASTER) -> int:
    """The port, at every node, of two pods on two nodes that answer."""
    kubectl("apply", "-f", "-", master=master, stdin=yaml.safe_dump_all(_objects()))
    eventually(lambda: len(nodes_of_it(master)) == 2)
    port = kubectl("get", "service", NAME, "-o", "jsonpath={.spec.ports[0].nodePort}", master=master)
    return int(port)


def nodes_of_it(master: str = MASTER) -> set[str]:
    """Where its pods are that are ready and stay."""
    pods = objects("pods", "-l", f"app={NAME}", master=master)
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    ready = [pod for pod in staying if any(one["ready"] for one in pod["status"].get("containerStatuses", []))]
    return {pod["spec"]["nodeName"] for pod in ready}


class Asker:
    """By way of one node after the other, each time over a connection of its own."""

    def __init__(self, hosts: Sequence[str], port: int) -> None:
        self._ways = cycle([(host, HTTPConnection(address(host), port, timeout=LIMIT)) for host in hosts])
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self.answered: dict[str, int] = {}  # by pod
        self.failed: list[str] = []
        self._thread.start()

    @property
    def asked(self) -> int:
        return sum(self.answered.values()) + len(self.failed)

    def _ask_on(self) -> None:
        while not self._ended.wait(PAUSE):
            self._ask(*next(self._ways))

    def _ask(self, host: str, connection: HTTPConnection) -> None:
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            pod = _pod(connection)
            self.answered[pod] = self.answered.get(pod, 0) + 1
        except (OSError, HTTPException) as error:
            self.failed.append(f"after {time.monotonic() - self._began:.1f} s, by way of {host}: {error!r}")
        finally:
            connection.close()

    def goes_on(self, answers: int = 20) -> None:
        """Until so many more have come."""
        there = sum(self.answered.values())
        eventually(lambda: sum(self.answered.values()) >= there + answers, seconds=60)

    def ends(self) -> None:
        self._ended.set()
        self._thread.join()


def _pod(connection: HTTPConnection) -> str:
    """Which pod answered. HTTPException for an answer that is none."""
    answer = connection.getresponse()
    text = answer.read().decode().strip()
    if answer.status != 200:
        raise HTTPException(f"{answer.status} {answer.reason}")
    return text


def _answers(host: str, port: int) -> bool:
    with closing(HTTPConnection(address(host), port, timeout=LIMIT)) as connection:
        try:
            connection.request("GET", "/")
            return bool(_pod(connection))
        except (OSError, HTTPException):
            return False


@contextmanager
def asking(hosts: Sequence[str], master: str = MASTER) -> Iterator[Asker]:
    """From this computer, at the port that the Service has at each of these nodes."""
    port = deployed(master)
    eventually(lambda: all(_answers(host, port) for host in hosts))  # each node's kube-proxy has heard of the pods
    asker = Asker(hosts, port)
    asker.goes_on()
    try:
        yield asker
    finally:
        asker.ends()
