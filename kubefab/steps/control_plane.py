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
    words = (cluster.release.checks[0], str(len(masters)))
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
            script("init.sh", *words, *kubeadm.given(cluster.inventory), payload=documents),
            hint="run the same command again: what was left half done is cleaned first",
            touches="cluster",
        ),
        *kept(cluster, host),
    ]


def kept(cluster: Cluster, host: Host) -> list[Step]:
    """What every master that has a control plane has to keep."""
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
    """Whether it joins instead of founding: another master of hosts.yml has a control plane, and this one has none."""
    ours = any(name in masters and other.local.control_plane for name, other in facts.others.items())
    return ours and not (facts.local.admin_ca and not facts.local.master_begun) and not facts.local.init_begun


def no_kubeconfig(facts: Facts) -> str | None:
    """A kubeconfig of the user's own that leads to this cluster is left as it is."""
    found = facts.local.kubeconfig
    return None if found in ("same", "works") else found or MISSING


def unheard(masters: Sequence[str]) -> Gap:
    """A cluster is founded only once every master was looked at: a silent one may have a cluster."""

    def gap(facts: Facts) -> str | None:
        away = [name for name in masters if name not in facts.everyone]
        return f"{', '.join(away)} was not: it may have a cluster" if away and not facts.local.admin_ca else None

    return gap


def another(masters: Sequence[str]) -> Gap:
    """Nobody wants a second cluster beside a living one. Where another master has it, this one joins instead."""

    def gap(facts: Facts) -> str | None:
        found = [f"{name} has {left}" for name, other in facts.others.items() if (left := _left(other.local))]
        founded = facts.local.admin_ca and not facts.local.init_begun
        return "; ".join(found) if found and not founded and not joins(facts, masters) else None

    return gap


def _left(local: LocalNode) -> str:
    """The trace of a control plane that is there; "" for none."""
    return "/etc/kubernetes/admin.conf" if local.admin_ca else "data of etcd" if local.etcd_data else ""


def idle(facts: Facts) -> str | None:
    """The kubelet has to run: only the API server, which it starts, can say whether anybody uses it."""
    state = facts.services.units.get("kubelet", Unit()).active
    return state if facts.local.init_begun and _may_hold_data(facts.local) and state != "active" else None


def serving(facts: Facts) -> str | None:
    """Who may use a control plane whose init did not finish. Silent where its API server gives no answer."""
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
    """Without etcd's data a control plane never served; where kubeadm made no etcd, its data are elsewhere."""
    external = "kube-apiserver.yaml" in local.manifests and "etcd.yaml" not in local.manifests
    return local.etcd_data or external


def _workloads(live: ClusterFacts) -> list[str]:
    """Workloads that are not kubeadm's own, which are those of kube-system."""
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
