"""What a host's static pods and kubelet are told by files, what these were as kubefab left them, and what runs."""

import hashlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from kubefab.facts.part import Part, each, nothing, pairs

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEP = 40  # deeper than any pod, and than any YAML that is one by accident


@dataclass(frozen=True)
class Manifest:
    """A static pod's, or a kubelet's configuration."""

    digest: str  # its sha256
    settings: Mapping[str, str] = field(default_factory=nothing)  # "--FLAG", or where in it it stands -> its value
    broken: str = ""  # why it cannot be read
    text: str = ""

    @classmethod
    def read(cls, said: str) -> "Manifest":
        """From YAML in base64. ValueError for what is not base64."""
        text = b64decode(said)
        try:
            found = yaml.load(text, Loader=LOADER)  # noqa: S506  a safe one
            return cls(hashlib.sha256(text).hexdigest(), settings(found), text=text.decode())
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            return cls(hashlib.sha256(text).hexdigest(), broken=f"{type(error).__name__}: {str(error).splitlines()[0]}")


@dataclass(frozen=True)
class Process:
    """A static pod's program, and what it was told."""

    pod: str
    words: tuple[str, ...]

    @classmethod
    def read(cls, said: str) -> "Process":
        """From the pod's name, and its command line, whose words are ended by a NUL, in base64."""
        pod, _, words = said.partition(" ")
        return cls(pod, tuple(b64decode(words).decode(errors="replace").split("\0")))

    @property
    def flags(self) -> dict[str, str]:
        return flags_of(self.words)


@dataclass(frozen=True)
class Manifests(Part):
    """By the static pod's name: kube-apiserver; a kubelet's configuration is called kubelet."""

    now: Mapping[str, Manifest] = pairs("now")
    left: Mapping[str, Manifest] = pairs("left")  # as kubefab left it
    marks: tuple[str, ...] = each("sha256")  # "NAME SHA256", of what kubefab left
    given: tuple[str, ...] = ()  # "NAME SETTING", what of it hosts.yml has said
    said: tuple[str, ...] = ()  # "NAME SETTING SHA256", what hosts.yml said of it when it was made: the value's
    stored: tuple[str, ...] = ()  # "NAME SETTING", what of hosts.yml that may have which kubeadm keeps in the cluster
    taken: tuple[str, ...] = ()  # "NAME SETTING", what of hosts.yml kubeadm has taken to keep
    halfway: tuple[str, ...] = ()  # whose new manifest has not been proven: its making was cut off
    running: tuple[Process, ...] = ()  # several of one pod, while a former one ends
    written_ago: Mapping[str, float] = pairs("written_ago")  # a static pod's manifest -> seconds
    kubelet_words: tuple[str, ...] = each("kubelet_word")  # "--FLAG=VALUE", by which kubeadm has it begin
    kubelet_written: float = 0  # when its configuration was, in seconds of the epoch

    def is_kubefabs(self, name: str) -> bool:
        """Whether its manifest is as kubefab left it."""
        return name in self.now and f"{name} {self.now[name].digest}" in self.marks

    def is_marked(self, name: str) -> bool:
        """Whether kubefab ever left one."""
        return any(one.partition(" ")[0] == name for one in self.marks)

    def given_to(self, name: str) -> list[str]:
        """The settings of it that came from hosts.yml."""
        return [setting for pod, _, setting in (one.partition(" ") for one in self.given) if pod == name]


def settings(document: Any) -> dict[str, str]:
    """What a document says, each by its place: KEY.KEY, and "--FLAG" of a command. ValueError for one too deep.

    What the container says that has the pod's name, or is its only one, is at no further place.
    """
    about = document.get("metadata") if isinstance(document, Mapping) else None
    pod = str(about.get("name")) if isinstance(about, Mapping) else ""
    return together(_settings(document, "", DEEP, pod))


def flags_of(words: Iterable[str]) -> dict[str, str]:
    """Of a command line's words: "--FLAG" -> its value."""
    told = settings({"command": list(words)})
    return {name: value for name, value in told.items() if name.startswith("--")}


def together(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each once: what is said several times has all of its values, sorted, as some kubeadms sort them."""
    found: dict[str, list[str]] = {}
    for name, value in said:
        found.setdefault(name, []).append(value)
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def _flags(words: list[str], place: str) -> Iterator[tuple[str, str]]:
    for word in words:
        name, _, value = word.partition("=")
        yield (_below(place, name), value) if word.startswith("-") else (_below(place, "words"), word)


def _settings(value: Any, place: str, deep: int, pod: str) -> Iterator[tuple[str, str]]:
    if deep == 0:
        raise ValueError("it is too deep")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("command", "args") and isinstance(inner, list):
                yield from _flags(list(map(str, inner)), place)
            else:
                yield from _settings(inner, _below(place, key), deep - 1, pod)
    elif isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        for at, inner in enumerate(value):
            own = len(value) == 1 or (isinstance(inner, Mapping) and inner.get("name") == pod)
            rest, here = _item(inner, place, at, own)
            yield from _settings(rest, here, deep - 1, pod) if rest or not here else [(here, "")]
    elif isinstance(value, list):
        yield place, ", ".join(map(_text, value))
    elif value is not None:
        yield place, _text(value)


def _text(value: Any) -> str:
    """A whole number is written without a point, as the API writes it: 1.0 is stored as 1."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _below(place: str, key: Any) -> str:
    return f"{place}.{key}".removeprefix(".")


def _item(value: Any, place: str, at: int, own: bool) -> tuple[Any, str]:
    """One of a list, and where it stands: by its name, where it has one. A pod's `own` container is at no place."""
    if not isinstance(value, Mapping):
        return value, f"{place.removeprefix('spec.')}[{at}]"
    rest = {key: inner for key, inner in value.items() if key != "name"}
    nameless = own and place == "spec.containers"
    return rest, "" if nameless else f"{place.removeprefix('spec.')}[{value.get('name', at)}]"
