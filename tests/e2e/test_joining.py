"""One machine more: `node.join`. A minute and a half."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .harness import (
    MASTER,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    address,
    cut_power,
    fresh,
    hosts_file,
    kubectl,
    logins,
    machine_id,
    mended,
    nodes,
    power_on,
    ready_nodes,
    untouched,
    wait_on,
)

ALL = {MASTER, WORKER, SPARE}
OTHER = "called-otherwise"


@dataclass(frozen=True)
class Joined:
    dry: Done
    done: Done
    logins: str
    again: Done


@pytest.fixture(scope="module")
def joined(inv: Kubefab, three: Path) -> Iterator[Joined]:
    """The third machine, as new, added to a cluster of two."""
    mended(inv)
    fresh(SPARE)
    before = logins(WORKER)
    with untouched(WORKER):
        with untouched(SPARE, MASTER):
            dry = inv("--dry", "node.join", "--host", SPARE, hosts=three)
        done = inv("node.join", "--host", SPARE, hosts=three)
        again = inv("node.join", "--host", SPARE, hosts=three)
    yield Joined(dry, done, logins(WORKER).removeprefix(before), again)
    kubectl("delete", "node", SPARE, OTHER, "--ignore-not-found")


def test_a_dry_join_plans_it_for_this_machine_alone(joined: Joined) -> None:
    lines = joined.dry.well().stdout.splitlines()
    assert any("the host is a node" in line for line in lines)
    assert not any(line.startswith((f"{WORKER} ", f"{MASTER} ")) for line in lines), joined.dry.stdout


def test_a_machine_joins_by_its_name(joined: Joined) -> None:
    joined.done.well()
    assert ready_nodes() == ALL
    assert nodes()[SPARE]["status"]["nodeInfo"]["machineID"] == machine_id(SPARE)


def test_a_join_does_not_even_log_in_on_another_worker(joined: Joined) -> None:
    assert joined.logins == ""


def test_a_second_join_has_nothing_to_do(joined: Joined) -> None:
    assert "nothing to do" in joined.again.well().stdout


def test_up_with_all_three_then_has_nothing_to_do(joined: Joined, inv: Kubefab, three: Path) -> None:
    assert "nothing to do" in inv("cluster.up", hosts=three).well().stdout


def test_two_machines_join_in_one_run(joined: Joined, inv: Kubefab, three: Path) -> None:
    for host in (WORKER, SPARE):
        inv("restart", "--host", host, "--yes", hosts=three).well()
    inv("join-worker", hosts=three).well()
    inv("cluster.up", hosts=three).well()
    assert ready_nodes() == ALL


def test_a_machine_joins_while_another_worker_is_off(joined: Joined, inv: Kubefab, three: Path) -> None:
    """Under another name than its own, too: hosts.yml says what the node is called."""
    inv("restart", "--host", SPARE, "--yes", hosts=three).well()
    kubectl("delete", "node", SPARE)
    says = {OTHER: {"address": address(SPARE)}}
    hosts = hosts_file(inv.state / "other.yml", MASTER, WORKER, OTHER, hosts=says)
    cut_power(WORKER)
    try:
        done = inv("node.join", "--host", OTHER, hosts=hosts).well()
        assert WORKER not in done.said.replace(f"{WORKER} 0", "")
        assert OTHER in ready_nodes()
    finally:
        power_on()
        wait_on(WORKER, "pgrep -x flanneld")  # which installs its files anew before


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nobody", f"allowed: {MASTER}, {WORKER}, {SPARE}"),
        (MASTER, "the host is a master"),
        (SPARE, "absent: true"),
    ],
    ids=["an unknown name", "the master", "an absent one"],
)
def test_who_cannot_be_joined_is_told_in_one_message(cluster: Kubefab, tmp_path: Path, host: str, words: str) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, SPARE, hosts={SPARE: {"absent": True}})
    with untouched(MASTER, WORKER):
        done = cluster("node.join", "--host", host, hosts=hosts).badly()
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4, done.stderr


def test_a_join_without_a_cluster_says_what_makes_one(inv: Kubefab, tmp_path: Path) -> None:
    """A master and a worker of which neither was ever touched."""
    fresh(SPARE)
    hosts = hosts_file(tmp_path / "hosts.yml", SPARE, WORKER, cluster={"name": "other"})
    with untouched(SPARE, WORKER):
        done = inv("node.join", "--host", WORKER, hosts=hosts).badly()
    assert "inv cluster.up" in done.stderr
