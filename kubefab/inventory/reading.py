"""hosts.yml -> an Inventory; every problem at once, with its line."""

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kubefab.errors import InventoryError
from kubefab.inventory.models import (
    ARGUMENTS,
    Cluster,
    Etcd,
    Host,
    HostsFile,
    Inventory,
    Machine,
    Mirror,
    Schedule,
    Ssh,
)
from kubefab.inventory.rules import contradictions
from kubefab.located import Loc, Problem, Tree, compose, one_of, shown, words


def load(path: Path) -> Inventory:
    """The inventory in this file. InventoryError where it cannot be read, or has problems."""
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except OSError as error:
        raise InventoryError(f"{path}: {error.strerror}; INV_HOSTS may name another file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InventoryError(f"{path}:{line}: found a byte that is not UTF-8; allowed: text") from None


def parse(text: str, path: Path) -> Inventory:
    """The inventory in this text; `path` is what errors name, and relative files are beside it.

    InventoryError with every problem at once.
    """
    tree = Tree(path, ARGUMENTS)
    data = tree.read(compose(text, path), line=1)
    errors: list[ErrorDetails] = []
    try:
        file = HostsFile.model_validate_json(json.dumps(data), strict=True, context=path.parent)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    for problem in (
        *(_explained(error, tree) for error in errors),
        *contradictions(tree.valid(error["loc"] for error in errors)),
    ):
        tree.complain(*problem)
    if tree.problems:
        raise InventoryError("\n".join(f"{path}:{line}: {text}" for line, text in sorted(tree.problems)))
    mirrors = {name: _mirror(name, mirror) for name, mirror in file.mirrors.items()}
    hosts = tuple(_host(name, machine, file.ssh) for name, machine in file.hosts.items())
    return Inventory(
        path=path,
        cluster=file.cluster,
        mirrors=mirrors,
        proxy=file.proxy,
        bundle=file.bundle,
        backup=file.etcd.backup if file.etcd else None,
        hosts=hosts,
    )


def _mirror(origin: str, mirror: Mirror) -> Mirror:
    """One URL takes another's place only if both end in /; a registry's client adds its own."""
    slash = "/" if "://" in origin else ""
    return mirror.model_copy(update={"url": mirror.url.rstrip("/") + slash})


def _host(name: str, machine: Machine, ssh: Ssh) -> Host:
    """A setting that is null is set: `jump: null` reaches one host without the jump host of the others."""
    own = machine.ssh.model_dump(exclude_unset=True)
    return Host(**{**dict(machine), "name": name, "ssh": ssh.model_copy(update=own)})


def schema() -> str:
    """hosts.schema.json: what editors complete and check hosts.yml with."""
    body = HostsFile.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **body}, indent=2) + "\n"


# --- what was found, what is allowed


def _explained(error: ErrorDetails, tree: Tree) -> Problem:
    loc, kind = error["loc"], error["type"]
    if kind == "extra_forbidden":
        known = one_of(loc[-1], _expected(loc[:-1])[0].model_fields) + (_elsewhere(loc[-1]) or _unspaced(loc[-1]))
        return loc, f"this key is not known; allowed: {known}"
    if loc[-1:] == ("[key]",) and kind.startswith("string_"):
        return loc[:-1], f"found '{shown(loc[-2])}'; allowed: {_expected(loc[:-1])[1]}"
    found = "nothing" if kind == "missing" else words(tree.places[tree.nearest(loc)][1])
    return loc, f"found {found}; allowed: {_allowed(error)}"


def _unspaced(key: str | int) -> str:
    """What `name:home` is: a key, to YAML."""
    return "; a space belongs after ':'" if ":" in str(key) else ""


def _elsewhere(key: str | int) -> str:
    """Where a key belongs that has strayed."""
    places: dict[str, type[BaseModel]] = {
        "at the top": HostsFile,
        "under cluster": Cluster,
        "under a host": Machine,
        "under ssh": Ssh,
        "under etcd": Etcd,
        "under etcd.backup": Schedule,
    }
    return next((f"; it belongs {place}" for place, model in places.items() if key in model.model_fields), "")


def _allowed(error: ErrorDetails) -> str:
    kind, description = _expected(error["loc"])
    match error["type"]:
        case "allowed":
            return error["msg"]
        case "literal_error":
            return one_of(error["input"], re.findall("'(.+?)'", error["ctx"]["expected"]))
        case "model_type":
            return "a mapping of " + ", ".join(kind.model_fields)
    return description


def _expected(loc: Loc) -> tuple[Any, str]:
    """The type of what belongs there, and the description of the field that it is, or is in."""
    kind: Any = HostsFile
    description: Any = ""
    for part in loc:
        kind = get_args(kind)[0] if isinstance(kind, UnionType) else kind  # of `Model | None`
        if hasattr(kind, "model_fields"):
            kind, description = kind.model_fields[part].annotation, kind.model_fields[part].description
        else:
            kind = get_args(kind)[-1]
        if isinstance(kind, UnionType):  # a mapping that may be left out
            kind = get_args(kind)[0]
    return kind, description
