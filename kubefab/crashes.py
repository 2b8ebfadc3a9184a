"""Crash loops of what is waited for: told at once, and not when the time of the wait is over.

Pods ask API servers by the service address, and what asks them as it starts ends where nobody answers: flannel, for as
long as a slow machine's kube-proxy has not led that address to any. That is no loop: it ends with its cause.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kubefab.errors import HostError
from kubefab.host import Host

LOOP = 3  # restarts of one container while it is waited for
TAIL = 8  # lines of what it said last
EVERY = 10.0  # seconds between looks; what comes true before the first is never asked
_STATIC = ("kube-controller-manager-", "kube-scheduler-")  # followed by their node's name
# What the service address needs, and what does not ask by it.
_WITHOUT_IT = (*_STATIC, "kube-proxy")
_SERVICE = "get service kubernetes --namespace default --output jsonpath=https://{.spec.clusterIP}"
_STATUSES = ("initContainerStatuses", "containerStatuses")
# kubectl joins what there are several of by commas, and says <none> of what there is none of.
COLUMNS = "custom-columns=POD:.metadata.name,NODE:.spec.nodeName," + ",".join(
    f"NAMES:.status.{one}[*].name,COUNTS:.status.{one}[*].restartCount" for one in _STATUSES
)
_PROXIES = (
    "get pods --no-headers --namespace kube-system --selector k8s-app=kube-proxy "
    "--output custom-columns=NODE:.spec.nodeName,READY:.status.containerStatuses[*].ready"
)


class Container(NamedTuple):
    pod: str
    node: str
    name: str


class CrashWatch:
    """Counts the restarts of a workload's containers from its first look on: those of before are history.

    So are those of before the service address leads to an API server from their node, for what asks by it.
    """

    def __init__(self, workload: str, clock: Callable[[], float]) -> None:
        """`workload`: "namespace/name", of a static pod its own name; or "" for nothing to look at."""
        self.namespace, _, self.name = workload.partition("/")
        self._clock = clock
        self._next = clock() + EVERY
        self._found: Mapping[Container, int] | None = None
        self._before = dict[Container, int]()
        self._asks = not self.name.startswith(_WITHOUT_IT)  # API servers, by the service address
        self._led = set[str]()  # the nodes from which it leads to one

    def look(self, master: Host) -> None:
        """Now and then. HostError, with what it said last, for a container in a crash loop; silence is no news."""
        if self.name and self._clock() >= self._next:
            self._next = self._clock() + EVERY
            self._compare(master)

    def _compare(self, master: Host) -> None:
        found = self._restarts(master)
        if found is None or found == self._found:
            return
        first, self._found = self._found is None, found
        history = {one: count for one, count in found.items() if first or (self._asks and one.node not in self._led)}
        self._before |= history
        if self._asks and (first or history):
            self._led |= self._leads(master, {master.name, *(one.node for one in history)} - self._led)
        for one, count in found.items():
            if count - self._before.get(one, 0) >= LOOP:
                what = f"{self.namespace}/{one.pod} is in a crash loop: container {one.name}, restarted {count} times"
                raise HostError(what, self._last_words(master, one))

    def _leads(self, master: Host, nodes: set[str]) -> set[str]:
        """From which of these nodes the service address leads to an API server: on others, once kube-proxy is ready."""
        led = {master.name} if master.name in nodes and self._leads_from(master) else set[str]()
        return led | (self._with_proxy(master, others) if (others := nodes - {master.name}) else set())

    def _leads_from(self, master: Host) -> bool:
        try:
            address = master.ask("kubectl.sh", *_SERVICE.split())
            master.ask("kubectl.sh", "get", "--raw", "/livez", "--server", address, "--request-timeout", "5s")
        except HostError:
            return False
        return True

    def _with_proxy(self, master: Host, nodes: set[str]) -> set[str]:
        """All of them where there is no kube-proxy at all: somebody has another."""
        try:
            told = [line.split() for line in master.ask("kubectl.sh", *_PROXIES.split()).splitlines()]
        except HostError:
            return set()
        return nodes & {node for node, *ready in told if ready == ["true"]} if told else nodes

    def _restarts(self, master: Host) -> Mapping[Container, int] | None:
        try:
            said = self._kubectl(master, "get", "pods", "--no-headers", "--output", COLUMNS)
        except HostError:
            return None
        return {one: count for one, count in restarts(said).items() if self._is_meant(one.pod)}

    def _is_meant(self, pod: str) -> bool:
        return pod == self.name if self.name.startswith(_STATIC) else pod.startswith(f"{self.name}-")

    def _last_words(self, master: Host, one: Container) -> str:
        try:
            return self._kubectl(master, "logs", one.pod, "--container", one.name, "--previous", f"--tail={TAIL}")
        except HostError as error:
            return error.lines

    def _kubectl(self, master: Host, *words: str) -> str:
        return master.ask("kubectl.sh", *words, "--namespace", self.namespace)


def restarts(said: str) -> dict[Container, int]:
    """How often each container was restarted, from kubectl's lines; what is no such line is passed over."""
    found = {}
    for line in said.split("\n"):
        pod, node, *columns = [*line.split(), "", ""]
        for names, counts in zip(columns[::2], columns[1::2], strict=False):
            pairs = zip(names.split(","), counts.split(","), strict=False)
            found.update({Container(pod, node, name): int(count) for name, count in pairs if count.isdecimal()})
    return found
