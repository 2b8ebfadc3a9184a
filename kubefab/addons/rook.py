"""Rook: Ceph's storage from raw disks. The Ceph cluster itself is an object of its own, from the disks of hosts.yml."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kubefab.addons.addon import RAW, Addon, Document, Manifest, Version, parsed
from kubefab.facts import CEPH

NAMESPACE = "rook-ceph"
OPERATOR = f"{NAMESPACE}/rook-ceph-operator"
ENOUGH = 3  # nodes, for Ceph's monitors to stand apart
FILES, OLD_FILES = "v1.20.6/deploy/examples", "v1.3.11/cluster/examples/kubernetes/ceph"


@dataclass(frozen=True)
class Ceph:
    """What a release of rook makes a Ceph cluster of."""

    image: str
    cluster: Manifest  # with three monitors on three nodes
    cluster_test: Manifest  # upstream's for fewer
    below_dev: str = "/dev/"  # how a disk is called that is no link: by its path, or by its name alone

    def manifest(self, nodes: int) -> Manifest:
        return self.cluster if nodes >= ENOUGH else self.cluster_test


def manifest(folder: str, name: str, sha256: str) -> Manifest:
    return Manifest(f"{RAW}/rook/rook/{folder}/{name}.yaml", sha256)


CEPHS = {
    "1.20.6": Ceph(
        "quay.io/ceph/ceph:v20.2.4",
        manifest(FILES, "cluster", "e4c2e916115fe7e8a99f6bc56e43eb79342db0ca2b5ad30f293f6469aa8778d9"),
        manifest(FILES, "cluster-test", "d09a558d0263ebc80208b70a67877bbc6e5f5fd97df0089fe61cd9054ea752f6"),
    ),
    # The guide's. It knows links below /dev by their paths, and all other disks by their names.
    "1.3.11": Ceph(
        "docker.io/ceph/ceph:v14.2.10",
        manifest(OLD_FILES, "cluster", "a656a247200e2fe1941ee153fa6376926b3b017d1599f2f4b56076c379610851"),
        manifest(OLD_FILES, "cluster-test", "f03a3bfbc6c1779df424aba95d20eff67977932bdaa07a704ebeef6ec337c23e"),
        below_dev="",
    ),
}


def edit(document: Document) -> Iterator[Document]:
    if document["kind"] == "OperatorConfig":
        # Two of each are never on one node, and where just one takes pods the second would wait for ever.
        document["spec"]["driverSpecDefaults"]["controllerPlugin"]["replicas"] = 1
    yield document


def name_of(used: Manifest) -> str:
    return used.url.rpartition("/")[2].removesuffix(".yaml")


def cluster_mark(version: str, used: Manifest, disks: Mapping[str, Sequence[str]]) -> str:
    """What a Ceph cluster was made of: one look tells whether hosts.yml says the same."""
    return " ".join((version, name_of(used), *(f"{node}={','.join(devices)}" for node, devices in disks.items())))


def cluster_documents(text: str, ceph: Ceph, disks: Mapping[str, Sequence[str]], mark: str) -> list[Document]:
    """Upstream's Ceph cluster on these disks and no other."""
    documents = parsed(text)
    for document in documents:
        if document["kind"] == "CephCluster":
            document["metadata"].setdefault("annotations", {})[CEPH] = mark
            spec = document["spec"]
            spec["cephVersion"]["image"] = ceph.image
            # Upstream's file takes every empty disk of every node.
            spec["storage"] |= {"useAllNodes": False, "useAllDevices": False}
            spec["storage"]["nodes"] = [
                {"name": node, "devices": [{"name": _called(device, ceph)} for device in devices]}
                for node, devices in disks.items()
            ]
    return documents


def _called(device: str, ceph: Ceph) -> str:
    name = device.removeprefix("/dev/")
    return device if "/" in name else ceph.below_dev + name


ROOK = Addon(
    name="rook",
    versions=(
        Version(
            "1.20.6",
            (
                manifest(FILES, "crds", "7fa7462d44b35d636703a03a88120030692a06a05ac91ec253200cb4ae8c37cf"),
                manifest(FILES, "common", "2d59b3093446dcf7dd69c73ebaef2d41e8cdfd14af564c2e885d49ab8d190457"),
                manifest(FILES, "csi-operator", "de0bf9160c8370220353d7140a4b60ee6d4b8eda5e260f395fd00cbdc1059ffb"),
                manifest(FILES, "operator", "c69bb7309b6dfc34a1eeab658a1f9c825c7d156fb26dc1a6a824f6a9735761a4"),
            ),
            first="1.31",
            last="1.36",
            oldest="1.22",
            images=(
                CEPHS["1.20.6"].image,
                # As operator.yaml tells Ceph-CSI's operator; the seventh is for those who set deployCsiAddons.
                "registry.k8s.io/sig-storage/csi-provisioner:v6.2.0",
                "registry.k8s.io/sig-storage/csi-attacher:v4.12.0",
                "registry.k8s.io/sig-storage/csi-resizer:v2.1.0",
                "registry.k8s.io/sig-storage/csi-snapshotter:v8.5.0",
                "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.17.0",
                "quay.io/cephcsi/cephcsi:v3.17.0",
            ),
            apart=(CEPHS["1.20.6"].cluster, CEPHS["1.20.6"].cluster_test),
        ),
        Version(
            "1.3.11",
            (
                manifest(OLD_FILES, "common", "9a1dd58ed84efe399e3738d64e10246c80d810a27dadaf977743742532985fe5"),
                manifest(OLD_FILES, "operator", "ce3bd46b9c3bcd80ad237a22e20e6c6b03aae8468116e687e271cb512fd7d036"),
            ),
            first="1.11",
            last="1.21",
            newest="1.21",  # its kinds are of apiextensions.k8s.io/v1beta1
            images=(
                CEPHS["1.3.11"].image,
                # As the comments of operator.yaml tell of what the operator starts.
                "quay.io/k8scsi/csi-provisioner:v1.4.0",
                "quay.io/k8scsi/csi-attacher:v2.1.0",
                "quay.io/k8scsi/csi-resizer:v0.4.0",
                "quay.io/k8scsi/csi-snapshotter:v1.2.2",
                "quay.io/k8scsi/csi-node-driver-registrar:v1.2.0",
                "quay.io/cephcsi/cephcsi:v2.1.2",
            ),
            apart=(CEPHS["1.3.11"].cluster, CEPHS["1.3.11"].cluster_test),
        ),
    ),
    workload=OPERATOR,
    edit=edit,
    drivers=tuple(f"{NAMESPACE}.{kind}.csi.ceph.com" for kind in ("rbd", "cephfs", "nfs")),
)
