"""The admin's kubeconfig, for a computer that is none of the hosts."""

import os
from pathlib import Path
from typing import Any

import yaml

from kubefab.errors import KubefabError, reason


def reachable_at(text: str, server: str) -> str:
    """The kubeconfig with this server: the endpoint's own name is known to the hosts alone.

    KubefabError where the text is no kubeconfig.
    """
    if _authority(text) is None:
        raise KubefabError(
            "/etc/kubernetes/admin.conf on the master is no kubeconfig: see what is in it, or made it so"
        )
    document = yaml.safe_load(text)
    for entry in document["clusters"]:
        entry["cluster"]["server"] = server
    return yaml.safe_dump(document, sort_keys=False)


def save(text: str, path: Path, force: bool) -> None:
    """Writes it for its owner alone. KubefabError where another cluster's would be lost, or it cannot be."""
    try:
        if path.exists() and not force and _authority(path.read_text("utf-8")) != _authority(text):
            raise KubefabError(f"{path} is not of this cluster; --force writes over it")
        _write(path, text)
    except (OSError, ValueError) as error:
        raise KubefabError(f"{path}: {reason(error)}") from error


def _write(path: Path, text: str) -> None:
    """On the disk before it has its name: a power cut leaves the one before, or this one."""
    if path.parent.name == ".kube":  # kubectl's own, which nobody has who has just begun
        path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _authority(text: str) -> Any:
    """Whom a kubeconfig believes; None for what is no kubeconfig."""
    try:
        return [entry["cluster"]["certificate-authority-data"] for entry in yaml.safe_load(text)["clusters"]]
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, RecursionError):
        return None
