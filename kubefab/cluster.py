"""What one invocation knows: what is wanted, the hosts, and what the last looks found there."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kubefab import facts, render
from kubefab.errors import HostError, KubefabError
from kubefab.facts import ClusterFacts, Facts, LocalNode, Part
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.log import Log
from kubefab.patience import Patience
from kubefab.questions import Questions
from kubefab.releases import Release
from kubefab.ssh import Link
from kubefab.step import when
from kubefab.sudo import Sudo
from kubefab.wires import Network

# "change" comes first: if no change goes on by then, none can be altering what is looked at after it.
PARTS = (
    *("change", "system", "files", "packages", "services", "runtime"),
    *("network", "node", "endpoint", "dns", "manifests"),
)


class Cluster:
    """The hosts and their facts. Facts hold until something is changed."""

    def __init__(
        self,
        inventory: Inventory,
        log: Log,
        readyz: Callable[[Host, str, bool], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sudo, self._network = Sudo(), Network()
        self.inventory = inventory
        self.log = log
        everyone = {host.name: Host(host, Link(host, sudo, self._network), log) for host in inventory.hosts}
        self.hosts = {name: host for name, host in everyone.items() if not host.wanted.absent}
        self.absent = {name: host for name, host in everyone.items() if host.wanted.absent}
        self.clock = clock
        self._readyz = readyz
        own = inventory.cluster.endpoint
        self._questions = Questions(tuple(render.paths(inventory)), balancer=(own,) if own else ())
        self._found: dict[str, dict[str, str]] = {name: {} for name in self.hosts}
        self._parsed: dict[str, dict[str, Part]] = {name: {} for name in self.hosts}
        self._speaker = inventory.founder.name
        self._leaving = ""
        self._words: dict[str, ClusterFacts | None] = {}  # what each master says of the cluster
        self._live = self._heard()
        self._alone: dict[str, Facts] = {}  # of every host that was looked at, without the others
        self._facts: dict[str, Facts] = {}  # completed by the others
        self._began: dict[tuple[str, str], float] = {}
        self._knowing = threading.Lock()
        self._gates = {name: threading.Lock() for name in self.hosts}

    @property
    def masters(self) -> list[Host]:
        """The hosts that hosts.yml calls masters."""
        return [host for host in self.hosts.values() if host.wanted.role == "master"]

    @property
    def master_names(self) -> list[str]:
        return [host.name for host in self.masters]

    @property
    def founder(self) -> Host:
        """The master that makes the cluster where there is none."""
        return self.hosts[self.inventory.founder.name]

    @property
    def speaker(self) -> Host:
        """The master whose word on the cluster counts: the first whose API server answers, once one does."""
        return self.hosts[self._speaker]

    @property
    def answering(self) -> list[Host]:
        """The masters whose API servers have answered, of those that were looked at."""
        return [host for host in self.masters if (word := self._words.get(host.name)) and self._answers(word)]

    @property
    def release(self) -> Release:
        return self.inventory.release

    @property
    def authority(self) -> str:
        """The cluster's CA, in base64, as its speaker's admin.conf has it; "" where that is not known."""
        return facts.authority(self._found[self._speaker].get("node", ""))

    def require(self, name: str) -> Host:
        """The host of this name. KubefabError, with the names there are, where it is not to be had."""
        if self.inventory.host(name).absent:
            raise KubefabError(f"{name} is marked `absent: true` in {self.inventory.path}")
        return self.hosts[name]

    def unanswered(self, name: str) -> HostError | None:
        """Why this host, an absent one too, gives no answer now; None where it gives one."""
        host = self.hosts.get(name) or self.absent[name]
        try:
            host.look(("system",), self._questions)
        except HostError as error:
            return error
        return None

    @contextmanager
    def asked_with(self, patience: Patience) -> Iterator[None]:
        """Within it, hosts are waited for as long as this says."""
        before, self._network.patience = self._network.patience, patience
        try:
            yield
        finally:
            self._network.patience = before

    def facts(self, host: Host) -> Facts:
        """What is known of a host and, by way of its speaker, of the cluster; and of the other hosts."""
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

    def node_name(self, host: Host) -> str:
        """The name of the host's Node; the host's own where that is not known."""
        node = self.facts(host).node if self.looked_at(host) else None
        return node.name if node else host.name

    def look(
        self,
        host: Host,
        parts: tuple[str, ...] | None = None,
        since: float | None = None,
        besides: tuple[str, ...] = (),
    ) -> None:
        """Brings a host's facts up to date. Callers who ask for the same at one time share one look.

        A look that began after `since`, by the cluster's clock, will do; by default only one that begins from now on.
        """
        whole = self._whole(host)
        wanted = tuple(dict.fromkeys((*(whole if parts is None else parts), *besides)))
        since = self.clock() if since is None else since
        with self._gates[host.name]:
            if all(self._began.get((host.name, part), -1.0) >= since for part in wanted):
                return
            began = self.clock()
            asked = tuple(part for part in wanted if part != "api")
            found = host.look(asked, self._questions) if asked else {}
            if "api" in wanted:  # the API server's own word, not the host's
                authority = facts.authority({**self._found[host.name], **found}.get("node", ""))
                found["api"] = self._readyz(host, authority, "\nsilent " in f"\n{found.get('cluster', '')}")
            try:
                self._learn(host, found)
            except HostError as error:
                error.host = host.name
                raise
            self._began.update({(host.name, part): began for part in wanted})

    def leave(self, name: str, node: str) -> None:
        """For a host that is removed or drained: looks ask about its Node, and another master speaks where one can."""
        with self._knowing:
            self._questions = replace(self._questions, nodes=(node,))
            self._leaving = name
            self._agree()

    def ask_of(self, nodes: Sequence[str]) -> None:
        """Makes the looks ask about these Nodes, whose pods are to go."""
        self._questions = replace(self._questions, nodes=tuple(nodes))

    def ask(self, masters: Iterable[Host], since: float | None = None, besides: tuple[str, ...] = ()) -> None:
        """Brings up to date what is known of the cluster, by the first of these masters whose API server answers.

        `besides`: parts of its look that are wanted too. The speaker so far is asked first, a master that leaves last.
        HostError where none of them can be talked to.
        """
        ordered = sorted(masters, key=lambda host: (host.name == self._leaving, host.name != self._speaker))
        errors = []
        for host in ordered:
            try:
                self.look(host, ("node", "cluster"), since, besides)
            except HostError as error:
                errors.append(error)
                self._fell_silent(host, error)
            if (word := self._words.get(host.name)) and not word.silent:
                return
        if len(errors) == len(ordered):
            raise errors[0]

    def _fell_silent(self, host: Host, error: HostError) -> None:
        with self._knowing:
            if word := self._words.get(host.name):
                self._words[host.name] = replace(word, silent=f"{host.name}: {error.what}")
            self._agree()

    def _whole(self, host: Host) -> tuple[str, ...]:
        """All parts of this host's look: what is about disks, and certificates, only where hosts.yml names some."""
        master = host.wanted.role == "master"
        ceph = any(one.disks for one in self.inventory.hosts)
        several = len(self.inventory.masters) > 1
        names = self.inventory.told("ClusterConfiguration.apiServer.certSANs")
        return (
            *PARTS,
            *when(host.wanted.disks, "disks"),
            *when(master, "cluster", "api", "addons", "backups", "kubeadm"),
            *when(master and names, "certificates"),
            *when(master and several, "etcd"),
            *when(master and ceph, "ceph"),
        )

    def _learn(self, host: Host, found: Mapping[str, str]) -> None:
        """Only what is new is parsed: a master's answer on its cluster may have megabytes."""
        before = self._found[host.name]
        new = {part: text for part, text in found.items() if before.get(part) != text}
        parsed = facts.parse(new)
        word = facts.parse_cluster(new["cluster"]) if "cluster" in new else self._words.get(host.name)
        with self._knowing:
            self._found[host.name] = {**before, **found}
            self._parsed[host.name] |= parsed
            if host.wanted.role == "master":
                self._words[host.name] = self._spoken(host, word)
            self._agree()

    def _agree(self) -> None:
        """Chooses the speaker, and puts its word on the cluster into the facts of all hosts."""
        self._live = self._heard()
        self._speaker = (self._live and self._live.speaker) or self._speaker
        self._alone = {
            name: Facts(name, dict(parts), self._live) for name, parts in self._parsed.items() if self._found[name]
        }
        self._facts.clear()

    def _heard(self) -> ClusterFacts | None:
        """The speaker's word while its API server answers; else that of the first master whose does; else a silent one.

        A master that leaves comes last. None, for no cluster, only where every master says so.
        """
        names = sorted((self._speaker, *self.master_names), key=lambda name: name == self._leaving)
        words = [word for name in names if (word := self._words.get(name))]
        answers = [word for word in words if self._answers(word)]
        if words:
            return (answers or words)[0]
        away = [name for name in self.master_names if not self._found[name]]
        were = "were" if len(away) > 1 else "was"
        return ClusterFacts(silent=f"{', '.join(away)} {were} not looked at") if away else None

    def _answers(self, word: ClusterFacts) -> bool:
        return not (word.silent or self._half_made(word.speaker))

    def _half_made(self, name: str) -> bool:
        local = self._parsed[name].get("node")
        return isinstance(local, LocalNode) and local.half_made

    def _spoken(self, host: Host, word: ClusterFacts | None) -> ClusterFacts | None:
        """The cluster by this host's word, with what the host's own files say of it."""
        local = self._parsed[host.name].get("node")
        if not word:
            return None
        if not isinstance(local, LocalNode):
            return replace(word, speaker=host.name)
        return replace(word, speaker=host.name, ca=local.admin_ca, endpoint=local.admin_server)

    def close(self) -> None:
        for host in (*self.hosts.values(), *self.absent.values()):
            host.link.close()
