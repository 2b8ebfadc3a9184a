"""What is asked of a cluster before it is upgraded: all that only a person can change."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from packaging.version import Version

from kubefab import kubeadm, releases
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Facts, Node
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, Step, complaint, notice, on_cluster, when
from kubefab.steps import marked, versions
from kubefab.steps.upgrade import old_control_plane
from kubefab.steps.versions import behind, is_old

ANSWER_SECONDS = 120  # until an API server has started anew
COPIES = 2  # times etcd's folder, which grows meanwhile
SKEW = 3  # minors that a kubelet may be older: https://kubernetes.io/releases/version-skew-policy/


def taken_up(cluster: Cluster, host: Host) -> list[Step]:
    """What an upgrade that was broken off may need before anybody can be asked for anything."""
    if host.wanted.role != "master":
        return []

    def put(host: Host) -> None:
        host.change("put-manifests.sh", *cluster.facts(host).upgrade.torn)

    return [
        Step("no manifest is left away by an upgrade", torn, put, parts=("node", "upgrade")),
        *when(
            host.name == cluster.speaker.name,
            Step("the API server answers", unheard, None, _SILENT, within=ANSWER_SECONDS, touches="cluster", parts=()),
        ),
    ]


def listed(cluster: Cluster, host: Host) -> list[Step]:
    """What is to be told before anybody is asked: a busy API server may not list all of it at once."""
    title, inventory = "the API server lists pods and workloads", cluster.inventory
    if host.name != cluster.speaker.name:
        return []
    return [
        Step(title, unlisted, None, _SILENT, within=ANSWER_SECONDS, touches="pods", parts=()),
        notice(
            "it is known which feature gates kubelets are told by flags",
            unseen_gates(inventory.cluster.kubernetes),
            _UNSEEN,
            parts=(),
        ),
        notice("no old node is left out", left_out(inventory), _LEFT_OUT, parts=()),
    ]


def possible(cluster: Cluster, host: Host) -> list[Step]:
    """What only a person can change, before anything is."""
    inventory = cluster.inventory
    wanted = inventory.cluster.kubernetes
    told = None if inventory.release.upgrades else f"{wanted} is older than 1.32"
    return [
        *when(
            host.name == cluster.speaker.name,
            complaint("kubeadm can be told how to upgrade", lambda _: told, "by hand: kubeadm upgrade apply"),
            complaint("it is known of which version each API server is", unversioned, _UNVERSIONED),
            complaint("no minor is skipped", skipped(wanted), "a minor at a time: put that one into hosts.yml first"),
            complaint("no kubelet that stays is more than three minors older", too_old_beside(wanted), _BESIDE),
            complaint(
                "hosts.yml knows every master of the cluster", strange, "its API server has to come first: add it"
            ),
        ),
        complaint("the host is a node of the cluster", stranger, _JOIN),
        complaint("nothing is told a flag that is gone", gone(inventory, host.name == cluster.speaker.name), _FLAGS),
        complaint(
            "nothing is told a feature gate that the new version does not take",
            gates(inventory, host.name == cluster.speaker.name),
            _GATES,
        ),
        complaint("the kubelet is at most three minors older", too_old(wanted), "upgrade that kubelet by hand first"),
        complaint("the kubelet is of a Debian package", packageless(wanted), _PACKAGELESS),
        *when(
            host.wanted.role == "master",
            complaint("there is room for kubeadm's copy of etcd", no_room(wanted), "make room for /etc/kubernetes/tmp"),
            complaint(
                "what Secrets are read by outlives the upgrade",
                secrets_lost(inventory),
                _SECRETS.format(cluster.inventory.path, host.name),
            ),
        ),
    ]


# --- what is so instead


def torn(facts: Facts) -> str | None:
    return ", ".join(facts.upgrade.torn) or None


def unheard(facts: Facts) -> str | None:
    return facts.cluster.unheard if facts.cluster and facts.cluster.silent else None


def unlisted(facts: Facts) -> str | None:
    told = facts.pods.pods_told and facts.workloads.workloads_told
    return None if told else "it has not said which there are"


@on_cluster
def strange(live: ClusterFacts, facts: Facts) -> str | None:
    """What nobody would upgrade; a kubelet may then be newer than it."""
    return ", ".join(node.name for node in _beside(live, facts) if node.is_master) or None


def left_out(inventory: Inventory) -> Gap:
    """The older nodes that no host of this run is, each with its kubelet's version."""
    wanted = Version(inventory.cluster.kubernetes)
    absent = {told for host in inventory.hosts if host.absent for told in (host.name, str(host.address))}

    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        old = [node for node in _beside(live, facts) if versions.upstream(node.version) < wanted]
        return "; ".join(f"{_left(node)}: {_why(node, absent)}" for node in old) or None

    return gap


def _left(node: Node) -> str:
    told = f"{node.name} {node.version} is not upgraded"
    return told if node.version else f"{node.name} is not upgraded, and nobody knows its version"


def _why(node: Node, absent: Collection[str]) -> str:
    return "it is absent" if {node.name, node.address} & {*absent} else "hosts.yml does not have it"


def _beside(live: ClusterFacts, facts: Facts) -> list[Node]:
    known = [one.node.name for one in facts.everyone.values() if one.node]
    return [node for name, node in live.nodes.items() if name not in known]


@on_cluster
def stranger(_: ClusterFacts, facts: Facts) -> str | None:
    return None if facts.trusted and facts.node else "it has not joined"


def unversioned(facts: Facts) -> str | None:
    """Else nobody would know whether a minor is skipped."""
    unknown = [name for name, found in versions.api_servers(facts).items() if not found.major]
    return "; ".join(f"{name}: {_untagged(facts.everyone[name])}" for name in unknown) or None


def _untagged(facts: Facts) -> str:
    image = versions.static(facts).get("kube-apiserver")
    why = f"{image} has no tag" if image else "its manifest names no image"
    return f"{why}, and kubeadm-config tells no version"


def skipped(wanted: str) -> Gap:
    """kubeadm goes from one minor to the next."""

    def gap(facts: Facts) -> str | None:
        now, then = min(versions.api_servers(facts).values(), default=Version("0")), Version(wanted)
        if not now.major or then.minor <= now.minor + 1:
            return None
        return f"from {now} to {wanted}; next is a version of {now.major}.{now.minor + 1}"

    return gap


def too_old_beside(wanted: str) -> Gap:
    """Of the nodes that no host of this run is, unless the minor is there already: they are told by `left_out` then.

    So is who tells no version.
    """

    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        if any(one.minor >= Version(wanted).minor for one in versions.api_servers(facts).values()):
            return None
        told = {f"{node.name} {node.version}": versions.upstream(node.version) for node in _beside(live, facts)}
        return ", ".join(name for name, found in told.items() if found.major and _is_too_old(found, wanted)) or None

    return gap


def _is_too_old(kubelet: Version, wanted: str) -> bool:
    return kubelet.minor < Version(wanted).minor - SKEW


def too_old(wanted: str) -> Gap:
    def gap(facts: Facts) -> str | None:
        old = is_old(facts, wanted) and _is_too_old(versions.kubelet(facts), wanted)
        return f"it is of {versions.kubelet(facts)}, and {wanted} is to be the control plane's" if old else None

    return gap


def packageless(wanted: str) -> Gap:
    """An upgrade brings packages: it would drain the node, start a file of somebody's anew, and be none the further.

    One that dpkg has half installed was broken off, and is brought to its end.
    """

    def gap(facts: Facts) -> str | None:
        none = facts.packages.deb("kubelet").status[1:2] in ("n", "c")  # not installed, or only its configuration
        found = is_old(facts, wanted) and none
        return f"kubelet {versions.kubelet(facts)} runs, and dpkg knows of no kubelet" if found else None

    return gap


def gone(inventory: Inventory, speaks: bool) -> Gap:
    """Flags with which a program of the new version does not start; kubeadm's own judgement leaves them out.

    Of a static pod those that kubeadm keeps, by which it makes each manifest anew: told by one master, who `speaks`.
    """
    wanted = inventory.cluster.kubernetes

    def gap(facts: Facts) -> str | None:
        if not behind(facts, wanted):
            return None
        told = (one.split(" ", 1) for one in facts.upgrade.kubelet_flags)
        given = [("kubelet", flag, file) for flag, file in told] + (_kept(wanted, facts) if speaks else [])
        lost = [(program, flag, place) for program, flag, place in given if releases.is_gone(wanted, program, flag)]
        return "; ".join(f"{program} --{flag}, in {place}" for program, flag, place in lost) or None

    return gap


def _kept(wanted: str, facts: Facts) -> list[tuple[str, str, str]]:
    """Programs, flags and places, but for an etcd that stays what it is. What nobody could read stops it later."""
    told = facts.kubeadm.configuration
    flags = kubeadm.flags(told.text) if told else {}
    stays = versions.etcd_stays(facts, releases.last_etcd_before(wanted))
    return [
        (pod, name, f"kubeadm-config's {place}")
        for pod, (place, names) in flags.items()
        for name in names
        if not (pod == "etcd" and stays)
    ]


def gates(inventory: Inventory, speaks: bool) -> Gap:
    """Feature gates with which a program of the new version does not start; kubeadm does not judge them either.

    Of what kubeadm keeps, told by one master, who `speaks`; and of a host's own files where patches may make them so
    again: without patches kubeadm makes them of what it keeps.
    """
    wanted, patched = inventory.cluster.kubernetes, _names_patches(inventory)

    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        kept = list(_kept_gates(facts.everyone[live.speaker]))
        own = [one for one in _own_gates(facts) if one.key not in [other.key for other in kept]]
        some_old = any(behind(one, wanted) for one in facts.everyone.values())
        given = (*when(patched and behind(facts, wanted), *own), *when(speaks and some_old, *kept))
        return "; ".join(told for one in given if (told := one.refused(wanted))) or None

    return gap


@dataclass(frozen=True)
class _Gate:
    """A feature gate that a program is told somewhere."""

    program: str
    name: str
    value: str
    place: str

    @property
    def key(self) -> tuple[str, str]:
        return self.program, self.name

    def refused(self, version: str) -> str | None:
        why = releases.refuses_gate(version, self.name, self.value)
        return f"{self.program}'s {self.name} {why}, in {self.place}" if why else None


def _kept_gates(facts: Facts) -> Iterator[_Gate]:
    told = facts.kubeadm
    stored = (kubeadm.loaded(told.configuration.text) if told.configuration else None) or {}
    for pod, section in kubeadm.SECTIONS.items():
        flags = kubeadm.settings(stored.get(section) or {})
        yield from _gates(pod, flags, f"kubeadm-config's {section}.extraArgs")
    yield from _gates(marked.KUBELET, told.kubelets.settings if told.kubelets else {}, "the ConfigMap kubelet-config")
    yield from _gates("kube-proxy", told.proxies.settings if told.proxies else {}, "the ConfigMap kube-proxy")


def _own_gates(facts: Facts) -> Iterator[_Gate]:
    now = facts.manifests.now
    files = {marked.KUBELET: marked.CONFIG} | {pod: f"/etc/kubernetes/manifests/{pod}.yaml" for pod in marked.PHASES}
    for name, file in files.items():
        yield from _gates(name, now[name].settings if name in now else {}, f"{file}, or in a patch")


def _gates(program: str, told: Mapping[str, str], place: str) -> Iterator[_Gate]:
    """Of a configuration, or of flags: those may name a component before a gate, and have _ for -."""
    for name, value in told.items():
        if name.startswith("featureGates."):
            yield _Gate(program, name.removeprefix("featureGates."), value, place)
        elif _is_gates(name.removeprefix("--")):
            for one in value.split(","):
                gate, _, said = one.strip().partition("=")
                yield _Gate(program, gate.rpartition(":")[2], said, place)


def unseen_gates(wanted: str) -> Gap:
    """A look tells the names of a kubelet's flags alone."""

    def gap(facts: Facts) -> str | None:
        old = [one for one in facts.everyone.values() if is_old(one, wanted)]
        told = [(one.name, *flag.split(" ", 1)) for one in old for flag in one.upgrade.kubelet_flags]
        places = [f"{name}: nobody has looked at --{flag} in {file}" for name, flag, file in told if _is_gates(flag)]
        return "; ".join(places) or None

    return gap


def _is_gates(flag: str) -> bool:
    return flag.replace("_", "-") == "feature-gates"


def _names_patches(inventory: Inventory) -> bool:
    return any(inventory.told(f"{kind}Configuration.patches.directory") for kind in ("Init", "Join"))


def secrets_lost(inventory: Inventory) -> Gap:
    """Of a flag without which an API server starts, and reads no Secret that was written by it.

    kubeadm makes the manifest of what it keeps, and of patches, in whose folder no look reads: they have brought what
    kubefab has noted as made by kubeadm, and neither kubeadm nor hosts.yml has said. What was not noted may be a
    person's: nobody goes on by a guess there, since a put-back tells which it is.
    """
    old, flag = old_control_plane(inventory.cluster.kubernetes), marked.ENCRYPTION
    patched = _names_patches(inventory)

    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        file = _encryption(facts)
        if file is None or not old(facts):
            return None
        told = marked.kept(facts.everyone[live.speaker]).configuration
        stored = told.arguments.get(flag.removeprefix("--")) if told else None
        if file == stored or (patched and _is_noted(facts, file)):
            return None
        unknown = ", and nobody knows whether the patches that hosts.yml names bring it" if patched else ""
        return f"{marked.API_SERVER} has {flag}={file}; kubeadm-config has {stored or 'none'}{unknown}"

    return gap


def _encryption(facts: Facts) -> str | None:
    """The file that an API server is told, by its manifest, or by what runs where nobody can read that."""
    now = facts.manifests.now.get(marked.API_SERVER)
    running = [one.flags for one in facts.manifests.running if one.pod == marked.API_SERVER]
    told = running if not now or now.broken else [now.settings]
    return next((one[marked.ENCRYPTION] for one in told if marked.ENCRYPTION in one), None)


def _is_noted(facts: Facts, file: str) -> bool:
    """Whether kubeadm has made the manifest so, by nothing that hosts.yml has said."""
    left = facts.manifests.left.get(marked.API_SERVER)
    if left is None or marked.ENCRYPTION in facts.manifests.given_to(marked.API_SERVER):
        return False
    return left.settings.get(marked.ENCRYPTION) == file


def no_room(wanted: str) -> Gap:
    """kubeadm copies all of etcd's folder with the control plane; its earlier copies are gone by then."""
    old = old_control_plane(wanted)

    def gap(facts: Facts) -> str | None:
        told = facts.upgrade
        needed, free = COPIES * told.etcd_mib, told.room_mib + told.copies_mib
        if not old(facts) or facts.etcd.elsewhere or free >= needed:
            return None
        without = " without kubeadm's earlier copies" if told.copies_mib else ""
        return f"{free} MiB are free{without}; allowed: {needed} MiB, twice of what etcd has"

    return gap


_FLAGS = (
    "the new version would not start with it: take it out there, and out of hosts.yml where that says it; "
    "kubeadm-config by: kubectl -n kube-system edit configmap kubeadm-config; after a change of a unit: systemctl "
    "daemon-reload"
)
_UNVERSIONED = (
    "see it: kubectl version; write it into /etc/kubernetes/manifests/kube-apiserver.yaml, image: NAME:vVERSION, with "
    "a digest behind it if need be; or, as kubernetesVersion: kubectl -n kube-system edit configmap kubeadm-config"
)
_PACKAGELESS = (
    "install the packages of that version by hand, from Kubernetes' repository of its minor: apt-get install "
    "kubelet=VERSION-* kubeadm=VERSION-* kubectl=VERSION-*; where a unit of its own starts another file (systemctl cat "
    "kubelet): have it start /usr/bin/kubelet, then: systemctl daemon-reload; systemctl restart kubelet"
)
_BESIDE = (
    "upgrade that kubelet by hand first; or take the node away: with its host in hosts.yml, inv node.remove --host "
    "NAME (and --dead where its machine is gone)"
)
_LEFT_OUT = (
    "nothing, if it is to stay so; else, once its machine is on, give it its place in hosts.yml, without `absent`, "
    "and run the same command again"
)
_JOIN = (
    "it would join at the new version, which the cluster has not come to: take it out of hosts.yml until the upgrade "
    "is done, or put the former version back there, and first: inv cluster.up"
)
_SILENT = "see what it says, on the master: journalctl -u kubelet; ls /var/log/containers"
_SECRETS = (
    "kubeadm would make its manifest without it, and no Secret could be read; with the cluster's present version in "
    "{0}, say it there (ClusterConfiguration: apiServer: extraArgs, and extraVolumes for its file), then: inv "
    "cluster.up (or, where a master is of the new version already: kubectl -n kube-system edit configmap "
    "kubeadm-config); and where kubefab has not made the manifest, or a patch brings the flag: inv cluster.put-back "
    "--host {1}; then upgrade"
)
_GATES = (
    "the new version would not start with it: take it out of hosts.yml, and, with the cluster's present version "
    "there, inv cluster.up; what hosts.yml does not say, out of where it is: kubectl -n kube-system edit configmap "
    "NAME; then upgrade"
)
_UNSEEN = (
    "see them on that host, and take out what this version has no more: "
    "https://kubernetes.io/docs/reference/command-line-tools-reference/feature-gates-removed/"
)
