"""What kubeadm made on a master, for people to understand."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.node import Authority
from kubefab.facts.part import Part, pairs


@dataclass(frozen=True)
class Explained(Part):
    certificates: Mapping[str, str] = pairs("certificate")  # path -> DER, in base64
    confs: Mapping[str, str] = pairs("conf")  # path -> server, and the user's certificate
    static_pods: Mapping[str, str] = pairs("static_pod")  # manifest -> image
    tokens: Mapping[str, str] = pairs("token")  # id -> end and description, all in base64
    tokens_told: bool = False  # whether the API server has said which there are
    info_told: bool = False  # and whether it has said what everybody may read
    info_server: str = ""
    info_ca: Authority = ""
