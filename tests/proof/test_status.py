"""Three masters of which one is dead, whichever it is, and then two: what the status says, and what still works."""

import json
import re
import ssl
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from tests.e2e.harness import (
    MACHINES,
    Done,
    Kubefab,
    address,
    at_once,
    cut_power,
    eventually,
    fresh,
    hosts_file,
    in_time,
    on,
    reboot,
    wait_on,
)

COVERS = (
    "kubefab/access.py",
    "kubefab/status.py",
    "kubefab/etcd.py",
    "kubefab/patience.py",
    "kubefab/steps/health.py",
    "scripts/look/etcd.sh",
    "scripts/look/node.sh",
)
LEFT = "ls -d /etc/kubernetes/manifests/*.yaml /var/lib/etcd/member 2>/dev/null; true"


@pytest.fixture(scope="module")
def masters(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Kubefab:
    """A cluster of three masters, and all is well."""
    folder = tmp_path_factory.mktemp("masters")
    roles = {name: {"role": "master"} for name in MACHINES}
    inv = Kubefab(hosts_file(folder / "hosts.yml", *MACHINES, hosts=roles), folder)
    if inv("cluster.up").status:
        fresh(*MACHINES)
        inv("cluster.up").well()
    eventually(lambda: well(inv))
    return inv


def well(inv: Kubefab) -> bool:
    return inv("cluster.status").status == 0


def test_by_each_context_of_a_persons_kubeconfig_kubectl_gets_to_its_master(masters: Kubefab, tmp_path: Path) -> None:
    """A real one, which is on the masters: it verifies a name that no address in the file is."""
    own, there = tmp_path / "config", "/root/a-persons-kubeconfig"
    masters("cluster.kubeconfig", env={"KUBECONFIG": own}).well()
    assert {one["cluster"]["tls-server-name"] for one in yaml.safe_load(own.read_text())["clusters"]} == {"kubernetes"}
    on(MACHINES[0], f"umask 077; cat >{there}", stdin=own.read_text())
    ask = f"kubectl --kubeconfig {there} --cache-dir /run/e2e-kubectl get nodes -o name -v 6 2>&1 --context"
    try:
        assert f"node/{MACHINES[0]}" in on(MACHINES[0], f"{ask} lab")
        for name in MACHINES:
            said = on(MACHINES[0], f"{ask} lab/{name}")
            assert f"node/{name}" in said
            assert f"https://{address(name)}:6443/api/v1/nodes" in said
    finally:
        on(MACHINES[0], f"rm -f {there}")


@dataclass(frozen=True)
class WithoutOne:
    """What was said while this master was dead."""

    dead: str
    told: Done
    status: Done
    kubeconfig: Done
    config: Path
    readyz: str
    explain: Done
    plan: Done
    reset: Done


def test_a_scheduler_that_somebody_took_away_is_named_and_put_back(masters: Kubefab) -> None:
    """All API servers answer, and all nodes are Ready."""
    host, manifest = MACHINES[1], "/etc/kubernetes/manifests/kube-scheduler.yaml"
    on(host, f"mv {manifest} /root/")
    wait_on(host, "! pgrep -x kube-scheduler")
    told = masters("cluster.status").badly()
    assert told.status == 1
    assert (
        f"{host}: expected: kube-scheduler runs; found: it does not run, and /etc/kubernetes/manifests has no "
        in told.stdout
    )
    file = "/etc/kubernetes/kube-scheduler.yaml"  # as the step's hint says
    on(host, f"cp /var/lib/kubefab-manifests/kube-scheduler.yaml {file} && mv {file} /etc/kubernetes/manifests/")
    eventually(lambda: well(masters))


@pytest.fixture(scope="module", params=MACHINES)
def without(request: pytest.FixtureRequest, masters: Kubefab, tmp_path_factory: pytest.TempPathFactory) -> WithoutOne:
    """Each master in turn: the first of hosts.yml, the second, the last. It comes back, and all is well by itself."""
    dead, config = request.param, tmp_path_factory.mktemp("kubeconfig") / "config"
    cut_power(dead)
    try:
        told, status = masters("cluster.status"), masters("cluster.status", "--json")
        with ThreadPoolExecutor(2) as pool:  # each of them waits for the dead one
            asked = [
                pool.submit(masters, *words)
                for words in (
                    ("cluster.kubeconfig", "--output", str(config)),
                    ("cluster.explain", "--json"),
                    ("--dry", "cluster.up"),
                    ("--dry", "cluster.reset", "--unheard"),
                )
            ]
            kubeconfig, explain, plan, reset = (one.result() for one in asked)
        return WithoutOne(dead, told, status, kubeconfig, config, readyz(config), explain, plan, reset)
    finally:
        reboot(dead)
        eventually(lambda: well(masters))


def readyz(config: Path) -> str:
    """What the API server of a kubeconfig says to whoever believes its authority alone."""
    (cluster,) = [one["cluster"] for one in yaml.safe_load(config.read_text())["clusters"]]
    trusted = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    with urlopen(f"{cluster['server']}/readyz", context=trusted, timeout=10) as answer:
        return f"{answer.read().decode()} {cluster['server']}"


def test_one_dead_master_is_named_in_time_and_the_exit_status_is_1(without: WithoutOne) -> None:
    assert without.told.status == 1
    first, *_, last = without.told.stdout.splitlines()
    assert (first, last) == ("lab: not well", "what to do next: inv preflight")
    assert f"{without.dead}: cannot be reached" in without.told.stdout
    in_time("a status while a master is dead", 5, without.told)


def test_the_others_tell_of_all_nodes_and_members_meanwhile(without: WithoutOne) -> None:
    found = json.loads(without.status.stdout)
    assert {node["name"] for node in found["nodes"]} == set(MACHINES)
    members = {one["name"]: one["leader"] for one in found["etcd"]["members"]}
    assert members.keys() == set(MACHINES)
    assert members[without.dead] is None
    assert list(members.values()).count(True) == 1


def test_a_kubeconfig_leads_to_a_living_master_that_is_believed(without: WithoutOne) -> None:
    without.kubeconfig.well()
    living = {f"ok https://{address(name)}:6443" for name in MACHINES if name != without.dead}
    assert without.readyz in living


def test_the_cluster_is_explained_by_another(without: WithoutOne) -> None:
    assert json.loads(without.explain.well().stdout)["readyz"] == "ok"


def test_up_has_nothing_else_to_say_than_who_is_away(without: WithoutOne) -> None:
    assert re.findall(r"^(\S+): FAILED: (.*)$", without.plan.badly().stderr, re.MULTILINE) == [
        (without.dead, "it answers")
    ]
    assert not re.search(r"^\S+\s+[+~] ", without.plan.stdout, re.MULTILINE), without.plan.stdout


def test_a_reset_would_take_the_others(without: WithoutOne) -> None:
    said = without.reset.stdout
    for name in MACHINES:
        assert bool(re.search(rf"^{name}\s+~ nothing of Kubernetes is left", said, re.MULTILINE)) == (
            name != without.dead
        ), said


# --- two of them


@pytest.fixture(scope="module")
def lost(masters: Kubefab) -> tuple[Done, Done, bool]:
    """Two die at once; they come back, and nobody does anything."""
    dead = MACHINES[:2]
    at_once(*(partial(cut_power, name) for name in dead))
    try:
        told, as_json = masters("cluster.status"), masters("cluster.status", "--json")
    finally:
        for name in dead:
            reboot(name)
    return told, as_json, eventually(lambda: well(masters), 300)


def test_two_dead_masters_are_told_in_time_as_a_lost_quorum(lost: tuple[Done, Done, bool]) -> None:
    told, _, _ = lost
    assert told.status == 2, told.said
    assert told.stdout.splitlines()[0] == "lab: 2 of 3 masters are away: nothing can be written"
    in_time("a status while two of three masters are dead", 5, told)


def test_without_an_api_server_it_is_told_what_ssh_kubelet_and_etcd_say(lost: tuple[Done, Done, bool]) -> None:
    found = json.loads(lost[1].stdout)
    assert (found["state"], found["nodes"]) == ("unwritable", None)
    hosts = {one["name"]: (one["ssh"], one["kubelet"], one["etcd"]) for one in found["hosts"]}
    assert hosts == {
        **dict.fromkeys(MACHINES[:2], (False, None, None)),
        MACHINES[2]: (True, "active", "no leader"),
    }


def test_when_they_come_back_all_is_well_without_a_hand(lost: tuple[Done, Done, bool]) -> None:
    assert lost[2]


# --- at the end


def test_a_cluster_is_reset_though_its_first_master_is_dead(masters: Kubefab, lost: tuple[Done, Done, bool]) -> None:
    first, *others = MACHINES
    cut_power(first)
    try:
        assert first in masters("cluster.reset", "--yes").badly().stderr
        assert [name for name in others if not on(name, LEFT)] == []
        masters("cluster.reset", "--yes", "--unheard").badly()  # the dead one is not clean
        assert [name for name in others if on(name, LEFT)] == []
    finally:
        reboot(first)
        fresh(*MACHINES)
