"""A part of the look: a frozen class for what one script of scripts/look prints, read by the types of its fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints

from kubefab.errors import HostError

Convert = Callable[[str], Any]


def nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


def each(line: str) -> Any:
    """A tuple of what every line of this name says, each once, in the order they came."""
    return field(default=(), metadata={"line": line})


def pairs(line: str) -> Any:
    """A mapping: the first word of every line of this name, and the rest of the line."""
    return field(default_factory=nothing, metadata={"line": line})


@dataclass(frozen=True)
class Part:
    """A fact a line: its name, and what it says. Every default means "looked for, and not there"."""

    @classmethod
    def script(cls) -> str:
        """The part's name: its script and its module are called so."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def read(cls, text: str) -> Self:
        """Lines that mean nothing are passed over. HostError for one that cannot be understood."""
        kind: Any = cls
        readers, said = _readers(kind), dict[_Reader, list[Any]]()
        for line in text.split("\n"):
            name, _, rest = line.partition(" ")
            if reader := readers.get(name):
                try:
                    said.setdefault(reader, []).append(reader.convert(rest.strip(" ")))
                except ValueError:
                    raise not_understood(cls.script(), line) from None
        return cls(**{reader.field: reader.gather(values) for reader, values in said.items()})


@dataclass(frozen=True)
class Untold(Part):
    """In place of a part that could not be looked at: `why` begins with the command that failed there."""

    why: str = ""


def not_understood(part: str, line: str) -> HostError:
    return HostError(f"the answer to a look cannot be understood: {part}: {line[:200]}", hint=_HINT)


def words(text: str, at_most: int) -> list[str]:
    """What blanks part, and nothing else does. ValueError for more words than there may be."""
    found = [word for word in text.split(" ") if word]
    if not 0 < len(found) <= at_most:
        raise ValueError(text)
    return found


def whole(text: str) -> int:
    """0 where the command that counts is not there."""
    if len(text) > _DIGITS:
        raise ValueError(text)
    return int(text or 0)


def seconds(text: str) -> float:
    """A moment in seconds of the epoch, in the next thousand years. 0 for none."""
    moment = float(text or 0)
    if not abs(moment) < 10**_DIGITS:
        raise ValueError(text)
    return moment


_DIGITS = 11
_CONVERT: Mapping[Any, Convert] = {str: str, int: whole, float: seconds, bool: "yes".__eq__}


@dataclass(frozen=True)
class _Reader:
    field: str
    convert: Convert  # what one line says
    gather: Callable[[list[Any]], Any]  # what all lines of this name say


@cache
def _readers(kind: Any) -> Mapping[str, _Reader]:
    types = get_type_hints(kind, include_extras=True)
    return {it.metadata.get("line", it.name): _reader(it.name, types[it.name]) for it in fields(kind)}


def _reader(to: str, kind: Any) -> _Reader:
    if get_origin(kind) is tuple:
        return _Reader(to, _convert(get_args(kind)[0]), lambda said: tuple(dict.fromkeys(said)))
    if get_origin(kind) is Mapping:
        return _Reader(to, _pair(*map(_convert, get_args(kind))), dict)
    return _Reader(to, _convert(kind), lambda said: said[-1])


def _pair(key: Convert, value: Convert) -> Convert:
    def convert(said: str) -> tuple[Any, Any]:
        name, _, rest = said.partition(" ")
        return key(name), value(rest)

    return convert


def _convert(kind: Any) -> Convert:
    """Annotated[str, f] is read by f, and a class of ours by its own `read`."""
    if get_origin(kind) is Annotated:
        found: Convert = kind.__metadata__[0]
        return found
    if get_origin(kind) is UnionType:
        kind = get_args(kind)[0]
    return _CONVERT.get(kind) or kind.read


_HINT = "log in and see what is unusual there; if nothing is, this is a bug in kubefab"
