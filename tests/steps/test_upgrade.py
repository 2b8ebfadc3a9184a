"""What an upgrade finds to do, and what it leaves alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubefab.bundle import write
from kubefab.errors import Silent
from kubefab.facts import ClusterFacts, Configuration, Facts, Member, Node, Package, Pod, Running, Workload
from kubefab.step import Step
from kubefab.steps import upgrade, versions
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, inventory, looked, step, three_masters
from tests.steps.test_gaps import ABOUT

WANTED = "1.37.2"
MARK = "cluster.upgrade at 2026-11-26T05:00:00Z"
REGISTRY = "registry.k8s.io"


def images(version: str) -> dict[str, str]:
    """A master's static pods, of this version."""
    return {"etcd.yaml": f"{REGISTRY}/etcd:3.7.0-0"} | {
        f"{name}.yaml": f"{REGISTRY}/{name}:v{version}" for name in versions.STATIC
    }


def debs(version: str) -> dict[str, Package]:
    return {name: Package("hi", f"{version}-1.1") for name in ("kubelet", "kubeadm", "kubectl")}


def live(*nodes: Node, proxy: str = "1.37.1") -> ClusterFacts:
    workloads = {"kube-system/kube-proxy": Workload(images=(f"{REGISTRY}/kube-proxy:v{proxy}",))}
    return ClusterFacts("manager", ca="aaa", nodes={node.name: node for node in nodes}, workloads=workloads)


def host(name: str, version: str = "1.37.1", node: Node | None = None, **said: Any) -> Facts:
    """A host of the cluster whose packages, and whose kubelet unless `node` says otherwise, are of this version."""
    told = live(node or Node(name, version=version, ready=True, address="10.250.0.11"))
    facts = known(name, told, kubelet_ca="aaa", addresses={"10.250.0.11": "eth0"}, debs=debs(version))
    return with_(facts, **said)


def master(version: str = "1.37.1", configured: str = "", **said: Any) -> Facts:
    told = Configuration("", version=configured or version)
    return host("manager", version, **{"admin_ca": "aaa", "static": images(version), "configuration": told, **said})


def beside(facts: Facts, *others: Facts) -> Facts:
    return replace(facts, others={one.name: one for one in others})


def kubelet_steps(name: str = "client") -> list[Step]:
    made = cluster()
    return upgrade.kubelet(600)(made, made.hosts[name])


def gap(title: str, facts: Facts, name: str = "client") -> str | None:
    return step(kubelet_steps(name), title).gap(facts)


NO_NEW, EMPTY = "an old kubelet gets no new pods", "an old kubelet has no pods but those of every node"
AGAIN, ALLOWED = "a node that was upgraded takes pods again", "no API server is older than the kubelet will be"
INSTALLED = f"the kubelet is installed and configured as of {WANTED}"
RUNS = f"the kubelet that runs is of {WANTED}"


# --- what stops it before anything is changed


def possible(facts: Facts, wanted: str = WANTED) -> dict[str, str]:
    """The complaints of the founder."""
    made = cluster(HOSTS.replace(WANTED, wanted))
    return {one.title: told for one in upgrade.possible(made, made.founder) if (told := one.gap(facts))}


@pytest.mark.parametrize(
    ("now", "wanted", "told"),
    [
        ("1.37.1", "1.37.2", None),
        ("1.36.3", "1.37.2", None),
        ("1.35.4", "1.37.2", "from 1.35.4 to 1.37.2; next is a version of 1.36"),
    ],
)
def test_the_control_plane_goes_one_minor_at_a_time(now: str, wanted: str, told: str | None) -> None:
    assert possible(master(now), wanted).get("no minor is skipped") == told


def test_the_master_that_is_farthest_behind_counts() -> None:
    facts = beside(master("1.37.1"), replace(master("1.35.4"), name="m2"))
    assert "next is a version of 1.36" in possible(facts)["no minor is skipped"]


@pytest.mark.parametrize(("wanted", "refused"), [("1.31.9", True), ("1.32.0", False)])
def test_a_version_whose_kubeadm_reads_no_file_for_an_upgrade_is_refused(wanted: str, refused: bool) -> None:
    assert ("kubeadm can be told how to upgrade" in possible(known("manager"), wanted)) is refused


@pytest.mark.parametrize(("kubelet", "told"), [("1.34.4", False), ("1.33.1", True)])
def test_a_kubelet_too_old_for_the_new_api_server_is_told(kubelet: str, told: bool) -> None:
    facts = master("1.36.3", debs=debs(kubelet))
    assert ("the kubelet is at most three minors older" in possible(facts)) is told


@pytest.mark.parametrize(("room", "told"), [(200, None), (199, "199 MiB are free; allowed: 200 MiB, twice")])
def test_kubeadms_copy_of_etcd_needs_room(room: int, told: str | None) -> None:
    found = possible(master(etcd_mib=100, room_mib=room)).get("there is room for kubeadm's copy of etcd")
    assert (found or "").startswith(told or "\n") is bool(told)
    assert possible(master("1.37.2", etcd_mib=100, room_mib=room)) == {}


READY = "the node is Ready before it is upgraded"


@pytest.mark.parametrize(
    ("version", "told"), [("1.37.1", "Kubelet stopped posting"), ("1.37.2", None)], ids=["not begun", "begun"]
)
def test_a_node_that_is_not_ready_is_not_begun_and_one_that_is_begun_is_ended(version: str, told: str | None) -> None:
    made = cluster()
    node = Node("client", version="1.37.1", trouble="Kubelet stopped posting", address="10.250.0.11")
    states = upgrade.fetched([])(made, made.hosts["client"])
    assert step(states, READY).gap(host("client", version, node=node)) == told


# --- what an upgrade that was broken off needs first


def taken_up(name: str, facts: Facts) -> dict[str, str]:
    made = cluster()
    return {one.title: told for one in upgrade.taken_up(made, made.hosts[name]) if (told := one.gap(facts))}


def test_a_manifest_that_was_moved_away_is_put_back_before_anybody_is_asked() -> None:
    facts = master(torn=("etcd.yaml",), cluster=replace(live(), silent="refused"))
    assert taken_up("manager", facts) == {
        "no manifest is left away by an upgrade": "etcd.yaml",
        "the API server answers": "the API server gives no answer: refused",
    }
    made = looked({"manager": {"upgrade": "torn etcd.yaml"}})
    made.look(made.founder, ("upgrade",))
    close = upgrade.taken_up(made, made.founder)[0].close
    assert close
    close(made.founder)
    assert vars(made.founder)["world"].ran == ["put-manifests.sh etcd.yaml"]


def test_a_master_that_is_well_needs_nothing_first() -> None:
    assert taken_up("manager", master()) == {}
    assert taken_up("client", host("client")) == {}


# --- the control plane


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (
            master(),
            "kube-apiserver 1.37.1, kube-controller-manager 1.37.1, kube-scheduler 1.37.1, kubeadm-config 1.37.1",
        ),
        (master("1.37.2"), None),
        (master("1.37.2", configured="1.37.1"), "kubeadm-config 1.37.1"),
        (
            master("1.37.2", static=images("1.37.2") | {"kube-scheduler.yaml": f"{REGISTRY}/kube-scheduler:v1.37.1"}),
            "kube-scheduler 1.37.1",
        ),
        (master("1.37.2", configuration=None), None),
    ],
)
def test_a_control_plane_is_old_until_the_last_of_it_is_new(facts: Facts, told: str | None) -> None:
    assert upgrade.old_control_plane(WANTED)(facts) == told


def test_a_silent_api_server_says_nothing_of_a_control_plane() -> None:
    with pytest.raises(Silent):
        upgrade.old_control_plane(WANTED)(replace(master(), cluster=replace(live(), silent="no answer")))


@pytest.mark.parametrize(("configured", "command"), [("1.37.1", "apply --yes"), ("1.37.2", "node")])
def test_the_first_master_takes_kubeadms_configuration_with_it(configured: str, command: str) -> None:
    made = cluster(three_masters())
    made._alone["m1"] = with_(master(configured=configured), name="m1")
    (change, *_) = upgrade.control_plane(made, made.hosts["m1"])
    assert change.close
    change.close(made.hosts["m1"])
    world = vars(made.hosts["m1"])["world"]
    assert world.ran == [f"upgrade.sh {WANTED} {command}"]
    told = yaml.safe_load(world.payloads["upgrade.sh"])
    own = {"ignorePreflightErrors": [], "skipPhases": ["addon"], "patches": {"directory": "/etc/kubefab/patches"}}
    assert (told["apply"], told["node"]) == ({"kubernetesVersion": "v1.37.2", **own}, own)


def test_a_worker_has_no_control_plane_to_upgrade() -> None:
    made = cluster()
    assert upgrade.control_plane(made, made.hosts["client"]) == []


@pytest.mark.parametrize(("proxy", "told"), [("1.37.1", "kube-proxy 1.37.1"), ("1.37.2", None), ("1.37.3", None)])
def test_what_kubeadm_keeps_in_the_cluster_is_old_as_long_as_kube_proxy_is(proxy: str, told: str | None) -> None:
    assert upgrade.old_proxy(WANTED)(known("manager", live(proxy=proxy))) == told


# --- etcd


def member(version: str, now: str = "1.36.3", **said: Any) -> Facts:
    return master(now, **{"member": Member(1, 1, version=version), "etcd_runs": True, **said})


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (member("3.6.8"), "etcd 3.6.8"),
        (member("3.6.16"), None),
        (member("3.7.0"), None),
        (member("3.6.8", now="1.37.2"), None),
        (member("3.6.8", servers="https://10.0.0.9:2379"), None),
        (master("1.36.3", etcd_silent="no answer"), "its etcd gives no answer: no answer"),
    ],
    ids=["old", "new enough", "farther already", "nothing to upgrade", "not kubeadm's", "silent"],
)
def test_several_members_go_to_the_newest_of_their_minor_before_the_next(facts: Facts, told: str | None) -> None:
    assert upgrade.old_etcd("3.6.16-0", WANTED)(facts) == told


def test_as_long_as_one_master_is_to_be_upgraded_no_etcd_is_left_behind() -> None:
    facts = beside(member("3.6.8", now="1.37.2"), replace(master("1.36.3"), name="m2"))
    assert upgrade.old_etcd("3.6.16-0", WANTED)(facts) == "etcd 3.6.8"


@pytest.mark.parametrize(("wanted", "steps"), [(HOSTS, 0), (three_masters(), 3)])
def test_a_single_member_goes_to_the_next_minor_at_once(wanted: Any, steps: int) -> None:
    made = cluster(wanted)
    assert len(upgrade.etcd_first(made, made.founder)) == steps


def test_etcd_comes_from_where_it_came_before() -> None:
    made = cluster(three_masters())
    made._alone["m1"] = replace(member("3.6.8", static={"etcd.yaml": "near:5000/etcd:3.6.8-0"}), name="m1")
    change = upgrade.etcd_first(made, made.hosts["m1"])[0].close
    assert change
    change(made.hosts["m1"])
    assert vars(made.hosts["m1"])["world"].ran == ["set-etcd-image.sh near:5000/etcd:3.6.16-0"]


# --- a kubelet


@pytest.mark.parametrize(("oldest", "told"), [("1.37.1", "one is of 1.37.1"), ("1.37.2", None)])
def test_no_kubelet_is_upgraded_before_every_api_server(oldest: str, told: str | None) -> None:
    facts = beside(host("client"), master("1.37.2"), replace(master(oldest), name="m2"))
    assert gap(ALLOWED, facts) == told


def test_a_kubelet_is_not_upgraded_where_no_api_server_was_looked_at() -> None:
    assert gap(ALLOWED, host("client")) == "one is of 0"


def test_an_old_kubelet_is_cordoned_in_the_name_of_the_upgrade() -> None:
    assert gap(NO_NEW, host("client")) == "it takes them"
    made = cluster()
    close = step(upgrade.kubelet(600)(made, made.hosts["client"]), NO_NEW).close
    assert close
    close(made.hosts["client"])
    (ran,) = vars(made.hosts["manager"])["world"].ran
    assert ran.startswith("kubectl.sh patch node client")
    assert '"cluster.upgrade at ' in ran


@pytest.mark.parametrize(
    "facts",
    [
        host("client", "1.37.2"),
        host("client", node=Node("client", version="1.37.1", cordoned=True, address="10.250.0.11")),
        known("client", live()),  # it has not joined
        master(node=Node("manager", version="1.37.1", taints={"node-role.kubernetes.io/control-plane": "NoSchedule"})),
    ],
    ids=["new", "cordoned by a person", "no node", "a master without ordinary pods"],
)
def test_who_is_not_cordoned(facts: Facts) -> None:
    assert gap(NO_NEW, facts, facts.name) is None


def drained(*pods: Pod, where: Mapping[str, str], version: str = "1.37.1") -> Facts:
    """A worker, and what the master says of these pods."""
    facts = host("client", version)
    speaker = known("manager", facts.cluster, pods=pods, where=where, pods_told=True)
    return beside(facts, speaker)


WEB = Pod("default/web-1", "ReplicaSet/web", ready=True, phase="Running")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (drained(WEB, where={WEB.name: "client"}), "default/web-1"),
        (drained(WEB, where={WEB.name: "client2"}), None),
        (drained(Pod("kube-system/p", "DaemonSet/p"), where={"kube-system/p": "client"}), None),
        (drained(WEB, where={WEB.name: "client"}, version="1.37.2"), None),
    ],
    ids=["its own", "another node's", "a DaemonSet's", "of a new kubelet"],
)
def test_an_old_kubelet_has_its_own_pods_to_lose(facts: Facts, told: str | None) -> None:
    assert gap(EMPTY, facts) == told


def runs(*workloads: Running, version: str = "1.37.1", told: bool = True) -> Facts:
    """A worker, and what the master says of these workloads."""
    facts = host("client", version)
    return beside(facts, known("manager", facts.cluster, workloads=workloads, workloads_told=told))


WHOLE = "every workload has all of its pods before a node goes"
SHORT = Running("Deployment", "default/web", 2, 1)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (runs(SHORT), "Deployment default/web: 1 of 2 pods are ready"),
        (runs(replace(SHORT, ready=2), Running("StatefulSet", "default/off", 0, 0)), None),
        (runs(SHORT, version="1.37.2"), None),
    ],
    ids=["short", "whole", "of a new kubelet"],
)
def test_a_node_waits_for_the_pods_that_the_one_before_it_has_lost(facts: Facts, told: str | None) -> None:
    assert gap(WHOLE, facts) == told


def test_a_node_that_was_begun_is_ended_though_what_it_has_lost_has_no_other_place() -> None:
    """As the one worker of a cluster: its pods come back on it alone, once it is upgraded."""
    node = Node("client", version="1.37.1", ready=True, address="10.250.0.11", cordoned=True, cordoned_by=MARK)
    facts = host("client", node=node)
    assert gap(WHOLE, beside(facts, known("manager", facts.cluster, workloads=(SHORT,), workloads_told=True))) is None


def test_what_is_left_out_by_name_is_waited_for_by_nobody() -> None:
    made = cluster()
    states = upgrade.kubelet(600, ["default/web"])(made, made.hosts["client"])
    assert step(states, WHOLE).gap(runs(SHORT)) is None


def test_workloads_that_nobody_has_listed_are_not_whole() -> None:
    with pytest.raises(Silent):
        gap(WHOLE, runs(told=False))


def test_what_runs_is_asked_anew_before_a_node_goes() -> None:
    assert step(kubelet_steps(), WHOLE).anew


def test_what_pods_there_are_is_asked_anew_before_a_kubelet_is_taken_for_empty() -> None:
    assert step(kubelet_steps(), EMPTY).anew


def test_a_kubelet_whose_pods_nobody_has_listed_is_not_empty() -> None:
    facts = beside(host("client"), known("manager", live(Node("client", ready=True))))
    with pytest.raises(Silent):
        gap(EMPTY, facts)


def test_a_new_package_alone_is_no_new_kubelet() -> None:
    facts = host("client", "1.37.2", node=Node("client", version="1.37.1", ready=True, address="10.250.0.11"))
    assert (gap(INSTALLED, facts), gap(RUNS, facts)) == (None, "it is of 1.37.1")


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ({"kubectl": Package("hi", "1.37.1-1.1")}, "kubectl 1.37.1-1.1"),
        ({"kubelet": Package("ii", f"{WANTED}-1.1")}, "kubelet is not held"),
    ],
)
def test_a_kubelet_that_was_unpacked_and_no_more_is_not_all_of_it(left: Mapping[str, Package], told: str) -> None:
    """Killed there, dpkg leaves what it unpacked free, and what comes after it as it was."""
    assert gap(INSTALLED, host("client", debs={**debs(WANTED), **left})) == told


def test_an_upgraded_kubelet_is_left_alone() -> None:
    facts = beside(host("client", "1.37.2"), master("1.37.2"))
    assert {one.title: found for one in kubelet_steps() if (found := one.gap(facts))} == {}


@pytest.mark.parametrize(
    ("by", "version", "told"),
    [
        (MARK, "1.37.2", f"cordoned by {MARK}"),
        (MARK, "1.37.1", None),
        ("", "1.37.2", None),
        ("node.drain at 2026-11-26T05:00:00Z", "1.37.2", None),
    ],
    ids=["ours, at its end", "ours, not at its end", "a person's", "another task's"],
)
def test_only_what_an_upgrade_has_cordoned_takes_pods_again(by: str, version: str, told: str | None) -> None:
    node = Node("client", version=version, ready=True, address="10.250.0.11", cordoned=True, cordoned_by=by)
    assert gap(AGAIN, host("client", version, node=node)) == told


LEFT = "nothing is left of kubeadm's upgrade"


@pytest.mark.parametrize(("version", "told"), [("1.37.1", None), ("1.37.2", "kubeadm-backup-etcd-1")])
def test_kubeadms_copies_stay_until_the_node_is_upgraded(version: str, told: str | None) -> None:
    assert gap(LEFT, host("client", version, copies=("kubeadm-backup-etcd-1",))) == told


@pytest.mark.parametrize(("name", "patched"), [("m1", True), ("client", False)])
def test_only_a_master_among_several_has_patches_for_kubeadm(name: str, patched: bool) -> None:
    made = cluster(three_masters())
    close = step(upgrade.kubelet(600)(made, made.hosts[name]), INSTALLED).close
    assert close
    close(made.hosts[name])
    assert ("/etc/kubefab/patches" in vars(made.hosts[name])["world"].payloads["upgrade-kubelet.sh"]) is patched


def test_copies_are_looked_for_after_kubeadm_has_made_them() -> None:
    assert step(kubelet_steps(), LEFT).anew


def test_a_master_has_its_static_pods_back_before_the_next_is_begun() -> None:
    pods = Running("Pod", "kube-system/etcd-manager", 1, 0), Running("Pod", "kube-system/etcd-m2", 1, 0)
    facts = master("1.37.2", workloads=pods, workloads_told=True)
    assert gap("its static pods are Ready", facts, "manager") == "kube-system/etcd-manager"


# --- what is fetched


@pytest.mark.parametrize(
    ("fetched", "told"),
    [
        ((), "without kubelet, kubeadm, kubectl"),
        (("kubelet_1.37.2-1.1_amd64.deb", "kubeadm_1.37.2-1.1_amd64.deb"), "without kubectl"),
        (("kubelet_1.37.20-1.1_amd64.deb",), "without kubelet, kubeadm, kubectl"),
    ],
)
def test_packages_are_downloaded_before_anything_is_changed(fetched: tuple[str, ...], told: str) -> None:
    assert upgrade.unfetched(WANTED)(host("client", fetched=fetched)) == told


def test_what_is_installed_is_not_downloaded() -> None:
    assert upgrade.unfetched(WANTED)(host("client", "1.37.2")) is None


def test_a_host_that_is_not_behind_fetches_nothing() -> None:
    made = cluster(inventory())
    states = upgrade.fetched(["registry.k8s.io/pause:3.10.2"])(made, made.hosts["client"])
    assert [one.title for one in states if one.gap(host("client", "1.37.2"))] == []
    assert f"the images of Kubernetes {WANTED} are there" in [one.title for one in states if one.gap(host("client"))]


def test_a_new_bundle_is_the_source_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "folder" / "packages").mkdir(parents=True)
    write(tmp_path / "it.bundle", ABOUT, tmp_path / "folder")
    made = cluster(f"{HOSTS}bundle: {tmp_path}/it.bundle\n")
    titles = [one.title for one in upgrade.fetched([])(made, made.hosts["client"])]
    assert {"the bundle is unpacked", "the bundle's images are loaded"} <= set(titles)
    assert not [title for title in titles if "downloaded" in title]
