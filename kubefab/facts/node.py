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
    admin_ca: Authority = ""
    kubelet_ca: Authority = ""
    admin_server: str = ""
    kubelet_server: str = ""
    cri_socket: str = ""  # what this node's kubelet uses
    resolved: bool = False  # whether systemd-resolved has written down its name servers
    resolver_flag: bool = False  # whether a flag tells its kubelet of another file, which counts more than the next
    lacks_resolver: str = ""  # the file of name servers that its kubelet is told of, where that is not there
    # What kubefab began and did not end, by marks of its own: since when, in seconds of the epoch; 0 for nothing.
    init_begun: float = 0
    join_begun: float = 0  # a worker's
    master_begun: float = 0  # a master's join
    tear_down_begun: float = 0
    restore_begun: float = 0  # of etcd, from a snapshot
    token_left: bool = False  # what a kubelet joins with, and kubeadm takes away once it has
    pki_left: bool = False  # a CA where no kubelet is configured: a join begun, or somebody's own copy
    etcd_data: bool = False
    etcd_log: bool = False  # whether there is one, without which these are no data
    manifests: tuple[str, ...] = each("manifest")
    static: Mapping[str, str] = pairs("static")  # a manifest -> the image of its pod
    # Controller manager and scheduler: a process "runs", or "none" does; or why that is not known.
    controllers: Mapping[str, str] = pairs("controller")
    cni: tuple[str, ...] = ()
    links: tuple[str, ...] = each("link")
    flannel: bool = False  # whether it has come up since the boot
    subnet: str = ""  # what flannel was given for the pods here
    kubeconfig: str = ""  # ~/.kube/config: "same" as admin.conf, one that "works" for this cluster, "other"; or why not

    @property
    def half_made(self) -> bool:
        """Whether a control plane is here that kubefab has begun, and may take away again."""
        return bool(self.init_begun or self.master_begun)

    @property
    def control_plane(self) -> bool:
        """Whether a whole one is."""
        return bool(self.admin_ca) and not self.half_made


def authority(text: str) -> str:
    """The certificate in base64 that admin.conf trusts, from this part's text."""
    return dict(line.split(" ", 1) for line in text.split("\n") if " " in line).get("admin_ca", "")
