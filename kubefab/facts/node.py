"""What of Kubernetes is on a host, as its own files tell it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from kubefab.facts.part import Part, each, pairs


def fingerprint(text: str) -> str:
    """A short name for a certificate: the first 12 hex digits of its text's sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


Authority = Annotated[str, fingerprint]


@dataclass(frozen=True)
class LocalNode(Part):
    ports: Mapping[int, str] = pairs("port")
    admin_ca: Authority = ""
    kubelet_ca: Authority = ""
    admin_server: str = ""
    cri_socket: str = ""  # what this node's kubelet uses
    join_begun: bool = False
    init_begun: float = 0  # in seconds of the epoch; kubeadm init takes its mark away when it ends
    etcd_data: bool = False
    manifests: tuple[str, ...] = each("manifest")
    cni: tuple[str, ...] = ()
    links: tuple[str, ...] = each("link")
    flannel: bool = False  # whether it has come up since the boot
    kubeconfig: str = ""


def authority(text: str) -> str:
    """The certificate in base64 that admin.conf trusts, from this part's text."""
    return dict(line.split(" ", 1) for line in text.split("\n") if " " in line).get("admin_ca", "")
