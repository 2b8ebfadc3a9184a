"""A master's API server on its own health: no script's word, but that of kubefab/api.py."""

from dataclasses import dataclass
from typing import Self

from kubefab.facts.part import Part

FORBIDDEN = "sshd forbids TCP forwarding (AllowTcpForwarding, PermitOpen)"  # a readyz that nobody may ask for


@dataclass(frozen=True)
class Api(Part):
    readyz: str = ""  # "ok", or why there is no such answer; "" where there is no control plane

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(text)
