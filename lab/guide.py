"""The guide's own stack: Kubernetes 1.20.2 with dockershim, on machines of Debian 12."""

import shutil
from pathlib import Path

from lab import components, distribution, images, packages
from lab.components import Component
from lab.distribution import BASE
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
    hooks = (f"copy-in {SCRIPT} /", command, f"sync-out /out {job.out}")
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
    Component(
        "guide-flannel",
        FLANNEL,
        seconds=70,
        cgo=True,
        ldflags=f'-X {components.FLANNEL_MODULE}/pkg/version.Version=v{FLANNEL} -extldflags "-static"',
        rename={"flannel": "flanneld", "install_conf": "install-conf"},
        sources={f"{components.FLANNEL_MODULE}//Documentation/kube-flannel.yml": "kube-flannel.yml"},
    ),
]
BUILT = {part.name: part for part in (KUBERNETES_PART, *map(components.part, COMPONENTS))}
MACHINE = distribution.machine("guide-machine", SUITE)
MADE_OF = {**components.PARTS, **BUILT}


def kubernetes_image(name: str, base: bool = False) -> Image:
    return Image(name, f"v{KUBERNETES}", {f"usr/local/bin/{name}": ("guide-kubernetes", name)}, base)


IMAGES = [
    kubernetes_image("kube-apiserver"),
    kubernetes_image("kube-controller-manager"),
    kubernetes_image("kube-scheduler"),
    kubernetes_image("kube-proxy", base=True),
    # Linked with the C library.
    Image(
        "etcd", "3.4.23", {f"usr/local/bin/{name}": ("guide-kubernetes", name) for name in ("etcd", "etcdctl")}, True
    ),
    Image("coredns", "1.7.0", {"coredns": ("guide-coredns", "coredns")}, entrypoint=["/coredns"]),
    Image("pause", "3.2", {"pause": ("pause", "pause")}, entrypoint=["/pause"]),
    Image(
        "flannel-io/flannel",
        f"v{FLANNEL}",
        {f"opt/bin/{name}": ("guide-flannel", name) for name in ("flanneld", "install-conf")},
        base=True,
        entrypoint=["/opt/bin/flanneld"],
    ),
    *(image for image in images.IMAGES if image.name in ("flannel-io/flannel-cni-plugin", "lab/tools")),
]


def make_images(job: Job) -> None:
    storage = images.Storage(job.out)
    for image in IMAGES:
        images.store(image, storage, distribution.architecture(), MADE_OF)


IMAGES_PART = Part(
    "guide-images",
    f"{len(IMAGES)} container images of the guide's, Kubernetes {KUBERNETES}",
    (Path(__file__),),
    make_images,
    seconds=10,
    needs=(*(MADE_OF[name] for name in sorted({name for image in IMAGES for name, _ in image.files.values()})), BASE),
)


def make_packages(job: Job) -> None:
    # This kubeadm joins nobody whose folder for static pods holds anything at all.
    packages.make_old_repository(job, KUBERNETES, KUBERNETES_PART.place, without=[".kubelet-keep"])
    manifest = job.out / f"raw.githubusercontent.com/flannel-io/flannel/v{FLANNEL}/Documentation/kube-flannel.yml"
    manifest.parent.mkdir(parents=True)
    shutil.copy(BUILT["guide-flannel"].place / manifest.name, manifest)


PACKAGES_PART = Part(
    "guide-packages",
    f"the guide's package repository and flannel's manifest, Kubernetes {KUBERNETES}",
    (packages.KEYS, packages.FILES, Path(packages.__file__), Path(__file__)),
    make_packages,
    seconds=20,
    needs=(KUBERNETES_PART, components.PARTS["cni"], BUILT["guide-flannel"]),
)
PARTS = [PACKAGES_PART, IMAGES_PART, MACHINE]
