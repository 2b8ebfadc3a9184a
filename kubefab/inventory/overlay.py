"""Fields of kubeadm's own documents in hosts.yml that kubefab goes by itself, or uses itself.

Sources: kubeadm's API types (cmd/kubeadm/app/apis/kubeadm/v1beta*/types.go), KubeletConfiguration and
KubeProxyConfiguration (staging/src/k8s.io/kubelet, kube-proxy: config/v1beta1, v1alpha1).
"""

import re
from collections.abc import Iterator

from kubefab.inventory.models import LABEL, REGISTRY
from kubefab.located import Loc, Problem, Values, shown

# One who wrote these here would have half a cluster of each.
TOLD_ELSEWHERE = {
    "ClusterConfiguration": {
        "kubernetesVersion": "`cluster.kubernetes` says it",
        "clusterName": "`cluster.name` says it",
        "controlPlaneEndpoint": "it is the name that every host has in /etc/hosts",
        "certificatesDir": "joins and resets look in /etc/kubernetes/pki",
        "networking.podSubnet": "`cluster.pod_subnet` says it",
        "networking.serviceSubnet": "`cluster.service_subnet` says it",
        "etcd.local.dataDir": "looks and resets know /var/lib/etcd",
        "etcd.external": "etcd runs on the master, where a reset finds it",
        "dns.disabled": "CoreDNS is applied, and waited for",
        "proxy.disabled": "kube-proxy is waited for on every node",
        "apiServer.extraArgs.secure-port": "it is 6443 everywhere",
        "apiServer.extraArgs.service-cluster-ip-range": "`cluster.service_subnet` says it",
        "controllerManager.extraArgs.cluster-cidr": "`cluster.pod_subnet` says it",
        "controllerManager.extraArgs.service-cluster-ip-range": "`cluster.service_subnet` says it",
        "controllerManager.extraArgs.allocate-node-cidrs": "flannel wants a network for each node",
    },
    "InitConfiguration": {
        "localAPIEndpoint.bindPort": "it is 6443 everywhere",
        "skipPhases": "kubefab says which are skipped, and waits for what the others make",
        "dryRun": "`inv --dry` is a dry run",
    },
    "JoinConfiguration": {
        "discovery": "each join gets a token of its own, and the CA by SSH",
        "caCertPath": "it is /etc/kubernetes/pki/ca.crt everywhere",
        "controlPlane": "the `role` under `hosts` says it",
        "skipPhases": "kubefab waits for what they make",
        "dryRun": "`inv --dry` is a dry run",
    },
    "KubeletConfiguration": {
        "cgroupDriver": "it is systemd's, as the runtime is told",
        "containerRuntimeEndpoint": "`cluster.runtime` says it",
        "staticPodPath": "looks and resets know /etc/kubernetes/manifests",
        "port": "it is 10250 everywhere",
    },
    "KubeProxyConfiguration": {"clusterCIDR": "`cluster.pod_subnet` says it"},
}
_OF_NODES = {
    "nodeRegistration.name": "the name under `hosts` says it",
    "nodeRegistration.criSocket": "`cluster.runtime` says it",
    "nodeRegistration.kubeletExtraArgs.hostname-override": "the name under `hosts` says it",
    "nodeRegistration.kubeletExtraArgs.container-runtime-endpoint": "`cluster.runtime` says it",
    "nodeRegistration.kubeletExtraArgs.cgroup-driver": "it is systemd's, as the runtime is told",
    "nodeRegistration.kubeletExtraArgs.root-dir": "looks and resets know /var/lib/kubelet",
}
TOLD_ELSEWHERE["InitConfiguration"] |= _OF_NODES
TOLD_ELSEWHERE["JoinConfiguration"] |= _OF_NODES
# What reaches files and scripts of kubefab's own.
USED = {
    "ClusterConfiguration.imageRepository": (
        rf"{REGISTRY}(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
        "a registry, and a path in it: registry.example.org:5000/k8s",
    ),
    "ClusterConfiguration.networking.dnsDomain": (rf"{LABEL}(\.{LABEL})*", "a domain, for example cluster.local"),
}


def contradictions(values: Values) -> Iterator[Problem]:
    """Each field that is said elsewhere, or that is wider than its uses here. What is null is not said."""
    for kind, fields in TOLD_ELSEWHERE.items():
        for field, told in fields.items():
            for place in _places(values, _place(f"{kind}.{field}")):
                yield place, "it", f"none here: {told}"
    for field, (pattern, allowed) in USED.items():
        value = values.get(_place(field))
        if value is not None and not (isinstance(value, str) and re.fullmatch(pattern, value)):
            yield _place(field), f"'{shown(value)}'", allowed


def _place(field: str) -> Loc:
    return ("cluster", "kubeadm", *field.split("."))


def _places(values: Values, field: Loc) -> list[Loc]:
    """Where the field stands; an argument may also be told by its name, in a list."""
    *above, name = field
    listed = [
        loc[:-1] for loc, value in values.items() if value == name and loc[-1] == "name" and loc[:-2] == (*above,)
    ]
    return [place for place in (field, *listed) if values.get(place) is not None]
