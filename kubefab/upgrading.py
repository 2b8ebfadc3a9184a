"""The cluster comes to the version in hosts.yml: all are heard, and what it means is told and asked for first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from invoke import Context, Exit
from packaging.version import Version

from kubefab import etcd, images, kubeadm
from kubefab.converge import Engine, Stop
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.facts import Configuration, Facts
from kubefab.host import Host
from kubefab.leaving import Seconds
from kubefab.losing import Loss, agree, tell
from kubefab.passes import Group, Pass, Who
from kubefab.step import Subject, when
from kubefab.steps import (
    draining,
    drift,
    drift_nodes,
    health,
    preflight,
    upgrade,
    upgrade_checks,
    upgrade_kubelet,
    versions,
)
from kubefab.steps.etcd import backup_of
from kubefab.steps.versions import upstream

PARTS = ("kubeadm", "etcd", "pods", "workloads", "upgrade")


class Workers(int):
    """Read with the command line itself, so that a wrong one is told before anything is begun."""

    def __new__(cls, workers: "str | int") -> "Workers":
        text = str(workers)
        if not (text.isascii() and text.isdigit() and 0 < len(text) < 4 and int(text)):
            raise Exit(f"--at-once: found {workers!r}; allowed: a number from 1 to 999", code=1)
        return super().__new__(cls, workers)


ONE = Workers(1)
TOGETHER = Pass(rolling=True)  # what fails on one host is begun on none
IN_TURN = Pass(at_once=1, rolling=True)


def bring_up(
    c: Context,
    seconds: Seconds,
    yes: bool,
    at_once: int = 1,
    ignored: Sequence[str] = (),
    alone: str | None = None,
) -> None:
    """Upgrades the cluster of hosts.yml. KubefabError where somebody is not heard, or does not agree."""
    Upgrading(engine_of(c), seconds, yes, at_once, tuple(ignored), alone).bring_about()


@dataclass(frozen=True)
class Turn:
    """A part of an upgrade; no host begins the next part while another has this one before it."""

    who: Group
    subject: Subject
    how: Pass
    old: Callable[[Facts], object] = lambda _: None  # true where a host has it before it
    begun: Callable[[Facts], object] = lambda _: None  # true where a host was in the middle of it


@dataclass(frozen=True)
class Upgrading:
    """Passes in turn, none of which is begun where one before it has failed."""

    run: Engine
    seconds: int  # that a node's pods and their budgets have
    yes: bool
    at_once: int  # workers
    ignored: tuple[str, ...]  # workloads, as "namespace/name", that nobody waits for
    alone: str | None = None  # the one host that is upgraded, as far as its turn has come

    @property
    def wanted(self) -> str:
        """The version in hosts.yml."""
        return self.run.cluster.inventory.cluster.kubernetes

    def bring_about(self) -> None:
        hosts = self._heard()
        if self.alone is not None:
            hosts = [self.run.cluster.require(self.alone)]
            self._refuse_out_of_turn(self._turns())
        if self.run.dry:
            tell(self._losses(hosts))
        elif self._losses(hosts):
            self.run.lock(hosts, *PARTS)
            agree(lambda: self._losses(hosts), self.yes, lambda: self.run.look_again(hosts, *PARTS), _COST)
        for who, subjects, how in self._passes(hosts):
            if not self.run.failures:
                self.run.converge(who, *subjects, how=how)

    def _heard(self) -> list[Host]:
        """Every host, looked at. KubefabError where one does not answer, or there is no cluster that does."""
        hosts = self.run.look(Group.ALL, "upgrade")
        if not self.run.failures:
            self.run.converge(Group.MASTERS, upgrade_checks.taken_up)
        live = self.run.cluster.facts(self.run.cluster.speaker).cluster
        if self.run.failures or self.run.unheard:
            raise Stop(_UNHEARD)
        if not live or live.silent:
            raise KubefabError(live.unheard if live else "there is no cluster yet; `inv cluster.up` makes one")
        self.run.cluster.ask_of([upgrade_kubelet.node_name(self.run.cluster, host) for host in hosts])
        self.run.look(Group.ALL, *PARTS)
        self.run.complain(hosts, preflight.upgradable, upgrade_checks.possible)
        if self.run.failures:
            raise Stop("nothing was changed")
        return hosts

    def _turns(self, images: Sequence[str] = ()) -> list[Turn]:
        """No kubelet comes before every API server. `images`: those that kubeadm names."""
        names = {host.name: upgrade_kubelet.node_name(self.run.cluster, host) for host in self.run.chosen(Group.ALL)}
        kubelet = upgrade_kubelet.kubelet(self.seconds, self.ignored, names)
        begun, workers = upgrade_kubelet.is_begun, Pass(self.at_once, rolling=True)
        return [
            Turn(Group.MASTERS, upgrade.etcd_first, IN_TURN, upgrade.etcd_before(self.run.cluster)),
            Turn(Group.MASTERS, upgrade.control_plane, IN_TURN, upgrade.old_control_plane(self.wanted)),
            Turn(Group.SPEAKER, upgrade.kept(images), TOGETHER),
            Turn(Group.MASTERS, kubelet, IN_TURN, lambda facts: versions.is_old(facts, self.wanted), begun),
            Turn(Group.WORKERS, kubelet, workers, lambda facts: versions.is_old(facts, self.wanted), begun),
        ]

    def _passes(self, hosts: Sequence[Host]) -> Iterator[tuple[Who, Sequence[Subject], Pass]]:
        """Nothing that runs is changed before all is fetched."""
        names: Sequence[str] = ()
        if any(self._behind(host) for host in hosts):
            names = self._images()
            yield self._of(Group.ALL), [upgrade.fetched(names)], TOGETHER
        yield from self._saved()
        for turn in self._turns(names):
            for host in self._begun(turn, hosts):  # its pods may wait for it, and the next node for them
                yield host, [turn.subject], TOGETHER
            if turn.who is Group.SPEAKER or any(host in hosts for host in self.run.chosen(turn.who)):
                yield self._of(turn.who), [turn.subject], turn.how
            if self.alone is not None and (others := self._before(turn)):
                print(f"next: inv cluster.upgrade --host {others[0]}")
                break
        yield self._of(Group.ALL), [health.steps], TOGETHER

    def _of(self, who: Group) -> Who:
        """The one host that is upgraded alone, or all of these. The speaker tells for all of them."""
        return who if self.alone is None or who is Group.SPEAKER else self.alone

    def _refuse_out_of_turn(self, turns: Sequence[Turn]) -> None:
        """Where others have a turn before the next one of this host, if it has one."""
        host = self.run.cluster.require(self.alone or "")
        told = self.run.cluster.facts(host)
        mine = [n for n, turn in enumerate(turns) if host in self.run.chosen(turn.who) and turn.old(told)]
        others = [name for turn in turns[: min(mine, default=0)] for name in self._before(turn)]
        if others:
            names = ", ".join(dict.fromkeys(others))
            raise KubefabError(f"{host.name} comes after {names}: inv cluster.upgrade --host {others[0]}")

    def _begun(self, turn: Turn, hosts: Sequence[Host]) -> list[str]:
        return [
            host.name
            for host in self.run.chosen(turn.who)
            if host in hosts and turn.begun(self.run.cluster.facts(host))
        ]

    def _before(self, turn: Turn) -> list[str]:
        """The others that have it before them."""
        facts = {host.name: self.run.cluster.facts(host) for host in self.run.chosen(turn.who)}
        return [name for name, told in facts.items() if name != self.alone and turn.old(told)]

    def _images(self) -> list[str]:
        """By the configuration that the cluster keeps, which the new kubeadm judges first."""
        stored = kubeadm.at_version(self._stored().text, self.wanted)
        return images.needed(self.run.cluster, lambda _: [], stored=stored)

    def _stored(self) -> Configuration:
        told = self.run.cluster.facts(self.run.cluster.speaker).kubeadm.configuration
        if not told:
            raise KubefabError(_UNREAD)
        return told

    def _saved(self) -> Iterator[tuple[Who, Sequence[Subject], Pass]]:
        """A backup of etcd, before the first control plane that is behind."""
        cluster = self.run.cluster
        masters = {host.name: cluster.facts(host) for host in cluster.masters}
        if any(upgrade.old_control_plane(self.wanted)(facts) for facts in masters.values()):
            backup = backup_of(cluster, masters, etcd.problems(masters))
            yield backup.source, [backup.subject], TOGETHER

    def _behind(self, host: Host) -> list[str]:
        facts = self.run.cluster.facts(host)
        return versions.behind(facts, self.wanted) if facts.trusted else []

    def _losses(self, hosts: Sequence[Host]) -> list[Loss]:
        """What is upgraded on each host, and what its pods lose by it."""
        self.run.converge(Group.SPEAKER, upgrade_checks.listed)
        speaker = self.run.cluster.facts(self.run.cluster.speaker)
        found = []
        for host in hosts:
            facts = self.run.cluster.facts(host)
            if old := self._behind(host):
                found += [(host.name, "", f"{', '.join(old)} -> {self.wanted}"), *self._etcd(host, facts)]
                found += self._price(host, facts, speaker)
                found += self._by_hand(host, facts)
            found += [(host.name, "", f"{_COPIES}/{one}: an earlier copy of kubeadm's") for one in facts.upgrade.copies]
        besides = (*self._short(speaker), *self._pinned(), *self._edited(speaker), *self._deprecated())
        return [*found, *when(found, *besides)]

    def _etcd(self, host: Host, facts: Facts) -> list[Loss]:
        """Where it goes to its next minor."""
        cluster, tag = self.run.cluster, self.run.cluster.release.etcd_before
        member = facts.etcd.member if host.wanted.role == "master" else None
        if not tag or not member or upstream(member.version).release[:2] > upstream(tag).release[:2]:
            return []
        first = upgrade.etcd_before(cluster)(facts)
        way = f"to {upstream(tag)} first, one member at a time, and then" if first else "directly"
        told = f"etcd {member.version} goes {way} to the one of {self.wanted}"
        return [(host.name, "", told)]

    def _by_hand(self, host: Host, facts: Facts) -> list[Loss]:
        """kubeadm makes all of it anew, from what it keeps in the cluster; etcd, where that is another."""
        inventory, noted = self.run.cluster.inventory, facts.manifests
        anew = dict.fromkeys((*drift.PHASES, drift.KUBELET), "") | {"etcd": " where it brings another etcd"}
        told = {name: drift.by_hand(inventory, name)(facts) for name in anew if noted.is_marked(name)}
        found = [f"{name}: what is {gap} goes: kubeadm makes it anew{anew[name]}" for name, gap in told.items() if gap]
        unknown = ", ".join(name for name in anew if name in noted.now and not noted.is_marked(name))
        return [(host.name, "", line) for line in (*found, *when(unknown, f"{unknown}: {_UNKNOWN}"))]

    def _short(self, speaker: Facts) -> list[Loss]:
        """What is not whole now, and would be waited for."""
        name = self.run.cluster.speaker.name
        short = upgrade_kubelet.shortages(speaker, self.ignored)
        return [(name, "", f"{one}: that is waited for first") for one in short]

    def _pinned(self) -> list[Loss]:
        name = self.run.cluster.speaker.name
        pinned = self._stored().pinned.items()
        return [(name, "", f"kubeadm-config has {key}: {tag}, which stays as it is") for key, tag in pinned]

    def _edited(self, speaker: Facts) -> list[Loss]:
        """kubeadm makes kube-proxy's ConfigMap anew of what is in it."""
        name, edits = self.run.cluster.speaker.name, drift_nodes.edits_of_proxy(self.run.cluster.inventory, speaker)
        told = f"kube-proxy's configuration: {', '.join(edits)}; that stays, and its pods begin with it"
        return [(name, "", told)] if edits else []

    def _deprecated(self) -> Iterator[Loss]:
        """What each API server was asked for and will not have: it knows that since its start alone."""
        then = Version(self.wanted)
        for host in self.run.cluster.masters:
            for one in self.run.cluster.facts(host).upgrade.deprecated:
                if upstream(one.gone) <= then:
                    told = f"somebody has asked for {one.resource} of {one.api}, which {one.gone} has no more"
                    yield host.name, "", f"{told} (known since this API server's start)"

    def _price(self, host: Host, facts: Facts, speaker: Facts) -> list[Loss]:
        name = upgrade_kubelet.node_name(self.run.cluster, host)
        gap = upgrade_kubelet.of_old(self.wanted, lambda _: "\n".join(draining.lost(name, speaker)) or None)
        return [(host.name, "", line) for line in (gap(facts) or "").splitlines()]


_UNREAD = "nobody could read kubeadm's configuration: kubectl -n kube-system get configmap kubeadm-config"
_UNKNOWN = (
    "nobody knows what somebody has changed by hand there; it goes where kubeadm makes them anew, from what it keeps "
    "in the cluster"
)
_COPIES = "/etc/kubernetes/tmp"  # what kubeadm leaves there is gone at the end
_COST = "every node is upgraded, one after the other, and its pods go elsewhere meanwhile"
_UNHEARD = (
    "nothing was changed: an upgrade is of all hosts; run the same command again once they answer, or mark a worker "
    "that is known to be away `absent: true` in hosts.yml"
)
