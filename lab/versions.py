"""Kubernetes besides the lab's own, to upgrade from and to: built only where `inv lab.up --kubernetes` names it.

Once built, it is served in the same repository and the same registry as the lab's own, as upstream has them.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lab import components, images, packages
from lab.images import Image
from lab.parts import Job, Part
from lab.settings import KUBERNETES

COMPONENTS = [
    components.kubernetes("kubernetes-1.37.1", "1.37.1"),
    components.kubernetes("kubernetes-1.36.3", "1.36.3"),
    components.etcd("etcd-3.6.8", "3.6.8"),
    components.etcd("etcd-3.6.16", "3.6.16"),
    components.coredns("coredns-1.14.3", "1.14.3"),
]
PARTS = {component.name: components.part(component) for component in COMPONENTS}
MADE_OF = {**components.PARTS, **PARTS}
NOTES = {"coredns-1.14.3": "as v1.14.2, which Kubernetes 1.36.3 wants and no Go module has"}
# What each asks for besides its own programs, and the lab's own Kubernetes does not.
BESIDES: Mapping[str, Sequence[Image]] = {
    "1.37.1": [],
    "1.36.3": [
        images.etcd_image("etcd-3.6.8", "3.6.8-0"),
        # The newest 3.6, by way of which an etcd of several members goes to 3.7.
        images.etcd_image("etcd-3.6.16", "3.6.16-0"),
        images.coredns_image("coredns-1.14.3", "v1.14.2"),
    ],
}
VERSIONS = tuple(BESIDES)


def kubernetes(version: str) -> Part:
    return PARTS[f"kubernetes-{version}"]


def images_of(version: str) -> list[Image]:
    return [*images.kubernetes_images(f"kubernetes-{version}", version), *BESIDES[version]]


def parts_of(version: str) -> list[Part]:
    """What is built for this version alone."""
    return [PARTS[component] for image in images_of(version) for component, _ in image.files.values()]


def built() -> list[str]:
    return [version for version in VERSIONS if all(part.cached for part in parts_of(version))]


def parts(wanted: Iterable[str], everything: bool) -> list[Part]:
    """What serves these versions, and those built before, with the lab's own."""
    named = {*wanted, *built()}
    served = [version for version in VERSIONS if version in named]
    return [packages_part(served), images_part(served, everything)] if served else []


def packages_parts() -> list[Part]:
    """Of what is built; to be served before the lab's own alone."""
    return [packages_part(versions)] if (versions := built()) else []


def images_parts() -> list[Part]:
    """As `packages_parts`; those with the images of the add-ons first."""
    return [images_part(versions, everything) for everything in (True, False)] if (versions := built()) else []


def packages_part(versions: Sequence[str]) -> Part:
    return Part(
        "versions-packages",
        f"the package repositories, Kubernetes {', '.join((KUBERNETES, *versions))}",
        (packages.KEYS, packages.FILES, Path(packages.__file__), Path(__file__)),
        partial(make_packages, versions),
        seconds=10 + 10 * len(versions),
        needs=(components.PARTS["kubernetes"], components.PARTS["cni"], *map(kubernetes, versions)),
    )


def make_packages(versions: Sequence[str], job: Job) -> None:
    """Of one minor all versions lie in one repository: each is indexed with those before it."""
    packages.make(job)
    for version in versions:
        packages.make_repository(job, version, kubernetes(version).place)


def images_part(versions: Sequence[str], everything: bool) -> Part:
    besides = [image for version in versions for image in images_of(version)]
    made = [*images.IMAGES, *(images.ADDONS if everything else ()), *besides]
    return Part(
        "versions-images",
        f"{len(made)} container images, those of Kubernetes {' and '.join(versions)} with them",
        (Path(images.__file__), Path(__file__)),
        partial(make_images, versions, made),
        seconds=15,
        needs=images.made_of(made, MADE_OF),
        gigabytes=1.5,
    )


def make_images(versions: Sequence[str], made: Sequence[Image], job: Job) -> None:
    for version in versions:
        images.check_wanted(version, kubernetes(version), made)
    images.store_all(made, MADE_OF, job)
