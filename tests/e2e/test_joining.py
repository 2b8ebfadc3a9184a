"""One machine more: `node.join`."""

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
    hosts_file,
    kubectl,
    logins,
    machine_id,
    mended,
    never_used,
    nodes,
    ready_nodes,
    untouched,
)

ALL = {MASTER, WORKER, SPARE}


@dataclass(frozen=True)
class Joined:
    dry: Done
    done: Done
    logins: str
    again: Done


@pytest.fixture(scope="module")
def joined(inv: Kubefab, three: Path) -> Iterator[Joined]:
    """The third machine, which was never used, added to a cluster of two."""
    mended(inv)
    never_used(SPARE)
    before = logins(WORKER)
    with untouched(WORKER):
        with untouched(SPARE, MASTER):
            dry = inv("--dry", "node.join", "--host", SPARE, hosts=three)
        done = inv("node.join", "--host", SPARE, hosts=three)
        again = inv("node.join", "--host", SPARE, hosts=three)
    yield Joined(dry, done, logins(WORKER).removeprefix(before), again)
    kubectl("delete", "node", SPARE, "--ignore-not-found")


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


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nobody", f"allowed: {MASTER}, {WORKER}, {SPARE}"),
        (SPARE, "absent: true"),
    ],
    ids=["an unknown name", "an absent one"],
)
def test_who_cannot_be_joined_is_told_in_one_message(cluster: Kubefab, tmp_path: Path, host: str, words: str) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", MASTER, WORKER, SPARE, hosts={SPARE: {"absent": True}})
    with untouched(MASTER, WORKER):
        done = cluster("node.join", "--host", host, hosts=hosts).badly()
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4, done.stderr


def test_a_join_without_a_cluster_says_what_makes_one(inv: Kubefab, tmp_path: Path) -> None:
    """A master and a worker of which neither was ever touched."""
    never_used(SPARE)
    hosts = hosts_file(tmp_path / "hosts.yml", SPARE, WORKER, cluster={"name": "other"})
    with untouched(SPARE, WORKER):
        done = inv("node.join", "--host", WORKER, hosts=hosts).badly()
    assert "inv cluster.up" in done.stderr
