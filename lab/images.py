"""Container images, written straight into the layout in which a registry keeps them."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lab.components import PARTS
from lab.distribution import BASE, architecture
from lab.parts import Job, Part
from lab.settings import FLANNEL, KUBERNETES, LOCAL_PATH, METRICS_SERVER, ROOK, LabError
from lab.shell import run

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
# Not compressed: the layers travel over a bridge, unpacking is what would take time.
LAYER = "application/vnd.oci.image.layer.v1.tar"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNPRIVILEGED = "65532:65532"


@dataclass(frozen=True)
class Image:
    """`files`: place in the image -> (component, binary). On Debian's base, or on nothing at all."""

    name: str
    tag: str
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    base: bool = False
    entrypoint: Sequence[str] = ()
    stands_in_for: str = ""


def kubernetes_images(component: str, version: str) -> list[Image]:
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    places = {name: {f"usr/local/bin/{name}": (component, name)} for name in names}
    return [Image(name, f"v{version}", places[name], base=name == "kube-proxy") for name in names]


def etcd_image(component: str, tag: str) -> Image:
    return Image("etcd", tag, {f"usr/local/bin/{name}": (component, name) for name in ("etcd", "etcdctl", "etcdutl")})


def coredns_image(component: str, tag: str) -> Image:
    return Image("coredns/coredns", tag, {"coredns": (component, "coredns")}, entrypoint=["/coredns"])


def flannel_image(component: str, version: str) -> Image:
    files = {f"opt/bin/{name}": (component, name) for name in ("flanneld", "install-conf")}
    return Image("flannel-io/flannel", f"v{version}", files, base=True, entrypoint=["/opt/bin/flanneld"])


def stand_in(what: str, name: str, tag: str, command: str = "") -> Image:
    """What cannot be built here, under the name by which it is asked for. Its program says what it is.

    `command` is what a manifest calls in the image instead of its entry point.
    """
    program = command or f"stand-in-for-{what}"
    return Image(name, tag, {program: ("stand-in", "stand-in")}, entrypoint=[f"/{program}"], stands_in_for=what)


IMAGES = [
    *kubernetes_images("kubernetes", KUBERNETES),
    etcd_image("etcd", "3.7.0-0"),
    coredns_image("coredns", "v1.14.6"),
    Image("pause", "3.10.2", {"pause": ("pause", "pause")}, entrypoint=["/pause"]),
    flannel_image("flannel", FLANNEL),
    # On the base for its `cp`, which the manifest calls.
    Image("flannel-io/flannel-cni-plugin", "v1.9.1-flannel3", {"flannel": ("flannel-cni", "flannel")}, base=True),
    Image("lab/tools", "1", base=True),
    # Debian's. What docs/first-hour.md deploys: a page that anybody can follow has no image of the lab's own.
    Image("library/busybox", "1.37.0", base=True),
]
ADDONS = [
    Image(
        "metrics-server/metrics-server",
        f"v{METRICS_SERVER}",
        {"metrics-server": ("metrics-server", "metrics-server")},
        entrypoint=["/metrics-server"],
    ),
    Image(
        "rancher/local-path-provisioner",
        f"v{LOCAL_PATH}",
        {"usr/bin/local-path-provisioner": ("local-path", "local-path-provisioner")},
    ),
    stand_in("headlamp", "headlamp-k8s/headlamp", "v0.45.0"),
    *(stand_in("dashboard", "kubernetesui/dashboard", tag) for tag in ("v2.0.0", "v2.7.0")),
    *(stand_in("metrics-scraper", "kubernetesui/metrics-scraper", tag) for tag in ("v1.0.4", "v1.0.8")),
    stand_in("rook", "rook/ceph", f"v{ROOK}"),
    stand_in("ceph-csi-operator", "cephcsi/ceph-csi-operator", "v1.0.4", "manager"),
]


class Storage:
    """A registry's file system: blobs by digest, and links to them by name."""

    def __init__(self, root: Path) -> None:
        self.root = root / "docker/registry/v2"

    def blob(self, content: bytes | Path, media_type: str) -> dict[str, Any]:
        """Keep it, and return what manifests call it."""
        digest = sha256(content)
        place = self.root / "blobs/sha256" / digest[:2] / digest / "data"
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
        elif not place.exists():
            place.hardlink_to(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": place.stat().st_size}

    def link(self, name: str, below: str, digest: str) -> None:
        place = self.root / "repositories" / name / below / "link"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(digest)

    def image(self, name: str, tag: str, manifest: Mapping[str, Any]) -> None:
        """An image under its name and tag."""
        digest = self.blob(json.dumps(manifest).encode(), MANIFEST)["digest"]
        path = digest.replace(":", "/")
        for blob in (manifest["config"], *manifest["layers"]):
            self.link(name, "_layers/" + blob["digest"].replace(":", "/"), blob["digest"])
        for below in ("revisions", f"tags/{tag}/index"):
            self.link(name, f"_manifests/{below}/{path}", digest)
        self.link(name, f"_manifests/tags/{tag}/current", digest)


def sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reproducible(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = "root"
    return info


def layer(files: Mapping[str, Path]) -> bytes:
    """A tar of a few binaries, the same for the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, path in files.items():
            tar.add(path, name, filter=reproducible)
    return buffer.getvalue()


def config(image: Image, arch: str, layers: Sequence[Mapping[str, Any]]) -> bytes:
    """As the layers are not compressed, their digests are the diff_ids too."""
    settings: dict[str, Any] = {"Env": [PATH], "Entrypoint": list(image.entrypoint)}
    if image.stands_in_for:
        settings |= {"Env": [PATH, f"STAND_IN_FOR={image.stands_in_for}"], "User": UNPRIVILEGED}
    rootfs = {"type": "layers", "diff_ids": [each["digest"] for each in layers]}
    return json.dumps({"architecture": arch, "os": "linux", "config": settings, "rootfs": rootfs}).encode()


def store(image: Image, storage: Storage, arch: str, parts: Mapping[str, Part]) -> None:
    layers = [storage.blob(BASE.place / "root.tar", LAYER)] if image.base else []
    files = {place: parts[component].place / name for place, (component, name) in image.files.items()}
    if files:
        layers.append(storage.blob(layer(files), LAYER))
    described = storage.blob(config(image, arch, layers), CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": layers}
    storage.image(image.name, image.tag, manifest)


def check_wanted(version: str, built: Part, images: Sequence[Image]) -> None:
    """kubeadm itself says which images it will ask for."""
    listed = run(built.place / "kubeadm", "config", "images", "list", "--kubernetes-version", f"v{version}")
    wanted = {line.removeprefix("registry.k8s.io/") for line in listed.splitlines()}
    if missing := wanted - {f"{image.name}:{image.tag}" for image in images}:
        raise LabError(f"kubeadm {version} wants images that the lab does not make: {sorted(missing)}")


def store_all(images: Sequence[Image], parts: Mapping[str, Part], job: Job) -> None:
    storage = Storage(job.out)
    for image in images:
        store(image, storage, architecture(), parts)


def made_of(images: Sequence[Image], parts: Mapping[str, Part]) -> tuple[Part, ...]:
    return (*(parts[name] for name in sorted({name for image in images for name, _ in image.files.values()})), BASE)


def make(images: Sequence[Image], job: Job) -> None:
    check_wanted(KUBERNETES, PARTS["kubernetes"], images)
    store_all(images, PARTS, job)


def part(name: str, images: Sequence[Image]) -> Part:
    return Part(
        name,
        f"{len(images)} container images",
        (Path(__file__),),
        partial(make, images),
        seconds=10,
        needs=made_of(images, PARTS),
        gigabytes=1.2,
    )


PART = part("images", IMAGES)
ALL = part("all-images", [*IMAGES, *ADDONS])
