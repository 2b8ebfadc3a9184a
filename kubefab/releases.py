"""What differs between Kubernetes minors, as tables: nowhere else does the program ask for a version.

Sources: kubeadm's own API packages (cmd/kubeadm/app/apis/kubeadm/*/doc.go), its constants (PauseVersion),
kubernetes/kubeadm#2200 (taints), KEP-4569 and kubernetes/kubernetes#134298 (cgroup v1).
"""

from dataclasses import dataclass

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
MASTER = "node-role.kubernetes.io/master"


@dataclass(frozen=True)
class Release:
    """One Kubernetes minor."""

    minor: str
    api: str  # of kubeadm's documents, the newest that this minor reads
    pause: str  # the sandbox image's tag
    taints: tuple[str, ...]  # what kubeadm puts on a master
    refuses_cgroup_v1: bool

    @property
    def lists_arguments(self) -> bool:
        """v1beta4 wants extraArgs as a list of {name, value}; before, it was a map."""
        return self.api == "v1beta4"


_BY_MINOR = {
    "1.17": Release("1.17", "v1beta2", "3.1", (MASTER,), False),
    **{minor: Release(minor, "v1beta2", "3.2", (MASTER,), False) for minor in ("1.18", "1.19", "1.20")},
    "1.21": Release("1.21", "v1beta2", "3.4.1", (MASTER,), False),
    "1.22": Release("1.22", "v1beta3", "3.5", (MASTER,), False),
    "1.23": Release("1.23", "v1beta3", "3.6", (MASTER,), False),
    "1.24": Release("1.24", "v1beta3", "3.7", (MASTER, CONTROL_PLANE), False),
    "1.25": Release("1.25", "v1beta3", "3.8", (CONTROL_PLANE,), False),
    **{minor: Release(minor, "v1beta3", "3.9", (CONTROL_PLANE,), False) for minor in ("1.26", "1.27", "1.28")},
    **{minor: Release(minor, "v1beta3", "3.9", (CONTROL_PLANE,), False) for minor in ("1.29", "1.30")},
    **{minor: Release(minor, "v1beta4", "3.10", (CONTROL_PLANE,), False) for minor in ("1.31", "1.32", "1.33")},
    "1.34": Release("1.34", "v1beta4", "3.10.1", (CONTROL_PLANE,), False),
    "1.35": Release("1.35", "v1beta4", "3.10.1", (CONTROL_PLANE,), True),
    "1.36": Release("1.36", "v1beta4", "3.10.2", (CONTROL_PLANE,), True),
    "1.37": Release("1.37", "v1beta4", "3.10.2", (CONTROL_PLANE,), True),
}
# Those that pkgs.k8s.io has; the older ones want Docker and a private mirror.
MINORS = tuple(minor for minor in _BY_MINOR if int(minor.partition(".")[2]) >= 24)


def known(version: str) -> bool:
    """Whether this version can be installed, by its minor: a patch release not seen yet is fine."""
    return version.rpartition(".")[0] in MINORS


def release(version: str) -> Release:
    """The table of a version such as "1.37.2". KeyError where it is not known."""
    return _BY_MINOR[version.rpartition(".")[0]]
