"""What kubeadm keeps in the cluster, by a master's word, and what of the shared keys that master has."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from kubefab.facts.manifests import Manifest
from kubefab.facts.part import Part, each, nothing

ETCD_TAG = "etcd.local.imageTag"


@dataclass(frozen=True)
class Configuration:
    """The ClusterConfiguration in the ConfigMap kubeadm-config, by which each join and each upgrade goes."""

    text: str
    endpoint: str = ""  # NAME:PORT, or "" where the cluster has none that would do for several masters
    sans: tuple[str, ...] = ()  # what every API server's certificate has besides its own name and address
    arguments: Mapping[str, str] = field(default_factory=nothing)  # every API server's
    version: str = ""  # of Kubernetes: what `kubeadm upgrade node` brings a master to
    pinned: Mapping[str, str] = field(default_factory=nothing)  # image tags that no upgrade changes, by their keys

    @classmethod
    def read(cls, said: str) -> "Configuration":
        """From YAML in base64. ValueError for what is something else."""
        text = b64decode(said).decode()
        try:
            found = yaml.safe_load(text) or {}
            server = found.get("apiServer") or {}
            sans = tuple(map(str, server.get("certSANs") or ()))
            version = str(found.get("kubernetesVersion") or "").removeprefix("v")
            endpoint = str(found.get("controlPlaneEndpoint") or "")
            tags = {
                "dns.imageTag": (found.get("dns") or {}).get("imageTag"),
                ETCD_TAG: ((found.get("etcd") or {}).get("local") or {}).get("imageTag"),
            }
            pinned = {key: str(tag) for key, tag in tags.items() if tag}
            return cls(text, endpoint, sans, _pairs(server.get("extraArgs") or {}), version, pinned)
        except (yaml.YAMLError, AttributeError, TypeError, LookupError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__} {error}") from None


def _pairs(arguments: Any) -> dict[str, str]:
    """A list of {name, value} since v1beta4, a map before."""
    if isinstance(arguments, Mapping):
        return {str(name): str(value) for name, value in arguments.items()}
    return {str(one["name"]): str(one["value"]) for one in arguments}


@dataclass(frozen=True)
class Kubeadm(Part):
    keys_missing: tuple[str, ...] = each("key_missing")  # below /etc/kubernetes/pki
    configuration: Configuration | None = None  # None where nobody could read it
    configuration_missing: bool = False  # the API server says that there is none
    kubelets: Manifest | None = None  # the KubeletConfiguration of all nodes
    proxies: Manifest | None = None  # the KubeProxyConfiguration of all nodes
    proxies_left: Manifest | None = None  # as kubefab has left it
