"""Three masters of which one is dead, whichever it is: every task works by way of another."""

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kubefab import access, losing, runbook, tunnel
from kubefab.access import Wish
from kubefab.cluster import Cluster
from kubefab.converge import Stop
from kubefab.errors import HostError, KubefabError
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.inventory.models import Mirror
from kubefab.passes import ALL, MASTERS, SPEAKER
from kubefab.steps import (
    addons,
    bundle,
    control_plane,
    masters,
    network,
    packages,
    reboot,
    removal,
    reset,
    rook,
    runtime,
    wanted,
    worker,
)
from tests.fakes import looked, three_masters
from tests.members import IDS, M, look
from tests.runs import ADMIN, Run, each, in_place, nodes, wants
from tests.steps.test_gaps import subjects

ROOT = Path(__file__).parent.parent
KUBECONFIG = "clusters:\n- cluster: {server: https://lab.kubefab.internal:6443, certificate-authority-data: QUJD}\n"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def away() -> None:
    raise HostError("cannot be reached")


@pytest.fixture(params=M)
def dead(request: pytest.FixtureRequest) -> str:
    """The first of hosts.yml, the second, the last."""
    name: str = request.param
    return name


def served(run: Run) -> Run:
    """All three have the cluster's control plane."""
    leader = next((name for name in M if run(name).on_look is not away), M[0])
    for name in M:
        run.put_cluster(*M, "client", on=name)
        run(name).parts.update(etcd=look(name, leader=IDS[leader]), node=f"{ADMIN}\nmanifest etcd.yaml")
        run(name).answers["print-kubeconfig.sh"] = KUBECONFIG
    return run


@pytest.fixture
def run(dead: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(three_masters())
    made(dead).on_look = away
    return served(in_place(made, monkeypatch))


def another(run: Run, dead: str) -> str:
    """Who speaks: the first of those that live to be heard."""
    name = run.cluster.speaker.name
    assert name != dead
    return name


def address(run: Run, name: str) -> str:
    return str(run.cluster.hosts[name].wanted.address)


def by(run: Run, script: str) -> set[str]:
    """The hosts that were asked for it, or changed by it."""
    return {name for name in run.cluster.hosts if any(line.startswith(script) for line in run(name).ran)}


# --- to look, and to lock


def test_the_cluster_is_known_by_another(run: Run, dead: str) -> None:
    hosts = run.engine.look(ALL)
    assert {host.name for host in hosts} == {*M, "client"} - {dead}
    assert run.cluster.speaker.name == another(run, dead)
    live = run.cluster.facts(run.cluster.hosts["client"]).cluster
    assert live
    assert set(live.nodes) == {*M, "client"}


def test_who_changes_a_host_holds_the_locks_of_the_others(run: Run, dead: str) -> None:
    run.converge("client", wants("a"))
    assert (run.failures, run("client").ran) == ({}, ["put a"])
    assert {name for name in M if run(name).locks} == {*M} - {dead}


def test_a_run_on_all_goes_on_without_it_and_ends_with_its_failure(run: Run, dead: str) -> None:
    run.engine.converge(ALL, each(wants("a")))
    assert run.failures == {dead: "it answers: cannot be reached"}
    assert by(run, "put a") == {*M, "client"} - {dead}


def test_a_master_that_dies_in_the_middle_is_followed_by_another(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the looks, before the first change."""
    run = served(in_place(Run(three_masters()), monkeypatch))
    run.engine.look(ALL)
    run(dead).on_look = away
    run.engine.converge(ALL, each(wants("a", touches="cluster")))
    assert set(run.failures) == {dead}
    assert run.cluster.speaker.name == another(run, dead)
    assert by(run, "put a") == {*M, "client"} - {dead}


# --- what asks


def test_a_kubeconfig_is_anothers_and_leads_to_it(run: Run, dead: str, tmp_path: Path) -> None:
    access.give(run.context, Wish(str(tmp_path / "config")))
    assert f"server: https://{address(run, another(run, dead))}:6443" in (tmp_path / "config").read_text()
    assert by(run, "print-kubeconfig.sh") == {another(run, dead)}


def test_a_kubeconfig_leads_to_a_load_balancer_where_there_is_one(run: Run, dead: str, tmp_path: Path) -> None:
    named = run.cluster.inventory.cluster.model_copy(update={"endpoint": "api.example:8443"})
    run.cluster.inventory = run.cluster.inventory.model_copy(update={"cluster": named})
    access.give(run.context, Wish(str(tmp_path / "config")))
    assert "server: https://api.example:8443" in (tmp_path / "config").read_text()


def test_another_explains_the_cluster(run: Run, dead: str, capsys: pytest.CaptureFixture[str]) -> None:
    runbook.show_explained(run.context, as_json=False)
    assert capsys.readouterr().out.startswith("lab: Kubernetes")
    asked = {name for name in run.cluster.hosts if any("explain" in parts for parts in run(name).looks)}
    assert asked == {another(run, dead)}


def test_images_are_named_by_a_kubeadm_of_another(
    run: Run, dead: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in M:
        run(name).parts["packages"] = "package kubeadm ii 1.37.2-1.1"
        run(name).answers["list-images.sh"] = "registry.k8s.io/pause:3.10\n"
    runbook.list_images(run.context, lambda inventory: [])
    assert capsys.readouterr().out == "registry.k8s.io/pause:3.10\n"
    (asked,) = by(run, "list-images.sh")
    assert asked != dead


def test_a_backup_is_the_leaders_whoever_leads_then(run: Run, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, taken = next(name for name in M if name != dead), list[str]()
    run(leader).parts["system"] = "disk_mib 10000"
    monkeypatch.setattr("kubefab.steps.etcd._take", lambda cluster, folder, now, wrong, host: taken.append(host.name))
    with suppress(KubefabError):
        runbook.back_up(run.context, None)
    assert taken == [leader]


# --- what changes the cluster


def test_a_worker_joins_by_way_of_another(run: Run, dead: str) -> None:
    run.engine.look(ALL)
    run(another(run, dead)).answers["mint-token.sh"] = "abcdef.0123456789abcdef QUJD"
    worker.join(run.cluster, run.cluster.hosts["client"])
    assert by(run, "mint-token.sh") == by(run, "delete-tokens.sh") == {another(run, dead)}


@pytest.mark.parametrize("subject", [network.steps, addons.steps, rook.deployed])
def test_what_is_applied_once_for_all_is_anothers_to_apply(subject: Any, run: Run, dead: str) -> None:
    run.engine.look(ALL)
    named = run.cluster.inventory.cluster.model_copy(update={"addons": ("flannel", "metrics-server")})
    run.cluster.inventory = run.cluster.inventory.model_copy(update={"cluster": named})
    assert {name for name, host in run.cluster.hosts.items() if subject(run.cluster, host)} == {another(run, dead)}


def test_an_addon_is_removed_by_way_of_another(run: Run, dead: str) -> None:
    hosts = run.engine.look(SPEAKER)
    assert [host.name for host in hosts] == [another(run, dead)]
    (last,) = [one for one in removal.steps("metrics-server")(run.cluster, hosts[0]) if one.close]
    assert last.title == "metrics-server is not there"


def test_the_way_to_a_dashboard_leads_through_another(run: Run, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    through = []

    @contextmanager
    def held(link: Any, target: Any, port: int = 0) -> Iterator[int]:
        through.append(link.wanted.name)
        raise KeyboardInterrupt
        yield 0

    run.engine.look(SPEAKER)
    run(another(run, dead)).answers["kubectl.sh"] = "10.96.0.9"
    monkeypatch.setattr(tunnel, "held", held)
    monkeypatch.setattr(tunnel, "refusal", lambda link, target: "")
    with suppress(KeyboardInterrupt):
        runbook.admit(run.context, addons.addon_shown, hold=True, port=0)
    assert through == [another(run, dead)]


@pytest.mark.parametrize("own", ["answers", "silent"])
def test_a_masters_taint_goes_by_way_of_one_whose_api_server_answers(own: str, run: Run, dead: str) -> None:
    """Also that of a master whose own does not."""
    last = [name for name in M if name != dead][-1]
    taint = {"key": CONTROL_PLANE, "effect": "NoSchedule"}
    address = [{"type": "InternalIP", "address": "10.0.0.9"}]
    items = [
        {"kind": "Node", "metadata": {"name": name}, "spec": {"taints": [taint]}, "status": {"addresses": address}}
        for name in M
    ]
    for name in M:
        run(name).parts.update(cluster="answer " + json.dumps({"items": items}), system="address 10.0.0.9 eth0")
    if own == "silent":
        run(last).parts["cluster"] = "silent refused"
    run.engine.look(SPEAKER)
    speaker = another(run, dead)
    with suppress(Stop):
        run.engine.converge(last, wanted.untainted)
    assert by(run, "kubectl.sh taint") == {speaker}


# --- what is a host's own


def test_all_masters_that_answer_take_part_in_what_is_masters(run: Run, dead: str) -> None:
    assert [host.name for host in run.engine.look(MASTERS)] == [name for name in M if name != dead]


def test_after_a_reboot_the_others_are_looked_after(run: Run, dead: str) -> None:
    run.engine.look(ALL)
    asked = {name for name, host in run.cluster.hosts.items() if reboot.steps(run.cluster, host)}
    assert asked == {*M, "client"}
    told = [
        name
        for name, host in run.cluster.hosts.items()
        if any("the cluster has kube-system" in step.title for step in reboot.steps(run.cluster, host))
    ]
    assert told == [another(run, dead)]


def test_images_come_from_another_that_has_them(run: Run, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in M:
        run(name).parts["runtime"] = "cri ok\nimage docker.io/library/nginx:latest"
    run("client").parts["runtime"] = "cri ok"
    fetched = []

    def fetch(host: Host, *words: str, to: Path) -> str:
        fetched.append(host.name)
        return "0" * 64

    monkeypatch.setattr("kubefab.carry.fetch", fetch)
    monkeypatch.setattr("kubefab.carry.send", lambda *words: None)
    runbook.preload(run.context, ["client"], lambda inventory: [], "nginx", None)
    assert len(fetched) == 1
    assert dead not in fetched


def test_a_bundle_is_gathered_by_another(run: Run, dead: str, tmp_path: Path) -> None:
    contents = bundle.gathered(str(tmp_path / "b"), packages.bundled, lambda _: [], lambda _: {})
    hosts = run.engine.look(SPEAKER)
    assert [host.name for host in hosts] == [another(run, dead)]
    assert [step.title for step in contents(run.cluster, hosts[0])] == [f"{tmp_path}/b is a bundle for such hosts"]


def test_what_is_believed_without_proof_is_still_told_once(run: Run, dead: str) -> None:
    wanted = run.cluster.inventory
    plain = wanted.model_copy(update={"mirrors": {"quay.io": Mirror(url="http://mirror.example")}})
    run.cluster.inventory = plain
    run.engine.look(ALL)
    told = [
        name for name, host in run.cluster.hosts.items() if any(one.warning for one in runtime.steps(run.cluster, host))
    ]
    assert told == [another(run, dead)]


# --- what takes away


def test_a_reset_is_not_made_behind_the_back_of_one_that_does_not_answer(run: Run, dead: str) -> None:
    with pytest.raises(KubefabError, match=f"(?s)cannot tell what would be lost there.*{dead}: cannot be reached"):
        losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []


def test_a_reset_goes_on_without_it_when_that_is_asked_for(run: Run, dead: str) -> None:
    for name in (*M, "client"):
        run(name).parts["leftovers"] = "directory /etc/kubernetes"
    with suppress(Stop):
        losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=True)
    assert by(run, "tear-down.sh") == {*M, "client"} - {dead}


def test_one_worker_is_reset_without_it(run: Run, dead: str) -> None:
    run("client").parts["leftovers"] = "directory /etc/kubernetes"
    losing.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert by(run, "tear-down.sh") == {"client"}


def test_a_master_that_etcd_cannot_do_without_is_not_reset_alone(run: Run, dead: str) -> None:
    """Of three one is dead already; the command that takes its member out first refuses as well, and says so."""
    host = next(name for name in reversed(M) if name != dead)
    run(host).parts["leftovers"] = "directory /etc/kubernetes"
    with pytest.raises(Stop, match="nothing was changed"):
        losing.destroy(run.context, host, reset.spared(host), reset.steps, yes=True, unheard=True)
    told = "etcd can do without the host: of etcd's 3 members 1 would answer, and it needs 2"
    assert (run.failures[host], run.ran) == (told, [])


@pytest.mark.parametrize("host", M)
def test_one_of_three_masters_that_are_well_may_be_reset_alone(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves in etcd is taken out when it joins again."""
    run = served(in_place(Run(three_masters()), monkeypatch))
    run(host).parts["leftovers"] = "directory /etc/kubernetes"
    with suppress(Stop):
        losing.destroy(run.context, host, reset.spared(host), reset.steps, yes=True, unheard=False)
    assert by(run, "tear-down.sh") == {host}


def test_nodes_that_hosts_yml_does_not_know_are_known_by_another(run: Run, dead: str) -> None:
    for name in M:
        run(name).parts["cluster"] = nodes(*M, "client", "stranger")
    run.engine.look(ALL)
    assert losing.strangers(run.cluster) == ["stranger"]


# --- whoever is first in hosts.yml


@pytest.mark.parametrize("first", M)
def test_whatever_their_order_in_hosts_yml_nothing_is_founded_anew(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = served(in_place(Run(turned(first)), monkeypatch))
    run.engine.look(ALL)
    assert run.cluster.founder.name == first
    live = run.cluster.facts(run.cluster.hosts["client"]).cluster
    assert live
    assert live.speaker in M
    assert set(live.nodes) == {*M, "client"}


def turned(first: str) -> Inventory:
    """hosts.yml with this master as its first."""
    wanted = three_masters()
    *masters, client = wanted.hosts
    at = M.index(first)
    return wanted.model_copy(update={"hosts": (*masters[at:], *masters[:at], client)})


# Who makes the cluster has to be one and the same for all; nothing else may know the first of hosts.yml.
KNOW_A_FOUNDER = {
    "kubefab/cluster.py": "who speaks before anybody has spoken",
    "kubefab/converge.py": "the group of that name",
    "kubefab/inventory/models.py": "who it is",
    "kubefab/images.py": "documents that name any master",
    "kubefab/passes.py": "the group of that name",
    "kubefab/restoring.py": "whose keys a backup's are, where no master has any",
    "kubefab/runbook.py": "the group of that name",
    "kubefab/steps/control_plane.py": "init",
    "kubefab/steps/masters.py": "all others join",
    "kubefab/steps/packages.py": "whose images init pulls",
    "kubefab/steps/endpoint.py": "where the name leads before init",
    "tasks.py": "init-master",
}


def test_only_who_makes_a_cluster_knows_a_founder() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tasks.py", *(ROOT / "kubefab").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr.lower() == "founder")
        or (isinstance(node, ast.Name) and node.id.lower() == "founder")
        or (isinstance(node, ast.FunctionDef) and node.name == "founder")
    }
    assert found <= set(KNOW_A_FOUNDER)


def test_nobody_takes_the_first_of_the_masters() -> None:
    for path in (ROOT / "tasks.py", *(ROOT / "kubefab").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("masters"):
                assert ast.unparse(node.slice) != "0", f"{path}:{node.lineno}"


# --- every step there is


def gone(dead: str) -> Cluster:
    """All that could be looked at without this master; "" for none."""
    worlds = {name: {"node": f"{ADMIN}\nmanifest etcd.yaml", "cluster": nodes(*M), "etcd": look(name)} for name in M}
    told = {name: parts for name, parts in worlds.items() if name != dead}
    return looked({**told, "client": {}}, three_masters())


def by_title(made: Cluster) -> dict[str, set[str]]:
    """Which masters have a step of this title; but for how each became one, by init or by a join."""
    found = defaultdict[str, set[str]](set)
    for subject in subjects(made):
        for host in made.masters if subject not in (control_plane.steps, masters.steps) else ():
            for step in subject(made, host) if made.looked_at(host) else ():
                found[step.title.replace(host.name, "NAME")].add(host.name)
    return found


def test_what_is_one_masters_to_do_is_done_by_another_and_what_is_alls_by_all_others(dead: str) -> None:
    before, without = by_title(gone("")), by_title(gone(dead))
    assert before.keys() == without.keys()
    for title, hosts in before.items():
        if hosts == {*M}:
            assert without[title] == hosts - {dead}, title
        else:
            assert (len(hosts), len(without[title]), dead in without[title]) == (1, 1, False), title


def test_every_gap_can_be_told_without_it(dead: str) -> None:
    made = gone(dead)
    hosts = [host for host in made.hosts.values() if made.looked_at(host)]
    steps = [(step, host) for host in hosts for subject in subjects(made) for step in subject(made, host)]
    for step, mine in steps:
        with suppress(HostError):
            step.gap(made.facts(mine))
