"""Three masters die, each in each way, while a client writes through a worker's haproxy: short gaps, no write lost."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.settings import GATEWAY, MOST_MACHINES, address, machine_names
from tests.e2e.harness import (
    MACHINES,
    MEASURED,
    Kubefab,
    cut_power,
    eventually,
    fresh,
    hosts_file,
    lab,
    on,
    true_on,
)
from tests.e2e.writer import Writer, writing, written

COVERS = (
    "kubefab/steps/endpoint.py",
    "kubefab/facts/endpoint.py",
    "files/etc/kubefab/endpoint.cfg.j2",
    "files/etc/systemd/system/kubefab-endpoint.service",
    "scripts/*endpoint*",
    "scripts/install-haproxy.sh",
    "scripts/restart-proxy.sh",
)
FRONT = os.environ.get("KUBEFAB_E2E_WORKER", "client3")  # the worker, beside three masters
AIM = 3.0  # seconds that a gap may have
HERE = "kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443"
OWN = "-p tcp --dport 22"
CUT = (
    f"iptables -I INPUT ! -i lo -j DROP; iptables -I INPUT -s {GATEWAY} {OWN} -j ACCEPT; "
    f"iptables -I OUTPUT ! -o lo -j DROP; iptables -I OUTPUT -d {GATEWAY} -p tcp --sport 22 -j ACCEPT"
)
HEAL = CUT.replace("-I", "-D")


def power_on() -> None:
    names = machine_names(MOST_MACHINES)
    lab("lab.up", "--machines", str(max(names.index(name) for name in (*MACHINES, FRONT)) + 1))


@pytest.fixture(scope="module")
def three(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """Three masters and a worker, from fresh."""
    folder = tmp_path_factory.mktemp("endpoint")
    power_on()
    roles = {**{name: {"role": "master"} for name in MACHINES}, FRONT: {"address": address(FRONT)}}
    inv = Kubefab(hosts_file(folder / "hosts.yml", *MACHINES, FRONT, hosts=roles), folder)
    fresh(*MACHINES, FRONT)
    inv("cluster.up").well()
    yield inv
    power_on()
    inv("cluster.reset", "--yes").well()


def ready(master: str) -> bool:
    return true_on(master, f"{HERE} get --raw /readyz")


def well(inv: Kubefab) -> bool:
    told = json.loads(inv("etcd.status", "--json").stdout)
    return (
        bool(told["healthy"]) and len({one["cluster_id"] for one in told["members"]}) == 1 and all(map(ready, MACHINES))
    )


def kill(program: str) -> Callable[[str], object]:
    return lambda master: on(master, f"pkill -KILL -x {program}")


WAYS: dict[str, tuple[Callable[[str], object], Callable[[str], object]]] = {
    "power": (cut_power, lambda _: power_on()),
    "API server": (kill("kube-apiserver"), lambda _: None),
    "etcd": (kill("etcd"), lambda _: None),
    "network": (lambda master: on(master, CUT), lambda master: on(master, HEAL)),
}


def measured(what: str, writer: Writer, since: float) -> None:
    """Told at the end of the run; three times what is wanted is a failure."""
    gap = writer.gap(since)
    MEASURED.append((f"no gap in writing: {what}", AIM, gap))
    assert gap < 3 * AIM


@pytest.mark.parametrize("way", WAYS)
def test_a_master_that_dies_costs_a_client_no_long_gap_and_no_write(three: Kubefab, way: str, tmp_path: Path) -> None:
    """The founder and the leader of etcd are among them."""
    dies, comes_back = WAYS[way]
    with writing(FRONT, MACHINES[0], tmp_path / "credentials") as writer:
        for master in MACHINES:
            since = time.monotonic()
            dies(master)
            writer.goes_on(50)
            measured(f"{master}, {way}", writer, since)
            comes_back(master)
            eventually(lambda: well(three), seconds=300, pause=1)
        acknowledged = writer.ends()
    for master in MACHINES:
        assert acknowledged <= written(master)


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
        on(master, CUT)
        writer.goes_on(50)
        measured(f"{master}, network, after a reload", writer, since)
        on(master, HEAL)
        eventually(lambda: well(three), seconds=300, pause=1)
        acknowledged = writer.ends()
    assert acknowledged <= written(MACHINES[1])
