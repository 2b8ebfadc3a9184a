"""Upstream's manifests, byte for byte, at the paths of their public addresses."""

import hashlib
import shutil
from pathlib import Path

from lab.components import PARTS
from lab.parts import Job, Part
from lab.settings import FLANNEL, LabError

# public address without its scheme -> (component that carries the file, its name there, sha256)
MANIFESTS = {
    f"raw.githubusercontent.com/flannel-io/flannel/v{FLANNEL}/Documentation/kube-flannel.yml": (
        "flannel",
        "kube-flannel.yml",
        "944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5",
    ),
}


def make(job: Job) -> None:
    for address, (component, name, sha256) in MANIFESTS.items():
        source = PARTS[component].place / name
        if hashlib.sha256(source.read_bytes()).hexdigest() != sha256:
            raise LabError(f"{source} is not the file published at https://{address}")
        place = job.out / address
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)


PART = Part(
    "manifests",
    "upstream's manifests",
    (Path(__file__),),
    make,
    seconds=1,
    needs=(PARTS["flannel"],),
    gigabytes=0,
)
