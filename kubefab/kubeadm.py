"""The documents that kubeadm reads, with hosts.yml's own fields over ours. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import yaml

from kubefab import releases
from kubefab.inventory import Host, Inventory
from kubefab.inventory.models import ARGUMENTS, SANS
from kubefab.mirrors import image
from kubefab.runtimes import cri_socket, through_cri_dockerd

API_PORT = 6443
DOMAIN = ".kubefab.internal"
_HOUR = timedelta(hours=1)  # kubeadm lets each begin some minutes before it is made
_OF_CERTIFICATES = (
    "certificateValidityPeriod",
    "encryptionAlgorithm",
)  # what hosts.yml says of them, it says of new ones


def endpoint(inventory: Inventory) -> str:
    """The control plane's name, the same from the first day, so that one master can become three."""
    return server(inventory).rpartition(":")[0]


def server(inventory: Inventory) -> str:
    """The same with its port: a load balancer of the user's, or a name of ours."""
    cluster = inventory.cluster
    return cluster.endpoint or f"{cluster.name}{DOMAIN}:{API_PORT}"


def dns_domain(inventory: Inventory) -> str:
    """Below which the cluster's own names are."""
    return str(inventory.told("ClusterConfiguration.networking.dnsDomain") or "cluster.local")


def bears_swap(inventory: Inventory) -> bool:
    """Whether hosts.yml tells the kubelet to start where there is swap."""
    return inventory.cluster.kubeadm.get("KubeletConfiguration", {}).get("failSwapOn") is False


def init_documents(inventory: Inventory, host: Host) -> str:
    """What `kubeadm init --config` reads."""
    return _dump(inventory, [_init(inventory, host), _cluster(inventory), _kubelet(inventory), _proxy()])


def dns_documents(inventory: Inventory, host: Host, patches: str) -> str:
    """What `kubeadm init phase addon coredns --config` reads; `patches`: the folder with ours for CoreDNS."""
    ours = {"patches": {"directory": patches}} if inventory.release.patches_dns else {}
    return _dump(inventory, [{**_init(inventory, host), **ours}, _cluster(inventory)])


def join_documents(inventory: Inventory, host: Host, token: str, discovery: str) -> str:
    """What `kubeadm join --config` reads, as a master or as a worker; `discovery`: a kubeconfig's path on the host."""
    join = {
        "apiVersion": _api(inventory),
        "kind": "JoinConfiguration",
        "discovery": {"file": {"kubeConfigPath": discovery}, "tlsBootstrapToken": token},
        "nodeRegistration": _registration(inventory, host),
        **({"controlPlane": {"localAPIEndpoint": _api_server(host)}} if host.role == "master" else {}),
    }
    return _dump(inventory, [join])


def at_version(configuration: str, version: str) -> str:
    """A stored ClusterConfiguration, as YAML, as it will be at this version.

    CoreDNS is no part of it where it was left out of init, as kubefab does: its image is asked for all the same.
    """
    stored = yaml.safe_load(configuration)
    dns = {key: value for key, value in (stored.get("dns") or {}).items() if key != "disabled"}
    return yaml.safe_dump({**stored, "dns": dns, "kubernetesVersion": f"v{version}"}, sort_keys=False)


def upgrade_documents(inventory: Inventory, patches: str, skipped: Sequence[str] = ()) -> str:
    """What `kubeadm upgrade apply` and `upgrade node` read; `patches`: the folder with ours, "" for none.

    What a node's preflight is to pass over, hosts.yml says of its init or its join.
    """
    borne = inventory.told("InitConfiguration.nodeRegistration.ignorePreflightErrors")
    how = {
        "ignorePreflightErrors": borne or [],
        "skipPhases": list(skipped),
        **({"patches": {"directory": patches}} if patches else {}),
    }
    version = f"v{inventory.cluster.kubernetes}"
    upgrade = {"apply": {"kubernetesVersion": version, **how}, "node": how}
    return _dump(inventory, [{"apiVersion": _api(inventory), "kind": "UpgradeConfiguration", **upgrade}])


def certificate_documents(
    inventory: Inventory, host: Host, stored: str, names: Sequence[str], life: timedelta, folder: str = ""
) -> str:
    """What kubeadm's commands for certificates read: with a file of their own they ask no API server.

    `stored`: the ClusterConfiguration that the cluster keeps, "" where nobody tells it; `names`: all that the API
    server's certificate is to have besides kubeadm's own; `life`: how long the one before was good, which counts where
    neither says so; `folder`: where one is made, instead of the usual place.
    """
    ours = {**_cluster(inventory), "apiVersion": _api(inventory)}
    overlay = inventory.cluster.kubeadm.get("ClusterConfiguration", {})
    cluster = yaml.safe_load(stored) if stored else _merge(ours, overlay, inventory.release.lists_arguments)
    asked = {key: overlay[key] for key in _OF_CERTIFICATES if overlay.get(key) is not None}
    if not stored and inventory.release.limits_validity and life >= _HOUR:
        asked = {"certificateValidityPeriod": f"{life // _HOUR}h", **asked}
    cluster |= {**asked, "apiServer": {**(cluster.get("apiServer") or {}), SANS: list(names)}}
    init = {
        "apiVersion": cluster["apiVersion"],
        "kind": "InitConfiguration",
        "localAPIEndpoint": _api_server(host),
        "nodeRegistration": {"name": host.name, "criSocket": cri_socket(inventory)},
    }
    return yaml.safe_dump_all([init, {**cluster, **({"certificatesDir": folder} if folder else {})}], sort_keys=False)


def discovery(server: str, ca: str) -> str:
    """A kubeconfig that says where the control plane is and whom to trust (`ca`: base64), and no more.

    Like kubeadm's own cluster-info its one cluster has no name, so that it needs no context.
    """
    cluster = {"server": server, "certificate-authority-data": ca}
    document = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]}
    return yaml.safe_dump(document, sort_keys=False)


def _api(inventory: Inventory) -> str:
    return f"kubeadm.k8s.io/{inventory.release.api}"


def _registration(inventory: Inventory, host: Host) -> dict[str, Any]:
    # Where a host has several addresses the kubelet would choose one by itself: kubernetes/kubeadm#203
    arguments = {"node-ip": str(host.address)}
    return {"name": host.name, "criSocket": cri_socket(inventory), "kubeletExtraArgs": arguments}


def _api_server(host: Host) -> dict[str, Any]:
    return {"advertiseAddress": str(host.address), "bindPort": API_PORT}


def _init(inventory: Inventory, host: Host) -> dict[str, Any]:
    return {
        "apiVersion": _api(inventory),
        "kind": "InitConfiguration",
        # kubeadm always makes one token; ours are minted for each join, this one shall not outlive init by much.
        "bootstrapTokens": [{"ttl": "1m0s"}],
        "localAPIEndpoint": _api_server(host),
        "nodeRegistration": _registration(inventory, host),
    }


def _cluster(inventory: Inventory) -> dict[str, Any]:
    cluster = inventory.cluster
    return {
        "apiVersion": _api(inventory),
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": f"v{cluster.kubernetes}",
        **_images(inventory),
        "controlPlaneEndpoint": server(inventory),
        "networking": {"podSubnet": str(cluster.pod_subnet), "serviceSubnet": str(cluster.service_subnet)},
        # localhost, for the health check through a tunnel; kubeadm adds the endpoint, and to each master's certificate
        # its own name and address.
        "apiServer": {"certSANs": ["localhost", "127.0.0.1"]},
    }


def _images(inventory: Inventory) -> dict[str, Any]:
    """Where images come from, if it is not where kubeadm looks by itself."""
    repository = image(releases.REGISTRY, inventory)
    if repository == inventory.release.registry:
        return {}
    # kubeadm knows of CoreDNS's folder in its own registry alone.
    return {"imageRepository": repository, "dns": {"imageRepository": repository + inventory.release.coredns}}


def _kubelet(inventory: Inventory) -> dict[str, Any]:
    gates = inventory.release.gates_with_docker if through_cri_dockerd(inventory) else ()
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        **({"featureGates": dict.fromkeys(gates, False)} if gates else {}),
    }


def _proxy() -> dict[str, Any]:
    return {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}


def _dump(inventory: Inventory, documents: list[dict[str, Any]]) -> str:
    lists = inventory.release.lists_arguments
    overlays = inventory.cluster.kubeadm
    merged = [_merge(_merge({}, one, lists), overlays.get(one["kind"], {}), lists) for one in documents]
    return yaml.safe_dump_all(merged, sort_keys=False)


def _merge(ours: Mapping[str, Any], theirs: Mapping[str, Any], lists: bool) -> dict[str, Any]:
    """hosts.yml's word over ours: mappings key by key, arguments name by name, anything else as a whole.

    What is null there takes nothing of ours away.
    """
    merged = dict(ours)
    for key, value in theirs.items():
        if value is None and key in ours:
            continue
        if key in ARGUMENTS:
            merged[key] = _arguments(ours.get(key, {}), value, lists)
        elif key == SANS:  # without ours, the certificate would not do for the names we use
            merged[key] = [*ours.get(key, ()), *value]
        elif isinstance(value, Mapping):
            below = ours.get(key)
            merged[key] = _merge(below if isinstance(below, Mapping) else {}, value, lists)
        else:
            merged[key] = value
    return merged


def _arguments(ours: Any, theirs: Any, lists: bool) -> Any:
    """As a list, in which a name may stand twice, or as the map that kubeadm wanted before v1beta4."""
    told = _pairs(theirs)
    named = {name for name, _ in told}
    pairs = [pair for pair in _pairs(ours) if pair[0] not in named] + told
    return [{"name": name, "value": value} for name, value in pairs] if lists else dict(pairs)


def _pairs(arguments: Any) -> list[tuple[str, str]]:
    """Arguments as hosts.yml may write them, as a map or as v1beta4's list."""
    if isinstance(arguments, Mapping):
        return [(name, _text(value)) for name, value in arguments.items()]
    return [(argument["name"], _text(argument["value"])) for argument in arguments]


def _text(value: Any) -> str:
    """An argument's value as kubeadm wants it: text, and a YAML boolean in Go's spelling."""
    return str(value).lower() if isinstance(value, bool) else str(value)
