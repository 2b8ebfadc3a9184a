"""The control plane on the master, made by kubeadm from rendered documents."""

from kubefab import kubeadm, runtimes
from kubefab.cluster import Cluster
from kubefab.facts import Facts, clock_time
from kubefab.host import Host
from kubefab.step import MISSING, Gap, Step, script, service
from kubefab.steps.health import api_server


def steps(cluster: Cluster, host: Host) -> list[Step]:
    if host.name != cluster.master.name:
        return []
    tear_down = script("tear-down.sh", runtimes.cri_socket(cluster.inventory))
    documents = kubeadm.init_documents(cluster.inventory, host.wanted)
    return [
        Step("what was broken off serves nobody", serves_others(host.name), None, _SERVES_HINT),
        Step(
            "no kubeadm init is left broken off",
            broken_off,
            tear_down,
            touches="cluster",
        ),
        Step(
            "the control plane is there",
            lambda facts: None if facts.local.admin_ca else MISSING,
            script("init.sh", cluster.release.checks[0], payload=documents),
            hint="run the same command again: what was left half done is cleaned first",
            touches="cluster",
        ),
        service("kubelet"),  # without it there is no API server to wait for
        api_server(),
        Step(
            "kubectl works for whoever logs in",
            lambda facts: None if facts.local.kubeconfig == "same" else facts.local.kubeconfig or MISSING,
            script("put-kubeconfig.sh"),
            parts=("node",),
        ),
    ]


def serves_others(name: str) -> Gap:
    """A marker is there, yet the cluster has other nodes: init did not end, and still somebody uses it."""

    def gap(facts: Facts) -> str | None:
        if not facts.local.init_begun or not facts.cluster:
            return None
        others = [other for other in facts.cluster.nodes if other != name]
        return f"kubeadm init did not finish, yet it knows {', '.join(others)}" if others else None

    return gap


def broken_off(facts: Facts) -> str | None:
    if not facts.local.init_begun:
        return None
    return f"begun at {clock_time(facts.local.init_begun)} and not finished"


_SERVES_HINT = "if it may go: `inv cluster.reset`; if it is to stay, on the master: rm /var/lib/kubefab/init"
