"""What else uses a host's network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network
from itertools import groupby
from typing import NamedTuple

from kubefab.facts.part import Part, each, pairs, words


@dataclass(frozen=True)
class Route:
    """Where packets for a network go."""

    network: IPv4Network
    interface: str

    @classmethod
    def read(cls, said: str) -> "Route":
        network, interface = words(said, 2)
        return cls(IPv4Network(network), interface)


@dataclass(frozen=True)
class OnInterface:
    """An address, and an interface that has it."""

    address: str
    interface: str

    @classmethod
    def read(cls, said: str) -> "OnInterface":
        address, interface = words(said, 2)
        return cls(address, interface)


class Link(NamedTuple):
    """A link as systemd-networkd knows it."""

    name: str
    type: str
    kind: str


# Conditions that a link which the pod network makes never meets: they name hardware.
HARDWARE = ("MACAddress", "PermanentMACAddress", "Path", "Driver", "Property", "SSID", "BSSID", "WLANInterfaceType")


@dataclass(frozen=True)
class Network(Part):
    addresses_on: tuple[OnInterface, ...] = each("address_on")
    routes: tuple[Route, ...] = each("route")
    vxlans: Mapping[str, int] = pairs("vxlan")  # link -> its UDP port
    ports: Mapping[int, str] = pairs("port")  # of TCP -> who listens
    udp: Mapping[int, str] = pairs("udp")  # the same
    networkd: tuple[str, ...] = ()  # .network files of a running systemd-networkd in its order: FILE, FILE Key=VALUE…

    def managed_by(self, link: Link) -> str | None:
        """The file by which systemd-networkd takes this link over: systemd.network(5)."""
        for file, conditions in self._files():
            if all(_met(key, value, link) for key, value in conditions if key != "Unmanaged"):
                return None if any(key == "Unmanaged" and _is_yes(value) for key, value in conditions) else file
        return None

    def _files(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        for file, lines in groupby(self.networkd, lambda line: line.partition(" ")[0]):
            said = [line.partition(" ")[2].partition("=") for line in lines]
            yield file, [(key.strip(), value.strip()) for key, _, value in said if key]


def _is_yes(value: str) -> bool:
    """As systemd reads it: src/basic/parse-util.c, parse_boolean."""
    return value.lower() in ("1", "yes", "y", "true", "t", "on")


def _met(key: str, value: str, link: Link) -> bool:
    found = {"Name": link.name, "Type": link.type, "Kind": link.kind}.get(key)
    if found is None:
        return key not in HARDWARE
    inverted, patterns = value.startswith("!"), value.removeprefix("!").split()
    return inverted != any(fnmatchcase(found, pattern) for pattern in patterns)
