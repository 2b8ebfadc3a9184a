"""Docker Engine's daemon.json, which others may have written before: what it says stays, and ours is added."""

import json
from base64 import b64decode
from contextlib import suppress
from typing import Any

from kubefab import render, runtimes
from kubefab.cluster import Cluster
from kubefab.errors import HostError, NotAsked
from kubefab.facts import Facts, Packages
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING, Gap, Step, file_line, when

Document = dict[str, Any]
REGISTRIES = "kubefab.registries="  # a label of ours: what we added to the lists of registries
OURS = ("kubefab=", REGISTRIES)
DRIVER = "native.cgroupdriver="
LOG_DRIVER = "json-file"


def configured(cluster: Cluster) -> Step:
    def put(host: Host) -> None:
        theirs = found(cluster.facts(host))
        if theirs is None:
            raise HostError(f"{render.DOCKER_CONFIG} {NO_JSON}", hint=HINT)
        before = there(cluster.facts(host).packages)
        text = json.dumps(merged(theirs, ours(cluster.inventory), before), indent=2) + "\n"
        host.change("put-files.sh", payload=file_line(render.DOCKER_CONFIG, text.encode(), "as-it-is"))

    return Step("Docker is configured", unlike(ours(cluster.inventory)), put, HINT, parts=("files",))


def ours(inventory: Inventory) -> Document:
    """What we want of the file, of which there may be more."""
    wanted: Document = json.loads(render.docker(inventory)[render.DOCKER_CONFIG])
    return wanted


def found(facts: Facts) -> Document | None:
    """What the file says; None where that is not a JSON object."""
    text = b64decode(facts.files.contents.get(render.DOCKER_CONFIG, ""))
    try:
        said = json.loads(text or b"{}")
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def there(found: Packages) -> bool:
    """Whether Docker Engine is installed: Debian's, or Docker's own, whichever somebody chose."""
    return any(found.deb(name).installed for name in ("docker.io", "docker-ce"))


def merged(theirs: Document, ours: Document, there: bool = False) -> Document:
    """Lists are joined; of all else what is there stays. What an earlier run added to lists, and none wants, goes.

    `there`: Docker was installed before its file was ours.
    """
    before, fitting = _without_ours(theirs), _fitting(theirs, ours, there)
    fitting["labels"] = [*_list(fitting, "labels"), *_added(before, ours)]
    return before | {key: _joined(before[key], value) if key in before else value for key, value in fitting.items()}


def _fitting(theirs: Document, ours: Document, there: bool) -> Document:
    """Without options of another log driver, which would keep dockerd from starting; and without a storage driver for
    a Docker that was there before: under another one than its own all its images and containers are out of sight."""
    marked = any(str(label).startswith(OURS) for label in _list(theirs, "labels"))
    other_log = theirs.get("log-driver", ours["log-driver"]) != ours["log-driver"]
    unfit = (*when(other_log, "log-opts"), *when(there or marked, "storage-driver"))
    return {key: value for key, value in ours.items() if key not in unfit}


def _joined(theirs: Any, ours: Any) -> Any:
    if isinstance(theirs, list) and isinstance(ours, list):
        return theirs + [one for one in ours if one not in theirs]
    return {**ours, **theirs} if isinstance(theirs, dict) and isinstance(ours, dict) else theirs


def _without_ours(document: Document) -> Document:
    labels = [str(label) for label in _list(document, "labels")]
    added = [name for label in labels if label.startswith(REGISTRIES) for name in label[len(REGISTRIES) :].split(",")]
    kept = {key: [one for one in _list(document, key) if one not in added] for key in _LISTS if key in document}
    kept |= {"labels": [label for label in labels if not label.startswith(OURS)]} if labels else {}
    return document | kept


def _added(before: Document, ours: Document) -> tuple[str, ...]:
    """The label by which an addition of ours is known again; what was there before is theirs, and never goes."""
    names = [one for key in _LISTS for one in _list(ours, key) if one not in _list(before, key)]
    return when(names, REGISTRIES + ",".join(names))


def _list(document: Document, key: str) -> list[Any]:
    value = document.get(key, [])
    return value if isinstance(value, list) else []


def unlike(ours: Document) -> Gap:
    def gap(facts: Facts) -> str | None:
        if render.DOCKER_CONFIG not in facts.files.digests:
            return MISSING
        theirs = found(facts)
        if theirs is None:
            return f"{render.DOCKER_CONFIG} {NO_JSON}"
        wanted = merged(theirs, ours, there(facts.packages))
        other = [key for key in wanted if theirs.get(key) != wanted[key]]
        return f"{render.DOCKER_CONFIG} wants another {', '.join(other)}" if other else None

    return gap


def contradicts(facts: Facts) -> str | None:
    """What cannot be merged."""
    theirs = found(facts)
    if theirs is None:
        return f"{render.DOCKER_CONFIG} {NO_JSON}"
    drivers = [str(option) for option in _list(theirs, "exec-opts") if str(option).startswith(DRIVER)]
    other = [driver for driver in drivers if driver != f"{DRIVER}systemd"]
    return f"{render.DOCKER_CONFIG} says {', '.join(other)}, and the kubelet wants systemd" if other else None


def warnings(facts: Facts | None, inventory: Inventory) -> str:
    """What to say before Docker is restarted."""
    with suppress(NotAsked):  # what reads it for a change says so
        told = (restarted(facts), stopped(facts), unread_logs(facts, inventory)) if facts else ()
        return "; ".join(filter(None, told))
    return ""


def restarted(facts: Facts) -> str:
    """What of Kubernetes ends with it."""
    if not facts.local.kubelet_ca or facts.services.unit("docker").active != "active":
        return ""
    servers = ": its API server and its etcd, too" if facts.local.control_plane else ""
    return f"a restart of Docker ends all pods of {facts.name}, which begin anew{servers}"


def stopped(facts: Facts) -> str:
    """Whose containers stop with it, unless they are told to live on."""
    runtime = facts.runtime
    if runtime.docker not in ("", "ok"):
        return f"a restart of Docker stops all that runs in it, and what that is is not known: {runtime.docker}"
    return f"a restart of Docker stops these, too: {', '.join(runtime.docker_others)}" if runtime.docker_others else ""


def unread_logs(facts: Facts, inventory: Inventory) -> str:
    """The kubelet reads the files that Docker's own driver writes; dockershim, a part of it, asks Docker instead."""
    driver = (found(facts) or {}).get("log-driver", LOG_DRIVER)
    unread = driver != LOG_DRIVER and runtimes.through_cri_dockerd(inventory)
    return _UNREAD.format(driver) if unread else ""


_LISTS = ("registry-mirrors", "insecure-registries")
_UNREAD = f"{render.DOCKER_CONFIG} says log-driver {{}}: kubectl logs shows nothing but what {LOG_DRIVER} has written"
NO_JSON = "is not a JSON object"
HINT = f"kubefab adds to it and takes nothing away: put {render.DOCKER_CONFIG} in order on the host"
