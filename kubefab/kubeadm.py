"""The documents that kubeadm reads, with hosts.yml's own fields over ours. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

import yaml

from kubefab import releases
from kubefab.facts.manifests import settings as settings_of
from kubefab.facts.manifests import together
from kubefab.inventory import Host, Inventory
from kubefab.inventory.models import ARGUMENTS, SANS
from kubefab.inventory.overlay import NAMED
from kubefab.mirrors import image
from kubefab.runtimes import cri_socket, through_cri_dockerd

API_PORT = 6443
# The static pods that kubeadm makes from a ClusterConfiguration -> the section of each.
SECTIONS = {
    "kube-apiserver": "apiServer",
    "kube-controller-manager": "controllerManager",
    "kube-scheduler": "scheduler",
}
# Its fields that can change in a running cluster, with no effect on anything else.
CHANGING = (*SECTIONS.values(), "certificateValidityPeriod", "caCertificateValidityPeriod", "encryptionAlgorithm")
STATIC_PODS = ("etcd", *SECTIONS)  # all of a control plane
MANIFESTS = tuple(f"{pod}.yaml" for pod in STATIC_PODS)  # their files in /etc/kubernetes/manifests
KUBELET, PROXY = "KubeletConfiguration", "KubeProxyConfiguration"
OWN = ("rotateCertificates",)  # of a kubelet: kubeadm sets these itself, whatever it is told
DOMAIN = ".kubefab.internal"
_HOUR = timedelta(hours=1)  # a life is some minutes longer: kubeadm dates each certificate back
_OF_CERTIFICATES = (
    "certificateValidityPeriod",
    "encryptionAlgorithm",
)  # hosts.yml's word on these holds for new ones


class Dumper(yaml.SafeDumper):
    """Quotes texts that Go would read as something else: y, 1e3 and 0o17 are texts only to Python."""


Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")  # Source: sigs.k8s.io/yaml, resolve.go
Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("[-+]?0o[0-7]+$"), list("-+0"))


def endpoint(inventory: Inventory) -> str:
    """The control plane's name, the same from the first day, so that one master can become three."""
    return server(inventory).rpartition(":")[0]


def server(inventory: Inventory) -> str:
    """The same with its port: the user's load balancer, or a name of ours."""
    cluster = inventory.cluster
    return cluster.endpoint or f"{cluster.name}{DOMAIN}:{API_PORT}"


def dns_domain(inventory: Inventory) -> str:
    """The domain of the cluster's own names."""
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

    kubefab leaves CoreDNS out of init, which disables it there; here it is enabled, so that its image is named.
    """
    stored = yaml.safe_load(configuration)
    dns = {key: value for key, value in (stored.get("dns") or {}).items() if key != "disabled"}
    return dumped([{**stored, "dns": dns, "kubernetesVersion": f"v{version}"}])


def flags(configuration: str) -> dict[str, tuple[str, list[str]]]:
    """The flags that a stored ClusterConfiguration, as YAML, gives: static pod -> the field, and the flags' names."""
    stored = yaml.safe_load(configuration) or {}
    etcd = {"etcd": ("etcd.local", (stored.get("etcd") or {}).get("local"))}
    sections = {pod: (section, stored.get(section)) for pod, section in SECTIONS.items()} | etcd
    return {
        pod: (f"{place}.extraArgs", [name for name, _ in _pairs((section or {}).get("extraArgs") or {})])
        for pod, (place, section) in sections.items()
    }


def upgrade_documents(inventory: Inventory, host: Host, patches: str, skipped: Sequence[str] = ()) -> str:
    """What `kubeadm upgrade apply` and `upgrade node` read; `patches`: a folder, "" for none.

    What preflight ignores, and how long kubeadm waits, is as hosts.yml says of this host's init or join.
    """
    said = [inventory.told(f"{kind}Configuration") or {} for kind in _made_by(inventory, host)]
    borne = [one for it in said for one in (it.get("nodeRegistration") or {}).get("ignorePreflightErrors") or ()]
    timeouts = {name: time for it in said for name, time in (it.get("timeouts") or {}).items()}
    how = {
        "ignorePreflightErrors": list(dict.fromkeys(borne)),
        "skipPhases": list(skipped),
        **({"patches": {"directory": patches}} if patches else {}),
    }
    version = f"v{inventory.cluster.kubernetes}"
    upgrade = {"apply": {"kubernetesVersion": version, **how}, "node": how}
    limits = {"timeouts": timeouts} if timeouts else {}
    return _dump(inventory, [{"apiVersion": _api(inventory), "kind": "UpgradeConfiguration", **upgrade, **limits}])


def _made_by(inventory: Inventory, host: Host) -> tuple[str, ...]:
    """A master among several may have made the cluster, or have joined it."""
    if host.role == "worker":
        return ("Join",)
    return ("Init", "Join") if len(inventory.masters) > 1 else ("Init",)


def settings(section: Mapping[str, Any]) -> dict[str, str]:
    """What a section of a ClusterConfiguration gives its static pod, named as a look does: "--FLAG" -> value."""
    found = together((f"--{name}", value) for name, value in _pairs(section.get("extraArgs") or {}))
    for one in _named(section, "extraVolumes"):
        volume, mount = f"volumes[{one['name']}].hostPath", f"volumeMounts[{one['name']}]"
        found[f"{volume}.path"], found[f"{mount}.mountPath"] = str(one.get("hostPath")), str(one.get("mountPath"))
        found |= {f"{volume}.type": str(one["pathType"])} if one.get("pathType") else {}
        found |= {f"{mount}.readOnly": "True"} if one.get("readOnly") else {}
    # kubeadm passes them on as they are, and Go omits empty fields.
    envs = [{key: value for key, value in one.items() if value} for one in _named(section, "extraEnvs")]
    return {**found, **(settings_of({"env": envs}) if envs else {})}


def wanted_settings(inventory: Inventory, pod: str) -> dict[str, str]:
    """What hosts.yml itself says of a static pod."""
    return settings(_as_given(inventory, inventory.told(f"ClusterConfiguration.{SECTIONS[pod]}") or {}))


def _as_given(inventory: Inventory, section: Mapping[str, Any]) -> dict[str, Any]:
    """With its arguments as kubeadm is given them: a map keeps only the last of a repeated name."""
    return {**section, "extraArgs": _arguments({}, section.get("extraArgs") or {}, inventory.release.lists_arguments)}


def component_settings(inventory: Inventory, kind: str) -> dict[str, str]:
    """What hosts.yml itself says of a kubelet or a kube-proxy."""
    return {name: value for name, value in settings_of(inventory.told(kind) or {}).items() if name not in OWN}


def kubelet_flags(inventory: Inventory, host: Host) -> list[dict[str, str]]:
    """The flags that hosts.yml gives a kubelet, "--FLAG" -> value: by each document that may have made it."""
    said = [inventory.told(f"{kind}Configuration.nodeRegistration") or {} for kind in _made_by(inventory, host)]
    return [settings(_as_given(inventory, {"extraArgs": one.get("kubeletExtraArgs")})) for one in said]


def given(inventory: Inventory) -> list[str]:
    """The settings that hosts.yml gives static pods and the kubelet: NAME:SETTING."""
    static = [f"{pod}:{setting}" for pod in SECTIONS for setting in wanted_settings(inventory, pod)]
    return [*static, *(f"kubelet:{setting}" for setting in component_settings(inventory, KUBELET))]


def loaded(stored: str) -> dict[str, Any]:
    """A stored ClusterConfiguration."""
    found: dict[str, Any] = yaml.safe_load(stored)
    return found


def put_right(inventory: Inventory, stored: str, dropped: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """A stored ClusterConfiguration, as YAML, with what hosts.yml says in its place, as far as that can change.

    All else stays, whoever wrote it. `dropped`: by static pod, the settings that hosts.yml has said, and says no more.
    """
    found = loaded(stored)
    lists = found["apiVersion"].endswith("/v1beta4")
    for pod, section in SECTIONS.items():
        found[section] = _without(found.get(section) or {}, dropped.get(pod, ()))
    overlay = inventory.cluster.kubeadm.get("ClusterConfiguration", {})
    merged = _merge(found, {key: overlay[key] for key in CHANGING if overlay.get(key) is not None}, lists)
    for section in SECTIONS.values():
        merged[section] |= _joined(found[section], merged[section])
    return {key: value for key, value in merged.items() if value or key not in SECTIONS.values()}


def _without(section: Mapping[str, Any], dropped: Collection[str]) -> dict[str, Any]:
    """A section without these settings."""
    flags = {name.removeprefix("--") for name in dropped}
    named = {name.partition("[")[2].partition("]")[0] for name in dropped}
    kept = {key: value for key, value in section.items() if key != "extraArgs" and key not in NAMED}
    arguments = section.get("extraArgs") or {}
    if isinstance(arguments, Mapping):
        arguments = {name: value for name, value in arguments.items() if name not in flags}
    else:
        arguments = [one for one in arguments if one["name"] not in flags]
    lists = {key: [one for one in _named(section, key) if one["name"] not in named] for key in NAMED}
    return {**kept, **{key: value for key, value in ({"extraArgs": arguments} | lists).items() if value}}


def _joined(stored: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """Lists that keep what is stored beside what hosts.yml says."""
    joined: dict[str, Any] = {}
    for key in NAMED:
        if key in merged:
            theirs = {one["name"] for one in _named(merged, key)}
            joined[key] = [*(one for one in _named(stored, key) if one["name"] not in theirs), *_named(merged, key)]
    return joined | ({SANS: _names(merged[SANS])} if SANS in merged else {})


def _names(sans: Sequence[str]) -> list[str]:
    """Each once, in lower case, as kubeadm keeps them: k8s.io/kubernetes, cmd/kubeadm, LowercaseSANs."""
    return list(dict.fromkeys(str(name).lower() for name in sans))


def _named(section: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The items of a list. kubeadm takes the last of a repeated name, and refuses items without one."""
    found = [one for one in section.get(key) or () if isinstance(one, Mapping) and one.get("name")]
    return list({str(one["name"]): one for one in found}.values())


def component_put_right(inventory: Inventory, kind: str, stored: str, dropped: Collection[str]) -> dict[str, Any]:
    """A stored KubeletConfiguration or KubeProxyConfiguration, as YAML, with what hosts.yml says in its place.

    All else stays, whoever wrote it. `dropped`: the settings that hosts.yml has said, and says no more.
    """
    return _merge(_pruned(loaded(stored), "", dropped), inventory.told(kind) or {}, lists=True)


def gates_off(inventory: Inventory) -> dict[str, bool]:
    """The kubelet's feature gates that the container runtime cannot bear, as off."""
    return dict.fromkeys(inventory.release.gates_with_docker if through_cri_dockerd(inventory) else (), False)


def with_gates_off(inventory: Inventory, stored: str) -> dict[str, Any]:
    """A stored KubeletConfiguration, as YAML, with those gates off where it does not name them."""
    found = loaded(stored)
    return {**found, "featureGates": {**gates_off(inventory), **(found.get("featureGates") or {})}}


def _pruned(value: Any, place: str, dropped: Collection[str]) -> Any:
    """Without what is at these places, and without mappings that become empty by that."""
    if not isinstance(value, Mapping):
        return value
    found = {}
    for key, inner in value.items():
        here = f"{place}.{key}".removeprefix(".")
        kept = _pruned(inner, here, dropped)
        if not _is_dropped(inner, here, dropped) and (kept != {} or inner == {}):
            found[key] = kept
    return found


def _is_dropped(value: Any, place: str, dropped: Collection[str]) -> bool:
    """hosts.yml owns a list as a whole: it goes with any item, and comes back where hosts.yml still names it."""
    return place in dropped or (isinstance(value, list) and any(one.startswith(f"{place}[") for one in dropped))


def parts(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a ClusterConfiguration that can change, by their places: "apiServer: --profiling" -> value."""
    found = {key: configuration[key] for key in CHANGING if isinstance(configuration.get(key), str)}
    for section in SECTIONS.values():
        said = configuration.get(section) or {}
        found |= {f"{section}: {name}": value for name, value in settings(said).items()}
        found |= {f"{section}: {SANS}": ", ".join(_names(said[SANS]))} if said.get(SANS) else {}
    return found


def wanted_lasting(inventory: Inventory) -> dict[str, str]:
    """What hosts.yml says of fields that cannot change in a running cluster."""
    said = {key: value for key, value in (inventory.told("ClusterConfiguration") or {}).items() if value is not None}
    if etcd := inventory.told("ClusterConfiguration.etcd.local"):
        said["etcd"] = {**said["etcd"], "local": _as_given(inventory, etcd)}
    return lasting(said)


def lasting(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a ClusterConfiguration that cannot change in a running cluster, by their places."""
    etcd = (configuration.get("etcd") or {}).get("local") or {}
    others = {key: value for key, value in configuration.items() if key not in (*CHANGING, "etcd")}
    own = {key: value for key, value in etcd.items() if key != "extraArgs" and key not in NAMED}
    flags = {f"etcd: {name}": value for name, value in settings(etcd).items()}
    return {**settings_of({**others, **({"etcd": {"local": own}} if own else {})}), **flags}


def control_plane_documents(
    inventory: Inventory, name: str, address: str, port: int, *configuration: Mapping[str, Any], patches: str = ""
) -> str:
    """What `kubeadm init phase control-plane` and `upload-config` read on a master of a running cluster.

    `name`: its node's; `address`, `port`: those of its API server; `configuration`: the ClusterConfiguration, and a
    component's where that is meant; `patches`: the folder of the user's own, "" for none.
    """
    init = {
        "apiVersion": configuration[0]["apiVersion"],
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": address, "bindPort": port},
        "nodeRegistration": {"name": name, "criSocket": cri_socket(inventory)},
        **({"patches": {"directory": patches}} if patches else {}),
    }
    return dumped([init, *map(dict, configuration)])


def dumped(documents: Sequence[Any]) -> str:
    """The documents as one text, which kubeadm and kubectl read as they are."""
    return yaml.dump_all(documents, Dumper=Dumper, sort_keys=False)


def certificate_documents(
    inventory: Inventory, host: Host, stored: str, names: Sequence[str], life: timedelta, folder: str = ""
) -> str:
    """What kubeadm's commands for certificates read: with a file of their own they ask no API server.

    `stored`: the ClusterConfiguration that the cluster keeps, "" where nobody tells it; `names`: all that the API
    server's certificate is to have besides kubeadm's own; `life`: how long certificates are to be good where neither
    `stored` nor hosts.yml says so, zero for kubeadm's default; `folder`: where they are made, "" for the usual place.
    """
    ours = {**_cluster(inventory), "apiVersion": _api(inventory)}
    overlay = inventory.cluster.kubeadm.get("ClusterConfiguration", {})
    cluster = yaml.safe_load(stored) if stored else _merge(ours, overlay, inventory.release.lists_arguments)
    asked = {key: overlay[key] for key in _OF_CERTIFICATES if overlay.get(key) is not None}
    if not stored and inventory.release.limits_validity and life:
        asked = {"certificateValidityPeriod": f"{life // _HOUR}h", **asked}
    cluster |= {**asked, "apiServer": {**(cluster.get("apiServer") or {}), SANS: list(names)}}
    init = {
        "apiVersion": cluster["apiVersion"],
        "kind": "InitConfiguration",
        "localAPIEndpoint": _api_server(host),
        "nodeRegistration": {"name": host.name, "criSocket": cri_socket(inventory)},
    }
    return dumped([init, {**cluster, **({"certificatesDir": folder} if folder else {})}])


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
    # Of several addresses the kubelet would choose one by itself: kubernetes/kubeadm#203
    arguments = {"node-ip": str(host.address)}
    return {"name": host.name, "criSocket": cri_socket(inventory), "kubeletExtraArgs": arguments}


def _api_server(host: Host) -> dict[str, Any]:
    return {"advertiseAddress": str(host.address), "bindPort": API_PORT}


def _init(inventory: Inventory, host: Host) -> dict[str, Any]:
    return {
        "apiVersion": _api(inventory),
        "kind": "InitConfiguration",
        # kubeadm always makes a token. We mint one for each join, so that this one ends soon after init.
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
        # localhost is for the health check through a tunnel; kubeadm adds the endpoint, and each master's own name and
        # address to its certificate.
        "apiServer": {"certSANs": ["localhost", "127.0.0.1"]},
    }


def _images(inventory: Inventory) -> dict[str, Any]:
    """Where images come from, unless it is where kubeadm looks by itself."""
    repository = image(releases.REGISTRY, inventory)
    if repository == inventory.release.registry:
        return {}
    # Only for its own registry does kubeadm add CoreDNS's folder itself.
    return {"imageRepository": repository, "dns": {"imageRepository": repository + inventory.release.coredns}}


def _kubelet(inventory: Inventory) -> dict[str, Any]:
    gates = gates_off(inventory)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        **({"featureGates": gates} if gates else {}),
    }


def _proxy() -> dict[str, Any]:
    return {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}


def _dump(inventory: Inventory, documents: list[dict[str, Any]]) -> str:
    lists = inventory.release.lists_arguments
    overlays = inventory.cluster.kubeadm
    merged = [_merge(_merge({}, one, lists), overlays.get(one["kind"], {}), lists) for one in documents]
    return dumped(merged)


def _merge(ours: Mapping[str, Any], theirs: Mapping[str, Any], lists: bool) -> dict[str, Any]:
    """hosts.yml's word over ours: mappings key by key, arguments name by name, anything else as a whole.

    A null in hosts.yml takes nothing of ours away.
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
