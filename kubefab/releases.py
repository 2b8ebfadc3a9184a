"""What differs between Kubernetes minors, as tables: nowhere else does the program ask for a version.

Feature gates, of which there are many, have tables of their own: gates.py.

Sources: kubeadm's own API packages (cmd/kubeadm/app/apis/kubeadm/*/doc.go), its constants (PauseVersion),
kubernetes/kubeadm#2200 (taints), KEP-4569 and kubernetes/kubernetes#134298 (cgroup v1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

from kubefab import gates

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
MASTER = "node-role.kubernetes.io/master"
REGISTRY = "registry.k8s.io"
PACKAGES = "https://pkgs.k8s.io/"
# What it signs with, "isv:kubernetes OBS Project": one for all minors (kubernetes/release#3818).
KEY = "DE15B14486CD377B9E876E1A234654DA9A296436"
# cri-dockerd is no part of Kubernetes: this one is for all minors. Sums of its release's archives, by machine.
CRI_DOCKERD = "0.3.24"
CRI_DOCKERD_SHA256 = {
    "x86_64": "dd4b7f514c248a3aaca398f467430a4c58aae9a77ea8b96a2f5b5d6fba0948d1",
    "aarch64": "c783a03735887c4a8fc894bd4cf7a1c0defef3ecf50a4d79ff31eed45c26b17e",
}


@dataclass(frozen=True)
class Flannel:
    """A release of flannel, and its manifest's pin."""

    version: str
    sha256: str


@dataclass(frozen=True)
class Repository:
    """An apt repository, as its publisher has or had it."""

    url: str
    key: str  # the URL of what it is signed with
    suite: str = "/"  # and components; "/": everything lies flat in one folder


# The one of all minors until 2024, gone since: mirrors still have it.
OLD_REPOSITORY = Repository(
    "https://apt.kubernetes.io/", "https://packages.cloud.google.com/apt/doc/apt-key.gpg", "kubernetes-xenial main"
)


@dataclass(frozen=True)
class Release:
    """One Kubernetes minor."""

    minor: str
    api: str  # of kubeadm's documents, the newest that this minor reads
    pause: str  # the sandbox image's tag
    taints: tuple[str, ...]  # what kubeadm puts on a master
    refuses_cgroup_v1: bool = False
    runtimes: tuple[str, ...] = ("containerd", "docker")
    dockershim: bool = False  # the kubelet talks to Docker by itself, else through cri-dockerd
    published: bool = True  # pkgs.k8s.io has it; the older ones are to be had from a mirror alone
    registry: str = REGISTRY  # where its kubeadm takes images from unless it is told
    coredns: str = "/coredns"  # the folder of CoreDNS's image in a registry
    # What reads documents strictly, or at least warns, before anything is changed, for init and for join.
    checks: tuple[str, str] = ("config validate", "config validate")
    gates_with_docker: tuple[str, ...] = ()  # the kubelet's feature gates that cri-dockerd cannot live with
    mints_logins: bool = True  # its kubeadm lets the API server give a token of an hour: kubernetes/kubernetes#93258
    ports: tuple[int, ...] = (10257, 10259)  # where controller manager and scheduler tell of their health
    empties: str = "--delete-emptydir-data"  # how its `kubectl drain` is told that what is in an emptyDir goes
    names_itself: bool = True  # its kubectl tells under which name it patches: kubernetes/kubernetes#88885
    limits_certificates: bool = True  # a request says how long its certificate is to be good: KEP-2784
    # To which several members of etcd go before one of them goes to this minor's, as its image's tag: a late one of
    # their own minor (https://etcd.io/docs/v3.7/upgrades/). "": this minor's etcd is of the former's minor.
    etcd_before: str = ""
    # A single member goes there first, too: etcd 3.6 waits for members that were removed, and that one before
    # 3.5.26 has kept (https://etcd.io/blog/2025/zombie_members_upgrade/).
    etcd_before_alone: bool = False
    # Its first patch release that begins no StatefulSet's pods anew, if earlier ones do: kubernetes/kubernetes#134773
    spares_sets: str = ""
    # What this minor's programs, and its etcd, know no more and do not start with: patterns of flags, by program.
    gone_flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    upgrades: bool = True  # kubeadm is told by file how to upgrade to it: kubernetes/kubeadm#2489
    # kubeadm's commands that renew its certificates, and that sign one for a kubelet: kubernetes/kubeadm#2292
    # The latter is told of a cluster by file since 1.20, kubernetes/kubernetes#94879; "": it is not.
    renews: tuple[str, str] = ("certs renew", "kubeconfig user")
    # kubeadm's ConfigMap of kubelets has the minor in its name, as it had before 1.24: kubernetes/kubernetes#108027
    kubelets_by_minor: bool = False
    forces_off: bool = True  # the taint out-of-service takes a dead node's volumes from it: KEP-2268
    flannel: Flannel = Flannel("0.28.10", "944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5")

    @property
    def repositories(self) -> tuple[Repository, ...]:
        """Where a mirror may have its packages from."""
        url = f"{PACKAGES}core:/stable:/v{self.minor}/deb/"
        own = Repository(url, f"{url}Release.key")
        return (own,) if self.published else (own, OLD_REPOSITORY)

    @property
    def lists_arguments(self) -> bool:
        """v1beta4 wants extraArgs as a list of {name, value}; before, it was a map."""
        return self.api == "v1beta4"

    @property
    def limits_validity(self) -> bool:
        """kubeadm is told how long certificates are to be good since v1beta4."""
        return self.api == "v1beta4"

    @property
    def patches_dns(self) -> bool:
        """kubeadm takes patches for CoreDNS since 1.31, as it does v1beta4: kubernetes/kubernetes#124820."""
        return self.api == "v1beta4"


# kubeadm's own registry until 1.24 was frozen; its images are in the new one too.
_OLD = partial(
    Release,
    registry="k8s.gcr.io",
    checks=("config images list", "join phase preflight"),
    forces_off=False,
    upgrades=False,
)
_DOCKERSHIM = partial(
    _OLD,
    taints=(MASTER,),
    runtimes=("docker",),
    dockershim=True,
    published=False,
    kubelets_by_minor=True,
    # The CNI code within knows nothing of the newer ones' cniVersion: kubernetes/kubernetes#104861
    flannel=Flannel("0.28.9", "e875824be2f552b45711dbda91af81b17eb961d00025d914d9fef18fad8f09c0"),
)
_EMPTIES = "--delete-local-data"  # the same flag until 1.20: kubernetes/kubernetes#95076
_FOREVER = partial(_DOCKERSHIM, limits_certificates=False)
_ALPHA = partial(_FOREVER, renews=("alpha certs renew", ""))
_INSECURE = (10251, 10252, 10257, 10259)  # kubeadm switched the first two off in 1.19
_NAMELESS = partial(_ALPHA, coredns="", mints_logins=False, ports=_INSECURE, empties=_EMPTIES, names_itself=False)
# Its address for `kubectl exec` has no scheme, and is taken for https: Mirantis/cri-dockerd#569
_EXEC = ("ExtendWebSocketsToKubelet",)
# Compared in the sources, and told in CHANGELOG-1.33 to 1.37: kubernetes/kubernetes#130162; #130161, #122384; #133779;
# #138002, #139870. Of etcd: https://etcd.io/docs/v3.6/upgrades/upgrade_3_6/ and https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/
_GONE_1_33 = {"kube-apiserver": ("cloud-config", "cloud-provider")}
_GONE_1_34 = {
    "etcd": ("enable-v2", "experimental-enable-v2v3", "proxy", "proxy-*"),
    "kubelet": ("cloud-config", "register-schedulable"),
}
_GONE_1_35 = {"kubelet": ("pod-infra-container-image",)}
_GONE_1_37 = {
    "etcd": ("discovery", "discovery-proxy", "experimental-*"),
    "kube-controller-manager": ("concurrent-service-syncs",),
    "kubelet": (
        "application-metrics-count-limit",
        "boot-id-file",
        "container-hints",
        "containerd",
        "containerd-namespace",
        "enable-load-reader",
        "event-storage-age-limit",
        "event-storage-event-limit",
        "global-housekeeping-interval",
        "log-cadvisor-usage",
        "machine-id-file",
        "storage-driver-*",
    ),
}
_NOW = partial(Release, taints=(CONTROL_PLANE,))
_BY_MINOR = {
    release.minor: release
    for release in (
        _NAMELESS("1.17", "v1beta2", "3.1"),
        _NAMELESS("1.18", "v1beta2", "3.2"),
        _ALPHA("1.19", "v1beta2", "3.2", coredns="", mints_logins=False, empties=_EMPTIES),
        _FOREVER("1.20", "v1beta2", "3.2", coredns="", renews=("certs renew", "alpha kubeconfig user")),
        _FOREVER("1.21", "v1beta2", "3.4.1"),
        _DOCKERSHIM("1.22", "v1beta3", "3.5"),
        _DOCKERSHIM("1.23", "v1beta3", "3.6"),
        _OLD("1.24", "v1beta3", "3.7", taints=(MASTER, CONTROL_PLANE)),
        _OLD("1.25", "v1beta3", "3.8", taints=(CONTROL_PLANE,), registry=REGISTRY),
        *(_NOW(minor, "v1beta3", "3.9", upgrades=False) for minor in ("1.26", "1.27", "1.28", "1.29", "1.30")),
        _NOW("1.31", "v1beta4", "3.10", upgrades=False),
        _NOW("1.32", "v1beta4", "3.10"),
        _NOW("1.33", "v1beta4", "3.10", gone_flags=_GONE_1_33),
        # kubernetes/k8s.io#9672: the image is in the registry.
        _NOW(
            "1.34",
            "v1beta4",
            "3.10.1",
            etcd_before="3.5.32-0",
            etcd_before_alone=True,
            spares_sets="1.34.2",
            gone_flags=_GONE_1_34,
        ),
        _NOW("1.35", "v1beta4", "3.10.1", refuses_cgroup_v1=True, gone_flags=_GONE_1_35),
        _NOW("1.36", "v1beta4", "3.10.2", refuses_cgroup_v1=True, gates_with_docker=_EXEC),
        _NOW(
            "1.37",
            "v1beta4",
            "3.10.2",
            refuses_cgroup_v1=True,
            gates_with_docker=_EXEC,
            etcd_before="3.6.16-0",
            gone_flags=_GONE_1_37,
        ),
    )
}
MINORS = tuple(_BY_MINOR)
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")  # of a feature gate, as Go reads it


def known(version: str) -> bool:
    """Whether this version can be installed, by its minor: a patch release not seen yet is fine."""
    return version.rpartition(".")[0] in MINORS


def release(version: str) -> Release:
    """The table of a version such as "1.37.2". KeyError where it is not known."""
    return _BY_MINOR[version.rpartition(".")[0]]


def last_etcd_before(version: str) -> str:
    """The tag of the last etcd on its way that there was up to this version; "" for none."""
    return next((row.etcd_before for row in reversed(_up_to(version)) if row.etcd_before), "")


def is_gone(version: str, program: str, flag: str) -> bool:
    """Whether a program of this version, or the etcd that comes with it, knows that flag no more, with _ for - too."""
    rows = (row.gone_flags.get(program, ()) for row in _up_to(version))
    return any(fnmatchcase(flag.replace("_", "-"), pattern) for patterns in rows for pattern in patterns)


def refuses_gate(version: str, gate: str, value: str) -> str | None:
    """Why no program of this version starts with that value of a feature gate, as text; None where it does."""
    minors = [row.minor for row in _up_to(version)]
    if any(gate in gates.gone(minor) for minor in minors):
        return "is gone"
    fixed = next((one[gate] for one in map(gates.fixed, reversed(minors)) if gate in one), None)
    other = _FALSE if fixed else _TRUE
    return None if fixed is None or value.lower() not in other else f"can only be {str(fixed).lower()}"


def _up_to(version: str) -> list[Release]:
    """Its table, and those before."""
    return [_BY_MINOR[minor] for minor in MINORS[: MINORS.index(version.rpartition(".")[0]) + 1]]
