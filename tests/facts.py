"""Facts as a look would have found them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from kubefab.facts import PARTS, ClusterFacts, Facts, parse

PART_OF = {field.name: part for part, kind in PARTS.items() for field in fields(kind)}


def known(
    name: str = "", cluster: ClusterFacts | None = None, others: Mapping[str, Facts] | None = None, **said: Any
) -> Facts:
    """A host of which every part was looked at, and on which there is nothing but this."""
    return with_(Facts(name, {part: kind() for part, kind in PARTS.items()}, cluster, others or {}), **said)


def with_(facts: Facts, **said: Any) -> Facts:
    """The same host, with these fields of its parts, or of the facts themselves, in place of those."""
    own = {field.name for field in fields(Facts)} & set(said)
    parts = dict(facts.parts)
    for field in set(said) - own:
        part = PART_OF[field]
        parts[part] = replace(parts[part], **{field: said[field]})
    return replace(facts, parts=parts, **{field: said[field] for field in own})


def read(texts: Mapping[str, str]) -> Facts:
    """A host of which every part was looked at, and which printed this."""
    nothing = known()
    return replace(nothing, parts={**nothing.parts, **parse(texts)})


def flat(facts: Facts) -> dict[str, Any]:
    """Field by field, whatever part they are of: a difference then has a name."""
    return {field: getattr(facts.parts[part], field) for field, part in PART_OF.items()}
