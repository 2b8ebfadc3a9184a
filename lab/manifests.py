"""Upstream's manifests, byte for byte, at the paths of their public addresses."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lab.components import PARTS, ROOK_FILES
from lab.parts import Job, Part
from lab.settings import FLANNEL, HERE, LOCAL_PATH, METRICS_SERVER, ROOK, LabError
from lab.shell import run

# Those of add-ons that no Go module carries, as they were published.
PUBLISHED = HERE / "published"
RAW = "raw.githubusercontent.com"
ROOK_SHA256 = {
    "crds": "7fa7462d44b35d636703a03a88120030692a06a05ac91ec253200cb4ae8c37cf",
    "common": "2d59b3093446dcf7dd69c73ebaef2d41e8cdfd14af564c2e885d49ab8d190457",
    "csi-operator": "de0bf9160c8370220353d7140a4b60ee6d4b8eda5e260f395fd00cbdc1059ffb",
    "operator": "c69bb7309b6dfc34a1eeab658a1f9c825c7d156fb26dc1a6a824f6a9735761a4",
    "cluster": "e4c2e916115fe7e8a99f6bc56e43eb79342db0ca2b5ad30f293f6469aa8778d9",
    "cluster-test": "d09a558d0263ebc80208b70a67877bbc6e5f5fd97df0089fe61cd9054ea752f6",
}
# public address without its scheme -> (component that carries the file, its name there, sha256)
MANIFESTS = {
    f"{RAW}/flannel-io/flannel/v{FLANNEL}/Documentation/kube-flannel.yml": (
        "flannel",
        "kube-flannel.yml",
        "944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5",
    ),
}
ADDONS = {
    f"{RAW}/rancher/local-path-provisioner/v{LOCAL_PATH}/deploy/local-path-storage.yaml": (
        "local-path",
        "local-path-storage.yaml",
        "fe682186b00400fe7e2b72bae16f63e47a56a6dcc677938c6642139ef670045e",
    ),
    **{
        f"{RAW}/rook/rook/v{ROOK}/deploy/examples/{name}.yaml": ("rook", f"{name}.yaml", ROOK_SHA256[name])
        for name in ROOK_FILES
    },
}
# Published as an asset of the release alone, which is made by kustomize.
COMPONENTS = f"github.com/kubernetes-sigs/metrics-server/releases/download/v{METRICS_SERVER}/components.yaml"
COMPONENTS_SHA256 = "1cec29a5267809306a2c6ec74a3e449abbb705b4a8beed0c8a1963910f72c79b"


def make(manifests: Mapping[str, tuple[str, str, str]], job: Job) -> None:
    for address, (component, name, sha256) in manifests.items():
        put(job, address, (PARTS[component].place / name).read_bytes(), sha256)


def make_all(job: Job) -> None:
    shutil.copytree(PUBLISHED, job.out, dirs_exist_ok=True)
    make(MANIFESTS | ADDONS, job)
    put(job, COMPONENTS, components(), COMPONENTS_SHA256)


def put(job: Job, address: str, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise LabError(f"what was made here is not the file published at https://{address}")
    place = job.out / address
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def components() -> bytes:
    """metrics-server's release manifest, as its Makefile makes it."""
    kubectl = PARTS["kubernetes"].place / "kubectl"
    release = PARTS["metrics-server"].place / "manifests/overlays/release"
    return f"{run(kubectl, 'kustomize', release)}\n".encode()


def part(name: str, about: str, make: Callable[[Job], None], made_of: Sequence[str]) -> Part:
    needs = tuple(PARTS[each] for each in made_of)
    return Part(name, about, (Path(__file__), PUBLISHED), make, seconds=1, needs=needs, gigabytes=0)


PART = part("manifests", "upstream's manifests", partial(make, MANIFESTS), ["flannel"])
ALL = part(
    "all-manifests",
    "upstream's manifests, those of the add-ons too",
    make_all,
    ["flannel", "kubernetes", "metrics-server", "local-path", "rook"],
)
