"""What the proofs on Docker share: a hosts.yml with cri-dockerd out of the lab, and what the nodes run on."""

import hashlib
from pathlib import Path
from typing import Any

from lab.packages import cri_dockerd
from lab.services import WWW
from lab.settings import CRI_DOCKERD, GATEWAY
from tests.e2e.harness import MASTER, WORKER, Words, guides_overlays, hosts_file, nodes

MIRROR = {"https://github.com/Mirantis/cri-dockerd/releases/download/": f"http://{GATEWAY}:8080/cri-dockerd/"}


def docker() -> Words:
    """What hosts.yml says of the cluster on it."""
    sha256 = hashlib.sha256((WWW / "cri-dockerd" / cri_dockerd()).read_bytes()).hexdigest()
    return {"runtime": "docker", "cri_dockerd": {"version": CRI_DOCKERD, "sha256": sha256}}


def docker_hosts(path: Path, documents: Words, *names: str, hosts: Words | None = None, **cluster: Any) -> Path:
    """Of these machines, or of the usual two; `documents`: overlays for kubeadm, beside those that the lab needs."""
    cluster = {**cluster, **docker(), "kubeadm": guides_overlays(documents)}
    return hosts_file(path, *(names or (MASTER, WORKER)), cluster=cluster, mirrors=MIRROR, hosts=hosts)


def runtimes(master: str = MASTER) -> set[str]:
    """Of all nodes, as their kubelets tell."""
    return {node["status"]["nodeInfo"]["containerRuntimeVersion"].partition(":")[0] for node in nodes(master).values()}
