"""Three masters die, each in each way, while a client writes through a worker's haproxy: short gaps, no write lost.

Another one writes by the service address, as pods do.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.settings import address
from tests.e2e.harness import (
    FRONT,
    MACHINES,
    Kubefab,
    cut_power,
    eventually,
    fresh,
    hosts_file,
    on,
    plug_in,
    power_on,
    true_on,
    unplug,
)
from tests.e2e.writer import SERVICE, Writer, none_is_lost, writing

COVERS = (
    "kubefab/steps/endpoint.py",
    "kubefab/facts/endpoint.py",
    "files/etc/kubefab/endpoint.cfg.j2",
    "files/etc/systemd/system/kubefab-endpoint.service",
    "scripts/*endpoint*",
    "scripts/install-haproxy.sh",
    "scripts/restart-proxy.sh",
)
ALL = (*MACHINES, FRONT)
LISTED = 15.0  # seconds that a dead master stays among those that the service address leads to
HERE = "kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443"


@pytest.fixture(scope="module")
def three(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """Three masters and a worker, from fresh."""
    folder = tmp_path_factory.mktemp("endpoint")
    power_on(machines=ALL)
    roles = {name: {"role": "master"} for name in MACHINES}
    inv = Kubefab(hosts_file(folder / "hosts.yml", *ALL, hosts=roles), folder)
    fresh(*ALL)
    inv("cluster.up").well()
    yield inv
    power_on(machines=ALL)
    inv("cluster.reset", "--yes").well()


def test_the_haproxy_that_its_package_has_started_is_stopped(three: Kubefab) -> None:
    assert true_on(FRONT, "systemctl is-active kubefab-endpoint")
    assert not true_on(FRONT, "systemctl is-active haproxy || systemctl is-enabled haproxy")


def ready(master: str) -> bool:
    return true_on(master, f"{HERE} get --raw /readyz")


def well(inv: Kubefab) -> bool:
    told = json.loads(inv("etcd.status", "--json").stdout)
    return (
        bool(told["healthy"]) and len({one["cluster_id"] for one in told["members"]}) == 1 and all(map(ready, MACHINES))
    )


def come_to_agree(inv: Kubefab) -> None:
    """All are members of one etcd, and each gets what any of them has now; the control plane writes each second."""
    newest = max(one["revision"] for one in eventually(lambda: members(inv)))

    def agree() -> bool:
        told = members(inv)
        of_one = len({one["cluster_id"] for one in told}) == 1 and len(told) == len(MACHINES)
        return of_one and min(one["revision"] for one in told) >= newest

    eventually(agree)


def members(inv: Kubefab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(inv("etcd.status", "--json").well().stdout)["members"]
    return found


def kill(program: str) -> Callable[[str], object]:
    return lambda master: on(master, f"pkill -KILL -x {program}")


WAYS: dict[str, tuple[Callable[[str], object], Callable[[str], object]]] = {
    "power": (cut_power, lambda _: power_on()),
    "API server": (kill("kube-apiserver"), lambda _: None),
    "etcd": (kill("etcd"), lambda _: None),
    "network": (unplug, plug_in),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_master_that_dies_costs_a_client_no_long_gap_and_no_write(three: Kubefab, way: str, tmp_path: Path) -> None:
    """The founder and the leader of etcd are among them."""
    dies, comes_back = WAYS[way]
    with (
        writing(FRONT, MACHINES[0], tmp_path / "host") as writer,
        writing(FRONT, MACHINES[0], tmp_path / "pods", SERVICE) as pods,
    ):
        for master in MACHINES:
            since = time.monotonic()
            dies(master)
            writer.goes_on(50)
            pods.goes_on(50)
            writer.gaps(f"{master}, {way}", since)
            pods.gaps(f"{master}, {way}, by the service address", since, LISTED)
            comes_back(master)
            eventually(lambda: well(three), seconds=300, pause=1)
        none_is_lost(way, writer.ends(), MACHINES)
        none_is_lost(f"{way}, by the service address", pods.ends(), MACHINES)
    come_to_agree(three)


def carried() -> dict[str, int]:
    """What haproxy has sent by each of its connections: LOCAL PEER -> bytes."""
    lines = on(FRONT, "ss -HtniOp state established 'dport = :6443' | grep haproxy").splitlines()
    found = [(line.split()[2:4], re.search(r"bytes_sent:(\d+)", line)) for line in lines]
    return {" ".join(ends): int(sent[1]) for ends, sent in found if sent}


def asked(writer: Writer) -> str:
    """The master to which haproxy has led this client: nobody else sends as much."""
    before = carried()
    writer.goes_on(50)
    after = carried()
    busiest = max(after, key=lambda ends: after[ends] - before.get(ends, 0))
    return next(name for name in MACHINES if f" {address(name)}:" in busiest)


def test_a_connection_that_a_reload_has_left_behind_is_ended_as_soon(three: Kubefab, tmp_path: Path) -> None:
    """Its process checks nothing any more: haproxy/haproxy#1874."""
    with writing(FRONT, MACHINES[0], tmp_path / "credentials") as writer:
        on(FRONT, "systemctl reload kubefab-endpoint")
        master = asked(writer)
        since = time.monotonic()
        unplug(master)
        writer.goes_on(50)
        writer.gaps(f"{master}, network, after a reload", since)
        plug_in(master)
        eventually(lambda: well(three), seconds=300, pause=1)
        none_is_lost("network, after a reload", writer.ends(), MACHINES)
    come_to_agree(three)
