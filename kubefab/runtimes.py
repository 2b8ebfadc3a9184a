"""What runs the containers, and how the kubelet reaches it. Pure."""

from kubefab import releases
from kubefab.errors import KubefabError
from kubefab.inventory import Inventory

CONTAINERD_SOCKET = "unix:///run/containerd/containerd.sock"
CRI_DOCKERD_SOCKET = "unix:///run/cri-dockerd.sock"
DOCKERSHIM_SOCKET = "/var/run/dockershim.sock"


def by_docker(inventory: Inventory) -> bool:
    return inventory.cluster.runtime == "docker"


def through_cri_dockerd(inventory: Inventory) -> bool:
    return by_docker(inventory) and not inventory.release.dockershim


def cri_socket(inventory: Inventory) -> str:
    """What kubeadm and the kubelet are told, always: a host may have several."""
    if through_cri_dockerd(inventory):
        return CRI_DOCKERD_SOCKET
    return DOCKERSHIM_SOCKET if by_docker(inventory) else CONTAINERD_SOCKET


def cri_dockerd_version(inventory: Inventory) -> str:
    told = inventory.cluster.cri_dockerd
    return told.version if told else releases.CRI_DOCKERD


def cri_dockerd_archive(inventory: Inventory, arch: str) -> tuple[str, str]:
    """A release's archive for machines of this kind, by its public address, and its sha256.

    KubefabError for a kind that it is not published for.
    """
    if arch not in releases.CRI_DOCKERD_SHA256:
        known = ", ".join(releases.CRI_DOCKERD_SHA256)
        raise KubefabError(f"cri-dockerd is not published for {arch} machines; known: {known}")
    told, version = inventory.cluster.cri_dockerd, cri_dockerd_version(inventory)
    debian = {"x86_64": "amd64", "aarch64": "arm64"}[arch]
    url = f"https://github.com/Mirantis/cri-dockerd/releases/download/v{version}/cri-dockerd-{version}.{debian}.tgz"
    return url, told.sha256 if told else releases.CRI_DOCKERD_SHA256[arch]
