"""The bundle of hosts.yml on a host: its packages as the one apt repository, its images in the runtime."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os.path import exists, expanduser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kubefab import bundle, carry, downloads, images, mirrors, render, runtimes
from kubefab.bundle import Bundle
from kubefab.cluster import Cluster
from kubefab.errors import HostError
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.releases import REGISTRY
from kubefab.render import BUNDLE
from kubefab.step import MISSING, Gap, Step, Subject, complaint, files, script
from kubefab.steps import endpoint, versions
from kubefab.steps.addons import all_manifests

MARK = f"{BUNDLE}/{bundle.SUMS}"


def steps(cluster: Cluster, host: Host) -> list[Step]:
    inventory = cluster.inventory
    if not inventory.bundle:
        return []
    path, made = inventory.bundle, bundle.opened(inventory.bundle)
    pinned = {**all_manifests(inventory), **cri_dockerd(inventory, made.arch)}

    def bring(host: Host) -> None:
        there = f"{BUNDLE}.tar"
        carry.send(host, path, there)
        host.change("use-bundle.sh", there, made.sums)

    return [
        complaint("the bundle is for this machine", made_for_others(made, inventory), _HINT),
        complaint("the bundle has all that hosts.yml names", lacking(made, pinned, endpoint.bundled(inventory)), _HINT),
        Step("the bundle is unpacked", other_bundle(made), bring, parts=("files",)),
        files("apt uses the bundle", render.apt(inventory)),
    ]


def named(cluster: Cluster, host: Host) -> list[Step]:
    gap = None if cluster.inventory.bundle else "hosts.yml names no bundle"
    return [
        complaint("hosts.yml names a bundle", lambda _: gap, "add `bundle: FILE`, a file made by `inv bundle.make`")
    ]


def gathered(
    output: str,
    packages: Callable[[Inventory], list[str]],
    addons: images.Addons,
    manifests: Callable[[Inventory], dict[str, str]],
) -> Subject:
    """A bundle in this file of this computer, of what a host with a way to the internet gathers."""
    path = Path(expanduser(output))

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        mine = cluster.inventory

        def gap(facts: Facts) -> str | None:
            if not exists(path):
                return MISSING
            there = bundle.opened(path)
            without = [f"without {image}" for image in addons(mirrors.unmirrored(mine)) if image not in there.images]
            pinned = {**manifests(mine), **cri_dockerd(mine, there.arch)}
            return (
                made_for_others(there, mine)(facts)
                or lacking(there, pinned, endpoint.bundled(mine))(facts)
                or ", ".join(without)
                or None
            )

        def gather(host: Host) -> None:
            try:
                with TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as folder:
                    images = gathered_images(cluster, host, addons, Path(folder))
                    archives = cri_dockerd(cluster.inventory, cluster.facts(host).system.arch)
                    _gather_files(cluster.inventory, {**manifests(cluster.inventory), **archives}, Path(folder))
                    carry.fetch_folder(
                        host, "pack-packages.sh", *packages(cluster.inventory), to=Path(folder, "packages")
                    )
                    bundle.write(path, _about(cluster, host, images), Path(folder))
            except OSError as error:
                raise HostError(f"{error.filename or path}: {error.strerror}", hint=_ROOM) from error

        return [Step(f"{path} is a bundle for such hosts", gap, gather, parts=())]

    return steps


def gathered_images(cluster: Cluster, host: Host, addons: images.Addons, folder: Path) -> dict[str, str]:
    """By their own names, which hosts without our mirrors know, too."""
    stock, needed = images.Stock(cluster, folder / "images", host), images.needed
    names = needed(cluster, lambda one: [*addons(one), *etcd_on_its_way(one)], mirrors.unmirrored(cluster.inventory))
    saved = {name: stock.saved(mirrors.image(name, cluster.inventory), host, name)[0] for name in names}
    return {name: str(file.relative_to(folder)) for name, file in saved.items()}


def etcd_on_its_way(inventory: Inventory) -> list[str]:
    """By which several members come to the etcd of this Kubernetes: see steps/upgrade.py."""
    tag = versions.etcd_on_its_way(inventory)
    return [f"{REGISTRY}/etcd:{tag}"] if tag else []


def cri_dockerd(inventory: Inventory, arch: str) -> dict[str, str]:
    """Its archive and the sha256, where there is one."""
    return dict([runtimes.cri_dockerd_archive(inventory, arch)]) if runtimes.through_cri_dockerd(inventory) else {}


def _gather_files(inventory: Inventory, pinned: Mapping[str, str], folder: Path) -> None:
    for url, sha256 in pinned.items():
        file = folder / bundle.place(url)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(downloads.published(inventory, url, sha256))


def source(url: str, inventory: Inventory) -> str:
    """What a host's apt asks for what is published at a URL."""
    return f"copy:{BUNDLE}/{bundle.place(url)}" if inventory.bundle else mirrors.mirrored(url, inventory)[0]


def _about(cluster: Cluster, host: Host, images: dict[str, str]) -> dict[str, Any]:
    wanted, facts = cluster.inventory.cluster, cluster.facts(host)
    machine = {"os": f"{facts.system.os} {facts.system.os_version}", "arch": facts.system.arch}
    return {"kubernetes": wanted.kubernetes, "runtime": wanted.runtime, **machine, "images": images}


def images_loaded(cluster: Cluster, host: Host) -> list[Step]:
    if not cluster.inventory.bundle:
        return []
    made = bundle.opened(cluster.inventory.bundle)
    mine = images.for_host(host, list(made.images))
    paths = [f"{BUNDLE}/{made.images[image]}" for image in mine]
    load = script("move-images.sh", made.runtime, "load", *paths)
    return [Step("the bundle's images are loaded", images.lacking(cluster.inventory, mine), load, parts=("runtime",))]


def unheld(inventory: Inventory, names: Sequence[str]) -> Gap:
    """Images that neither the bundle of hosts.yml has nor the host: it is asked before the bundle's are loaded."""

    def gap(facts: Facts) -> str | None:
        held = {*(bundle.opened(inventory.bundle).images if inventory.bundle else ()), *images.there(inventory, facts)}
        absent = [name for name in names if images.full_name(name) not in held]
        return f"{', '.join(absent)}: neither in the bundle nor on the host" if absent else None

    return gap


def made_for_others(made: Bundle, inventory: Inventory) -> Gap:
    wanted = inventory.cluster

    def gap(facts: Facts) -> str | None:
        pairs = (
            (made.kubernetes, wanted.kubernetes),
            (made.runtime, wanted.runtime),
            (made.os, f"{facts.system.os} {facts.system.os_version}"),
            (made.arch, facts.system.arch),
        )
        return "; ".join(f"it is for {one}, here is {other}" for one, other in pairs if one != other) or None

    return gap


def lacking(made: Bundle, urls: Iterable[str], packages: Iterable[str]) -> Gap:
    """`packages`: those that not every hosts.yml needs."""
    absent = [url for url in urls if bundle.place(url) not in made.files]
    absent += [name for name in packages if not any(file.startswith(f"packages/{name}_") for file in made.files)]
    return lambda _: ", ".join(f"without {one}" for one in absent) or None


def other_bundle(made: Bundle) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = facts.files.digests.get(MARK)
        return None if found == made.sums else "another one" if found else MISSING

    return gap


_ROOM = "is the folder there, and is there room for some gigabytes?"
_HINT = "`inv bundle.make` makes one, on a machine like this with a way to the internet"
