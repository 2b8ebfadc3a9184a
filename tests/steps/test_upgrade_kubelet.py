"""What an upgrade finds to do for a kubelet, and what it leaves alone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kubefab.errors import Silent
from kubefab.facts import CORDONED_BY, Facts, Manifest, Node, Package, Pod, Running, Unit
from kubefab.step import Step, sha256
from kubefab.steps import runtime, upgrade, upgrade_kubelet
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, many_hosts, step, three_masters
from tests.steps.test_upgrade import REGISTRY, WANTED, beside, debs, host, images, live, master

MARK = "cluster.upgrade at 2026-11-26T05:00:00Z"


def kubelet_steps(name: str = "client") -> list[Step]:
    made = cluster()
    return upgrade_kubelet.kubelet(600)(made, made.hosts[name])


def gap(title: str, facts: Facts, name: str = "client") -> str | None:
    return step(kubelet_steps(name), title).gap(facts)


NO_NEW, EMPTY = "an old kubelet gets no new pods", "an old kubelet has no pods but those of every node"
AGAIN, ALLOWED = "a node that was upgraded takes pods again", "no API server is older than the kubelet will be"
INSTALLED = f"the kubelet is installed and configured as of {WANTED}"
COMPLETE = f"what comes with the kubelet is of {WANTED}, and held"
RUNS = f"the kubelet that runs is of {WANTED}"


@pytest.mark.parametrize(("oldest", "told"), [("1.37.1", "one is of 1.37.1"), ("1.37.2", None)])
def test_no_kubelet_is_upgraded_before_every_api_server(oldest: str, told: str | None) -> None:
    facts = beside(host("client"), master("1.37.2"), replace(master(oldest), name="m2"))
    assert gap(ALLOWED, facts) == told


def test_a_kubelet_is_not_upgraded_where_no_api_server_was_looked_at() -> None:
    assert gap(ALLOWED, host("client")) == "one is of 0"


def test_an_old_kubelet_is_cordoned_in_the_name_of_the_upgrade() -> None:
    assert gap(NO_NEW, host("client")) == "it takes them"
    made = cluster()
    close = step(upgrade_kubelet.kubelet(600)(made, made.hosts["client"]), NO_NEW).close
    assert close
    close(made.hosts["client"])
    (ran,) = vars(made.hosts["manager"])["world"].ran
    assert ran.startswith("kubectl.sh patch node client")
    assert '"cluster.upgrade at ' in ran


TAINTED = Node("manager", version="1.37.1", address="10.250.0.11")


@pytest.mark.parametrize(
    "facts",
    [
        host("client", "1.37.2"),
        host("client", node=Node("client", version="1.37.1", cordoned=True, address="10.250.0.11")),
        known("client", live()),  # it has not joined
        master(node=replace(TAINTED, taints={"node-role.kubernetes.io/control-plane": "NoSchedule"})),
    ],
    ids=["new", "cordoned by a person", "no node", "a master without ordinary pods"],
)
def test_who_is_not_cordoned(facts: Facts) -> None:
    assert gap(NO_NEW, facts, facts.name) is None


def test_a_master_that_pods_only_come_to_last_has_ordinary_ones() -> None:
    soft = replace(TAINTED, taints={"node-role.kubernetes.io/control-plane": "PreferNoSchedule"})
    assert gap(NO_NEW, master(node=soft), "manager") == "it takes them"


@pytest.mark.parametrize("title", [NO_NEW, EMPTY])
def test_a_silent_api_server_does_not_say_that_a_node_takes_no_pods(title: str) -> None:
    """It would be drained all the same once that answers, with a cordon that nobody takes away."""
    facts = host("client")
    with pytest.raises(Silent):
        gap(title, replace(facts, cluster=replace(live(), silent="no answer")))


def test_a_kubelet_without_its_node_is_not_upgraded() -> None:
    facts = host("client")
    assert gap(NO_NEW, replace(facts, cluster=live())) == "it is no node of the cluster"


def test_a_node_goes_by_the_name_that_the_cluster_gave_it() -> None:
    made = cluster()
    steps = upgrade_kubelet.kubelet(600, names={"client": "worker-1"})(made, made.hosts["client"])
    close = step(steps, NO_NEW).close
    assert close
    close(made.hosts["client"])
    assert vars(made.hosts["manager"])["world"].ran[0].startswith("kubectl.sh patch node worker-1 ")


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
THIS = Node("client", version="1.37.1", ready=True, address="10.250.0.11")


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


@pytest.mark.parametrize(
    ("cordoned", "pods", "told"),
    [
        (True, (), None),
        (True, (Pod("kube-system/p", "DaemonSet/p"),), None),
        (True, (WEB,), str(SHORT)),
        (False, (), str(SHORT)),
    ],
    ids=["empty", "with what stays", "with a pod to lose", "open, so that pods may come"],
)
def test_a_node_under_a_persons_cordon_is_waited_for_while_there_is_something_to_take(
    cordoned: bool, pods: tuple[Pod, ...], told: str | None
) -> None:
    facts = host("client", node=replace(THIS, cordoned=cordoned))
    where = {pod.name: "client" for pod in pods}
    listed: dict[str, Any] = {"workloads": (SHORT,), "workloads_told": True, "pods_told": True}
    assert gap(WHOLE, beside(facts, known("manager", facts.cluster, pods=pods, where=where, **listed))) == told


def test_a_cordoned_node_whose_pods_nobody_has_listed_is_not_taken_for_empty() -> None:
    facts = host("client", node=replace(THIS, cordoned=True))
    with pytest.raises(Silent):
        gap(WHOLE, beside(facts, known("manager", facts.cluster, workloads=(SHORT,), workloads_told=True)))


def test_of_nodes_that_go_at_one_time_the_first_alone_is_waited_for() -> None:
    """What is not whole then is what it has lost; and one that an earlier run has begun is waited for."""
    made, subject = cluster(many_hosts(2)), upgrade_kubelet.kubelet(600)
    change = step(subject(made, made.hosts["client1"]), NO_NEW).close
    assert change
    change(made.hosts["client1"])
    by = vars(made.hosts["manager"])["world"].ran[0].partition(f'"{CORDONED_BY}": "')[2].partition('"')[0]
    assert by.startswith("cluster.upgrade at ")
    for cordoned_by, told in ((by, None), (MARK, str(SHORT))):
        begun = Node("client1", address="10.250.1.1", cordoned=True, cordoned_by=cordoned_by)
        cordoned = live(begun, Node("client2", version="1.37.1", ready=True, address="10.250.1.2"))
        first = known("client1", cordoned, kubelet_ca="aaa", addresses={"10.250.1.1": "eth0"})
        speaker = known("manager", cordoned, workloads=(SHORT,), workloads_told=True)
        facts = replace(host("client2"), cluster=cordoned)
        facts = with_(facts, addresses={"10.250.1.2": "eth0"})
        states = subject(made, made.hosts["client2"])
        assert step(states, WHOLE).gap(beside(facts, first, speaker)) == told


AGENT = Running("DaemonSet", "default/agent", 2, 1)
OFF = Node("client2", address="10.250.0.12")


@pytest.mark.parametrize(
    ("agent", "beside_it", "told"),
    [
        (AGENT, OFF, None),
        (AGENT, replace(OFF, ready=True), str(AGENT)),
        (replace(AGENT, ready=0), OFF, "DaemonSet default/agent: 0 of 2 pods are ready"),
        (replace(AGENT, kind="Deployment"), OFF, "Deployment default/agent: 1 of 2 pods are ready"),
    ],
    ids=["off", "Ready", "another is missing too", "a Deployment's pods go elsewhere"],
)
def test_nobody_waits_for_a_daemonsets_pod_on_a_node_that_is_off_and_no_host_of_this_run(
    agent: Running, beside_it: Node, told: str | None
) -> None:
    """As a worker that is absent: its Node stays."""
    cluster = live(THIS, beside_it)
    facts = replace(host("client"), cluster=cluster)
    assert gap(WHOLE, beside(facts, known("manager", cluster, workloads=(agent,), workloads_told=True))) == told


def test_a_daemonsets_pod_on_a_host_of_this_run_is_waited_for_though_its_node_is_not_ready() -> None:
    cluster = live(THIS, OFF)
    facts = replace(host("client"), cluster=cluster)
    speaker = known("manager", cluster, workloads=(AGENT,), workloads_told=True)
    other = known("client2", cluster, kubelet_ca="aaa", addresses={"10.250.0.12": "eth0"})
    assert gap(WHOLE, beside(facts, speaker, other)) == str(AGENT)


def test_what_is_left_out_by_name_is_waited_for_by_nobody() -> None:
    made = cluster()
    states = upgrade_kubelet.kubelet(600, ["default/web"])(made, made.hosts["client"])
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


DOCKER = HOSTS.replace("1.37.2\n", "1.37.2\n  runtime: docker\n")


@pytest.mark.parametrize(
    ("hosts", "file", "unit", "path"),
    [
        (HOSTS, "containerd", "containerd", "/etc/containerd/config.toml"),
        (DOCKER, "cri-dockerd", "cri-docker", "/etc/systemd/system/cri-docker.service"),
    ],
)
def test_a_runtime_comes_to_the_new_sandbox_image_while_the_node_is_empty(
    hosts: str, file: str, unit: str, path: str
) -> None:
    """Else the next `up` would write it, and start the runtime anew under pods."""
    made = cluster(hosts)
    steps = upgrade_kubelet.kubelet(600)(made, made.hosts["client"])
    titles = [one.title for one in steps]
    order = [EMPTY, f"{file} has the sandbox image of {WANTED}", f"{unit} runs", INSTALLED]
    assert sorted(order, key=titles.index) == order
    former = runtime._sandbox(made.inventory.of_kubernetes("1.35.3"))[1][path]

    def told(text: str, version: str) -> list[str | None]:
        facts = host("client", version, digests={path: sha256(text)})
        return [step(steps, title).gap(facts) for title in order[1:3]]

    assert told(former, "1.35.3") == [f"{path} differs", "inactive"]
    assert told("somebody's", "1.35.3") == [None, "inactive"]  # it stays as it is
    assert told(former, WANTED) == [None, None]  # the kubelet is new, and pods may be there


def test_a_new_kubelet_that_is_older_than_what_kubeadm_wrote_begins_anew() -> None:
    """The power went after its package was there: it began by the boot, and its configuration was made once more."""
    left = Manifest("sum", {"maxPods": "7"})
    unit = Unit("active", "enabled", since=100.0)
    said: dict[str, Any] = {"now": {"kubelet": left}, "marks": ("kubelet sum",), "units": {"kubelet": unit}}
    facts = host("client", WANTED, kubelet_written=200.0, **said)
    assert gap(RUNS, facts) == "it began before its configuration was written"
    assert gap(RUNS, host("client", WANTED, kubelet_written=50.0, **said)) is None


def test_a_new_package_alone_is_no_new_kubelet() -> None:
    facts = host("client", "1.37.2", node=Node("client", version="1.37.1", ready=True, address="10.250.0.11"))
    assert (gap(INSTALLED, facts), gap(RUNS, facts)) == (None, "it is of 1.37.1")


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ({"kubectl": Package("hi", "1.37.1-1.1")}, "kubectl 1.37.1-1.1"),
        ({"kubelet": Package("ii", f"{WANTED}-1.1")}, "kubelet is not held"),
        ({"kubectl": Package("un")}, "kubectl missing"),
        ({"kubelet": Package("ii", "1.37.1-1.1")}, None),
        ({"kubelet": Package("un")}, None),
    ],
    ids=["kubectl is old", "free", "without kubectl", "old, and to be upgraded", "no kubelet"],
)
def test_a_kubelet_that_was_unpacked_and_no_more_is_not_all_of_it(
    left: Mapping[str, Package], told: str | None
) -> None:
    """Killed there, dpkg leaves what it unpacked free, and what comes after it as it was."""
    assert gap(COMPLETE, host("client", debs={**debs(WANTED), **left})) == told


@pytest.mark.parametrize(
    ("version", "broken", "told"),
    [
        (WANTED, ("kubelet", "kubectl"), "kubelet, kubectl"),
        (WANTED, ("somebodys",), None),
        (WANTED, (), None),
        ("1.37.1", ("kubelet",), None),  # mended with what is fetched
    ],
)
def test_packages_that_a_power_cut_has_left_half_installed_are_finished(
    version: str, broken: tuple[str, ...], told: str | None
) -> None:
    """The new kubelet began by the boot, and nothing is behind: apt would refuse to finish what dpkg has not."""
    facts = host("client", version, dpkg_broken=broken)
    assert gap("dpkg has no half-installed packages", facts) == told
    titles = [one.title for one in kubelet_steps()]
    assert titles.index("dpkg has no half-installed packages") < titles.index(COMPLETE)


@pytest.mark.parametrize("left", [Package("ii", f"{WANTED}-1.1"), Package("hi", f"{WANTED}-1.1")])
def test_kubeadm_writes_no_configuration_for_a_kubelet_that_is_new(left: Package) -> None:
    """Its own came before it, also where an upgrade was killed; what is another there is somebody's."""
    assert gap(INSTALLED, host("client", debs={**debs("1.37.1"), "kubelet": left})) is None


def test_a_kubelet_that_is_old_is_not_held_back_from_its_upgrade() -> None:
    assert gap(INSTALLED, host("client", debs=debs("1.37.1"))) == "kubelet 1.37.1-1.1"


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
def test_only_masters_have_patches_for_kubeadm(name: str, patched: bool) -> None:
    made = cluster(three_masters())
    close = step(upgrade_kubelet.kubelet(600)(made, made.hosts[name]), INSTALLED).close
    assert close
    close(made.hosts[name])
    assert ("/etc/kubefab/patches" in vars(made.hosts[name])["world"].payloads["upgrade-kubelet.sh"]) is patched


def test_copies_are_looked_for_after_kubeadm_has_made_them() -> None:
    assert step(kubelet_steps(), LEFT).anew


def listed(image: str = "1.37.2", **ready: int) -> tuple[Running, ...]:
    """The static pods that an API server tells of."""
    names = {name.removesuffix(".yaml"): image for name, image in images(image).items()}
    return tuple(
        Running("Pod", f"kube-system/{name}-{node}", 1, ready.get(name, 1), (of,))
        for name, of in names.items()
        for node in ("manager", "m2")
    )


@pytest.mark.parametrize(
    ("pods", "told"),
    [
        (listed(), None),
        (listed(etcd=0), "etcd is not Ready"),
        (listed()[2:], "etcd is not listed"),
        ((), "etcd is not listed, kube-apiserver is not listed, "),
        (listed(image="1.37.1"), f"kube-apiserver is of {REGISTRY}/kube-apiserver:v1.37.1, and not of {REGISTRY}/"),
    ],
)
def test_a_master_has_all_static_pods_of_its_manifests_back_before_the_next_is_begun(
    pods: tuple[Running, ...], told: str | None
) -> None:
    facts = master("1.37.2", workloads=pods, workloads_told=True)
    made = cluster()
    for subject in (upgrade_kubelet.kubelet(600), upgrade.control_plane):
        back = step(subject(made, made.hosts["manager"]), "its static pods are Ready")
        found = back.gap(facts) or ""
        assert (found.startswith(told or ""), bool(found)) == (True, bool(told))
        assert (back.touches, back.anew) == ("pods", True)


def test_static_pods_that_nobody_has_listed_are_not_ready() -> None:
    with pytest.raises(Silent):
        gap("its static pods are Ready", master("1.37.2"), "manager")
