"""Container images: which a cluster needs, which are in a file, and who can give them to those that have none."""

import json
import re
import tarfile
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from kubefab import bundle, carry, downloads, kubeadm, mirrors, render, runtimes
from kubefab.cluster import Cluster
from kubefab.errors import HostError, KubefabError, NotAsked, reason
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Gap, when

FETCH_SECONDS = 900  # for a kubeadm
REFUSED = "refused\n"  # how a kubeadm's judgement of a configuration begins
Addons = Callable[[Inventory], list[str]]
INCOMING = "/var/lib/kubefab-images"


def there(inventory: Inventory, facts: Facts) -> set[str]:
    """The images that the kubelet's runtime has. Docker leaves out what goes without saying in a name."""
    return {
        full_name(image)
        for image in (facts.runtime.docker_images if runtimes.by_docker(inventory) else facts.runtime.images)
    }


def needed(cluster: Cluster, addons: Addons, inventory: Inventory | None = None, stored: str = "") -> list[str]:
    """All that this cluster runs: what kubeadm itself names, and what its add-ons want. Looked-at hosts are asked.

    `inventory`: with other mirrors than the cluster's own. `stored`: kubeadm's own configuration of a cluster that is
    upgraded; KubefabError where the new kubeadm does not take it.
    """
    inventory = inventory or cluster.inventory
    return list(dict.fromkeys((*_of_kubernetes(cluster, inventory, stored), *addons(inventory))))


def _of_kubernetes(cluster: Cluster, inventory: Inventory, stored: str) -> list[str]:
    """Said by kubeadm: that of a host, the one that made the bundle, or one that a host fetches for it."""
    version = inventory.cluster.kubernetes
    documents = stored or kubeadm.init_documents(inventory, inventory.founder)
    judge = when(stored, "--judge")
    for name, facts in cluster.all_facts().items():
        if _has_kubeadm(facts, version):
            return _listed(cluster.hosts[name].ask("list-images.sh", *judge, payload=documents))
    if inventory.bundle:
        return _of_the_bundle(inventory.bundle, version)
    return _by_a_fetched_kubeadm(cluster, documents, judge, _FETCHED if stored else f"{_FETCHED}, {_INSTALLED}")


def _has_kubeadm(facts: Facts, version: str) -> bool:
    """Of whom that is not known is not asked: any other host says the same."""
    with suppress(NotAsked):
        return facts.packages.deb("kubeadm").version.startswith(f"{version}-")
    return False


def _listed(said: str) -> list[str]:
    if said.startswith(REFUSED):
        raise KubefabError(f"{_REFUSED}\n{said.removeprefix(REFUSED).strip()}")
    return said.split()


def _of_the_bundle(path: Path, version: str) -> list[str]:
    made = bundle.opened(path)
    if made.kubernetes != version:
        raise KubefabError(f"{path}: it is for Kubernetes {made.kubernetes}, and hosts.yml says {version}")
    return list(made.images)


def _by_a_fetched_kubeadm(cluster: Cluster, documents: str, judge: Sequence[str], hint: str) -> list[str]:
    """Asked before anything is installed, on the first host that can fetch one."""
    inventory = cluster.inventory
    version, (repository, _) = inventory.cluster.kubernetes, mirrors.repository(inventory)
    errors = []
    try:
        keyring = b64encode(downloads.repository_key(inventory)).decode()
    except HostError as error:
        raise KubefabError(f"{_NO_KUBEADM.format(version)}\n{error}\n{hint}") from None
    proxy = b64encode(render.proxy(inventory)[render.APT_PROXY].encode()).decode()
    source = (version, repository.url, repository.suite, keyring, proxy)
    for name in cluster.all_facts():
        try:
            host = cluster.hosts[name]
            return _listed(host.ask("list-images.sh", *judge, *source, payload=documents, seconds=FETCH_SECONDS))
        except HostError as error:
            errors.append(f"{name}: {_last_word(error)}")
    raise KubefabError("\n".join((_NO_KUBEADM.format(version), *errors, hint)))


def _last_word(error: HostError) -> str:
    return (error.lines.strip().splitlines() or [error.what])[-1]


def for_host(host: Host, images: list[str]) -> list[str]:
    """A worker runs no control plane."""
    if host.wanted.role == "master":
        return images
    return [image for image in images if image.rpartition("/")[2].partition(":")[0] not in kubeadm.STATIC_PODS]


def lacking(inventory: Inventory, names: list[str]) -> Gap:
    def gap(facts: Facts) -> str | None:
        missing = [name for name in names if full_name(name) not in there(inventory, facts)]
        return (MISSING if len(missing) == len(names) else f"without {', '.join(missing)}") if missing else None

    return gap


class Contents(NamedTuple):
    """Of a file of images: their names, and their architectures, as their configurations call these."""

    names: list[str]
    built: list[str]


def inside(file: Path) -> Contents:
    """What is in a file that `docker save` or `ctr images export` wrote, gzipped or not: it is read once."""
    lists, built = {}, set()
    try:
        with tarfile.open(file) as archive:
            for name, text in _texts(archive):
                built.add(_architecture(text))
                if name in _LISTS:
                    lists[name] = json.loads(text)
        named = _named(lists)
    except OSError as error:
        raise KubefabError(f"{file}: {reason(error)}") from None
    except (tarfile.TarError, zlib.error, EOFError, ValueError, TypeError, AttributeError, RecursionError):
        named = []
    if not named:
        raise KubefabError(f"{file}: found no image; allowed: images that docker save or ctr export wrote")
    return Contents(named, sorted(built - {"", "unknown"}))  # the latter by what tells of how an image was built


def _texts(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Whatever may be a list of images, or an image's configuration."""
    for one in archive:
        wanted = one.name in _LISTS or (one.isfile() and one.size <= _LONGEST)
        if wanted and (stream := archive.extractfile(one)):
            yield one.name, stream.read()


def _architecture(text: bytes) -> str:
    """Of an image's configuration; "" of anything else."""
    with suppress(ValueError, RecursionError):
        said = json.loads(text) if text[:1] == b"{" else {}
        return str(said.get("architecture") or "") if "rootfs" in said else ""
    return ""


def _named(lists: Mapping[str, Any]) -> list[str]:
    """What manifest.json and index.json call the images. TypeError or AttributeError where they are something else."""
    found = [tag for one in lists.get("manifest.json", ()) for tag in one.get("RepoTags") or ()]
    annotated = [one.get("annotations") or {} for one in lists.get("index.json", {}).get("manifests") or ()]
    found += [one["io.containerd.image.name"] for one in annotated if "io.containerd.image.name" in one]
    return list(dict.fromkeys(map(full_name, found)))


def full_name(name: str) -> str:
    """As containerd calls it: nginx is docker.io/library/nginx:latest."""
    first, slash, _ = name.partition("/")
    if not slash or not (set(first) & {".", ":"} or first == "localhost"):
        name = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def load(host: Host, runtime: str, file: Path, sha256: str) -> None:
    """Copies a file of images there, checks what arrived, and gives it to the runtime."""
    there = f"{INCOMING}/{sha256}.tar"
    carry.send(host, file, there)
    host.change("move-images.sh", runtime, "take", there, sha256)


class Stock:
    """Images as files on this computer, each saved once for each kind of processor, by a host of that kind, which has
    it or can pull it: of another kind's nothing runs there.

    `puller`: the only host that may pull, where not all may.
    """

    def __init__(self, cluster: Cluster, folder: Path, puller: Host | None = None) -> None:
        self.runtime = cluster.inventory.cluster.runtime
        self._cluster = cluster
        self._puller = puller
        self._folder = folder
        self._sources: dict[tuple[str, str], Host] = {}
        self._saved: dict[tuple[str, str], tuple[Path, str]] = {}
        self._saving = threading.Lock()

    def give(self, host: Host, image: str) -> None:
        """Brings an image to a host. HostError where nobody has it and nobody can pull it."""
        with self._saving:
            if self._source(image, host).name == host.name:
                return
            saved = self.saved(image, host)
        load(host, self.runtime, *saved)

    def saved(self, image: str, asking: Host, name: str = "") -> tuple[Path, str]:
        """An image's file, and its sha256; `name`: what it is called in there, if that is something else."""
        name = name or image
        kind = self._kind(asking)
        if (name, kind) not in self._saved:
            source = self._source(image, asking)
            file = self._folder / re.sub("[/:]", "_", "_".join(filter(None, (name, kind))) + ".tar.gz")
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise HostError(f"{self._folder}: {reason(error)}", hint="is there room for some gigabytes?") from error
            words = (self.runtime, "save", *dict.fromkeys((image, name)))
            self._saved[name, kind] = file, carry.fetch(source, "move-images.sh", *words, to=file)
        return self._saved[name, kind]

    def _kind(self, host: Host) -> str:
        return self._cluster.facts(host).system.arch

    def _alike(self, asking: Host) -> dict[str, Facts]:
        """All hosts with its kind of processor."""
        found = {}
        for name, facts in self._cluster.all_facts().items():
            with suppress(NotAsked):
                if facts.system.arch == self._kind(asking):
                    found[name] = facts
        return found

    def _source(self, image: str, asking: Host) -> Host:
        key = image, self._kind(asking)
        if key not in self._sources:
            inventory = self._cluster.inventory
            holders = [name for name, facts in self._alike(asking).items() if image in there(inventory, facts)]
            found = self._cluster.hosts[holders[0]] if holders else self._who_can_pull(image, asking)
            self._sources[key] = found.during(f"it gives {image}", asking.tell)
        return self._sources[key]

    def _who_can_pull(self, image: str, asking: Host) -> Host:
        """Those that gave another image are asked first: a host without a way out takes long to say so."""
        alike = self._alike(asking)
        proven = [source.name for source in self._sources.values() if source.name in alike]
        names = [self._puller.name] if self._puller else dict.fromkeys((*proven, *alike))
        errors = []
        for name in names:
            asking.tell(f"{name} pulls {image}")
            try:
                host = self._cluster.hosts[name].during(f"it pulls {image}")
                host.change("move-images.sh", self.runtime, "pull", image, about=f"pull {image}")
            except HostError as error:
                errors.append(f"{name}: {_last_word(error)}")
            else:
                return host
        raise HostError(f"no host has {image}, and none can pull it", "\n".join(errors), _HINT)


_REFUSED = (
    "the new kubeadm does not take the configuration that the cluster keeps; mend it there and in hosts.yml, and run "
    "the same command again: kubectl -n kube-system edit configmap kubeadm-config. It says:"
)
_NO_KUBEADM = "no host has kubeadm {}, which knows its images, and none can fetch it"
_FETCHED = "`mirrors:` in hosts.yml says where to fetch it from"
_INSTALLED = "`inv install-kubeadm` installs it"  # not where a node is older: an upgrade alone brings it there
_LISTS = ("manifest.json", "index.json")
_LONGEST = 1 << 22  # bytes of an image's configuration: layers are longer, or no JSON
_HINT = "on a computer that can: docker pull, docker save; then here: inv images.preload --from FILE.tar.gz"
