"""What a person would give kubeadm for the lab's machines, without us."""

from typing import Any

import yaml

from tests.e2e.harness import MASTER, address, on

KUBEADM = "kubeadm.k8s.io/v1beta4"


def documents(version: str, cluster: dict[str, Any], **registration: Any) -> str:
    """`cluster`: more of the ClusterConfiguration. What goes beyond kubeadm's defaults beside it is the lab's doing."""
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": KUBEADM,
                "kind": "InitConfiguration",
                "nodeRegistration": {"ignorePreflightErrors": ["SystemVerification"], **registration},
                "localAPIEndpoint": {"advertiseAddress": address(MASTER)},
            },
            {
                "apiVersion": KUBEADM,
                "kind": "ClusterConfiguration",
                "kubernetesVersion": f"v{version}",
                **cluster,
            },
            {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "failCgroupV1": False},
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "conntrack": {"maxPerCore": 0},
            },
        ]
    )


def initialize(given: str, phase: str = "") -> None:
    """All of `kubeadm init`, or a phase of it."""
    on(MASTER, f"cat >/root/by-hand.yaml && kubeadm init {phase} --config /root/by-hand.yaml", stdin=given)
