"""The API server's certificate has the names that hosts.yml gives it, and is what is served."""

from kubefab.certificates import PKI
from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, Step, complaint, script
from kubefab.steps import health, renewal

POD = renewal.Pod("kube-apiserver", (renewal.SERVER,), ("6443",))


def server(cluster: Cluster, host: Host) -> list[Step]:
    """Nothing where hosts.yml names none: what others have put into it is theirs."""
    inventory = cluster.inventory
    if host.wanted.role != "master" or not inventory.told("ClusterConfiguration.apiServer.certSANs"):
        return []
    hint = f"see what it says: journalctl -u kubelet; ls /var/log/containers/{POD.name}*"
    return [
        complaint("a master can sign for the names of hosts.yml", unsigned(inventory), renewal.ELSEWHERE),
        Step(
            "the API server's certificate has the names of hosts.yml",
            renewal.nameless(inventory),
            lambda host: renewal.remake(cluster, host),
            warning=f"the API server of {host.name} restarts",
            parts=("certificates", "node", "kubeadm"),
        ),
        Step(
            "the API server is younger than its certificate",
            begun_before,
            script("restart-static-pod.sh", "manifest", POD.name, *POD.files),
            hint=hint,
            within=renewal.SECONDS,
            touches="cluster",
            parts=("certificates", "node", "manifests"),
        ),
        Step(
            "the API server serves the certificate of its file",
            renewal.other(POD),
            None,
            hint=hint,
            within=renewal.SECONDS,
            parts=("certificates", "node"),
        ),
        health.api_server(),
    ]


def begun_before(facts: Facts) -> str | None:
    return renewal.older(POD)(facts) if facts.local.control_plane else None


def unsigned(wanted: Inventory) -> Gap:
    """Where the authority's key is kept elsewhere, by whoever keeps it."""

    def gap(facts: Facts) -> str | None:
        lacking = renewal.nameless(wanted)(facts)
        keyless = "ca.key" in facts.kubeadm.keys_missing
        return f"{PKI}/ca.key is not there, and the certificate is {lacking}" if lacking and keyless else None

    return gap
