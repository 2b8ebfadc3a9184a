"""Rook: Ceph's storage from raw disks. The Ceph cluster itself is an object of its own, from the disks of hosts.yml."""

from collections.abc import Iterator, Mapping, Sequence

from kubefab.addons.addon import RAW, Addon, Document, Manifest, Version, parsed
from kubefab.facts import CEPH

VERSION = "1.20.6"
CEPH_IMAGE = "quay.io/ceph/ceph:v20.2.4"
# As operator.yaml tells Ceph-CSI's operator; its seventh, `addons`, is for those who set deployCsiAddons.
CSI_IMAGES = (
    "registry.k8s.io/sig-storage/csi-provisioner:v6.2.0",
    "registry.k8s.io/sig-storage/csi-attacher:v4.12.0",
    "registry.k8s.io/sig-storage/csi-resizer:v2.1.0",
    "registry.k8s.io/sig-storage/csi-snapshotter:v8.5.0",
    "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.17.0",
    "quay.io/cephcsi/cephcsi:v3.17.0",
)
NAMESPACE = "rook-ceph"
OPERATOR = f"{NAMESPACE}/rook-ceph-operator"
ENOUGH = 3  # nodes, for Ceph's monitors to stand apart


def manifest(name: str, sha256: str) -> Manifest:
    return Manifest(f"{RAW}/rook/rook/v{VERSION}/deploy/examples/{name}.yaml", sha256)


CLUSTER = manifest("cluster", "e4c2e916115fe7e8a99f6bc56e43eb79342db0ca2b5ad30f293f6469aa8778d9")
CLUSTER_TEST = manifest("cluster-test", "d09a558d0263ebc80208b70a67877bbc6e5f5fd97df0089fe61cd9054ea752f6")


def edit(document: Document) -> Iterator[Document]:
    if document["kind"] == "OperatorConfig":
        # Two of each are never on one node, and where just one takes pods the second would wait for ever.
        document["spec"]["driverSpecDefaults"]["controllerPlugin"]["replicas"] = 1
    yield document


def cluster_manifest(nodes: int) -> Manifest:
    """Three monitors on three nodes, or upstream's cluster for fewer."""
    return CLUSTER if nodes >= ENOUGH else CLUSTER_TEST


def name_of(used: Manifest) -> str:
    return used.url.rpartition("/")[2].removesuffix(".yaml")


def cluster_mark(used: Manifest, disks: Mapping[str, Sequence[str]]) -> str:
    """What a Ceph cluster was made of: one look tells whether hosts.yml says the same."""
    return " ".join((VERSION, name_of(used), *(f"{node}={','.join(devices)}" for node, devices in disks.items())))


def cluster_documents(text: str, disks: Mapping[str, Sequence[str]], mark: str) -> list[Document]:
    """Upstream's Ceph cluster on these disks and no other."""
    documents = parsed(text)
    for document in documents:
        if document["kind"] == "CephCluster":
            document["metadata"].setdefault("annotations", {})[CEPH] = mark
            spec = document["spec"]
            spec["cephVersion"]["image"] = CEPH_IMAGE
            # Upstream's file takes every empty disk of every node.
            spec["storage"] |= {"useAllNodes": False, "useAllDevices": False}
            spec["storage"]["nodes"] = [
                {"name": node, "devices": [{"name": device} for device in devices]} for node, devices in disks.items()
            ]
    return documents


ROOK = Addon(
    name="rook",
    versions=(
        Version(
            VERSION,
            (
                manifest("crds", "7fa7462d44b35d636703a03a88120030692a06a05ac91ec253200cb4ae8c37cf"),
                manifest("common", "2d59b3093446dcf7dd69c73ebaef2d41e8cdfd14af564c2e885d49ab8d190457"),
                manifest("csi-operator", "de0bf9160c8370220353d7140a4b60ee6d4b8eda5e260f395fd00cbdc1059ffb"),
                manifest("operator", "c69bb7309b6dfc34a1eeab658a1f9c825c7d156fb26dc1a6a824f6a9735761a4"),
            ),
            first="1.31",
            last="1.36",
        ),
    ),
    workload=OPERATOR,
    edit=edit,
    images=(CEPH_IMAGE, *CSI_IMAGES),
    apart=(CLUSTER, CLUSTER_TEST),
)
