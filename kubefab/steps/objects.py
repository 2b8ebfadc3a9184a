"""An add-on's objects: how they are applied, and which are there, since somebody may have deleted one of them."""

import json

from kubefab.errors import Silent
from kubefab.facts import OBJECTS, Facts, Workload
from kubefab.host import Host

# By the server: what others own in these objects is told apart from what is ours.
APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=kubefab", "-f", "-")


def incomplete(name: str, workload: Workload, facts: Facts) -> str | None:
    """How many are gone, by the count that the marked workload carries."""
    there, applied = len(objects(name, facts)), workload.annotations.get(OBJECTS, "")
    whole = applied.isdigit() and there >= int(applied)
    return None if whole else f"{there} of its {applied or 'uncounted'} objects are there"


def objects(name: str, facts: Facts) -> list[str]:
    """What there is of an add-on, each by its kind and name. Silent where the API server has not said."""
    if not facts.addons.addons_told:
        raise Silent("the API server does not list the add-ons' objects")
    return facts.addons.of(name)


def setting(master: Host, namespace: str, name: str, key: str) -> str:
    """JSON in a ConfigMap that is there, which a person may have changed; "" where there is none, or another text."""
    path = key.replace(".", r"\.")
    words = ("--namespace", namespace, "--ignore-not-found", "--output", f"jsonpath={{.data.{path}}}")
    said = master.ask("kubectl.sh", "get", "configmap", name, *words)
    try:
        return said if isinstance(json.loads(said or "0"), dict) else ""
    except ValueError:
        return ""  # nothing starts by it
