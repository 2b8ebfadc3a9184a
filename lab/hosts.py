"""The lab's own hosts.yml: the checkout's, of the machines that there are, and without mirrors where there are none."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from kubefab import inventory
from lab import files
from lab.origin import INTERNET, SOURCE
from lab.settings import HERE, HOSTS, address, machine_names

MODELS = {"": HERE.parent / "hosts.yml", "guide": HERE / "guide-stack/hosts.yml"}
HEADER = "# The lab's machines. Every `inv lab.up` writes this file anew: copy it to change it.\n"


def document(model: Mapping[str, Any], names: Iterable[str], internet: bool) -> dict[str, Any]:
    """hosts.yml as data; the first of these machines is the master."""
    kept = {key: value for key, value in model.items() if key != "mirrors" or not internet}
    roles = {name: "worker" if place else "master" for place, name in enumerate(names)}
    return kept | {"hosts": {name: {"address": address(name), "role": role} for name, role in roles.items()}}


def text(stack: str, names: Iterable[str], internet: bool) -> str:
    made = document(yaml.safe_load(MODELS[stack].read_text()), names, internet)
    return HEADER + yaml.safe_dump(made, sort_keys=False)


def wanted() -> inventory.Inventory:
    """The cluster that `make up` makes, as it is asked of the internet."""
    return inventory.parse(text("", machine_names(1), internet=True), HOSTS)


def write(stack: str, names: Iterable[str], internet: bool) -> None:
    files.write(HOSTS, text(stack, names, internet))


def origin() -> str:
    """Where the lab's Kubernetes comes from, as its hosts.yml says; "" where there is none."""
    if not HOSTS.exists():
        return ""
    return SOURCE if re.search("^mirrors:", HOSTS.read_text(), re.M) else INTERNET
