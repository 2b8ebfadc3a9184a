"""Fields of kubeadm's own documents in hosts.yml that kubefab goes by itself, or uses itself.

Sources: kubeadm's API types (cmd/kubeadm/app/apis/kubeadm/v1beta*/types.go), KubeletConfiguration and
KubeProxyConfiguration (staging/src/k8s.io/kubelet, kube-proxy: config/v1beta1, v1alpha1).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from kubefab.inventory.models import LABEL, REGISTRY
from kubefab.located import Loc, Problem, Values, shown

_BY_CGROUP = "kubefab tells pods' processes from others by their control groups"
# Setting them here too would split the truth between two places.
TOLD_ELSEWHERE = {
    "ClusterConfiguration": {
        "kubernetesVersion": "set it with `cluster.kubernetes`",
        "clusterName": "set it with `cluster.name`",
        "controlPlaneEndpoint": "set it with `cluster.endpoint`",
        "certificatesDir": "kubefab expects certificates in /etc/kubernetes/pki",
        "networking.podSubnet": "set it with `cluster.pod_subnet`",
        "networking.serviceSubnet": "set it with `cluster.service_subnet`",
        "etcd.local.dataDir": "kubefab expects etcd's data in /var/lib/etcd",
        "etcd.external": "kubefab's clusters have etcd on the master",
        "dns.disabled": "kubefab applies CoreDNS, and waits for it",
        "proxy.disabled": "kubefab waits for kube-proxy on every node",
        "apiServer.extraArgs.secure-port": "the port is always 6443",
        "apiServer.extraArgs.service-cluster-ip-range": "set it with `cluster.service_subnet`",
        "controllerManager.extraArgs.cluster-cidr": "set it with `cluster.pod_subnet`",
        "controllerManager.extraArgs.service-cluster-ip-range": "set it with `cluster.service_subnet`",
        "controllerManager.extraArgs.allocate-node-cidrs": "flannel needs a network for each node",
    },
    "InitConfiguration": {
        "localAPIEndpoint.bindPort": "the port is always 6443",
        "skipPhases": "kubefab decides which phases are skipped, and waits for what the others make",
        "dryRun": "`inv --dry` makes a dry run",
    },
    "JoinConfiguration": {
        "discovery": "kubefab makes a token for each join, and brings the CA by SSH",
        "caCertPath": "kubefab expects it in /etc/kubernetes/pki",
        "controlPlane": "set it with `role` under `hosts`",
        "skipPhases": "kubefab waits for what these phases make",
        "dryRun": "`inv --dry` makes a dry run",
    },
    "KubeletConfiguration": {
        "cgroupDriver": "kubefab configures the runtime for systemd's cgroups",
        "cgroupsPerQOS": _BY_CGROUP,
        "containerRuntimeEndpoint": "set it with `cluster.runtime`",
        "staticPodPath": "kubefab expects manifests in /etc/kubernetes/manifests",
        "port": "the port is always 10250",
    },
    "KubeProxyConfiguration": {"clusterCIDR": "set it with `cluster.pod_subnet`"},
}
_OF_NODES = {
    "nodeRegistration.name": "the name under `hosts` is the node's",
    "nodeRegistration.criSocket": "set it with `cluster.runtime`",
    "nodeRegistration.kubeletExtraArgs.hostname-override": "the name under `hosts` is the node's",
    "nodeRegistration.kubeletExtraArgs.container-runtime-endpoint": "set it with `cluster.runtime`",
    "nodeRegistration.kubeletExtraArgs.cgroup-driver": "kubefab configures the runtime for systemd's cgroups",
    "nodeRegistration.kubeletExtraArgs.cgroups-per-qos": _BY_CGROUP,
    "nodeRegistration.kubeletExtraArgs.root-dir": "kubefab expects the kubelet's files in /var/lib/kubelet",
}
TOLD_ELSEWHERE["InitConfiguration"] |= _OF_NODES
TOLD_ELSEWHERE["JoinConfiguration"] |= _OF_NODES
ANONYMOUS = "ClusterConfiguration.apiServer.extraArgs.anonymous-auth"
FALSE = ("0", "f", "F", "false", "FALSE", "False")  # to Go's strconv.ParseBool
MASKS = tuple(f"ClusterConfiguration.controllerManager.extraArgs.node-cidr-mask-size{of}" for of in ("", "-ipv4"))
NODE_MASK = 24  # the controller manager's own choice for IPv4
# kubernetes/kubeadm#798 and kubernetes/kubernetes#43784 (probes), kubernetes/kubeadm#1105 (joins), KEP-4633 (the paths)
_ASKED = (
    "not here: kubeadm's own probes of the API server, and its joins, ask without credentials; leave it out, and from "
    'Kubernetes 1.32 on allow their paths alone by `authentication-config`: docs/hosts.md, "Without anonymous requests"'
)
NAMED = ("extraVolumes", "extraEnvs")  # lists of what has a name
_JOINED = ("Init", "Join")
_SECTIONS = ("apiServer", "controllerManager", "scheduler", "etcd.local")
_MAPPING, _NAMED, _TEXTS = "a mapping", "a list of mappings, each with a name", "a list of texts"
# What kubefab looks into, besides kubeadm, and what has to stand there.
SHAPES = {
    "ClusterConfiguration.etcd": _MAPPING,
    **{f"ClusterConfiguration.{section}": _MAPPING for section in _SECTIONS},
    **{f"ClusterConfiguration.{section}.{key}": _NAMED for section in _SECTIONS for key in NAMED},
    **{f"{kind}Configuration.{field}": _MAPPING for kind in _JOINED for field in ("nodeRegistration", "timeouts")},
    **{f"{kind}Configuration.nodeRegistration.ignorePreflightErrors": _TEXTS for kind in _JOINED},
}
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
                yield place, f"not here: {told}"
    for place, text in _said(values, ANONYMOUS):
        if text in FALSE:
            yield place, _ASKED
    for field, (pattern, allowed) in USED.items():
        value = values.get(_place(field))
        if value is not None and not (isinstance(value, str) and re.fullmatch(pattern, value)):
            yield _place(field), f"found '{shown(value)}'; allowed: {allowed}"
    for field, allowed in SHAPES.items():
        value = values.get(_place(field))
        if value is not None and not _HAS[allowed](value):
            yield _place(field), f"found {_found(value)}; allowed: {allowed}"


def _found(value: Any) -> str:
    return _MAPPING if isinstance(value, dict) else "a list" if isinstance(value, list) else f"'{shown(value)}'"


_HAS: dict[str, Callable[[Any], bool]] = {
    _MAPPING: lambda value: isinstance(value, dict),
    _NAMED: lambda value: isinstance(value, list),  # what of it has no name kubeadm refuses
    _TEXTS: lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
}


def node_mask(values: Values) -> int | None:
    """How long the prefix of a node's own network is; None where what is said of it cannot be understood."""
    said = [text for name in MASKS for _, text in _said(values, name)] or [str(NODE_MASK)]
    return int(said[-1]) if re.fullmatch("[12]?[0-9]|3[0-2]", said[-1]) else None


def _said(values: Values, argument: str) -> list[tuple[Loc, str]]:
    """Where an argument stands, and what it says: of several, which a list may have, the last one counts."""
    return [
        (place, str(values.get((*place, "value"), values[place]))) for place in _places(values, _place(argument))[-1:]
    ]


def _place(field: str) -> Loc:
    return ("cluster", "kubeadm", *field.split("."))


def _places(values: Values, field: Loc) -> list[Loc]:
    """Where the field stands; an argument may also be told by its name, in a list."""
    *above, name = field
    listed = [
        loc[:-1] for loc, value in values.items() if value == name and loc[-1] == "name" and loc[:-2] == (*above,)
    ]
    return [place for place in (field, *listed) if values.get(place) is not None]
