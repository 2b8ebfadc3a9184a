"""A YAML file as plain values, each with the line it stands on. Strict: no key twice, nothing endless."""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kubefab.errors import InventoryError

DEEPEST = 50  # levels; a kubeadm document has some ten
MOST = 100_000  # values, aliases written out; a host has some five
TOO_MUCH = f"found more than {DEEPEST} levels or {MOST} values, aliases written out; allowed: less"
TAG = "tag:yaml.org,2002:"
WORDS = {"null": "nothing", "bool": "the boolean ", "int": "the number ", "float": "the number "}
NUMBERS = (f"{TAG}int", f"{TAG}float")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Loc = tuple[str | int, ...]  # where a value stands: ("hosts", "client", "address")
Values = Mapping[Loc, Any]
Problem = tuple[Loc, str]  # where, and what is wrong there


def compose(text: str, path: Path) -> Node:
    """The root of the document. InventoryError where this is no YAML."""
    try:
        _refuse_depth(text, path)
        return yaml.compose(text, LOADER) or ScalarNode(f"{TAG}null", "")
    except yaml.YAMLError as error:
        raise InventoryError(f"{path}:{_not_yaml(error, text)}") from None


def _refuse_depth(text: str, path: Path) -> None:
    """libyaml's composer recurses in C: what is too deep for it ends in a segmentation fault."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise InventoryError(f"{path}:{line}: {TOO_MUCH}")


def _not_yaml(error: yaml.YAMLError, text: str) -> str:
    line, reason = 0, str(error)
    if isinstance(error, yaml.reader.ReaderError):  # libyaml counts bytes
        line, reason = text.encode().count(b"\n", 0, error.position), error.reason
    elif isinstance(error, yaml.MarkedYAMLError) and (end := error.problem_mark):
        line, reason = end.line, str(error.problem)
        if start := error.context_mark:
            reason = f"{error.context} on line {start.line + 1}: {reason}"
    tab = "; this line has a tab" if "\t" in "".join(text.split("\n")[line : line + 1]) else ""
    return f"{line + 1}: not YAML: {reason}; allowed: YAML, indented with spaces{tab}"


class Tree:
    """A YAML document as plain values, where each of them stands, and what is wrong with it.

    `texts`: the keys below which a number is the text that is written: 1.30 is not 1.3 there.
    """

    def __init__(self, path: Path, texts: Collection[str] = ()) -> None:
        self.path = path
        self.texts = frozenset(texts)
        self.places: dict[Loc, tuple[int, Node]] = {}
        self.values: dict[Loc, Any] = {}
        self.problems: list[tuple[int, str]] = []

    def nearest(self, loc: Loc) -> Loc:
        """The place itself or, where nothing stands there, the one around it."""
        while loc not in self.places:
            loc = loc[:-1]
        return loc

    def complain(self, loc: Loc, said: str, line: int = 0) -> None:
        parts = (f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in loc)
        place = f"{''.join(parts)[1:]}: " if loc else ""
        line = line or self.places[self.nearest(loc)][0]
        self.problems.append((line, f"{place}{said}"))

    def valid(self, wrong: Iterable[Loc]) -> Values:
        """All values by their place, None for those that are wrong or within what is."""
        bad = set(wrong)
        hidden = {loc for loc in self.values if any(loc[:end] in bad for end in range(len(loc) + 1))}
        return {loc: None if loc in hidden else value for loc, value in self.values.items()}

    def read(self, node: Node, loc: Loc = (), line: int = 0) -> Any:
        """The node's value. InventoryError where aliases make it endless, or next to it."""
        line = line or node.start_mark.line + 1
        self.places[loc] = line, node
        if len(loc) > DEEPEST or len(self.places) > MOST:
            raise InventoryError(f"{self.path}:{line}: {TOO_MUCH}")
        if isinstance(node, MappingNode):
            value: Any = self.mapping(node, loc)
        elif isinstance(node, SequenceNode):
            value = [self.read(item, (*loc, index)) for index, item in enumerate(node.value)]
        elif node.tag in NUMBERS and not self.texts.isdisjoint(loc):
            value = node.value
        else:
            value = _scalar(node)
        self.values[loc] = value
        return value

    def mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else words(key)
            place, line = (*loc, name), key.start_mark.line + 1
            if key.tag == f"{TAG}merge":
                self.complain(place, "a merge key is not followed: write out what it stands for", line)
                continue
            if key.tag != f"{TAG}str":
                self.complain(place, f"a key has to be text, and this is {words(key)}: put it in quotes", line)
            if name in values:
                self.complain(place, f"this key is in line {self.places[place][0]} already", line)
            else:
                values[name] = self.read(value, place, line)
        return values


def _scalar(node: Node) -> Any:
    """What YAML reads here, but dates stay text, and so does a number that is none (`!!int x`)."""
    if node.tag.removeprefix(TAG) not in WORDS:
        return node.value
    try:
        return SafeConstructor().construct_object(node)
    except (ValueError, LookupError):
        return node.value


def shown(text: object) -> str:
    """Escaped, for a file must not move the cursor; and short, for it might be a secret."""
    line = str(text)
    return repr(line if len(line) <= 60 else f"{line[:59]}…")[1:-1]


def words(node: Node) -> str:
    """What stands there, as an error names it."""
    if isinstance(node, MappingNode):
        return "a mapping" if node.value else "an empty mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    kind = node.tag.removeprefix(TAG)
    value = "" if kind == "null" else shown(node.value)
    return WORDS[kind] + value if kind in WORDS else f"'{value}'"


def one_of(found: object, choices: Iterable[str]) -> str:
    """The choices, and the one that was probably meant."""
    names = list(choices)
    meant = get_close_matches(str(found), names, 1)
    return ", ".join(names) + (f"; did you mean {meant[0]}?" if meant else "")
