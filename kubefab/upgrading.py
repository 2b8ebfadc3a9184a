"""The cluster comes to the version in hosts.yml: all are heard, and what it means is told and asked for first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from invoke import Context, Exit
from packaging.version import Version

from kubefab import etcd, images, kubeadm
from kubefab.converge import Engine, Stop
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.facts import Configuration, Facts, Member
from kubefab.host import Host
from kubefab.leaving import Seconds
from kubefab.losing import Loss, agree, tell
from kubefab.passes import IN_TURN, TOGETHER, Group, Pass, Who
from kubefab.step import Subject, when
from kubefab.steps import (
    addons,
    draining,
    drift_proxy,
    health,
    marked,
    network,
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
IN_GROUPS = Pass(at_once=20, rolling=True)  # more at once would share one mirror or line, and be no faster


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
    """A part of an upgrade; no host begins the next part while another has this one still to do."""

    who: Group
    subject: Subject
    how: Pass
    old: Callable[[Facts], object] = lambda _: None  # true where a host has it still to do
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
    named: dict[str, list[str]] = field(default_factory=dict)  # a configuration -> the images of it

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
            agree(lambda: self._losses(hosts), self.yes, lambda: self.run.look_again(hosts, *PARTS), self._cost(hosts))
        for who, subjects, how in self._passes(hosts):
            if not self.run.failures:
                self.run.converge(who, *subjects, how=how)

    def _cost(self, hosts: Sequence[Host]) -> str:
        return _COST if any(self._behind(host) for host in hosts) else _ENDED

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
        self.run.cluster.ask_of([self.run.cluster.node_name(host) for host in hosts])
        self.run.look(Group.ALL, *PARTS)
        self.run.complain(hosts, preflight.upgradable, upgrade_checks.possible, upgrade.known_patches)
        self.run.stop_where_failed()
        return hosts

    def _turns(self, images: Sequence[str] = ()) -> list[Turn]:
        """No kubelet is upgraded before all API servers are. `images`: those that kubeadm names."""
        names = {host.name: self.run.cluster.node_name(host) for host in self.run.chosen(Group.ALL)}
        kubelet = upgrade_kubelet.kubelet(self.seconds, self.ignored, names)
        begun, workers = upgrade_kubelet.comes_first(self.wanted), Pass(self.at_once, batches=True, rolling=True)
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
            # A master's upgrade needs images on every node: kube-proxy's, and that of the pod that kubeadm tries first.
            for_all = any(host.wanted.role == "master" for host in hosts)
            yield Group.ALL if for_all else self._of(Group.ALL), [upgrade.fetched(names, self.alone)], IN_GROUPS
        yield from self._saved()
        for turn in self._turns(names):
            for host in self._begun(turn, hosts):  # its pods may wait for this node, and the next node for them
                yield host, [turn.subject], TOGETHER
            if turn.who is Group.SPEAKER or any(host in hosts for host in self.run.chosen(turn.who)):
                yield self._of(turn.who), [turn.subject], turn.how
            if self.alone is not None and (others := self._before(turn)):
                print(f"next: inv cluster.upgrade --host {others[0]}")
                break
        else:  # the new version's, once no node is of the former one; a run that was killed may have left just these
            yield Group.SPEAKER, self._last(), TOGETHER
        yield self._of(Group.ALL), [health.steps], TOGETHER

    def _last(self) -> list[Subject]:
        return [network.flannel_applied, addons.steps]

    def _of(self, who: Group) -> Who:
        """The one host that is upgraded alone, or all of these. The speaker is never left out: it acts for all."""
        return who if self.alone is None or who is Group.SPEAKER else self.alone

    def _refuse_out_of_turn(self, turns: Sequence[Turn]) -> None:
        """KubefabError where other hosts have a turn before this host's next one."""
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
        """The other hosts that have this turn still to do."""
        facts = {host.name: self.run.cluster.facts(host) for host in self.run.chosen(turn.who)}
        return [name for name, told in facts.items() if name != self.alone and turn.old(told)]

    def _images(self) -> list[str]:
        """Those that the new kubeadm names, once it accepts the configuration that the cluster keeps; asked once."""
        stored = kubeadm.at_version(self._stored().text, self.wanted)
        if stored not in self.named:
            self.named[stored] = images.needed(self.run.cluster, lambda _: [], stored=stored)
        return self.named[stored]

    def _stored(self) -> Configuration:
        told = self.run.cluster.facts(self.run.cluster.speaker).kubeadm.configuration
        if not told:
            raise KubefabError(_UNREAD)
        return told

    def _saved(self) -> Iterator[tuple[Who, Sequence[Subject], Pass]]:
        """A backup of etcd before the first control plane is upgraded; none of an etcd that is elsewhere."""
        cluster = self.run.cluster
        masters = {host.name: cluster.facts(host) for host in cluster.masters}
        own = {name: facts for name, facts in masters.items() if not facts.etcd.elsewhere}
        if own and self._renews(cluster.masters):
            backup = backup_of(cluster, own, etcd.problems(own))
            yield backup.source, [backup.subject], TOGETHER

    def _renews(self, hosts: Sequence[Host]) -> bool:
        """Whether kubeadm upgrades a control plane of these."""
        return any(upgrade.old_control_plane(self.wanted)(self.run.cluster.facts(host)) for host in hosts)

    def _behind(self, host: Host) -> list[str]:
        """What is older there; else what is older in the cluster itself, where this host's turn upgrades it."""
        facts = self.run.cluster.facts(host)
        return versions.behind(facts, self.wanted) or self._kept_older(host, facts) if facts.trusted else []

    def _kept_older(self, host: Host, facts: Facts) -> list[str]:
        first, *_ = [self.alone] if self.alone else [one.name for one in self.run.chosen(Group.MASTERS)]  # as the pass
        stored = upgrade.old_control_plane(self.wanted)(facts) if host.name == first else None
        proxy = upgrade.old_proxy(self.wanted)(facts) if host.name == self.run.cluster.speaker.name else None
        return [*when(stored, stored or ""), *when(proxy, proxy or "")]

    def _losses(self, hosts: Sequence[Host]) -> list[Loss]:
        """What is upgraded on each host, and what its pods lose by it. Stop where somebody could not tell."""
        self.run.converge(Group.SPEAKER, upgrade_checks.listed)
        speaker = self.run.cluster.facts(self.run.cluster.speaker)
        found = []
        for host in hosts:
            facts = self.run.cluster.facts(host)
            if old := self._behind(host):
                found += [(host.name, "", f"{', '.join(old)} -> {self.wanted}"), *self._not_ready(host, facts)]
                found += self._etcd(host, facts)
                found += self._price(host, facts, speaker)
                found += self._by_hand(host, facts)
            found += [(host.name, "", f"{_COPIES}/{one}: an earlier copy of kubeadm's") for one in facts.upgrade.copies]
        found += [*self._together(hosts, speaker), *self._by_speaker(hosts, speaker)]
        kept = (*self._pinned(), *self._edited(speaker))
        of_all = (*self._for_all(hosts, speaker), *self._short(speaker), *kept, *self._deprecated())
        losses = [*found, *when(found, *of_all), *self._at_the_end()]
        self.run.stop_where_failed()
        return losses

    def _by_speaker(self, hosts: Sequence[Host], speaker: Facts) -> list[Loss]:
        """What the speaker upgrades for all, where the last master, upgraded alone, is another one."""
        host, proxy = self.run.cluster.speaker, upgrade.old_proxy(self.wanted)(speaker)
        others = [one for one in self.run.cluster.masters if one.name != self.alone]
        if host in hosts or not proxy or self._renews(others):
            return []
        return [(host.name, "", f"{proxy} -> {self.wanted}"), *self._by_hand(host, speaker)]

    def _not_ready(self, host: Host, facts: Facts) -> list[Loss]:
        """Told here, since a plan shows changes, and this is only waited for."""
        gap = upgrade.where_behind(self.wanted, upgrade.untouched(self.wanted, health.not_ready))
        return [
            (host.name, "", f"the node is not Ready ({why}): nothing is changed before it is")
            for why in [gap(facts)]
            if why
        ]

    def _for_all(self, hosts: Sequence[Host], speaker: Facts) -> list[Loss]:
        """What is so of the whole cluster, told once."""
        workloads = speaker.workloads.workloads
        known = [one.name for one in workloads]
        anew = [one.name for one in workloads if one.kind == "StatefulSet"] if self._rolls_sets(speaker) else []
        told = (
            *when(self._renews(hosts), _RENEWED, *self._unsaved()),
            *(f"--ignore {name}: {_NO_WORKLOAD}" for name in self.ignored if name not in known),
            *(f"StatefulSet {name} {_ANEW.format(self.run.cluster.release.spares_sets)}" for name in anew),
        )
        return [(speaker.name, "", line) for line in told]

    def _unsaved(self) -> list[str]:
        """The etcd of which no backup is taken."""
        found = [self.run.cluster.facts(host).etcd for host in self.run.cluster.masters]
        return [_UNSAVED.format(place) for place in dict.fromkeys(one.servers for one in found if one.elsewhere)]

    def _rolls_sets(self, speaker: Facts) -> bool:
        release, then, now = self.run.cluster.release, Version(self.wanted), versions.oldest_api_server(speaker)
        return bool(release.spares_sets) and then < Version(release.spares_sets) and now.release[:2] < then.release[:2]

    def _etcd(self, host: Host, facts: Facts) -> list[Loss]:
        """The etcd that is there, and the one that comes."""
        if host.wanted.role != "master" or facts.etcd.elsewhere:
            return []
        member = facts.etcd.member
        silent = f"nobody knows which etcd it has: {facts.etcd.etcd_silent or 'it does not run'}"
        told = f"etcd {member.version}{self._way(facts, member)}" if member else silent
        unmeasured = facts.upgrade.etcd_unmeasured if self._renews([host]) else ""
        return [(host.name, "", one) for one in (told, *when(unmeasured, _UNMEASURED.format(unmeasured)))]

    def _way(self, facts: Facts, member: Member) -> str:
        """What kubeadm does to it, and what is done before."""
        cluster, then = self.run.cluster, versions.etcd_pinned(facts) or versions.etcd_of(self._images())
        if not then:
            return f": kubeadm does not name the one of {self.wanted}"
        if then <= upstream(member.version):
            return f" stays {member.version}"
        first = f"to {upstream(versions.etcd_on_its_way(cluster.inventory))} first, "
        way = f"{first}{'one member at a time, ' if len(cluster.masters) > 1 else ''}and then"
        return f" goes {way if upgrade.etcd_before(cluster)(facts) else 'directly'} to {then}"

    def _at_the_end(self) -> list[Loss]:
        """What of flannel and the add-ons is changed last. Not in a dry run: a plan has it among the changes."""
        goes_on = self.alone is not None and any(self._before(turn) for turn in self._turns())
        if self.run.dry or goes_on:
            return []
        found = self.run.losses([self.run.cluster.speaker], *self._last())
        return [(host, title, f"at the end: {title} (now: {gap})") for host, title, gap in found]

    def _by_hand(self, host: Host, facts: Facts) -> list[Loss]:
        """Changes by hand that go: kubeadm makes manifests anew from what it keeps, but no etcd newer than its own."""
        inventory, noted = self.run.cluster.inventory, facts.manifests
        renewed = upgrade.old_control_plane(self.wanted)(facts)
        anew = [*when(renewed, *marked.PHASES), marked.KUBELET, *when(renewed, "etcd")]
        told = {name: marked.by_hand(inventory, name)(facts) for name in anew if noted.is_marked(name)}
        found = [f"{name}: what is {gap} goes: kubeadm makes it anew" for name, gap in told.items() if gap]
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
        """Edits of kube-proxy's ConfigMap stay: kubeadm makes it anew from what is in it."""
        name, edits = self.run.cluster.speaker.name, drift_proxy.edits_of_proxy(self.run.cluster.inventory, speaker)
        told = f"kube-proxy's configuration: {', '.join(edits)}; that stays, and its pods begin with it"
        return [(name, "", told)] if edits else []

    def _deprecated(self) -> Iterator[Loss]:
        """APIs that go away and that somebody has used, as each API server knows since its own start."""
        then = Version(self.wanted)
        for host in self.run.cluster.masters:
            if not self.run.cluster.facts(host).upgrade.asked_told:
                yield host.name, "", _UNASKED
            for one in self.run.cluster.facts(host).upgrade.deprecated:
                if upstream(one.gone) <= then:
                    told = f"somebody has asked for {one.resource} of {one.api}, which {one.gone} has no more"
                    yield host.name, "", f"{told} (known since this API server's start)"

    def _price(self, host: Host, facts: Facts, speaker: Facts) -> list[Loss]:
        name = self.run.cluster.node_name(host)
        gap = upgrade_kubelet.of_old(self.wanted, lambda _: "\n".join(draining.lost(name, speaker)) or None)
        return [(host.name, "", line) for line in (gap(facts) or "").splitlines()]

    def _together(self, hosts: Sequence[Host], speaker: Facts) -> Iterator[Loss]:
        """What is lost where several workers are drained at one time."""
        workers = [host for host in self.run.chosen(Group.WORKERS) if host in hosts]
        for batch in Pass(self.at_once, batches=True).batched(workers):
            old = [host for host in batch if versions.is_old(self.run.cluster.facts(host), self.wanted)]
            nodes = [self.run.cluster.node_name(host) for host in old]
            for line in draining.lost_together(nodes, speaker):
                yield ", ".join(host.name for host in old), "", line


_UNREAD = "nobody could read kubeadm's configuration: kubectl -n kube-system get configmap kubeadm-config"
_UNKNOWN = (
    "nobody knows what somebody has changed by hand there; it goes where kubeadm makes them anew, from what it keeps "
    "in the cluster"
)
_UNASKED = "nobody knows what of APIs that go away somebody has asked for: its API server does not say"
_UNMEASURED = "nobody knows whether there is room for kubeadm's copy of etcd: {}"
_COPIES = "/etc/kubernetes/tmp"  # what kubeadm leaves there is gone at the end
_RENEWED = (
    "kubeadm renews the certificates of every control plane, but no authority's; where one ends soon or has ended, "
    "first: inv certs.renew"
)
_UNSAVED = "no backup of etcd is taken: it is at {}, and its owner's to back up"
_NO_WORKLOAD = "the cluster has no such Deployment, StatefulSet or DaemonSet"
_ANEW = "begins all of its pods anew by an error of this version; {} has it no more (kubernetes/kubernetes#134773)"
_COST = "every node is upgraded, one after the other, and its pods go elsewhere meanwhile"
_ENDED = "what an earlier upgrade has left is brought to its end, and what is listed changes"
_UNHEARD = (
    "nothing was changed: an upgrade is of all hosts; run the same command again once they answer, or mark a worker "
    "that is known to be away `absent: true` in hosts.yml"
)
