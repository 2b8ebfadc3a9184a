"""The machine itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, each, pairs


@dataclass(frozen=True)
class System(Part):
    os: str = ""
    os_version: str = ""
    arch: str = ""
    kernel: str = ""
    cpus: int = 0
    memory_mib: int = 0
    disk_mib: int = 0
    hostname: str = ""
    machine_id: str = ""
    product_uuid: str = ""
    addresses: Mapping[str, str] = pairs("address")  # address -> interface
    clock: float = 0  # what the host's clock showed, in seconds of the epoch
    asked: float = 0  # what ours showed at the same moment: the look's caller adds that line
    cgroups: str = ""
    lacks: tuple[str, ...] = ()
    swap: tuple[str, ...] = ()
    swap_later: tuple[str, ...] = ()
    modules: tuple[str, ...] = each("module")
    sysctl: Mapping[str, str] = pairs("sysctl")
    endpoints: Mapping[str, str] = pairs("endpoint")  # name -> address, of /etc/hosts

    @property
    def skew(self) -> float:
        """Seconds that the host's clock is ahead of ours."""
        return self.clock - self.asked
