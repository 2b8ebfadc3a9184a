"""kubeadm, kubelet and kubectl: one version everywhere, held; and the images on their way."""

from base64 import b64decode
from collections.abc import Callable

from kubefab import downloads, mirrors, render
from kubefab.cluster import Cluster
from kubefab.facts import Facts, Packages
from kubefab.host import Host
from kubefab.images import lacking
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Gap, Step, file_line, files, script, when
from kubefab.steps import endpoint, network, runtime
from kubefab.steps.runtime import package_manager

VERSIONED = ("kubelet", "kubeadm", "kubectl")
HELD = (*VERSIONED, "kubernetes-cni")
PLUGINS = ("bridge", "host-local", "loopback", "portmap")  # what flannel's configuration names
WORKER_IMAGES = "kube-proxy|pause|coredns"
MASTER_IMAGES = f"{WORKER_IMAGES}|etcd|kube-"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    inventory = cluster.inventory
    version = inventory.cluster.kubernetes

    def install(host: Host) -> None:
        if not inventory.bundle:
            put_key(inventory)(host)
        host.change("install-kubernetes.sh", version)

    return [
        *package_manager(),
        *sources(inventory),
        Step(
            f"Kubernetes {version} is installed and held",
            lambda facts: other_packages(facts.packages, version),
            install,
            hint=f"does {mirrors.repository(inventory)[0].url} have it? see: apt-cache policy kubelet",
            parts=("packages", "services"),
        ),
        Step(
            "the CNI plugins are installed",
            no_plugins,
            script("mend-plugins.sh"),
            hint="see what is in /opt/cni/bin, and: apt-cache policy kubernetes-cni",
            parts=("packages",),
        ),
        Step(
            "the kubelet starts at boot",
            disabled,
            script("enable-service.sh", "kubelet"),
            parts=("services",),
        ),
        files("shell completion knows kubectl and kubeadm", render.completion()),
        *when(not inventory.bundle, images_on_their_way(inventory, host)),  # a bundle has them, and nobody is asked
    ]


def sources(inventory: Inventory) -> list[Step]:
    """Where Kubernetes' packages come from."""
    return [
        # Before the source that names it: without its key, a source breaks every apt-get update.
        *when(
            not inventory.bundle,
            Step("the repository key is installed", other_key(inventory), put_key(inventory), parts=("files",)),
        ),
        files("the repository and the version are pinned", render.apt(inventory)),
    ]


def images_on_their_way(inventory: Inventory, host: Host) -> Step:
    return Step(
        "images are present or being pulled",
        no_images(inventory, images(inventory, host)),
        script("fetch-images.sh", *fetched(inventory, host)),
        hint="see why, on the host: journalctl -u kubefab-images",
        parts=("runtime", "services", "node"),
    )


def bundled(inventory: Inventory) -> list[str]:
    """What a host without internet needs of apt, as apt knows it."""
    versioned = [f"{name}={inventory.cluster.kubernetes}-*" for name in VERSIONED]
    return [*runtime.bundled(inventory), *versioned, "kubernetes-cni", "bash-completion", *endpoint.bundled(inventory)]


def put_key(inventory: Inventory) -> Callable[[Host], None]:
    """Fetched on every run that changes something: the public one is prolonged every year or two."""

    def close(host: Host) -> None:
        keyring = downloads.repository_key(inventory)
        host.change("put-files.sh", payload=file_line(render.KEYRING, keyring))

    return close


def other_key(inventory: Inventory) -> Gap:
    """Whose key lies there, by its fingerprint: of what else is in that file apt would believe all."""
    wanted = downloads.signer(inventory)

    def gap(facts: Facts) -> str | None:
        if render.KEYRING not in facts.files.digests:
            return MISSING
        found = downloads.fingerprints(b64decode(facts.files.contents.get(render.KEYRING, "")))
        return None if found == [wanted] else f"{render.KEYRING} holds {', '.join(found) or 'no key'}"

    return gap


def no_plugins(facts: Facts) -> str | None:
    """What kubernetes-cni brought and somebody removed; a package that is not installed is the step's before."""
    installed = facts.packages.deb("kubernetes-cni").installed
    lacking = [name for name in PLUGINS if installed and name not in facts.packages.plugins]
    return f"without {', '.join(lacking)}" if lacking else None


def other_packages(found: Packages, version: str) -> str | None:
    """Which of the packages are not there, of another version, or free to be upgraded by anybody."""
    packages = {name: found.deb(name) for name in HELD}
    if not any(package.installed for package in packages.values()):
        return MISSING
    other = [
        f"{name} {package.version or MISSING}"
        for name, package in packages.items()
        if not package.installed or (name in VERSIONED and not package.version.startswith(f"{version}-"))
    ]
    free = [f"{name} is not held" for name, package in packages.items() if package.installed and not package.held]
    return ", ".join(other + free) or None


def disabled(facts: Facts) -> str | None:
    enabled = facts.services.unit("kubelet").enabled
    return None if enabled == "enabled" else enabled or MISSING


def images(inventory: Inventory, host: Host) -> list[str]:
    """What this host needs and whose version is known beforehand.

    The founder's own are pulled by kubeadm init: both at once would unpack each of them twice.
    """
    proxy = f"{mirrors.image_repository(inventory)}/kube-proxy:v{inventory.cluster.kubernetes}"
    return network.images(inventory) if founds(inventory, host) else [proxy, *network.images(inventory)]


def fetched(inventory: Inventory, host: Host) -> list[str]:
    """What fetch-images.sh is told."""
    cluster, named = inventory.cluster, MASTER_IMAGES if host.wanted.role == "master" else WORKER_IMAGES
    named = "" if founds(inventory, host) else named
    return [cluster.runtime, mirrors.image_repository(inventory), cluster.kubernetes, named, *images(inventory, host)]


def founds(inventory: Inventory, host: Host) -> bool:
    return host.name == inventory.founder.name


def no_images(inventory: Inventory, wanted: list[str]) -> Gap:
    """A node's kubelet fetches what it lacks by itself."""

    def gap(facts: Facts) -> str | None:
        fetching = facts.services.unit("kubefab-images").active
        if fetching in ("active", "activating") or facts.local.kubelet_ca:
            return None
        found = lacking(inventory, wanted)(facts)
        return f"{found}: fetching them failed" if found and fetching == "failed" else found

    return gap
