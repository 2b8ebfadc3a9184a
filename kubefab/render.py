"""files/ and kubeadm's documents -> text. Pure: nothing here talks to a host."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kubefab import releases
from kubefab.inventory import Host, Inventory
from kubefab.inventory.models import ARGUMENTS, SANS

FILES = Path(__file__).parent.parent / "files"
TEMPLATES = Environment(
    loader=FileSystemLoader(FILES),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701  what is rendered is configuration, not HTML
)
KEYRING = "/etc/apt/keyrings/kubernetes-apt-keyring.gpg"
CONTAINERD_SOCKET = "unix:///run/containerd/containerd.sock"
CRI_DOCKERD_SOCKET = "unix:///run/cri-dockerd.sock"
DOCKERSHIM_SOCKET = "/var/run/dockershim.sock"
DOCKER_CONFIG = "/etc/docker/daemon.json"
CRI_DOCKERD_UNIT = "/etc/systemd/system/cri-docker.service"
API_PORT = 6443
DOMAIN = ".kubefab.internal"
MODULES = ("overlay", "br_netfilter")
SYSCTL = {
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
    "net.ipv4.ip_forward": "1",
}
BUNDLE = "/var/lib/kubefab-bundle"
PROXY = "/etc/default/kubefab-proxy"
APT_PROXY = "/etc/apt/apt.conf.d/90kubefab-proxy"


def file(path: str, **values: Any) -> str:
    """The text of files/PATH, or of the template files/PATH.j2 with these values."""
    plain = FILES / path
    return plain.read_text() if plain.exists() else TEMPLATES.get_template(f"{path}.j2").render(values)


def mirrored(url: str, inventory: Inventory) -> tuple[str, str | None]:
    """The URL to ask instead, by the longest prefix in hosts.yml's mirrors, and the key of that mirror."""
    prefix = max((prefix for prefix in inventory.mirrors if url.startswith(prefix)), key=len, default=None)
    if prefix is None:
        return url, None
    mirror = inventory.mirrors[prefix]
    return mirror.url + url.removeprefix(prefix), mirror.key


def repository(inventory: Inventory) -> tuple[releases.Repository, str | None]:
    """The apt repository of the wanted minor as it is reached, and the key of a mirror that signs by itself."""
    known = _release(inventory).repositories
    chosen = next((one for one in known if any(map(one.url.startswith, inventory.mirrors))), known[0])
    url, fingerprint = mirrored(chosen.url, inventory)
    return replace(chosen, url=url, key=mirrored(chosen.key, inventory)[0]), fingerprint


def _release(inventory: Inventory) -> releases.Release:
    return releases.release(inventory.cluster.kubernetes)


def by_docker(inventory: Inventory) -> bool:
    return inventory.cluster.runtime == "docker"


def through_cri_dockerd(inventory: Inventory) -> bool:
    return by_docker(inventory) and not _release(inventory).dockershim


def cri_socket(inventory: Inventory) -> str:
    """What kubeadm and the kubelet are told, always: a host may have several."""
    if through_cri_dockerd(inventory):
        return CRI_DOCKERD_SOCKET
    return DOCKERSHIM_SOCKET if by_docker(inventory) else CONTAINERD_SOCKET


def registries(inventory: Inventory) -> dict[str, str]:
    """Each mirrored registry, and where to ask instead."""
    return {name: mirror.url for name, mirror in inventory.mirrors.items() if "://" not in name}


def renamed(inventory: Inventory) -> dict[str, str]:
    """Registries whose images go by their mirrors' names: Docker knows of mirrors for Docker Hub alone."""
    if not by_docker(inventory) or inventory.bundle:
        return {}
    return {name: urlsplit(url).netloc for name, url in registries(inventory).items()}


def image(name: str, inventory: Inventory) -> str:
    """The image as the runtime is asked for it."""
    registry, slash, rest = name.partition("/")
    return renamed(inventory).get(registry, registry) + slash + rest


def unmirrored(inventory: Inventory) -> Inventory:
    """The same, with every image under the name that its publisher gave it."""
    urls = {origin: mirror for origin, mirror in inventory.mirrors.items() if "://" in origin}
    return inventory.model_copy(update={"mirrors": urls})


def image_repository(inventory: Inventory) -> str:
    """Where Kubernetes' own images come from."""
    told = inventory.cluster.kubeadm.get("ClusterConfiguration", {})
    return str(told.get("imageRepository", image(releases.REGISTRY, inventory)))


def pause(inventory: Inventory) -> str:
    """The sandbox image."""
    return f"{image_repository(inventory)}/pause:{_release(inventory).pause}"


def docker(inventory: Inventory) -> dict[str, str]:
    """Docker Engine's configuration."""
    mirrors = registries(inventory)
    insecure = {urlsplit(url).netloc for url in mirrors.values() if url.startswith("http://")}
    hub = [mirrors["docker.io"]] if "docker.io" in mirrors else []
    return {DOCKER_CONFIG: file("etc/docker/daemon.json", hub=hub, insecure=sorted(insecure))}


def cri_dockerd_version(inventory: Inventory) -> str:
    told = inventory.cluster.cri_dockerd
    return told.version if told else releases.CRI_DOCKERD


def cri_dockerd_archive(inventory: Inventory, arch: str) -> tuple[str, str]:
    """A release's archive for machines of this kind, by its public address, and its sha256."""
    told, version = inventory.cluster.cri_dockerd, cri_dockerd_version(inventory)
    debian = {"x86_64": "amd64", "aarch64": "arm64"}[arch]
    url = f"https://github.com/Mirantis/cri-dockerd/releases/download/v{version}/cri-dockerd-{version}.{debian}.tgz"
    return url, told.sha256 if told else releases.CRI_DOCKERD_SHA256[arch]


def cri_dockerd(inventory: Inventory) -> dict[str, str]:
    """cri-dockerd's unit and socket."""
    socket = CRI_DOCKERD_UNIT.replace(".service", ".socket")
    version = cri_dockerd_version(inventory)
    return {
        CRI_DOCKERD_UNIT: file(CRI_DOCKERD_UNIT.lstrip("/"), pause=pause(inventory), version=version),
        socket: file(socket.lstrip("/")),
    }


def containerd(inventory: Inventory) -> dict[str, str]:
    """containerd's configuration, and for each mirrored registry where to ask instead."""
    mirrors = registries(inventory)
    return {
        "/etc/containerd/config.toml": file("etc/containerd/config.toml", pause=pause(inventory)),
        **{
            f"/etc/containerd/certs.d/{registry}/hosts.toml": file(
                "etc/containerd/certs.d/hosts.toml", registry=registry, mirror=mirror
            )
            for registry, mirror in mirrors.items()
        },
    }


def proxy(inventory: Inventory) -> dict[str, str]:
    """The proxy, where apt, the runtime's unit and kubeadm's scripts look for it; without one, texts that name none."""
    unit = f"etc/systemd/system/{inventory.cluster.runtime}.service.d/kubefab-proxy.conf"
    values = {"proxy": inventory.proxy, "no_proxy": no_proxy(inventory)}
    return {
        PROXY: file("etc/default/kubefab-proxy", **values),
        APT_PROXY: file("etc/apt/apt.conf.d/90kubefab-proxy", **values),
        f"/{unit}": file(unit),
    }


def no_proxy(inventory: Inventory) -> list[str]:
    """What never goes by the proxy: this cluster, and what hosts.yml says besides."""
    cluster = inventory.cluster
    return [
        "localhost",
        "127.0.0.1",
        *(name for host in inventory.hosts for name in (host.name, str(host.address))),
        endpoint(inventory),
        str(cluster.pod_subnet),
        str(cluster.service_subnet),
        ".svc",
        ".cluster.local",
        *(inventory.proxy.no_proxy if inventory.proxy else ()),
    ]


def runtime(inventory: Inventory) -> dict[str, str]:
    """All configuration of the runtime that hosts.yml names."""
    if not by_docker(inventory):
        return containerd(inventory)
    return {**docker(inventory), **(cri_dockerd(inventory) if through_cri_dockerd(inventory) else {})}


def kernel() -> dict[str, str]:
    """What the kernel is told at every boot."""
    return {
        "/etc/modules-load.d/kubernetes.conf": file("etc/modules-load.d/kubernetes.conf", modules=MODULES),
        "/etc/sysctl.d/90-kubernetes.conf": file("etc/sysctl.d/90-kubernetes.conf", sysctl=SYSCTL),
    }


def apt(inventory: Inventory) -> dict[str, str]:
    """The Kubernetes repository and the pin on one version."""
    ours = f"[trusted=yes] file:{BUNDLE}/packages ./"  # its checksums came over SSH
    theirs = repository(inventory)[0]
    return {
        "/etc/apt/sources.list.d/kubernetes.list": file(
            "etc/apt/sources.list.d/kubernetes.list",
            source=ours if inventory.bundle else f"[signed-by={KEYRING}] {theirs.url} {theirs.suite}",
        ),
        "/etc/apt/preferences.d/kubernetes": file(
            "etc/apt/preferences.d/kubernetes", version=inventory.cluster.kubernetes
        ),
    }


def completion() -> dict[str, str]:
    return {"/etc/bash_completion.d/kubernetes": file("etc/bash_completion.d/kubernetes")}


def paths(inventory: Inventory) -> list[str]:
    """Every file that kubefab keeps on a host: what the look is asked about."""
    return [
        f"{BUNDLE}/SHA256SUMS",
        *proxy(inventory),
        *runtime(inventory),
        *kernel(),
        *apt(inventory),
        KEYRING,
        *completion(),
    ]


def endpoint(inventory: Inventory) -> str:
    """The control plane's name, the same from the first day, so that one master can become three."""
    return inventory.cluster.name + DOMAIN


def init_documents(inventory: Inventory, host: Host) -> str:
    """What `kubeadm init --config` reads."""
    return _dump(inventory, [_init(inventory, host), _cluster(inventory, host), _kubelet(inventory), _proxy()])


def dns_documents(inventory: Inventory, host: Host, patches: str) -> str:
    """What `kubeadm init phase addon coredns --config` reads; `patches`: the folder with ours for CoreDNS."""
    ours = {"patches": {"directory": patches}} if _release(inventory).patches_dns else {}
    return _dump(inventory, [{**_init(inventory, host), **ours}, _cluster(inventory, host)])


def join_documents(inventory: Inventory, host: Host, token: str, discovery: str) -> str:
    """What `kubeadm join --config` reads; `discovery` is the path of a kubeconfig on the host."""
    join = {
        "apiVersion": _api(inventory),
        "kind": "JoinConfiguration",
        "discovery": {"file": {"kubeConfigPath": discovery}, "tlsBootstrapToken": token},
        "nodeRegistration": _registration(inventory, host),
    }
    return _dump(inventory, [join])


def discovery(server: str, ca: str) -> str:
    """A kubeconfig that says where the control plane is and whom to trust (`ca`: base64), and no more.

    Like kubeadm's own cluster-info its one cluster has no name, so that it needs no context.
    """
    cluster = {"server": server, "certificate-authority-data": ca}
    document = {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]}
    return yaml.safe_dump(document, sort_keys=False)


def _api(inventory: Inventory) -> str:
    return f"kubeadm.k8s.io/{_release(inventory).api}"


def _registration(inventory: Inventory, host: Host) -> dict[str, Any]:
    # Where a host has several addresses the kubelet would choose one by itself: kubernetes/kubeadm#203
    arguments = {"node-ip": str(host.address)}
    return {"name": host.name, "criSocket": cri_socket(inventory), "kubeletExtraArgs": arguments}


def _init(inventory: Inventory, host: Host) -> dict[str, Any]:
    return {
        "apiVersion": _api(inventory),
        "kind": "InitConfiguration",
        # kubeadm always makes one token; ours are minted for each join, this one shall not outlive init by much.
        "bootstrapTokens": [{"ttl": "1m0s"}],
        "localAPIEndpoint": {"advertiseAddress": str(host.address), "bindPort": API_PORT},
        "nodeRegistration": _registration(inventory, host),
    }


def _cluster(inventory: Inventory, host: Host) -> dict[str, Any]:
    cluster = inventory.cluster
    return {
        "apiVersion": _api(inventory),
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": f"v{cluster.kubernetes}",
        **_images(inventory),
        "controlPlaneEndpoint": f"{endpoint(inventory)}:{API_PORT}",
        "networking": {"podSubnet": str(cluster.pod_subnet), "serviceSubnet": str(cluster.service_subnet)},
        # localhost, for the health check through a tunnel; kubeadm adds the name, the address and the endpoint.
        "apiServer": {"certSANs": ["localhost", "127.0.0.1", str(host.address)]},
    }


def _images(inventory: Inventory) -> dict[str, Any]:
    """Where images come from, if it is not where kubeadm looks by itself."""
    repository = image(releases.REGISTRY, inventory)
    if repository == _release(inventory).registry:
        return {}
    # kubeadm knows of CoreDNS's folder in its own registry alone.
    return {"imageRepository": repository, "dns": {"imageRepository": repository + _release(inventory).coredns}}


def _kubelet(inventory: Inventory) -> dict[str, Any]:
    gates = _release(inventory).gates_with_docker if through_cri_dockerd(inventory) else ()
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        **({"featureGates": dict.fromkeys(gates, False)} if gates else {}),
    }


def _proxy() -> dict[str, Any]:
    return {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}


def _dump(inventory: Inventory, documents: list[dict[str, Any]]) -> str:
    lists = _release(inventory).lists_arguments
    overlays = inventory.cluster.kubeadm
    merged = [_merge(_merge({}, one, lists), overlays.get(one["kind"], {}), lists) for one in documents]
    return yaml.safe_dump_all(merged, sort_keys=False)


def _merge(ours: Mapping[str, Any], theirs: Mapping[str, Any], lists: bool) -> dict[str, Any]:
    """hosts.yml's word over ours: mappings key by key, arguments name by name, anything else as a whole."""
    merged = dict(ours)
    for key, value in theirs.items():
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
