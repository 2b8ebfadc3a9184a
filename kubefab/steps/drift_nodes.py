"""The kubelet of every node is what hosts.yml says: its configuration, and what kubeadm keeps of it for all."""

from collections.abc import Callable, Collection, Mapping

from kubefab import kubeadm, releases
from kubefab.cluster import Cluster
from kubefab.differences import differences, same
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, Manifests
from kubefab.facts.manifests import flags_of
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Close, Gap, Step, notice, on_cluster, script, when, where_there_is_one
from kubefab.steps.health import KUBE_PROXY
from kubefab.steps.marked import (
    CONFIG,
    KUBELET,
    PARTS,
    UNMARKED,
    UPLOAD,
    documents,
    given,
    gone,
    is_ours,
    kept,
    left_alone,
    left_out,
    once_said,
    otherwise,
    patched,
    patches,
    said,
    taken_away,
    there,
    to_store,
    understood,
    wanted_of,
)

SECONDS = 90  # until a node is well by its kubelet's new configuration
OF_ITSELF = ("containerRuntimeEndpoint", "resolvConf")  # which kubeadm gives each node by what it finds there


def taken_up(_: Cluster, __: Host) -> list[Step]:
    """Before anybody waits for a kubelet: it may not come up by a configuration whose making was cut off."""
    return [
        Step(
            "no change of the kubelet's configuration is half done",
            half_done,
            script("remake-kubelet-config.sh", str(SECONDS)),
            parts=("manifests", "services"),
        )
    ]


def kubelet(cluster: Cluster, host: Host) -> list[Step]:
    """First what kubeadm keeps for all of them, by a master; then each node's own."""
    inventory = cluster.inventory

    def upload(host: Host) -> None:
        facts = cluster.facts(host)
        told = facts.kubeadm.kubelets
        assert told  # the gap has read it
        away = once_said(inventory, facts, KUBELET)
        made = understood(lambda: kubeadm.component_put_right(inventory, kubeadm.KUBELET, told.text, away))
        document = documents(inventory, host, facts, made)
        host.change("upload-configuration.sh", KUBELET, *to_store(inventory, KUBELET), payload=document)

    return [
        *taken_up(cluster, host),
        *when(
            host.name == cluster.speaker.name,
            notice("what kubeadm keeps is in the cluster", unkept, _UNKEPT.format(host.name), PARTS),
        ),
        *when(
            host.wanted.role == "master",
            Step(
                "the kubelets' configuration that kubeadm keeps is what hosts.yml says",
                unlike_kept(inventory),
                upload,
                touches="masters",
                parts=PARTS,
            ),
        ),
        notice(
            "the kubelet's configuration is there", taken_away(KUBELET), _COPY.format(host.name), ("manifests", "node")
        ),
        notice(
            "the kubelet's configuration is as kubefab has left it",
            left_alone(inventory, KUBELET),
            f"write it into hosts.yml, or: inv cluster.put-back --host {host.name}",
            ("manifests", "node"),
        ),
        notice(
            "the kubelet was made with the flags of hosts.yml",
            unlike_flags(kubeadm.kubelet_flags(inventory, host.wanted)),
            _FLAGS.format(host.name),
            ("manifests", "node"),
        ),
        notice(
            "the kubelet's configuration does not wait",
            held_back(inventory),
            f"inv cluster.put-back --host {cluster.speaker.name}",
            PARTS,
        ),
        notice(
            "kubeadm keeps the kubelets' configuration under its name since Kubernetes 1.24",
            kept_elsewhere(inventory),
            _ELSEWHERE,
            PARTS,
        ),
        notice(
            "kubeadm keeps a configuration for kubelets",
            kept_nowhere(inventory),
            _NOWHERE.format(cluster.speaker.name),
            PARTS,
        ),
        Step(
            "the kubelet's configuration is what hosts.yml says",
            unlike_own(inventory),
            _remake(cluster),
            hint="where it says that the former one is there again: hosts.yml has something that it does not bear",
            touches="cluster",
            parts=("manifests", "node", "services"),
        ),
        Step(
            "the kubelet is younger than its configuration",
            older_kubelet,
            script("restart-service.sh", "kubelet", CONFIG),
            hint="see what it says: journalctl -u kubelet",
            within=20,
            touches="cluster",
            parts=("manifests", "node", "services"),
        ),
    ]


def put_back(cluster: Cluster, host: Host) -> list[Step]:
    """A kubelet's configuration as kubeadm keeps it for all of them."""

    return [
        Step(
            "the kubelet's configuration is as kubeadm makes it",
            other(cluster.inventory),
            _remake(cluster),
            touches="cluster",
            parts=("manifests", "node", "services"),
        )
    ]


def _remake(cluster: Cluster) -> Close:
    inventory = cluster.inventory
    wanted = wanted_of(inventory, KUBELET)

    def remake(host: Host) -> None:
        master = cluster.facts(host).everyone.get(cluster.speaker.name)
        told = master.kubeadm.kubelets if master else None
        # It is made of what kubeadm keeps: that may follow hosts.yml only later.
        there = {one: value for one, value in wanted.items() if told and same(told.settings.get(one), value)}
        lines = [*given(wanted), *said(inventory, there), *(f"stored {one}" for one in wanted)]
        host.change("remake-kubelet-config.sh", str(SECONDS), patches(inventory, host), *lines)

    return remake


# --- what is so instead


def half_done(facts: Facts) -> str | None:
    return "its making was cut off" if KUBELET in facts.manifests.halfway else None


def unlike_kept(inventory: Inventory) -> Gap:
    """Where the kubelet's configuration here is kubefab's: in a cluster made by hand nothing is."""
    wanted = wanted_of(inventory, KUBELET)

    @where_there_is_one
    @on_cluster
    def gap(_: ClusterFacts, facts: Facts) -> str | None:
        if not there(facts, KUBELET) or not is_ours(facts, KUBELET, wanted):
            return None
        told = kept(facts).kubelets
        if not told or told.broken:
            return None
        away = sorted(once_said(inventory, facts, KUBELET))
        return otherwise(told, wanted, away, left_out(wanted, told) & _taken(facts))

    return gap


def unlike_own(inventory: Inventory) -> Gap:
    """Where what kubeadm keeps follows hosts.yml: a node takes its own from there."""
    wanted = wanted_of(inventory, KUBELET)

    @where_there_is_one
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        now, master = there(facts, KUBELET), facts.everyone.get(live.speaker)
        if now is None or not is_ours(facts, KUBELET, wanted):
            return None
        if not master or not _leads(facts, wanted):
            return None
        told = kept(master).kubelets
        if not told:
            return None
        without = left_out(wanted, now, told) | patched(inventory, facts, KUBELET)
        return otherwise(now, wanted, gone(inventory, facts, KUBELET), without)

    return gap


def unlike_flags(documents: Collection[Mapping[str, str]]) -> Gap:
    """kubeadm writes them when it makes the node, by one of these documents, and never again."""

    def gap(facts: Facts) -> str | None:
        if not there(facts, KUBELET):
            return None
        now = flags_of(facts.manifests.kubelet_words)
        found = [differences(now, wanted, wanted) for wanted in documents]
        return "; ".join(found[0]) if all(found) else None

    return gap


def held_back(inventory: Inventory) -> Gap:
    """A node's own follows what kubeadm keeps, and that follows hosts.yml where a master's own is kubefab's."""
    wanted = wanted_of(inventory, KUBELET)
    why = "it comes by what kubeadm keeps, and no master's kubelet is as kubefab has left it"
    return _waiting(inventory, why, lambda _, facts: not _leads(facts, wanted))


def kept_elsewhere(inventory: Inventory) -> Gap:
    """Where the ConfigMap has the minor in its name, which nobody here reads."""
    why = "it is left as it is, since there is no ConfigMap kubelet-config"
    return _waiting(inventory, why, lambda live, facts: _by_minor(live) and _has_none(inventory, live, facts))


def kept_nowhere(inventory: Inventory) -> Gap:
    """Where somebody has deleted that ConfigMap, from which each node would take it."""
    why = "it waits, since there is no ConfigMap kubelet-config"
    return _waiting(inventory, why, lambda live, facts: not _by_minor(live) and _has_none(inventory, live, facts))


def _has_none(inventory: Inventory, live: ClusterFacts, facts: Facts) -> bool:
    """Whether what kubeadm keeps for kubelets would be kubefab's to change, and is not there."""
    master = facts.everyone.get(live.speaker)
    return bool(master and not kept(master).kubelets and _leads(facts, wanted_of(inventory, KUBELET)))


def _by_minor(live: ClusterFacts) -> bool:
    """A version that nobody knows is a new one."""
    return releases.known(live.version) and releases.release(live.version).kubelets_by_minor


@where_there_is_one
@on_cluster
def unkept(live: ClusterFacts, facts: Facts) -> str | None:
    """What somebody has deleted: it is missed by the next join or upgrade, and by the next pod of kube-proxy."""
    told = kept(facts)
    missing = [
        *when(told.configuration_missing, "kubeadm-config"),
        *when(not told.kubelets and not _by_minor(live), "kubelet-config"),
        *when(not told.proxies and KUBE_PROXY in live.workloads, "kube-proxy"),
    ]
    return f"there is no ConfigMap {', '.join(missing)}" if missing else None


def _waiting(inventory: Inventory, why: str, so: Callable[[ClusterFacts, Facts], bool]) -> Gap:
    """What hosts.yml says otherwise of a kubelet whose configuration is kubefab's, where this is so."""
    wanted = wanted_of(inventory, KUBELET)

    @where_there_is_one
    @on_cluster
    def gap(live: ClusterFacts, facts: Facts) -> str | None:
        now = there(facts, KUBELET)
        if now is None or not is_ours(facts, KUBELET, wanted) or not so(live, facts):
            return None
        without = left_out(wanted, now) | patched(inventory, facts, KUBELET)
        found = otherwise(now, wanted, gone(inventory, facts, KUBELET), without)
        return f"{found}; {why}" if found else None

    return gap


def _leads(facts: Facts, wanted: Mapping[str, str]) -> bool:
    """Whether what kubeadm keeps is kubefab's to change, by any master."""
    masters = [one for one in facts.everyone.values() if one.local.control_plane]
    return any(there(one, KUBELET) and is_ours(one, KUBELET, wanted) for one in masters)


def _taken(facts: Facts) -> set[str]:
    """What of hosts.yml kubeadm has taken for all nodes, by this master's word or another's."""
    asked = [one.parts.get("manifests") for one in facts.everyone.values()]
    words = [word.partition(" ") for one in asked if isinstance(one, Manifests) for word in one.taken]
    return {*facts.manifests.given_to(KUBELET), *(setting for name, _, setting in words if name == KUBELET)}


def older_kubelet(facts: Facts) -> str | None:
    """One that somebody has changed by hand is his to begin with."""
    unit = facts.services.units.get("kubelet")
    if not there(facts, KUBELET) or not facts.manifests.is_kubefabs(KUBELET) or not unit or unit.active != "active":
        return None
    return "it began before its configuration was written" if unit.since < facts.manifests.kubelet_written else None


def other(inventory: Inventory) -> Gap:
    """All that kubeadm, which keeps it for all nodes, would not make of it, but for what kubefab itself has left so."""
    wanted = wanted_of(inventory, KUBELET)

    def gap(facts: Facts) -> str | None:
        now, left = there(facts, KUBELET), facts.manifests.left.get(KUBELET)
        if now is None or facts.manifests.is_kubefabs(KUBELET):
            return None
        master = facts.everyone.get(facts.cluster.speaker if facts.cluster else "")
        told = kept(master).kubelets if master else None
        if not master or (told and told.broken):
            raise Silent("what kubeadm keeps for kubelets cannot be read")
        before = left.settings if left else {}
        coming = {**(told.settings if told else before), **wanted}  # kept under another name before 1.24
        among = [one for one in {**coming, **now.settings} if one not in before or before[one] != now.settings.get(one)]
        among = [one for one in among if coming.get(one) or one not in OF_ITSELF]
        found = differences(now.settings, coming, among)
        return f"kubelet: {', '.join(found) or UNMARKED}"

    return gap


_FLAGS = (
    "on {0}: edit /var/lib/kubelet/kubeadm-flags.env, which kubeadm has written once, then: systemctl restart kubelet; "
    "labels and taints its Node gets by kubectl label and kubectl taint alone"
)
_COPY = (
    f"on {{0}}, put back what was there, without which its kubelet does not start again; as kubefab has left it: "
    f"cp /var/lib/kubefab-manifests/kubelet.yaml {CONFIG}"
)
_ELSEWHERE = (
    "bring it yourself: into the ConfigMap kubelet-config-1.N of kube-system, and on each node by "
    "`kubeadm upgrade node phase kubelet-config` and `systemctl restart kubelet`; or first: inv cluster.upgrade"
)
_KUBELETS = (
    f"grep -v {' '.join(f'-e ^{one}:' for one in OF_ITSELF)} {CONFIG} | kubectl --kubeconfig "
    "/etc/kubernetes/admin.conf -n kube-system create configmap kubelet-config --from-file=kubelet=/dev/stdin"
)
_NOWHERE = f"on {{0}}, bring kubelet-config back: {_KUBELETS}; then: inv cluster.up"
_UNKEPT = (
    f"bring back what is missing: {UPLOAD}; kubelet-config by: {_KUBELETS}; kube-proxy, whose pods begin anew by it, "
    "by: kubeadm init phase addon kube-proxy --config FILE"
)
