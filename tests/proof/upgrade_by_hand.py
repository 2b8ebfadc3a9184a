"""The same upgrade by hand over raw ssh, as kubeadm's documentation has it: https://kubernetes.io/docs/tasks/
administer-cluster/kubeadm/kubeadm-upgrade/, by a careful person who knows the way.
"""

import time
from collections.abc import Sequence
from functools import partial

from tests.e2e.harness import at_once, kubectl, on, wait_on

ADMIN = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
DRAIN = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
IGNORED = "--ignore-preflight-errors=SystemVerification"  # the lab's machines share their computer's cgroups
ROLLED_OUT = ("daemonset/kube-proxy", "deployment/coredns")


def upgrade(masters: Sequence[str], workers: Sequence[str], version: str, dns: str) -> float:
    """The seconds that it took, all nodes Ready and the add-ons rolled out.

    kubeadm counts the CoreDNS of a cluster of kubefab's as disabled: its image is `dns` afterwards, by hand too.
    """
    began = time.monotonic()
    at_once(*(partial(get_kubeadm, host, version) for host in (*masters, *workers)))
    first, *others = masters
    on(first, "kubeadm upgrade plan")
    on(first, f"kubeadm upgrade apply --yes {IGNORED} v{version}")
    for host in others:
        on(host, f"kubeadm upgrade node {IGNORED}")
    for host in masters:
        change_kubelet(host, version, first)
    for host in workers:
        on(host, f"kubeadm upgrade node {IGNORED}")
        change_kubelet(host, version, first)
    kubectl("set", "image", "-n", "kube-system", "deployment/coredns", f"coredns=registry.k8s.io/{dns}", master=first)
    for name in ROLLED_OUT:
        kubectl("rollout", "status", "-n", "kube-system", name, "--timeout=300s", master=first)
    return time.monotonic() - began


def get_kubeadm(host: str, version: str) -> None:
    """From the new minor's repository, and no other version of it."""
    minor = version.rpartition(".")[0]
    on(host, f"sed -i 's,/v[0-9.]*/deb/,/v{minor}/deb/,' /etc/apt/sources.list.d/kubernetes.list")
    on(host, f"sed -i 's,^Pin: version .*,Pin: version {version}-*,' /etc/apt/preferences.d/kubernetes")
    on(host, "apt-get -q update")
    install(host, version, "kubeadm")


def install(host: str, version: str, *packages: str) -> None:
    words = " ".join(f"'{name}={version}-*'" for name in packages)
    on(host, f"DEBIAN_FRONTEND=noninteractive apt-get -qy --allow-change-held-packages install {words}")
    on(host, f"apt-mark hold {' '.join(packages)}")


def change_kubelet(host: str, version: str, master: str) -> None:
    # As people do: the API server of a single master goes away once more under its new kubelet, and a drain with it.
    wait_on(master, f"{ADMIN} drain {host} {' '.join(DRAIN)}")
    install(host, version, "kubelet", "kubectl")
    on(host, "systemctl daemon-reload && systemctl restart kubelet")
    told = f"{ADMIN} get node {host} -o jsonpath={{.status.nodeInfo.kubeletVersion}}"
    wait_on(master, f'[ "$({told})" = v{version} ]')
    kubectl("wait", "--for=condition=Ready", f"node/{host}", "--timeout=300s", master=master)
    wait_on(master, f"{ADMIN} uncordon {host}")
