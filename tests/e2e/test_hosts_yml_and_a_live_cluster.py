"""What hosts.yml says otherwise than the cluster that is there."""

from pathlib import Path
from typing import Any

import pytest

from .harness import MASTER, WORKER, Kubefab, hosts_file, untouched

PAIR = (MASTER, WORKER)


@pytest.mark.parametrize(
    ("cluster_says", "named"),
    [
        ({"kubernetes": "1.37.3"}, ("1.37.2", "1.37.3", "upgrade")),
        ({"kubernetes": "1.36.3"}, ("1.37.2", "1.36.3")),
        ({"pod_subnet": "10.245.0.0/16"}, ("10.244.0.0/16", "10.245.0.0/16", "inv cluster.reset")),
        ({"service_subnet": "10.112.0.0/12"}, ("10.96.0.0/12", "10.112.0.0/12", "inv cluster.reset")),
        ({"name": "renamed"}, ("put `name: lab` back", "renamed", "inv cluster.reset")),
    ],
    ids=["a newer version", "an older version", "another pod subnet", "another service subnet", "another name"],
)
def test_a_difference_is_named_with_its_cure_and_nothing_is_changed(
    well: Kubefab, tmp_path: Path, cluster_says: dict[str, Any], named: tuple[str, ...]
) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, cluster=cluster_says)
    with untouched(*PAIR):
        done = well("cluster.up", hosts=hosts).badly()
    assert all(word in done.stderr for word in named), done.stderr


@pytest.mark.parametrize("task", ["preflight", "install-kubeadm"])
def test_every_task_names_it(well: Kubefab, tmp_path: Path, task: str) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, cluster={"kubernetes": "1.37.3"})
    with untouched(*PAIR):
        assert "1.37.3" in well(task, hosts=hosts).badly().stderr


def test_all_differences_are_named_at_once(well: Kubefab, tmp_path: Path) -> None:
    says = {"kubernetes": "1.37.3", "pod_subnet": "10.245.0.0/16", "name": "renamed"}
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, cluster=says)
    said = well("cluster.up", hosts=hosts).badly().stderr
    assert all(word in said for word in ("1.37.3", "10.245.0.0/16", "renamed")), said


def test_the_status_tells_the_same(well: Kubefab, tmp_path: Path) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, cluster={"name": "renamed"})
    assert well("cluster.status", hosts=hosts).badly().stdout.count("put `name: lab` back") == 1


def test_a_dry_run_tells_the_same(well: Kubefab, tmp_path: Path) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, cluster={"kubernetes": "1.37.3"})
    with untouched(*PAIR):
        assert "1.37.3" in well("--dry", "cluster.up", hosts=hosts).badly().stderr


def test_the_worker_is_not_upgraded_behind_its_masters_back(well: Kubefab, tmp_path: Path) -> None:
    """1.37.99 is in the repository, and empty: whoever installs it has no kubelet any more."""
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, cluster={"kubernetes": "1.37.99"})
    with untouched(*PAIR):
        well("node.join", "--host", WORKER, hosts=hosts).badly()
