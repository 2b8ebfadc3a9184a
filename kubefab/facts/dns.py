"""Whether the cluster's DNS answers a host."""

from dataclasses import dataclass

from kubefab.facts.part import Part


@dataclass(frozen=True)
class Dns(Part):
    dns_at: str = ""  # the address that the kubelet gives to pods; "" where there is no kubelet, or it gives none
    dns_silent: bool = False  # whether one of several questions got no answer within 3 s, in which a packet may be lost
