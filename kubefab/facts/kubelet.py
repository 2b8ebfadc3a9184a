"""Whether the API server lets in whoever this host's kubelet is."""

from dataclasses import dataclass

from kubefab.facts.part import Part


@dataclass(frozen=True)
class Kubelet(Part):
    refused: str = ""  # why not
