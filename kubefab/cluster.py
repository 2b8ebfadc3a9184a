"""What one invocation knows: what is wanted, the hosts, and what the last looks found there."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from kubefab import facts, releases, render
from kubefab.errors import HostError, KubefabError
from kubefab.facts import ClusterFacts, Facts, LocalNode, Part
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.log import Log
from kubefab.questions import Questions
from kubefab.releases import Release
from kubefab.ssh import Link, Network
from kubefab.sudo import Sudo

# A change that still goes on is looked for first: what it is about to change is looked at after it.
PARTS = ("change", "system", "files", "packages", "services", "runtime", "network", "node")


class Cluster:
    """The hosts and their facts. Facts hold until something is changed."""

    def __init__(
        self,
        inventory: Inventory,
        log: Log,
        healthz: Callable[[Host, str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sudo, network = Sudo(), Network()
        self.inventory = inventory
        self.log = log
        self.hosts = {
            host.name: Host(host, Link(host, sudo, network), log) for host in inventory.hosts if not host.absent
        }
        self.clock = clock
        self._healthz = healthz
        self._questions = Questions(tuple(render.paths(inventory)))
        self._found: dict[str, dict[str, str]] = {name: {} for name in self.hosts}
        self._parsed: dict[str, dict[str, Part]] = {name: {} for name in self.hosts}
        self._live: ClusterFacts | None = None
        self._alone: dict[str, Facts] = {}  # of every host that was looked at, without the others
        self._facts: dict[str, Facts] = {}  # completed by the others
        self._began: dict[tuple[str, str], float] = {}
        self._knowing = threading.Lock()
        self._gates = {name: threading.Lock() for name in self.hosts}

    @property
    def master(self) -> Host:
        """The first master."""
        return self.hosts[self.inventory.master.name]

    @property
    def release(self) -> Release:
        return releases.release(self.inventory.cluster.kubernetes)

    def require(self, name: str) -> Host:
        """The host of this name. KubefabError, with the names there are, where it is not to be had."""
        if self.inventory.host(name).absent:
            raise KubefabError(f"{name} is marked `absent: true` in {self.inventory.path}")
        return self.hosts[name]

    def facts(self, host: Host) -> Facts:
        """What is known of a host and, by way of the first master, of the cluster; and of the other hosts."""
        with self._knowing:
            if host.name not in self._facts:
                alone = self._alone.get(host.name, Facts(host.name, cluster=self._live))
                others = {name: one for name, one in self._alone.items() if name != host.name}
                self._facts[host.name] = replace(alone, others=others)
            return self._facts[host.name]

    def all_facts(self) -> dict[str, Facts]:
        """The facts of every host that has been looked at."""
        return {name: self.facts(host) for name, host in self.hosts.items() if self._found[name]}

    def looked_at(self, host: Host) -> bool:
        return bool(self._found[host.name])

    def look(
        self,
        host: Host,
        parts: tuple[str, ...] | None = None,
        since: float | None = None,
        besides: tuple[str, ...] = (),
    ) -> None:
        """Brings a host's facts up to date. Callers who ask for the same at one time share one look.

        `since`, by the cluster's clock, is the age that will do: by default only a look that begins from now on.
        """
        whole = self._whole(host)
        wanted = (*(whole if parts is None else parts), *besides)
        since = self.clock() if since is None else since
        with self._gates[host.name]:
            if all(self._began.get((host.name, part), -1.0) >= since for part in wanted):
                return
            began = self.clock()
            asked = tuple(part for part in wanted if part != "api")
            found = host.look(asked, self._questions) if asked else {}
            if "api" in wanted:  # the API server's own word, not the host's
                authority = facts.authority({**self._found[host.name], **found}.get("node", ""))
                found["api"] = self._healthz(host, authority)
            try:
                self._learn(host, found)
            except HostError as error:
                error.host = host.name
                raise
            self._began.update({(host.name, part): began for part in wanted})

    def _whole(self, host: Host) -> tuple[str, ...]:
        """All parts of this host's look: what is about disks only where hosts.yml names some."""
        master = host.name == self.master.name
        ceph = any(one.disks for one in self.inventory.hosts)
        return (
            *PARTS,
            *(["disks"] if host.wanted.disks else []),
            *(["cluster", "api"] if master else []),
            *(["ceph"] if master and ceph else []),
        )

    def _learn(self, host: Host, found: Mapping[str, str]) -> None:
        """Only what is new is parsed: a master's answer on its cluster may have megabytes."""
        before = self._found[host.name]
        new = {part: text for part, text in found.items() if before.get(part) != text}
        parsed, live = facts.parse(new), facts.parse_cluster(new["cluster"]) if "cluster" in new else self._live
        with self._knowing:
            self._found[host.name] = {**before, **found}
            self._parsed[host.name] |= parsed
            if host.name == self.master.name:
                self._live = self._spoken(host, live)
            self._alone = {
                name: Facts(name, dict(parts), self._live) for name, parts in self._parsed.items() if self._found[name]
            }
            self._facts.clear()

    def _spoken(self, host: Host, live: ClusterFacts | None) -> ClusterFacts | None:
        """The cluster by this host's word, with what the host's own files say of it."""
        local = self._parsed[host.name].get("node")
        if not live or not isinstance(local, LocalNode):
            return live
        return replace(live, speaker=host.name, ca=local.admin_ca, endpoint=local.admin_server)

    def close(self) -> None:
        for host in self.hosts.values():
            host.link.close()
