"""The Node that a machine is: known to its cluster, marked as what it is, with the pod network that is its own."""

from dataclasses import replace

import pytest

from kubefab.facts import ClusterFacts, Facts, Node, Unit, Workload
from kubefab.releases import CONTROL_PLANE, MASTER
from kubefab.step import Step
from kubefab.steps import registration
from kubefab.steps.network import DAEMON_SET
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, looked, step, world

TELLING, ITS_NODE, ITS_ID, MARKED, FLANNEL, BRIDGE = (
    "the kubelet had time to register",
    "the cluster has a Node for this host",
    "the Node belongs to this machine",
    "the Node has a master's label and taint",
    "flannel knows this Node",
    "cni0 is in the node's pod subnet",
)
CLIENT = Node("client", "abc", address="10.250.0.11", ready=True, pod_cidr="10.244.1.0/24", announced=True)
LIVE = ClusterFacts(ca="aaa", nodes={"client": CLIENT}, workloads={DAEMON_SET: Workload()})
NODE = known(
    "client",
    machine_id="abc",
    addresses={"10.250.0.11": "eth0", "10.244.1.1": "cni0"},
    kubelet_ca="aaa",
    flannel=True,
    subnet="10.244.1.1/24",
    cluster=LIVE,
)


def steps() -> list[Step]:
    made = cluster()
    host = made.hosts["client"]
    return [*registration.registered(host), registration.marked(made, made.founder), *registration.pod_network(made)]


def seen_as(**changed: object) -> Facts:
    """The same machine, of which the cluster tells otherwise."""
    return with_(NODE, cluster=replace(LIVE, nodes={"client": replace(CLIENT, **changed)}))  # type: ignore[arg-type]


def started(seconds: int) -> Facts:
    """The same machine, whose Node is not there, and whose kubelet was started so long ago."""
    units = {"kubelet": Unit("active", "enabled", since=1000)}
    return with_(NODE, cluster=replace(LIVE, nodes={}), units=units, clock=1000 + seconds)


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (NODE, ITS_NODE, None),
        (with_(NODE, cluster=replace(LIVE, nodes={})), ITS_NODE, "none, although kubelet.conf belongs to this cluster"),
        (with_(NODE, cluster=replace(LIVE, nodes={}), kubelet_ca="other"), ITS_NODE, None),
        (with_(NODE, cluster=replace(LIVE, nodes={}), kubelet_ca=""), ITS_NODE, None),
        *((with_(NODE, cluster=None), title, None) for title in (TELLING, ITS_NODE, ITS_ID, MARKED, FLANNEL, BRIDGE)),
        (NODE, ITS_ID, None),
        (started(29), TELLING, "the kubelet has only just started"),
        (started(31), TELLING, None),
        (with_(started(29), units={"kubelet": Unit("inactive")}), TELLING, None),
        (with_(started(29), cluster=LIVE), TELLING, None),
        (with_(NODE, machine_id="changed"), ITS_ID, "the Node still has the machine-id abc"),
        (with_(NODE, machine_id=""), ITS_ID, None),  # what is not known is no evidence
        (seen_as(machine_id=""), ITS_ID, None),
        (with_(NODE, machine_id="new", kubelet_ca=""), ITS_ID, None),  # installed anew: it joins first
        (seen_as(roles=("control-plane",)), MARKED, None),
        (seen_as(roles=("master",)), MARKED, None),
        (seen_as(roles=("worker",)), MARKED, "the master's label is missing"),
        (with_(NODE, cluster=replace(LIVE, nodes={})), MARKED, None),
        (NODE, FLANNEL, None),
        (seen_as(announced=False), FLANNEL, "not yet, though it has come up"),
        (with_(seen_as(announced=False), flannel=False), FLANNEL, None),  # it is still coming up
        (
            with_(NODE, subnet="10.244.2.1/24"),
            FLANNEL,
            "it has the subnet of 10.244.2.1, and its Node 10.244.1.0/24",
        ),
        (NODE, BRIDGE, None),
        (seen_as(pod_cidr="10.244.2.0/24"), BRIDGE, "cni0 has 10.244.1.1, and its Node 10.244.2.0/24"),
        (with_(seen_as(pod_cidr="10.244.2.0/24"), addresses={"10.250.0.11": "eth0"}), BRIDGE, None),
        (seen_as(pod_cidr=""), BRIDGE, None),
        (seen_as(pod_cidr="fd00::/64"), BRIDGE, None),
        (with_(NODE, cluster=replace(LIVE, workloads={}), subnet="10.244.2.1/24"), FLANNEL, None),  # another network
    ],
)
def test_what_is_not_of_this_machines_node_is_named(facts: Facts, title: str, gap: str | None) -> None:
    assert step(steps(), title).gap(facts) == gap


@pytest.mark.parametrize("title", [ITS_NODE, ITS_ID])
def test_a_node_comes_back_when_its_kubelet_is_restarted(title: str) -> None:
    made = cluster()
    one = step(registration.registered(made.hosts["client"]), title)
    assert one.close
    one.close(made.hosts["client"])
    assert world(made, "client").ran == ["restart-service.sh kubelet"]
    assert (one.within, one.touches) == (60, "cluster")
    assert bool(one.warning) is (title == ITS_NODE)


def test_what_else_may_be_done_is_of_this_host_alone() -> None:
    """`inv restart` takes the whole cluster away."""
    hints = [one.hint for one in registration.registered(cluster().hosts["client"])]
    assert all(hint.endswith("if you can lose it: `inv restart --host client`") for hint in hints)


ITEM = '{"kind": "Node", "metadata": {"name": "manager"}, "status": {"nodeInfo": {"machineID": "abc"}}}'
OFF = "node.kubernetes.io/exclude-from-external-load-balancers="


@pytest.mark.parametrize(
    ("hosts", "ran"),
    [
        (HOSTS, [f"taint node manager {CONTROL_PLANE}:NoSchedule --overwrite", f"{CONTROL_PLANE}= {OFF}"]),
        (
            HOSTS.replace("1.37.2", "1.24.0"),
            [
                f"taint node manager {MASTER}:NoSchedule {CONTROL_PLANE}:NoSchedule --overwrite",
                f"{CONTROL_PLANE}= {MASTER}= {OFF}",
            ],
        ),
        (HOSTS.replace("role: master", "role: master, schedulable: true"), [f"{CONTROL_PLANE}= {OFF}"]),
    ],
)
def test_a_master_gets_its_taint_back_and_at_last_its_label(hosts: str, ran: list[str]) -> None:
    made = looked({"manager": {"system": "machine_id abc", "cluster": f'answer {{"items": [{ITEM}]}}'}}, hosts)
    close = registration.marked(made, made.founder).close
    assert close
    close(made.founder)
    *taint, label = ran
    assert world(made, "manager").ran == [
        *(f"kubectl.sh {one}" for one in taint),
        f"kubectl.sh label node manager {label} --overwrite",
    ]


def test_a_node_that_came_back_with_its_pods_is_counted_anew() -> None:
    """Seen on real machines: kube-proxy's DaemonSet went on wanting one pod of two, and `up` waited for the other."""
    items = f'{ITEM}, {{"kind": "DaemonSet", "metadata": {{"namespace": "kube-system", "name": "kube-proxy"}}, {SPEC}}}'
    made = looked({"manager": {"system": "machine_id abc", "cluster": f'answer {{"items": [{items}]}}'}}, HOSTS)
    close = step(registration.pod_network(made), "flannel knows this Node").close
    assert close
    close(made.founder)
    counted, flannel = world(made, "manager").ran  # what closes the gap comes last
    assert flannel == "restart-flannel.sh"
    assert counted.startswith(
        "kubectl.sh annotate daemonset kube-proxy --namespace kube-system kubefab.internal/counted="
    )


SPEC = '"spec": {"template": {"spec": {"containers": [{"image": "kube-proxy"}]}}}'
