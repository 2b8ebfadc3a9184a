"""files/ -> what lands on a host. Pure: nothing here talks to one."""

import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kubefab.inventory import Inventory, Schedule
from kubefab.kubeadm import API_PORT, dns_domain, endpoint
from kubefab.mirrors import PUBLISHERS, pause, registries, repository
from kubefab.programs import script_text
from kubefab.questions import MODULES, SYSCTLS
from kubefab.runtimes import by_docker, cri_dockerd_version, through_cri_dockerd

FILES = Path(__file__).parent.parent / "files"
TEMPLATES = Environment(
    loader=FileSystemLoader(FILES),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701  what is rendered is configuration, not HTML
)
KEYRING = "/etc/apt/keyrings/kubernetes-apt-keyring.gpg"
SOURCES = "/etc/apt/sources.list.d/kubernetes.list"
DOCKER_CONFIG = "/etc/docker/daemon.json"
CRI_DOCKERD_UNIT = "/etc/systemd/system/cri-docker.service"
SYSCTL = dict.fromkeys(SYSCTLS, "1")
BUNDLE = "/var/lib/kubefab-bundle"
MIRROR_HOSTS, BUNDLE_HOSTS = "/etc/containerd/certs.d", "/etc/containerd/kubefab-bundle.d"  # the first that knows wins
PATCHES = "/etc/kubefab/patches"
ETCD_PATCH = f"{PATCHES}/etcd+json.yaml"
PROXY = "/etc/default/kubefab-proxy"
ENDPOINT, AUTHORITY = "/etc/kubefab/endpoint.cfg", "/etc/kubefab/ca.crt"
ENDPOINT_UNIT = "/etc/systemd/system/kubefab-endpoint.service"
BACKUP_TIMER = "/etc/systemd/system/kubefab-backup.timer"
BACKUP_SERVICE = "/etc/systemd/system/kubefab-backup.service"
BACKUP_PROGRAM = "/usr/local/lib/kubefab/backup-etcd.sh"
APT_PROXY = "/etc/apt/apt.conf.d/90kubefab-proxy"


def file(path: str, **values: Any) -> str:
    """The text of files/PATH, or of the template files/PATH.j2 with these values."""
    plain = FILES / path
    return plain.read_text("utf-8") if plain.exists() else TEMPLATES.get_template(f"{path}.j2").render(values)


def docker(inventory: Inventory) -> dict[str, str]:
    """Docker Engine's configuration."""
    mirrors = registries(inventory)
    insecure = {urlsplit(url).netloc for url in mirrors.values() if url.startswith("http://")}
    hub = [mirrors["docker.io"]] if "docker.io" in mirrors else []
    return {DOCKER_CONFIG: file("etc/docker/daemon.json", hub=hub, insecure=sorted(insecure))}


def cri_dockerd(inventory: Inventory) -> dict[str, str]:
    """cri-dockerd's unit and socket."""
    socket = CRI_DOCKERD_UNIT.replace(".service", ".socket")
    version = cri_dockerd_version(inventory)
    return {
        CRI_DOCKERD_UNIT: file(CRI_DOCKERD_UNIT.lstrip("/"), pause=pause(inventory), version=version),
        socket: file(socket.lstrip("/")),
    }


def containerd(inventory: Inventory) -> dict[str, str]:
    """containerd's configuration, for each mirrored registry where to ask instead, and with a bundle nobody else."""
    closed = [BUNDLE_HOSTS] if inventory.bundle else []
    template = "etc/containerd/certs.d/hosts.toml"
    return {
        "/etc/containerd/config.toml": file(
            "etc/containerd/config.toml", pause=pause(inventory), hosts_dirs=[MIRROR_HOSTS, *closed]
        ),
        **{
            f"{MIRROR_HOSTS}/{registry}/hosts.toml": file(template, registry=registry, mirror=mirror)
            for registry, mirror in registries(inventory).items()
        },
        **{
            f"{folder}/{registry}/hosts.toml": file(f"{folder}/hosts.toml".lstrip("/"))
            for folder in closed
            for registry in PUBLISHERS
        },
    }


def proxy(inventory: Inventory) -> dict[str, str]:
    """The proxy, where apt, the runtime's unit and kubeadm's scripts look for it; without one, texts that name none."""
    unit = f"etc/systemd/system/{inventory.cluster.runtime}.service.d/kubefab-proxy.conf"
    values = {"proxy": inventory.proxy, "no_proxy": no_proxy(inventory), "direct": by_apt_directly(inventory)}
    return {
        PROXY: file("etc/default/kubefab-proxy", **values),
        APT_PROXY: file("etc/apt/apt.conf.d/90kubefab-proxy", **values),
        f"/{unit}": file(unit),
    }


def environment(inventory: Inventory) -> dict[str, str]:
    """The variables in that file, which kubeadm hands on into static pods; none without a proxy."""
    lines = [line.partition("=") for line in proxy(inventory)[PROXY].splitlines()]
    return {name: value.strip('"') for name, _, value in lines if value}


def no_proxy(inventory: Inventory) -> list[str]:
    """What never goes by the proxy: this cluster, and what hosts.yml says besides."""
    cluster = inventory.cluster
    return [
        "localhost",
        "127.0.0.1",
        *(name for host in inventory.hosts for name in (host.name, str(host.address))),
        endpoint(inventory),
        str(cluster.pod_subnet),
        str(cluster.service_subnet),
        ".svc",
        f".{dns_domain(inventory)}",
        *(inventory.proxy.no_proxy if inventory.proxy else ()),
    ]


def by_apt_directly(inventory: Inventory) -> list[str]:
    """The servers that apt asks without the proxy. It takes their names alone: of a domain, or of a network, those that
    mirrors name. What else is in a domain scripts/shared/apt.sh tells it."""
    names = [name for name in (inventory.proxy.no_proxy if inventory.proxy else ()) if not _holds_many(name)]
    servers = (re.match(r"https?://([^/:\[\]]+)", mirror.url) for mirror in inventory.mirrors.values())
    mirrors = [
        server[1] for server in servers if server and any(_within(server[1], one) for one in no_proxy(inventory))
    ]
    return list(dict.fromkeys((*names, *mirrors)))


def _holds_many(name: str) -> bool:
    return "/" in name or name.startswith(".")


def _within(server: str, name: str) -> bool:
    """As Go's programs take a word of NO_PROXY."""
    if "/" not in name:
        return server == name or server.endswith(f".{name.removeprefix('.')}")
    with suppress(ValueError):
        return ip_address(server) in ip_network(name, strict=False)
    return False


def runtime(inventory: Inventory) -> dict[str, str]:
    """All configuration of the runtime that hosts.yml names."""
    if not by_docker(inventory):
        return containerd(inventory)
    return {**docker(inventory), **(cri_dockerd(inventory) if through_cri_dockerd(inventory) else {})}


def kernel() -> dict[str, str]:
    """What kernel settings persist across reboots, after 99-sysctl.conf: the last file in order wins."""
    return {
        "/etc/modules-load.d/kubernetes.conf": file("etc/modules-load.d/kubernetes.conf", modules=MODULES),
        "/etc/sysctl.d/99-zz-kubernetes.conf": file("etc/sysctl.d/99-zz-kubernetes.conf", sysctl=SYSCTL),
    }


def apt(inventory: Inventory) -> dict[str, str]:
    """The Kubernetes repository and the pin on one version."""
    ours = f"[trusted=yes] file:{BUNDLE}/packages ./"  # its checksums came over SSH
    theirs = repository(inventory)[0]
    return {
        SOURCES: file(
            "etc/apt/sources.list.d/kubernetes.list",
            source=ours if inventory.bundle else f"[signed-by={KEYRING}] {theirs.url} {theirs.suite}",
        ),
        "/etc/apt/preferences.d/kubernetes": file(
            "etc/apt/preferences.d/kubernetes", version=inventory.cluster.kubernetes
        ),
    }


def completion() -> dict[str, str]:
    return {"/etc/bash_completion.d/kubernetes": file("etc/bash_completion.d/kubernetes")}


def patches() -> dict[str, str]:
    """What kubeadm is to make otherwise on a master."""
    return {ETCD_PATCH: file(ETCD_PATCH.lstrip("/"))}


def haproxy(inventory: Inventory) -> str:
    """What a worker's haproxy is told of the masters, in an order of their own: hosts.yml may get another one."""
    masters = sorted(inventory.masters, key=lambda host: host.address)
    return file(ENDPOINT.lstrip("/"), masters=masters, port=API_PORT, ca=AUTHORITY)


def haproxy_unit() -> dict[str, str]:
    return {ENDPOINT_UNIT: file(ENDPOINT_UNIT.lstrip("/"))}


def backups(schedule: Schedule) -> dict[str, str]:
    """What backs etcd up on a master, by itself."""
    clock = calendar(schedule)
    return {
        BACKUP_TIMER: file(BACKUP_TIMER.lstrip("/"), every=schedule.every, calendar=clock),
        BACKUP_SERVICE: file(BACKUP_SERVICE.lstrip("/"), program=BACKUP_PROGRAM, keep=schedule.keep),
        BACKUP_PROGRAM: script_text("backup-etcd.sh"),
    }


def calendar(schedule: Schedule) -> str:
    """When that is, in systemd's words: at the same moments on all masters, whenever each of them was told."""
    hours, rest = divmod(schedule.interval, timedelta(hours=1))
    if rest:
        return f"*-*-* *:0/{rest // timedelta(minutes=1)}:00 UTC"
    return "*-*-* 0:00:00 UTC" if hours == 24 else f"*-*-* 0/{hours}:00:00 UTC"


def paths(inventory: Inventory) -> list[str]:
    """Every file that kubefab keeps on a host: what the look is asked about."""
    return [
        f"{BUNDLE}/SHA256SUMS",
        *proxy(inventory),
        *runtime(inventory),
        *kernel(),
        *apt(inventory),
        KEYRING,
        *completion(),
        *patches(),
        ENDPOINT_UNIT,
        ENDPOINT,
        AUTHORITY,
        BACKUP_TIMER,
        BACKUP_SERVICE,
        BACKUP_PROGRAM,
    ]
