"""Until when this host's certificates are good, and which of them are really served."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, each, pairs


@dataclass(frozen=True)
class Certificates(Part):
    issued: Mapping[str, str] = pairs("certificate")  # path -> DER, in base64
    clients: Mapping[str, str] = pairs("client")  # a .conf's path -> its user's certificate: PEM, in base64
    written: Mapping[str, float] = pairs("written")  # a file's path, or a .conf's -> when, in seconds of the epoch
    began: Mapping[str, float] = pairs("process")  # a static pod's name -> when, in the same seconds
    served: Mapping[str, str] = pairs("served")  # port -> DER, in base64; "none" where it was not shown
    otherwise: tuple[str, ...] = ()  # ports whose program was told of another certificate than kubeadm's, or its own
    unserved: str = ""  # why nobody could be asked for it
    renewal_begun: bool = False  # whether kubefab began to renew them, and has not ended
    remake_begun: bool = False  # the same, of making the API server's anew
    login: tuple[str, ...] = each("login")  # certificates in ~/.kube/config of the login: PEM, in base64
    login_apart: tuple[str, ...] = each("login_apart")  # others there, which scripts/renew-kubeconfig.sh leaves
