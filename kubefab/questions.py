"""What a look asks of by name. Each name stands here once; a step that needs another one fails at once."""

import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass, fields

UNITS = (  # services of systemd's, but for what is called otherwise
    *("containerd", "docker", "cri-docker", "kubelet", "kubefab-images", "kubefab-endpoint"),
    *("kubefab-backup", "kubefab-backup.timer"),
)
PACKAGES = (
    *("kubelet", "kubeadm", "kubectl", "kubernetes-cni"),
    *("containerd", "containerd.io", "docker.io", "docker-ce"),
    "bash-completion",
    "haproxy",
)
MODULES = ("overlay", "br_netfilter")
SYSCTLS = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables", "net.ipv4.ip_forward")

KINDS = (  # of what add-ons are made, as far as every cluster knows them
    *("Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
    *("ConfigMap", "Secret", "Service", "Deployment", "DaemonSet", "StorageClass"),
    *("APIService", "CustomResourceDefinition"),
)


@dataclass(frozen=True)
class Questions:
    """ValueError for a name that is no single word to a shell."""

    paths: tuple[str, ...] = ()  # files whose content and age are wanted
    units: tuple[str, ...] = UNITS
    packages: tuple[str, ...] = PACKAGES
    modules: tuple[str, ...] = MODULES
    sysctls: tuple[str, ...] = SYSCTLS
    kinds: tuple[str, ...] = KINDS
    balancer: tuple[str, ...] = ()  # NAME:PORT, where the user has one of his own
    nodes: tuple[str, ...] = ()  # the one that is to go, by its name in the cluster

    def __post_init__(self) -> None:
        for name in (name for one in fields(self) for name in getattr(self, one.name)):
            if not re.fullmatch(r"[A-Za-z0-9_/][A-Za-z0-9_@.:/+-]*", name):
                raise ValueError(f"a look cannot ask of {name!r}")

    def assignments(self) -> str:
        """What stands in front of the look's program (see scripts/look/look.sh)."""
        lists = {one.name.upper(): " ".join(getattr(self, one.name)) for one in fields(self)}
        return "".join(f"{name}={shlex.quote(words)}\n" for name, words in lists.items())


def asked(name: str, names: Collection[str]) -> str:
    """This name. ValueError where no look asks of it: it would not be there for ever."""
    if name not in names:
        raise ValueError(f"no look asks of {name!r}: write it into kubefab/questions.py")
    return name
