"""A whole cluster on Docker, of one machine with a kernel of its own."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.packages import cri_dockerd
from lab.services import WWW
from lab.settings import CRI_DOCKERD, GATEWAY
from tests.e2e.harness import Done, Kubefab, nodes
from tests.proof.kernels import VM, a_pod_answers, brought_up, machine_as_new, of_one, switched_off

COVERS = (
    "lab/qemu.py",
    "lab/vm*.py",
    "lab/machines.py",
    "lab/network.py",
    "lab/image-kernels/**",
    "lab/image/machine/etc/**",
    "tests/proof/kernels.py",
    "kubefab/steps/docker.py",
    "kubefab/runtimes.py",
    "files/etc/docker/*",
    "scripts/*docker*",
)
RELEASES = "https://github.com/Mirantis/cri-dockerd/releases/download/"


@pytest.fixture(scope="module")
def hosts(inv: Kubefab) -> Iterator[Path]:
    machine_as_new()
    sha256 = hashlib.sha256((WWW / "cri-dockerd" / cri_dockerd()).read_bytes()).hexdigest()
    docker = {"runtime": "docker", "cri_dockerd": {"version": CRI_DOCKERD, "sha256": sha256}}
    yield of_one(inv.state / "docker.yml", docker, {RELEASES: f"http://{GATEWAY}:8080/cri-dockerd/"})
    switched_off()


@pytest.fixture(scope="module")
def up(inv: Kubefab, hosts: Path) -> Done:
    return brought_up(inv, hosts)


def test_a_cluster_on_docker_comes_up(up: Done) -> None:
    up.well()
    assert nodes(VM)[VM]["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("docker://")


def test_a_pod_on_docker_answers_by_its_services_name(up: Done) -> None:
    a_pod_answers(f"{GATEWAY}:5000/lab/tools:1")
