"""A worker's way into the cluster."""

from base64 import b64decode

import pytest

from kubefab.cluster import Cluster
from kubefab.errors import HostError, Silent
from kubefab.facts import ClusterFacts, Facts, Node, clock_time
from kubefab.host import Host
from kubefab.ssh import lost
from kubefab.step import MISSING, NO_CLUSTER
from kubefab.steps import worker
from tests.facts import known, with_
from tests.fakes import FakeHost, cluster, looked, step, world

NAME_TAKEN, OTHERS, WAITED, BROKEN, BEFORE, JOINED, TOKEN_LEFT = (
    "no other machine uses this node name",
    "no join by other means is in progress",
    "an interrupted join had time to finish",
    "no interrupted join is left",
    "no earlier machine is Ready under this name",
    "the host is a node",
    "the join token is gone",
)
BEGUN = f"begun at {clock_time(1)} and not finished"


def live(**node: object) -> ClusterFacts:
    """A cluster with the node "client"."""
    here = {"machine_id": "abc", "address": "10.250.0.11", "ready": True, "announced": True, **node}
    return ClusterFacts(ca="aaa", nodes={"client": Node("client", **here)})  # type: ignore[arg-type]


EMPTY = ClusterFacts(ca="aaa", nodes={"manager": Node("manager", "def")})
# Without its last rules of RBAC an API server forbids its own admin everything.
FORBIDDING = ClusterFacts(ca="aaa", silent="Error from server (Forbidden)", speaker="manager")
UNFINISHED = known("client", machine_id="new", cluster=FORBIDDING, others={"manager": known(init_begun=1)})
NODE = known("client", machine_id="abc", addresses={"10.250.0.11": "eth0"}, kubelet_ca="aaa", cluster=live())
NEW = with_(NODE, machine_id="new", kubelet_ca="", cluster=EMPTY)


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (with_(NEW, cluster=live(address="10.250.0.99")), NAME_TAKEN, "the node client is at 10.250.0.99, and Ready"),
        (with_(NEW, cluster=live(address="10.250.0.99", ready=False)), NAME_TAKEN, None),
        (with_(NEW, cluster=live()), NAME_TAKEN, None),
        (with_(NODE, cluster=live(address="10.250.0.99")), NAME_TAKEN, None),
        (UNFINISHED, NAME_TAKEN, None),
        (NEW, OTHERS, None),
        (with_(NEW, pki_left=True), OTHERS, "/etc/kubernetes/pki/ca.crt, and no kubelet.conf"),
        (with_(NEW, pki_left=True, join_begun=1), OTHERS, None),
        (with_(NEW, pki_left=True, tear_down_begun=1), OTHERS, None),
        (NEW, WAITED, None),
        (with_(NEW, join_begun=1, token_left=True), WAITED, BEGUN),
        (with_(NEW, join_begun=1), WAITED, None),  # it had its time
        (with_(NODE, join_begun=1, token_left=True), WAITED, None),
        (with_(NEW, token_left=True), WAITED, None),  # not begun: there was not even a marker
        (NEW, BROKEN, None),
        (with_(NEW, join_begun=1), BROKEN, BEGUN),
        (with_(NODE, kubelet_ca="", join_begun=1), BROKEN, None),  # the node is Ready
        (with_(NODE, join_begun=1, cluster=EMPTY), BROKEN, None),  # its kubelet has joined
        (with_(NEW, kubelet_ca="aaa"), BROKEN, None),  # its Node was deleted
        (with_(NEW, token_left=True, pki_left=True), BROKEN, None),
        (NEW, BEFORE, None),
        (with_(NEW, cluster=live()), BEFORE, "it is, still"),
        (with_(NEW, cluster=live(ready=False)), BEFORE, None),
        (NODE, BEFORE, None),
        (NEW, JOINED, MISSING),
        (with_(NEW, cluster=live(ready=False)), JOINED, MISSING),  # installed anew: it joins over its old Node
        (with_(NODE, kubelet_ca=""), JOINED, MISSING),
        (known("client"), JOINED, NO_CLUSTER),
        (NODE, JOINED, None),
        (with_(NODE, machine_id="changed"), JOINED, None),
        (with_(NODE, machine_id=""), JOINED, None),
        (UNFINISHED, JOINED, NO_CLUSTER),
        (NODE, TOKEN_LEFT, None),
        (with_(NODE, token_left=True), TOKEN_LEFT, "left by an interrupted join"),
        (with_(NODE, join_begun=1), TOKEN_LEFT, "left by an interrupted join"),
        (NEW, "kubelet runs", "inactive"),
    ],
)
def test_a_join_tells_apart_what_is_there(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(worker.steps(made, made.hosts["client"]), title).gap(facts) == gap


@pytest.mark.parametrize(
    "facts",
    [
        NODE,
        with_(NODE, machine_id="changed"),  # by hand, and its kubelet has not been restarted yet
        with_(NODE, machine_id=""),  # the kubelet has that of D-Bus
        with_(NODE, cluster=EMPTY),  # its Node was deleted
        with_(NODE, cluster=live(ready=False)),
        with_(NEW, kubelet_ca="other"),
        with_(NEW, pki_left=True, token_left=True),  # somebody joins it by hand; or keys that were copied
        with_(NODE, join_begun=1),
        with_(NODE, cluster=EMPTY, join_begun=1),
    ],
)
def test_no_machine_that_may_be_somebodys_node_is_ever_taken_from(facts: Facts) -> None:
    made, host = ready_to_join()
    for one in worker.steps(made, host):
        if one.close and one.gap(facts):
            one.close(host)
    ran = [*world(made, "client").ran, *world(made, "manager").ran]
    assert [one for one in ran if "tear-down" in one or "delete node" in one] == []


@pytest.mark.parametrize("title", [NAME_TAKEN, BROKEN, BEFORE])
def test_nothing_is_in_the_way_of_a_cluster_that_is_not_there(title: str) -> None:
    made = cluster()
    found = known("client", kubelet_ca="aaa", token_left=True)
    assert step(worker.steps(made, made.hosts["client"]), title).gap(found) is None


@pytest.mark.parametrize("title", [NAME_TAKEN, BROKEN, BEFORE, JOINED, "the cluster has a Node for this host"])
def test_a_silent_cluster_is_no_word_about_a_node(title: str) -> None:
    made = cluster()
    gap = step(worker.steps(made, made.hosts["client"]), title).gap
    with pytest.raises(Silent):
        gap(with_(NODE, join_begun=1, cluster=ClusterFacts(ca="aaa", silent="refused")))


def test_a_node_by_another_name_is_a_node() -> None:
    made = cluster()
    by_hand = ClusterFacts(ca="aaa", nodes={"other": Node("other", "abc", address="10.250.0.11")})
    there = with_(NODE, cluster=by_hand)
    gaps = {one.title: gap for one in worker.steps(made, made.hosts["client"]) if (gap := one.gap(there))}
    assert gaps == {"kubelet runs": "inactive"}


def test_a_join_of_ours_that_broke_off_is_finished_and_only_then_taken_back() -> None:
    made = cluster()
    host = made.hosts["client"]
    steps = worker.steps(made, host)
    assert [one.title for one in steps if one.title in (WAITED, BEFORE, BROKEN)] == [WAITED, BEFORE, BROKEN]
    for title in (WAITED, BROKEN):
        close = step(steps, title).close
        assert close
        close(host)
    assert world(made, "manager").ran == []
    assert world(made, "client").ran == [
        "finish-join.sh",
        "tear-down.sh unix:///run/containerd/containerd.sock unasked",
    ]


def test_a_join_that_was_killed_leaves_no_token() -> None:
    made = cluster()
    close = step(worker.steps(made, made.hosts["client"]), TOKEN_LEFT).close
    assert close
    close(made.hosts["client"])
    assert world(made, "client").ran == ["forget-token.sh"]
    assert world(made, "manager").ran == ["delete-tokens.sh client"]


def ready_to_join() -> tuple[Cluster, Host]:
    node = "admin_ca QUJD\nadmin_server https://lab.kubefab.internal:6443"
    made = looked({"manager": {"node": node, "cluster": 'answer {"items": []}'}, "client": {}})
    world(made, "manager").answers["mint-token.sh"] = "abcdef.0123456789abcdef\nQ0VSVA=="
    return made, made.hosts["client"]


def test_a_join_has_a_token_of_its_own_that_is_deleted_afterwards() -> None:
    made, host = ready_to_join()
    worker.join(made, host)
    assert world(made, "manager").ran == ["mint-token.sh client", "delete-tokens.sh client"]
    assert world(made, "client").ran == ["join.sh /run/kubefab/discovery.conf config validate"]


def test_the_token_travels_as_standard_input_with_whom_to_trust() -> None:
    made, host = ready_to_join()
    worker.join(made, host)
    discovery, _, document = world(made, "client").payloads["join.sh"].partition("\n")
    kubeconfig = b64decode(discovery).decode()
    assert "server: https://lab.kubefab.internal:6443" in kubeconfig
    assert "certificate-authority-data: Q0VSVA==" in kubeconfig
    assert "tlsBootstrapToken: abcdef.0123456789abcdef" in document


def test_the_token_is_deleted_after_a_join_that_failed_too() -> None:
    made, host = ready_to_join()

    class Failing(FakeHost):
        def change(self, script: str, *args: str, payload: str = "", secret: bool = False, about: str = "") -> str:
            raise HostError("kubeadm join failed")

    with pytest.raises(HostError, match="kubeadm join failed"):
        worker.join(made, Failing(host.wanted, host.link, host.log))
    assert world(made, "manager").ran == ["mint-token.sh client", "delete-tokens.sh client"]


def test_the_token_stays_for_a_quarter_of_an_hour_where_the_join_may_go_on_without_us() -> None:
    made, host = ready_to_join()

    def blip() -> None:
        raise lost("reset by peer")

    world(made, "client").on_change = blip
    with pytest.raises(HostError, match="the connection was lost"):
        worker.join(made, host)
    assert world(made, "manager").ran == ["mint-token.sh client"]


@pytest.mark.parametrize(("facts", "gap"), [(NEW, None), (known(), NO_CLUSTER)])
def test_one_machine_alone_joins_a_cluster_that_is_there(facts: Facts, gap: str | None) -> None:
    made = cluster()
    (one,) = worker.invited(made, made.hosts["client"])
    assert one.gap(facts) == gap
    assert one.hint == "`inv cluster.up` makes the cluster"
