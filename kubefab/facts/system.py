"""The machine itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, each, pairs
from kubefab.questions import MODULES, SYSCTLS, asked


@dataclass(frozen=True)
class System(Part):
    os: str = ""
    os_version: str = ""
    arch: str = ""
    kernel: str = ""
    cpus: int = 0
    memory_mib: int = 0
    disk_mib: int = 0  # free, where pods, images and etcd will be
    disk_total_mib: int = 0
    hostname: str = ""
    machine_id: str = ""
    addresses: Mapping[str, str] = pairs("address")  # address -> interface
    addresses_untold: str = ""  # why `ip` does not say
    clock: float = 0  # what the host's clock showed, in seconds of the epoch
    asked: float = 0  # what ours showed at the same moment: the look's caller adds that line, and the next
    asked_within: float = 0  # seconds by which that may be wrong: half of what the look took
    cgroups: str = ""
    lacks: tuple[str, ...] = ()
    swap: tuple[str, ...] = ()
    swap_later: tuple[str, ...] = ()
    modules: tuple[str, ...] = each("module")
    sysctl: Mapping[str, str] = pairs("sysctl")
    sysctl_later: tuple[str, ...] = ()  # what is told after ours at boot: FILE KEY=VALUE
    shadowing: tuple[str, ...] = ()  # programs that come before the packages' of the same name
    endpoints: Mapping[str, str] = pairs("endpoint")  # name -> address, of /etc/hosts

    def can(self, module: str) -> bool:
        """Whether the kernel can do what this module is for. ValueError for one that no look asks of."""
        return asked(module, MODULES) in self.modules

    def setting(self, key: str) -> str:
        """The kernel's, "" where it knows none of this name. ValueError for one that no look asks of."""
        return self.sysctl.get(asked(key, SYSCTLS), "")

    @property
    def skew(self) -> float:
        """Seconds that the host's clock is ahead of ours."""
        return self.clock - self.asked
