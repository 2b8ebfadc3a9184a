"""The control plane on the master that founds the cluster, made by kubeadm from rendered documents."""

from collections.abc import Sequence

from kubefab import kubeadm, runtimes
from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Facts, LocalNode, Unit, clock_time
from kubefab.host import Host
from kubefab.step import MISSING, Gap, Step, complaint, script, service
from kubefab.steps import registration, reset
from kubefab.steps.health import api_server


def steps(cluster: Cluster, host: Host) -> list[Step]:
    masters = cluster.master_names
    if host.name != cluster.founder.name or joins(cluster.facts(host), masters):
        return []
    socket = runtimes.cri_socket(cluster.inventory)
    documents = kubeadm.init_documents(cluster.inventory, host.wanted)
    return [
        complaint("every master was looked at", unheard(masters), _UNHEARD_HINT),
        complaint("no other host has a control plane", another(masters), _ANOTHER_HINT),
        *reset.unfinished(cluster, host),
        Step("the kubelet of the interrupted init runs", idle, script("restart-service.sh", "kubelet"), within=20),
        complaint("the interrupted kubeadm init has no users", serving, _SERVES_HINT),
        Step(
            "no interrupted kubeadm init is left",
            broken_off,
            script("tear-down.sh", socket, "unasked"),
            _SERVES_HINT,
            touches="cluster",
        ),
        Step(
            "the control plane exists",
            lambda facts: None if facts.local.admin_ca else MISSING,
            script("init.sh", cluster.release.checks[0], *kubeadm.given(cluster.inventory), payload=documents),
            hint="run the same command again: what was left half done is cleaned first",
            touches="cluster",
        ),
        *kept(cluster, host),
    ]


def kept(cluster: Cluster, host: Host) -> list[Step]:
    """What every master has that is one."""
    return [
        service("kubelet"),  # without it there is no API server to wait for
        api_server(),
        Step(
            "kubectl works for the login user",
            no_kubeconfig,
            script("put-kubeconfig.sh"),
            parts=("node",),
        ),
        *registration.registered(host),
        registration.marked(cluster, host),
        *registration.pod_network(cluster),
    ]


def joins(facts: Facts, masters: Sequence[str]) -> bool:
    """Whether it has no control plane, and another master of hosts.yml has: then nobody founds, and it joins."""
    ours = any(name in masters and other.local.control_plane for name, other in facts.others.items())
    return ours and not (facts.local.admin_ca and not facts.local.master_begun) and not facts.local.init_begun


def no_kubeconfig(facts: Facts) -> str | None:
    """Somebody's own that leads to this cluster is left as it is."""
    found = facts.local.kubeconfig
    return None if found in ("same", "works") else found or MISSING


def unheard(masters: Sequence[str]) -> Gap:
    """A cluster is founded on everybody's word alone: a master that says nothing may have one."""

    def gap(facts: Facts) -> str | None:
        away = [name for name in masters if name not in facts.everyone]
        return f"{', '.join(away)} was not: it may have a cluster" if away and not facts.local.admin_ca else None

    return gap


def another(masters: Sequence[str]) -> Gap:
    """A second cluster beside one that lives is nobody's wish. Masters that have one already are joined instead."""

    def gap(facts: Facts) -> str | None:
        found = [f"{name} has {left}" for name, other in facts.others.items() if (left := _left(other.local))]
        founded = facts.local.admin_ca and not facts.local.init_begun
        return "; ".join(found) if found and not founded and not joins(facts, masters) else None

    return gap


def _left(local: LocalNode) -> str:
    """What tells of a control plane."""
    return "/etc/kubernetes/admin.conf" if local.admin_ca else "data of etcd" if local.etcd_data else ""


def idle(facts: Facts) -> str | None:
    """Only its API server can say whether it serves anybody, and that is the kubelet's to start."""
    state = facts.services.units.get("kubelet", Unit()).active
    return state if facts.local.init_begun and _may_hold_data(facts.local) and state != "active" else None


def serving(facts: Facts) -> str | None:
    """Init did not end, and somebody may use it all the same. Silent where its API server does not say."""
    local, live = facts.local, facts.cluster
    if not local.init_begun or not (live or local.etcd_data):
        return None
    if not live:
        return "etcd has data here, and there is no admin.conf to ask about them with"
    if live.silent and not _may_hold_data(local):
        return None
    if live.silent:
        said = f"this control plane may have served, but its API server gives no answer: {live.silent}"
        raise Silent(said, hint=_SERVES_HINT)
    found = [*(f"the node {name}" for name in live.nodes if name != facts.name), *_workloads(live)]
    if not 0 <= (since := facts.system.clock - local.init_begun) <= LONG:
        why = "that is more than an hour ago" if since > 0 else "its clock was set back after it"
        found.append(f"all that was made since, for {why}")
    return f"kubeadm init did not finish, but the cluster has {', '.join(found)}" if found else None


def _may_hold_data(local: LocalNode) -> bool:
    """Without etcd's data no control plane ever served; where kubeadm made no etcd, they are elsewhere."""
    external = "kube-apiserver.yaml" in local.manifests and "etcd.yaml" not in local.manifests
    return local.etcd_data or external


def _workloads(live: ClusterFacts) -> list[str]:
    """What is not kubeadm's own: kube-system's is."""
    found = [*live.workloads, *live.kept]
    return [name for name in found if not name.rpartition(" ")[2].startswith("kube-system/")]


def broken_off(facts: Facts) -> str | None:
    if not facts.local.init_begun or serving(facts):
        return None
    return f"begun at {clock_time(facts.local.init_begun)} and not finished"


LONG = 3600  # seconds after which a control plane may hold what is neither node nor workload
_UNHEARD_HINT = "run the same command again once it answers, or take it out of hosts.yml"
_ANOTHER_HINT = (
    "are addresses or roles swapped in hosts.yml? If not, and you can lose that control plane: "
    "`inv restart --host NAME`, then the same command again"
)
_SERVES_HINT = (
    "to delete this cluster: `inv cluster.reset`; to keep it, on the master: rm /var/lib/kubefab/init; "
    "see what it says: journalctl -u kubelet; ls /var/log/containers"
)
