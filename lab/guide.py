"""The guide's own stack: Kubernetes 1.20.2 with dockershim, on machines of Debian 12."""

import shlex
import shutil
from functools import partial
from pathlib import Path

from lab import components, distribution, images, manifests, packages
from lab.components import Component
from lab.images import Image
from lab.parts import Job, Part
from lab.settings import HERE

SUITE = "bookworm"
KUBERNETES = "1.20.2"
FLANNEL = "0.28.9"
SCRIPT = HERE / "guide-stack/build-kubernetes.sh"
COMMANDS = (
    *("kubeadm", "kubelet", "kubectl", "kube-proxy"),
    *("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
)
COMPILERS = ("golang-1.19-go", "golang-github-modern-go-reflect2-dev", "dpkg-dev", "make", "rsync", "jq")
ETCD = ("etcd-server", "etcd-client")


def build_kubernetes(job: Job) -> None:
    """In a Debian 12 that is there for as long as this takes."""
    command = f'chroot "$1" sh /{SCRIPT.name} {KUBERNETES} /out {" ".join(COMMANDS)}'
    # mmdebstrap parts its own commands at blanks.
    hooks = (f"copy-in {shlex.quote(str(SCRIPT))} /", command, f"sync-out /out {shlex.quote(str(job.out))}")
    distribution.debootstrap(
        job,
        (*COMPILERS, *ETCD, "ca-certificates"),
        "--variant=apt",
        "--format=null",
        *(f"--customize-hook={hook}" for hook in hooks),
        suite=SUITE,
        types="deb deb-src",
    )


KUBERNETES_PART = Part(
    "guide-kubernetes",
    f"Kubernetes {KUBERNETES} from Debian {SUITE}'s source package",
    (SCRIPT, KUBERNETES, " ".join((*COMMANDS, *COMPILERS, *ETCD)), SUITE),
    build_kubernetes,
    seconds=600,
    compiles=True,
    gigabytes=6,
)
COMPONENTS = [
    Component("guide-coredns", "1.7.0", seconds=90, gigabytes=2),
    components.flannel("guide-flannel", FLANNEL),
]
BUILT = {part.name: part for part in (KUBERNETES_PART, *map(components.part, COMPONENTS))}
MACHINE = distribution.machine("guide-machine", SUITE)
MADE_OF = {**components.PARTS, **BUILT}
IMAGES = [
    *images.kubernetes_images("guide-kubernetes", KUBERNETES),
    # Linked with the C library.
    Image(
        "etcd", "3.4.23", {f"usr/local/bin/{name}": ("guide-kubernetes", name) for name in ("etcd", "etcdctl")}, True
    ),
    Image("coredns", "1.7.0", {"coredns": ("guide-coredns", "coredns")}, entrypoint=["/coredns"]),
    Image("pause", "3.2", {"pause": ("pause", "pause")}, entrypoint=["/pause"]),
    images.flannel_image("guide-flannel", FLANNEL),
    images.stand_in("rook", "rook/ceph", "v1.3.11"),
    images.stand_in("dashboard", "kubernetesui/dashboard", "v2.0.0"),
    images.stand_in("metrics-scraper", "kubernetesui/metrics-scraper", "v1.0.4"),
    *(image for image in images.IMAGES if image.name in ("flannel-io/flannel-cni-plugin", "lab/tools")),
]
IMAGES_PART = Part(
    "guide-images",
    f"{len(IMAGES)} container images of the guide's, Kubernetes {KUBERNETES}",
    (Path(__file__), Path(images.__file__)),
    partial(images.store_all, IMAGES, MADE_OF),
    seconds=10,
    needs=images.made_of(IMAGES, MADE_OF),
)


def make_packages(job: Job) -> None:
    # This kubeadm joins nobody whose folder for static pods holds anything at all.
    packages.make_old_repository(job, KUBERNETES, KUBERNETES_PART.place, without=[".kubelet-keep"])
    shutil.copytree(manifests.PUBLISHED, job.out, dirs_exist_ok=True)
    manifest = job.out / f"raw.githubusercontent.com/flannel-io/flannel/v{FLANNEL}/Documentation/kube-flannel.yml"
    manifest.parent.mkdir(parents=True)
    shutil.copy(BUILT["guide-flannel"].place / manifest.name, manifest)


PACKAGES_PART = Part(
    "guide-packages",
    f"the guide's package repository and flannel's manifest, Kubernetes {KUBERNETES}",
    (packages.KEYS, packages.FILES, manifests.PUBLISHED, Path(packages.__file__), Path(__file__)),
    make_packages,
    seconds=20,
    needs=(KUBERNETES_PART, components.PARTS["cni"], BUILT["guide-flannel"]),
)
PARTS = [PACKAGES_PART, IMAGES_PART, MACHINE]
