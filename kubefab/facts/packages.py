"""Debian packages."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, each, pairs, words
from kubefab.questions import PACKAGES, asked


@dataclass(frozen=True)
class Package:
    """A Debian package: dpkg's own word on it (`ii`, `hi`, `iF` …), and its version."""

    status: str
    version: str = ""

    @classmethod
    def read(cls, said: str) -> "Package":
        return cls(*words(said, 2))

    @property
    def installed(self) -> bool:
        return self.status[1:2] == "i"

    @property
    def held(self) -> bool:
        return self.status[:1] == "h"


@dataclass(frozen=True)
class AptSource:
    """A repository that some file names to apt; the keyring it is believed by is "-" where none is named."""

    file: str
    uri: str
    keyring: str

    @classmethod
    def read(cls, said: str) -> "AptSource":
        file, uri, keyring = said.split(" ", 2)
        return cls(file, uri, keyring)


@dataclass(frozen=True)
class Packages(Part):
    debs: Mapping[str, Package] = pairs("package")
    dpkg_broken: tuple[str, ...] = ()
    apt_lock: str = ""
    plugins: tuple[str, ...] = each("plugin")  # of the pods' network, in /opt/cni/bin
    fetched: tuple[str, ...] = ()  # files of Kubernetes' packages that apt has: kubelet_1.37.2-1.1_amd64.deb
    apt_sources: tuple[AptSource, ...] = each("apt_source")

    def deb(self, name: str) -> Package:
        """ValueError for one that no look asks of."""
        return self.debs.get(asked(name, PACKAGES), Package("un"))
