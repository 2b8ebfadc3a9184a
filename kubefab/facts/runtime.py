"""The container runtime."""

from dataclasses import dataclass

from kubefab.facts.part import Part, each


@dataclass(frozen=True)
class Runtime(Part):
    cri: str = ""  # what containerd says of it
    containerd_root: str = ""  # where it stores what it has, if its file says so
    mirrored: tuple[str, ...] = ()  # registries that a file of kubefab's own has asked elsewhere
    images: tuple[str, ...] = each("image")
    docker: str = ""  # "ok", or why Docker Engine gives no answer
    docker_cri: str = ""
    docker_images: tuple[str, ...] = each("docker_image")
    docker_others: tuple[str, ...] = each("docker_other")  # containers that run there and are not Kubernetes'
    cri_dockerd: str = ""  # its version
