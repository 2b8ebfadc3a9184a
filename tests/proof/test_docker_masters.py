"""Three masters on Docker: they join, one loses its power, and the first is removed for good and replaced."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubefab import backup
from tests.e2e.harness import (
    MACHINES,
    MASTER,
    WORKER,
    Done,
    Kubefab,
    all_is_well,
    coredns_answers,
    cut_power,
    eventually,
    fresh,
    on,
    power_on,
    ready_nodes,
)
from tests.e2e.test_three_masters import THEIRS, leader_first, members
from tests.e2e.writer import none_is_lost, writing

from .dockers import docker_hosts, runtimes

COVERS = (
    "tests/proof/dockers.py",
    "kubefab/steps/docker.py",
    "kubefab/steps/masters.py",
    "kubefab/runtimes.py",
    "scripts/*docker*",
    "scripts/join-master.sh",
    "scripts/shared/etcd.sh",
)


@dataclass(frozen=True)
class Made:
    inv: Kubefab
    up: Done
    again: Done


@pytest.fixture(scope="module")
def made(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("docker-masters")
    power_on("--everything")
    fresh(*MACHINES)
    inv = Kubefab(docker_hosts(folder / "hosts.yml", {}, *MACHINES, hosts=dict.fromkeys(MACHINES, THEIRS)), folder)
    yield Made(inv, inv("cluster.up"), inv("cluster.up"))
    fresh(*MACHINES)


def test_three_masters_come_up_on_docker_and_then_there_is_nothing_to_do(made: Made) -> None:
    made.up.well()
    assert "nothing to do" in made.again.well().stdout
    assert ready_nodes() == set(MACHINES)
    assert runtimes() == {"docker"}
    assert {one["name"]: one["learner"] for one in members(made.inv)} == dict.fromkeys(MACHINES, False)
    all_is_well(made.inv)


def test_a_backup_is_taken_by_the_image_of_etcd_that_docker_has(made: Made, tmp_path: Path) -> None:
    made.inv("etcd.backup", "--output", str(tmp_path)).well()
    (folder,) = tmp_path.iterdir()
    assert backup.opened(folder).revision > 0


def test_a_leader_without_power_costs_no_write(made: Made, tmp_path: Path) -> None:
    leader, other, _ = leader_first(made.inv)
    with writing(other, other, tmp_path / "credentials") as writer:
        since = time.monotonic()
        cut_power(leader)
        writer.goes_on()
        writer.gaps("on Docker: the leader without power", since)
        power_on("--everything")
        eventually(lambda: ready_nodes(other) == set(MACHINES))
        all_is_well(made.inv)
        none_is_lost("on Docker: the leader without power", writer.ends(), MACHINES)


def test_the_first_master_is_removed_for_good_and_another_machine_takes_its_place(made: Made) -> None:
    before = members(made.inv)
    made.inv("node.remove", "--host", MASTER, "--yes").well()
    assert on(MASTER, "docker ps --all --quiet --filter name=^/k8s_") == ""
    fresh(MASTER)
    made.inv("cluster.up").well()
    after = members(made.inv)
    assert {one["name"] for one in after} == set(MACHINES)
    assert len({one["id"] for one in after} & {one["id"] for one in before}) == 2
    assert ready_nodes(WORKER) == set(MACHINES)
    assert coredns_answers()
