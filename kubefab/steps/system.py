"""The machine as Kubernetes wants it: no swap, and a kernel that forwards."""

from collections.abc import Mapping

from kubefab import kubeadm, render
from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.questions import MODULES
from kubefab.step import MISSING, Gap, Step, files, script, when


def steps(cluster: Cluster, host: Host) -> list[Step]:
    return [
        *when(not kubeadm.bears_swap(cluster.inventory), swap_is_off()),
        files("kernel settings persist across reboots", render.kernel()),
        Step(
            "kernel modules are loaded",
            missing_modules,
            script("load-modules.sh", *MODULES),
            hint=_MODULES,
            parts=("system",),
        ),
        Step(
            "kernel settings are in effect",
            unlike(render.SYSCTL),
            script("apply-sysctl.sh"),
            parts=("system",),
        ),
    ]


def swap_is_off() -> Step:
    """Off now, and off after every boot."""
    return Step("swap is off", swap, script("swap-off.sh"), parts=("system",))


def swap(facts: Facts) -> str | None:
    return "; ".join((*facts.system.swap, *facts.system.swap_later)) or None


def missing_modules(facts: Facts) -> str | None:
    return ", ".join(module for module in MODULES if not facts.system.can(module)) or None


def unlike(wanted: Mapping[str, str]) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = {key: facts.system.setting(key) for key in wanted}
        return ", ".join(f"{key} = {found[key] or MISSING}" for key in wanted if found[key] != wanted[key]) or None

    return gap


_MODULES = (
    "where the kernel was upgraded since the boot: reboot; else install its modules, on Debian: apt-get install "
    "linux-image-$(dpkg --print-architecture), on Ubuntu: apt-get install linux-modules-$(uname -r); a container (LXC) "
    "has those of its host: modprobe overlay, modprobe br_netfilter there"
)
