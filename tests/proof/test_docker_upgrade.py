"""A cluster on Docker comes from 1.37.1 to 1.37.2: its master by itself first, then both workers at one time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from lab.settings import GATEWAY
from tests.e2e.harness import MASTER, SPARE, WORKER, Done, Kubefab, fresh, nodes, power_on, untouched

from .dockers import docker_hosts, runtimes
from .upgrades import AFTER, STEP, Watch, is_upgraded, kubelets, watched

COVERS = (
    "tests/proof/dockers.py",
    "kubefab/upgrading.py",
    "kubefab/steps/upgrade*.py",
    "kubefab/steps/docker.py",
    "kubefab/passes.py",
    "kubefab/runtimes.py",
    "scripts/**/*upgrade*",
    "scripts/*docker*",
    "scripts/fetch-images.sh",
)
BEFORE = "1.37.1"
WORKERS = (WORKER, SPARE)
ALL = (MASTER, *WORKERS)
REGISTRY = f"{GATEWAY}:5000"  # Docker pulls from a mirror by the mirror's own name
TAKES_PODS = {MASTER: {"schedulable": True}}


@dataclass(frozen=True)
class Upgraded:
    early: Done
    master: Done
    between: Mapping[str, str]
    workers: Done
    watch: Watch


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """Its cluster is at the version before, and its hosts.yml says the new one."""
    folder = tmp_path_factory.mktemp("docker-upgrade")
    power_on("--everything", "--kubernetes", BEFORE)
    fresh(*ALL)
    before = docker_hosts(folder / "before.yml", {}, *ALL, hosts=TAKES_PODS, kubernetes=BEFORE)
    inv = Kubefab(docker_hosts(folder / "hosts.yml", {}, *ALL, hosts=TAKES_PODS, kubernetes=AFTER), folder)
    inv("cluster.up", hosts=before).well()
    yield inv
    fresh(*ALL)


@pytest.fixture(scope="module")
def upgraded(inv: Kubefab) -> Upgraded:
    with untouched(*ALL):
        early = inv("cluster.upgrade", "--host", WORKER, "--yes")
    with watched("on Docker, two workers at one time", [MASTER], WORKERS, inv.state) as watch:
        master = inv("cluster.upgrade", "--host", MASTER, "--yes")
        between = kubelets(nodes())
        workers = inv("cluster.upgrade", "--at-once", "2", "--yes")
    return Upgraded(early, master, between, workers, watch)


def test_a_worker_does_not_come_before_its_master(upgraded: Upgraded) -> None:
    said = upgraded.early.badly().stderr
    assert f"{WORKER} comes after {MASTER}: inv cluster.upgrade --host {MASTER}" in said


def test_one_host_alone_is_upgraded_and_the_next_is_named(upgraded: Upgraded) -> None:
    assert f"next: inv cluster.upgrade --host {WORKER}" in upgraded.master.well().stdout
    assert upgraded.between == {MASTER: f"v{AFTER}", **dict.fromkeys(WORKERS, f"v{BEFORE}")}


def test_two_workers_are_upgraded_at_one_time(upgraded: Upgraded) -> None:
    """Neither takes pods again before the other has been closed to them."""
    said = STEP.findall(upgraded.workers.well().stdout)
    closed = [said.index((host, "an old kubelet gets no new pods")) for host in WORKERS]
    opened = [said.index((host, "a node that was upgraded takes pods again")) for host in WORKERS]
    assert max(closed) < min(opened)


def test_nobody_notices(upgraded: Upgraded) -> None:
    upgraded.watch.nobody_noticed()


def test_all_is_of_the_new_version_and_still_on_docker(upgraded: Upgraded, inv: Kubefab) -> None:
    is_upgraded(inv, [MASTER], WORKERS, REGISTRY)
    assert runtimes() == {"docker"}
