"""The API server's certificate has the names that hosts.yml gives it, and is what is served."""

from kubefab import certificates
from kubefab.certificates import PKI
from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, Step, complaint
from kubefab.steps import health, renewal

PORT = "6443"
POD = renewal.Pod("kube-apiserver", (renewal.SERVER,), (PORT,))


def server(cluster: Cluster, host: Host) -> list[Step]:
    """Nothing where hosts.yml names none: what others have put into it is theirs."""
    inventory = cluster.inventory
    if host.wanted.role != "master" or not inventory.told("ClusterConfiguration.apiServer.certSANs"):
        return []

    def restart(host: Host) -> None:
        how = "manifest" if cluster.facts(host).manifests.is_kubefabs(POD.name) else "process"
        host.change("restart-static-pod.sh", how, POD.name, *POD.files)

    return [
        complaint("a master can sign for the names of hosts.yml", unsigned(inventory), renewal.ELSEWHERE),
        Step(
            "the API server's certificate has the names of hosts.yml",
            renewal.nameless(inventory),
            lambda host: renewal.remake(cluster, host),
            parts=("certificates", "node", "kubeadm"),
        ),
        Step(
            "the API server serves the names of hosts.yml",
            unserved(inventory),
            restart,
            hint=f"see what it says: journalctl -u kubelet; ls /var/log/containers/{POD.name}*",
            within=renewal.SECONDS,
            touches="cluster",
            warning=f"the API server of {host.name} restarts",
            parts=("certificates", "node", "manifests"),
        ),
        health.api_server(),
    ]


def unserved(wanted: Inventory) -> Gap:
    """API servers since 1.17 read a new one by themselves: kubernetes/kubernetes#84200."""
    names = renewal.wanted_names(wanted, None)

    def gap(facts: Facts) -> str | None:
        told, manifest = facts.certificates, facts.manifests.now.get(POD.name)
        elsewhere = manifest and manifest.settings.get("--secure-port", PORT) != PORT
        if not facts.local.control_plane or told.unserved or PORT in told.otherwise or elsewhere:
            return None
        shown = told.served.get(PORT, "none")
        if shown == "none":
            raise Silent(f"no API server shows its certificate at {PORT}")
        lacking = names - certificates.names(shown)
        return f"without {', '.join(sorted(lacking))}" if lacking else None

    return gap


def unsigned(wanted: Inventory) -> Gap:
    """Where the authority's key is kept elsewhere, by whoever keeps it."""

    def gap(facts: Facts) -> str | None:
        lacking = renewal.nameless(wanted)(facts)
        keyless = "ca.key" in facts.kubeadm.keys_missing
        return f"{PKI}/ca.key is not there, and the certificate is {lacking}" if lacking and keyless else None

    return gap
