"""What an add-on is."""

import copy
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubefab.facts import ADDON, OBJECTS
from kubefab.questions import KINDS

Document = dict[str, Any]
Edit = Callable[[Document], Iterable[Document]]

RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Manifest:
    """A file as it was published."""

    url: str
    sha256: str


@dataclass(frozen=True)
class Version:
    """One release of an add-on, and the Kubernetes minors for which it is."""

    version: str
    manifests: tuple[Manifest, ...]
    first: str  # that its documentation names: "1.34"
    last: str = ""  # "" where it names none
    oldest: str = ""  # whose API server takes it, where that is before the first
    newest: str = ""  # whose API server takes it, where there is such an end
    images: tuple[str, ...] = ()  # what it starts besides the pods that its manifests hold
    apart: tuple[Manifest, ...] = ()  # manifests that are applied by steps of their own

    def suits(self, minor: str) -> bool:
        return _between(self.first, minor, self.last)

    def reaches(self, minor: str) -> bool:
        return _between(self.oldest or self.first, minor, self.newest)

    @property
    def minors(self) -> str:
        return f"{self.first} to {self.last}" if self.last else f"{self.first} and newer"


@dataclass(frozen=True)
class Page:
    """What a browser is shown: a Service, and whose token lets its user in."""

    namespace: str
    service: str
    port: int
    scheme: str = "http"


@dataclass(frozen=True)
class Addon:
    """`edit`: an object of the manifests -> what is applied in its place; nothing leaves it out."""

    name: str
    versions: tuple[Version, ...]  # the one that is meant comes first, where several suit
    workload: str  # "namespace/name" of what is waited for, and carries the mark
    edit: Edit = lambda document: (document,)
    extra: tuple[Document, ...] = ()  # what upstream leaves to the reader
    apis: tuple[str, ...] = ()  # APIServices that must be available, too
    # While there are volumes of this class, or kept by one of these CSI drivers, the add-on is not removed.
    storage_class: str = ""
    drivers: tuple[str, ...] = ()
    page: Page | None = None
    theirs: tuple[str, str] | None = None  # a ConfigMap and its key, JSON: what a person has written there stays

    def version(self, minor: str, wanted: str = "") -> Version | None:
        """The one hosts.yml asks for, or the first that suits this minor, or else the first that reaches it."""
        if wanted:
            return next((one for one in self.versions if one.version == wanted), None)
        suiting = [one for one in self.versions if one.suits(minor)]
        return next(iter(suiting or [one for one in self.versions if one.reaches(minor)]), None)

    def mark(self, version: Version) -> str:
        return f"{self.name} {version.version}"

    @property
    def edition(self) -> str:
        """What of kubefab's own code the objects are made by: it changes where they may."""
        sources = (Path(__file__).with_name(f"{self.name.replace('-', '_')}.py"), Path(__file__))
        return hashlib.sha256(b"".join(one.read_bytes() for one in sources)).hexdigest()[:12]

    def documents(self, texts: Iterable[str], mark: str) -> list[Document]:
        """What is applied, the marked workload last: once it is there, all of it was."""
        found = [document for text in texts for document in parsed(text)]
        edited = [*(made for document in found for made in self.edit(document)), *copy.deepcopy(self.extra)]
        marked = [document for document in edited if self._is_workload(document)]
        count = labelled(edited, self.name)
        for document in marked:
            document["metadata"].setdefault("annotations", {}).update({ADDON: mark, OBJECTS: str(count)})
        return [document for document in edited if document not in marked] + marked

    def _is_workload(self, document: Document) -> bool:
        about = document["metadata"]
        named = f"{about.get('namespace')}/{about['name']}" == self.workload
        return named and document["kind"] in ("Deployment", "DaemonSet")


def labelled(documents: Iterable[Document], addon: str) -> int:
    """Gives objects the label that a look counts them by, and tells how many have it."""
    names = set()
    for document in documents:
        if document["kind"] in KINDS:
            about = document["metadata"]
            about.setdefault("labels", {})[ADDON] = addon
            names.add((document["kind"], about.get("namespace"), about["name"]))
    return len(names)


def parsed(text: str) -> list[Document]:
    import yaml

    # rook's kinds are a megabyte: half a minute in Python, a second in C, which not every PyYAML has.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, Loader=loader) if document]


def _between(first: str, minor: str, last: str) -> bool:
    return number(first) <= number(minor) and (not last or number(minor) <= number(last))


def number(minor: str) -> tuple[int, ...]:
    return tuple(map(int, minor.split(".")))


def container(document: Document) -> Document:
    """The first container of a workload's pods."""
    found: Document = document["spec"]["template"]["spec"]["containers"][0]
    return found


def admin(namespace: str) -> tuple[Document, Document]:
    """Who may do everything: a person who looks at a page logs in as this one, by a token of an hour."""
    account = {"name": ADMIN, "namespace": namespace}
    return (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{ADMIN}-of-{namespace}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    )


ADMIN = "kubefab-admin"
