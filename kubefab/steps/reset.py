"""A host as clean as before kubeadm. The states are absences; none of them needs a living cluster."""

from kubefab import render
from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.remote import Host
from kubefab.step import Gap, Step, script


def steps(cluster: Cluster, host: Host) -> list[Step]:
    name = render.endpoint(cluster.inventory)
    parts = ("node", "leftovers", "services")
    return [
        # While admin.conf is still there to tell that it is this cluster's.
        Step("~/.kube/config is not this cluster's", kubeconfig, script("take-kubeconfig.sh"), parts=("node",)),
        Step("nothing of Kubernetes is left", leftovers, script("tear-down.sh"), _HINT, within=30, parts=parts),
        Step("the control plane has no name", named(name), script("set-endpoint.sh", name), parts=("system",)),
    ]


def leftovers(facts: Facts) -> str | None:
    """What a cluster left here, in words."""
    found = [
        *(["a control plane, with all that its etcd holds"] if facts.admin_ca else []),
        *(["a node"] if facts.kubelet_ca else []),
        *([f"{facts.containers} containers"] if facts.containers else []),
        *([f"{facts.shims} processes of containers"] if facts.shims else []),
        *([f"{facts.chains} chains of iptables"] if facts.chains else []),
        *([f"{len(facts.mounts)} mounts below /var/lib/kubelet"] if facts.mounts else []),
        *facts.directories,
        *facts.links,
        *(f"/etc/cni/net.d/{one}" for one in facts.cni if "flannel" in one),
    ]
    return ", ".join(found) or None


def kubeconfig(facts: Facts) -> str | None:
    return "~/.kube/config, a copy of admin.conf" if facts.kubeconfig == "same" else None


def named(name: str) -> Gap:
    return lambda facts: f"{name} in /etc/hosts" if name in facts.endpoints else None


_HINT = "if something of it comes back or stays, reboot the host and run the same command again"
