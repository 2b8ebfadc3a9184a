"""Who is asked for what is published elsewhere, and what an image is called there. Pure."""

from dataclasses import replace
from urllib.parse import urlsplit

from kubefab import releases
from kubefab.inventory import Inventory
from kubefab.runtimes import by_docker

# Whose images a cluster of kubefab's has, those of its add-ons among them.
PUBLISHERS = (releases.REGISTRY, "k8s.gcr.io", "ghcr.io", "docker.io", "quay.io")


def mirrored(url: str, inventory: Inventory) -> tuple[str, str | None]:
    """The URL to ask instead, by the longest prefix in hosts.yml's mirrors, and the key of that mirror."""
    prefix = max((prefix for prefix in inventory.mirrors if url.startswith(prefix)), key=len, default=None)
    if prefix is None:
        return url, None
    mirror = inventory.mirrors[prefix]
    return mirror.url + url.removeprefix(prefix), mirror.key


def repository(inventory: Inventory) -> tuple[releases.Repository, str | None]:
    """The apt repository of the wanted minor as it is reached, and the key of a mirror that signs by itself."""
    known = inventory.release.repositories
    chosen = next((one for one in known if any(map(one.url.startswith, inventory.mirrors))), known[0])
    url, fingerprint = mirrored(chosen.url, inventory)
    return replace(chosen, url=url, key=mirrored(chosen.key, inventory)[0]), fingerprint


def registries(inventory: Inventory) -> dict[str, str]:
    """Each mirrored registry, and where to ask instead."""
    return {name: mirror.url for name, mirror in inventory.mirrors.items() if "://" not in name}


def by_http(inventory: Inventory) -> list[str]:
    """The mirrored registries that are asked without encryption: whoever is on the way can give other images."""
    return [name for name, url in registries(inventory).items() if url.startswith("http://")]


def renamed(inventory: Inventory) -> dict[str, str]:
    """Registries whose images go by their mirrors' names: Docker knows of mirrors for Docker Hub alone."""
    if not by_docker(inventory) or inventory.bundle:
        return {}
    return {name: urlsplit(url).netloc for name, url in registries(inventory).items()}


def image(name: str, inventory: Inventory) -> str:
    """The image as the runtime is asked for it."""
    registry, slash, rest = name.partition("/")
    return renamed(inventory).get(registry, registry) + slash + rest


def unmirrored(inventory: Inventory) -> Inventory:
    """The same, with every image under the name that its publisher gave it."""
    urls = {origin: mirror for origin, mirror in inventory.mirrors.items() if "://" in origin}
    return inventory.model_copy(update={"mirrors": urls})


def image_repository(inventory: Inventory) -> str:
    """Where Kubernetes' own images come from."""
    told = inventory.told("ClusterConfiguration.imageRepository")
    return str(told or image(releases.REGISTRY, inventory))


def pause(inventory: Inventory) -> str:
    """The sandbox image."""
    return f"{image_repository(inventory)}/pause:{inventory.release.pause}"
