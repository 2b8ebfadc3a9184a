"""A whole cluster on Docker, of one machine with a kernel of its own; and what an orderly reboot of it brings back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.settings import GATEWAY
from tests.e2e.harness import Done, Kubefab, nodes, on, ready_nodes, reboot
from tests.e2e.test_kernels import BOOT_ID, BROUGHT_BACK, CURED, CURES, SWAP_AND_FORWARDING, UNDONE
from tests.proof.dockers import MIRROR, docker
from tests.proof.kernels import VM, a_pod_answers, brought_up, machine_as_new, of_one, switched_off

COVERS = (
    "lab/qemu.py",
    "lab/vm*.py",
    "lab/machines.py",
    "lab/network.py",
    "lab/image-kernels/**",
    "lab/image/machine/etc/**",
    "tests/proof/dockers.py",
    "tests/proof/kernels.py",
    "tests/e2e/test_kernels.py",
    "kubefab/steps/docker.py",
    "kubefab/steps/reboot.py",
    "kubefab/steps/system.py",
    "kubefab/runtimes.py",
    "files/etc/docker/*",
    "scripts/*docker*",
    "scripts/swap-off.sh",
    "scripts/apply-sysctl.sh",
)


@pytest.fixture(scope="module")
def hosts(inv: Kubefab) -> Iterator[Path]:
    machine_as_new()
    yield of_one(inv.state / "docker.yml", docker(), MIRROR)
    switched_off()


@pytest.fixture(scope="module")
def up(inv: Kubefab, hosts: Path) -> Done:
    return brought_up(inv, hosts)


def test_a_cluster_on_docker_comes_up(up: Done) -> None:
    up.well()
    assert nodes(VM)[VM]["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("docker://")


def test_a_pod_on_docker_answers_by_its_services_name(up: Done) -> None:
    a_pod_answers(f"{GATEWAY}:5000/lab/tools:1")


def test_what_a_reboot_brought_back_is_found_and_cured(up: Done, hosts: Path, inv: Kubefab) -> None:
    before = on(VM, f"{UNDONE}; {BOOT_ID}")
    reboot(VM)
    assert on(VM, BOOT_ID) != before
    assert on(VM, SWAP_AND_FORWARDING) == BROUGHT_BACK
    said = inv("fix-reboot", hosts=hosts).well().stdout
    assert [title for title in CURES if title not in said] == []
    assert on(VM, SWAP_AND_FORWARDING) == CURED
    assert ready_nodes(VM) == {VM}
