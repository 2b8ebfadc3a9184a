"""A node is drained or removed: who does it, what is asked before, in which order, and what stops it."""

import json
from functools import partial
from typing import Any

import pytest
from invoke import Exit

from kubefab import leaving
from kubefab.converge import Stop
from kubefab.errors import HostError, KubefabError, Refused, Unreachable
from kubefab.facts import CORDONED_BY
from kubefab.leaving import TEN_MINUTES, Seconds
from kubefab.steps import draining, etcd
from tests.fakes import HOSTS, inventory, three_masters
from tests.members import SILENT, look, membership
from tests.runs import ADMIN, Run, each, in_place, wants

NONE = "pods_told yes"
WEB = "pod default/web-1|ReplicaSet/web|ready Running"
ALONE = "pod default/alone||ready Running"
LEFT = "directory /etc/kubernetes"


class Cluster:
    """What the API server of fake masters knows; it does what it is told, and tears down what it is told to."""

    def __init__(self, run: Run, masters: tuple[str, ...], *names: str) -> None:
        self.run, self.masters = run, masters
        self.nodes: dict[str, dict[str, Any]] = {name: {"ready": True} for name in names}
        self.pods = NONE
        self.done: list[str] = []  # "host: what", in turn
        self.goes_on_in(run)
        self.tell()

    def goes_on_in(self, run: Run) -> None:
        """Another run finds the same hosts."""
        for name in run.cluster.hosts:
            run(name).parts, run(name).on_look = self.run(name).parts, self.run(name).on_look
            run(name).on_change = partial(self.changed, name)
        self.run = run

    def tell(self) -> None:
        for name in self.masters:
            self.run(name).parts.update(
                node=ADMIN, cluster=f"answer {json.dumps({'items': [*self.items()]})}\n{self.ours()}", pods=self.pods
            )

    def ours(self) -> str:
        return "\n".join(f"ours {name}" for name, node in self.nodes.items() if node.get("under") == CORDONED_BY)

    def items(self) -> Any:
        for name, node in self.nodes.items():
            ready = {"type": "Ready", "status": "True" if node["ready"] else "Unknown", "message": "silent"}
            yield {
                "kind": "Node",
                "metadata": {"name": name, "annotations": node.get("annotations", {})},
                "spec": {"unschedulable": bool(node.get("unschedulable")), "taints": node.get("taints", [])},
                "status": {
                    "conditions": [ready],
                    "nodeInfo": {"machineID": node.get("machine", f"id-{name}")},
                    "addresses": [{"type": "InternalIP", "address": node.get("address", "")}],
                },
            }

    def changed(self, name: str) -> None:
        what = self.run(name).of_thread.change
        self.done.append(f"{name}: {what.partition(' --')[0]}")
        words = what.split(" ")
        if words[1:2] == ["patch"]:
            patch = json.loads(what.partition("--patch ")[2])
            marks = {key: value for key, value in patch["metadata"]["annotations"].items() if value}
            self.nodes[words[3]] |= {"annotations": marks, "unschedulable": patch["spec"]["unschedulable"]}
            if "--field-manager" in words:
                self.nodes[words[3]]["under"] = words[words.index("--field-manager") + 1]
        elif words[1:2] == ["taint"]:
            self.nodes[words[3]]["taints"] = [{"key": words[4].partition("=")[0], "effect": "NoExecute"}]
        elif words[1:2] == ["delete"]:
            del self.nodes[words[3]]
        elif words[0] == "drain.sh":
            self.pods = NONE
        elif words[0] == "remove-member.sh":
            gone = {"a1": "m1"}.get(words[1])
            for one in self.masters:
                self.run(one).parts["etcd"] = look(one, *[name for name in ("m1", "m2", "m3") if name != gone])
        elif words[0] == "tear-down.sh":
            self.masters = tuple(one for one in self.masters if one != name)
            self.run(name).parts = {"system": self.run(name).parts.get("system", "")}
        self.tell()


@pytest.fixture
def one(run: Run) -> Cluster:
    """A master and a worker."""
    return of_two(run)


def of_two(run: Run) -> Cluster:
    made = Cluster(run, ("manager",), "manager", "client")
    for name in run.cluster.hosts:
        run(name).parts["system"] = f"machine_id id-{name}"
    return made


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Three masters, each with its member of etcd, and a worker."""
    monkeypatch.setattr(etcd, "saved", lambda *_: each(wants("backup")))
    return with_members(in_place(Run(three_masters()), monkeypatch))


def with_members(run: Run) -> Cluster:
    made = Cluster(run, ("m1", "m2", "m3"), "m1", "m2", "m3", "client")
    for name in run.cluster.hosts:
        run(name).parts["system"] = f"machine_id id-{name}"
    for name in made.masters:
        run(name).parts["etcd"] = look(name)
    return made


def at_addresses(made: Cluster, **of: str) -> None:
    """Each host, its Node and its member are at the address of hosts.yml; Nodes of no host are where it is said."""
    places = {name: str(host.wanted.address) for name, host in made.run.cluster.hosts.items()} | of
    known = json.loads(membership(*made.masters))
    for member in known["members"]:
        member["peerURLs"] = [f"https://{places[member['name']]}:2380"]
    for name in made.masters:
        made.run(name).parts["etcd"] = look(name).replace(membership("m1", "m2", "m3"), json.dumps(known))
    for name in made.run.cluster.hosts:
        made.run(name).parts["system"] = f"machine_id id-{name}\naddress {places[name]} eth0"
    for name, place in places.items():
        made.nodes[name]["address"] = place
    made.tell()


def away() -> None:
    raise Unreachable("cannot be reached")


def drain(made: Cluster, name: str = "client", yes: bool = False) -> None:
    leaving.drain(made.run.context, name, TEN_MINUTES, yes)


def remove(made: Cluster, name: str = "client", dead: bool = False, yes: bool = True) -> None:
    leaving.remove(made.run.context, name, TEN_MINUTES, dead, yes)


CORDON = "manager: kubectl.sh patch node client"
DRAIN = f"manager: drain.sh client 600 {CORDONED_BY}"
TEAR_DOWN = "client: tear-down.sh unix:///run/containerd/containerd.sock"
DELETE = "manager: kubectl.sh delete node client"


# --- cordon and drain


def test_a_node_is_cordoned_by_its_name_in_the_cluster_whether_hosts_yml_knows_it_or_not(one: Cluster) -> None:
    one.nodes["eve"] = {"ready": False}
    one.tell()
    leaving.of_node(one.run.context, "eve", draining.cordoned)
    assert (one.done, one.nodes["eve"]["unschedulable"]) == (["manager: kubectl.sh patch node eve"], True)


def test_a_name_that_nobody_has_is_told_with_those_there_are(one: Cluster) -> None:
    with pytest.raises(KubefabError, match=r"found no host 'nobody'; allowed: manager, client"):
        leaving.of_node(one.run.context, "nobody", draining.cordoned)


def test_a_host_that_is_no_node_is_not_cordoned(one: Cluster) -> None:
    del one.nodes["client"]
    one.tell()
    leaving.of_node(one.run.context, "client", draining.cordoned)
    assert one.run.failures == {"manager": "the cluster has a Node client: its nodes are manager"}


def test_without_a_cluster_there_is_nothing_to_drain(run: Run) -> None:
    with pytest.raises(KubefabError, match="there is no cluster yet"):
        leaving.drain(run.context, "client", TEN_MINUTES, True)


def test_pods_that_lose_nothing_go_without_a_question_and_the_cordon_is_the_persons(one: Cluster) -> None:
    one.pods = f"{WEB}\n{NONE}"
    one.tell()
    drain(one)
    assert one.done == [CORDON, DRAIN, CORDON]
    assert one.nodes["client"] == {"ready": True, "annotations": {}, "unschedulable": True, "under": CORDONED_BY}


def test_what_is_lost_is_told_and_asked_for_before_anything_is_locked(
    one: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    one.pods = f"{ALONE}\nheld default/alone budget\n{NONE}"
    one.tell()
    with pytest.raises(KubefabError, match="without a terminal, --yes is needed"):
        drain(one)
    assert one.done == []
    told = "client  - default/alone: cannot be evicted now, for the budget budget allows none; gone for good"
    assert capsys.readouterr().out.startswith(told)
    drain(one, yes=True)
    assert one.done == [CORDON, DRAIN, CORDON]


def test_an_api_server_that_says_nothing_for_a_while_is_waited_for_and_nothing_goes_unasked(one: Cluster) -> None:
    def says() -> None:
        one.pods = f"{ALONE}\n{NONE}"
        one.tell()

    one.pods = ""
    one.tell()
    one.run.clock.on_sleep = says
    with pytest.raises(KubefabError, match="without a terminal, --yes is needed"):
        drain(one)
    assert one.done == []


def test_one_that_goes_on_saying_nothing_drains_nobody(one: Cluster) -> None:
    one.pods = ""
    one.tell()
    with pytest.raises(Stop, match="nothing was changed"):
        drain(one, yes=True)
    assert "does not list the node's pods" in one.run.failures["manager"]
    assert one.done == []


def test_a_drain_that_fails_leaves_the_cordon_to_its_script(one: Cluster) -> None:
    def fails() -> None:
        if one.run("manager").ran[-1].startswith("drain.sh"):
            raise HostError("ended with exit status 1")
        one.changed("manager")

    one.pods = f"{WEB}\n{NONE}"
    one.tell()
    one.run("manager").on_change = fails
    drain(one)
    assert one.run.failures == {"manager": "client has no pods but those of every node: ended with exit status 1"}
    assert one.done == [CORDON]
    assert one.nodes["client"]["annotations"][CORDONED_BY].startswith("node.drain at ")


def test_a_node_that_is_not_ready_is_not_drained(one: Cluster) -> None:
    one.nodes["client"]["ready"] = False
    one.tell()
    with pytest.raises(Stop, match="nothing was changed"):
        drain(one, yes=True)
    assert one.run.failures == {"manager": "client is Ready: silent"}
    assert one.done == []


def test_a_dry_drain_asks_nobody_and_moves_nothing(dry: Run, capsys: pytest.CaptureFixture[str]) -> None:
    made = of_two(dry)
    made.pods = f"{ALONE}\n{NONE}"
    made.tell()
    drain(made)
    assert made.done == []
    assert "~ client has no pods but those of every node  (now: default/alone)" in capsys.readouterr().out


def test_a_master_is_drained_by_way_of_another(three: Cluster) -> None:
    drain(three, "m1")
    assert three.done == ["m2: kubectl.sh patch node m1", "m2: kubectl.sh patch node m1"]


@pytest.fixture
def other_name(three: Cluster) -> Cluster:
    """The Node of the master that speaks is called otherwise than hosts.yml calls its host."""
    three.nodes["ip-1"] = three.nodes.pop("m1") | {"machine": "id-m1"}
    three.tell()
    return three


def test_a_master_is_drained_by_way_of_another_by_its_nodes_own_name_too(other_name: Cluster) -> None:
    drain(other_name, "ip-1")
    assert other_name.done == ["m2: kubectl.sh patch node ip-1", "m2: kubectl.sh patch node ip-1"]


def test_a_master_is_cordoned_by_way_of_another_by_its_nodes_own_name_too(other_name: Cluster) -> None:
    leaving.of_node(other_name.run.context, "ip-1", draining.cordoned)
    assert other_name.done == ["m2: kubectl.sh patch node ip-1"]


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("on", [False, True])
def test_a_name_that_hosts_yml_and_the_cluster_give_to_two_machines_is_refused(
    three: Cluster, on: bool, dead: bool
) -> None:
    """One would be drained, and the other one reset."""
    three.nodes["ip-2"] = three.nodes["m2"] | {"machine": "id-m2"}
    place = str(three.run.cluster.hosts["client"].wanted.address)
    three.nodes["m2"] |= {"machine": "id-client", "address": place}
    three.run("client").parts["system"] = f"machine_id id-client\naddress {place} eth0"
    del three.nodes["client"]
    three.tell()
    if not on:
        three.run("m2").on_look = away
    with pytest.raises(KubefabError, match=r"m2 of hosts\.yml is not the Node m2"):
        remove(three, "m2", dead)
    assert three.done == []


@pytest.mark.parametrize("dead", [False, True])
@pytest.mark.parametrize("name", ["client", "m1"])
def test_a_new_machine_is_not_reset_for_a_node_that_is_ready_at_its_former_address(
    three: Cluster, name: str, dead: bool
) -> None:
    """The old machine would be drained, and the new one reset."""
    three.nodes[name]["address"] = "10.250.0.77"
    three.masters = tuple(one for one in three.masters if one != name)
    three.run(name).parts = {"system": "machine_id another\naddress 10.250.0.99 eth0", "leftovers": LEFT}
    three.pods = f"{WEB}\n{NONE}"
    three.tell()
    with pytest.raises(KubefabError, match=rf"the Node {name} is at 10\.250\.0\.77, and Ready"):
        remove(three, name, dead)
    assert three.done == []


def test_a_machine_whose_node_is_at_another_one_of_its_addresses_goes(three: Cluster) -> None:
    three.nodes["client"]["address"] = "192.168.0.4"
    three.run("client").parts["system"] = "machine_id another\naddress 10.250.0.14 eth0\naddress 192.168.0.4 eth1"
    three.tell()
    remove(three)
    assert three.done[-1] == "m1: kubectl.sh delete node client"


def test_a_dead_node_whose_former_address_another_host_has_now_goes_by_its_name(three: Cluster) -> None:
    three.nodes["m2"] |= {
        "machine": "id-former",
        "address": str(three.run.cluster.hosts["client"].wanted.address),
        "ready": False,
    }
    three.tell()
    leaving.of_node(three.run.context, "m2", draining.cordoned)
    assert three.done == ["m1: kubectl.sh patch node m2"]


@pytest.mark.parametrize("said", ["0", "-1", "abc", "", "1.5", "100000", "٣"])
def test_a_time_limit_that_is_none_is_told_before_anything_is_begun(said: str) -> None:
    with pytest.raises(Exit, match=r"--timeout: found .*; allowed: seconds"):
        Seconds(said)


# --- a node that goes for good


def test_a_worker_goes_pods_first_then_what_is_on_its_machine_and_its_node_last(
    one: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    one.pods = f"{WEB}\n{NONE}"
    one.tell()
    one.run("client").parts["leftovers"] = LEFT
    remove(one)
    assert one.done == [CORDON, DRAIN, TEAR_DOWN, DELETE]
    said = capsys.readouterr().out
    assert "client  - /etc/kubernetes\n" in said
    assert "client is gone; take it out of hosts.yml, else `inv cluster.up` makes it a node again" in said
    assert "ssh-keygen" not in said


def test_a_cordon_of_a_persons_stays_his_until_the_node_is_gone(one: Cluster) -> None:
    one.nodes["client"]["unschedulable"] = True
    one.pods = f"{WEB}\n{NONE}"
    one.tell()
    remove(one)
    assert one.done == [DRAIN, DELETE]


def test_without_a_yes_nothing_goes(one: Cluster) -> None:
    one.run("client").parts["leftovers"] = LEFT
    with pytest.raises(KubefabError, match="without a terminal, --yes is needed"):
        remove(one, yes=False)
    assert one.done == []


TAINT = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
SAVED = "m2: put backup"
CHANGES = {
    "client": [
        "m1: kubectl.sh patch node client",
        f"m1: drain.sh client 600 {CORDONED_BY}",
        TEAR_DOWN,
        "m1: kubectl.sh delete node client",
    ],
    "m1": [
        SAVED,
        "m2: kubectl.sh patch node m1",
        f"m2: drain.sh m1 600 {CORDONED_BY}",
        "m2: remove-member.sh a1",
        "m1: tear-down.sh unix:///run/containerd/containerd.sock",
        "m2: kubectl.sh delete node m1",
    ],
    "client --dead": [f"m1: kubectl.sh taint node client {TAINT}", "m1: kubectl.sh delete node client"],
    "m1 --dead": [
        SAVED,
        "m2: remove-member.sh a1",
        f"m2: kubectl.sh taint node m1 {TAINT}",
        "m2: kubectl.sh delete node m1",
    ],
}


@pytest.mark.parametrize(
    ("who", "ended"), [(who, ended) for who, changes in CHANGES.items() for ended in range(len(changes))]
)
def test_broken_off_after_any_step_the_same_command_goes_on(
    three: Cluster, who: str, ended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(name: str) -> None:
        three.changed(name)
        if len(three.done) == ended + 1:
            raise KeyboardInterrupt

    name, _, dead = who.partition(" ")
    three.pods = f"{WEB}\n{NONE}"
    three.nodes[name]["ready"] = not dead
    three.tell()
    three.run(name).parts["leftovers"] = LEFT
    three.run(name).on_look = away if dead else lambda: None
    for host in three.run.cluster.hosts:
        three.run(host).on_change = partial(killed, host)
    with pytest.raises(KeyboardInterrupt):
        remove(three, name, bool(dead))
    three.goes_on_in(in_place(Run(three_masters()), monkeypatch))
    remove(three, name, bool(dead))
    assert three.run.failures == {}
    once = [what for n, what in enumerate(three.done) if n == 0 or what != SAVED]  # each run makes a backup of its own
    assert (once, set(three.nodes)) == (CHANGES[who], {"m1", "m2", "m3", "client"} - {name})


def test_where_its_pods_do_not_go_its_machine_is_not_reset(one: Cluster) -> None:
    def fails() -> None:
        raise HostError("ended with exit status 1")

    one.pods = f"{WEB}\n{NONE}"
    one.tell()
    one.run("client").parts["leftovers"] = LEFT
    one.run("manager").on_change = fails
    remove(one)
    assert (one.done, one.run("client").ran) == ([], [])
    assert "manager" in one.run.failures


def test_the_only_master_is_not_removed(one: Cluster) -> None:
    one.run("manager").parts["system"] = "machine_id id-manager"
    with pytest.raises(Stop, match="nothing was changed"):
        remove(one, "manager")
    assert one.run.failures == {
        "manager": "another master speaks for the cluster: manager is the only one that answers"
    }
    assert one.done == []


def test_a_master_goes_by_way_of_another_its_member_before_its_machine(
    three: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    three.run("m1").parts["leftovers"] = LEFT
    remove(three, "m1")
    assert three.done == [
        "m2: put backup",
        "m2: kubectl.sh patch node m1",
        "m2: remove-member.sh a1",
        "m1: tear-down.sh unix:///run/containerd/containerd.sock",
        "m2: kubectl.sh delete node m1",
    ]
    assert "then `inv cluster.up`, so that the others ask for it no more" in capsys.readouterr().out


def test_a_master_stays_where_etcd_would_lose_its_quorum(three: Cluster) -> None:
    three.run("m3").parts["etcd"] = "servers https://127.0.0.1:2379"
    with pytest.raises(Stop, match="nothing was changed"):
        remove(three, "m1")
    assert three.run.failures == {
        "m2": "etcd has a quorum without m1: still: 2 members would be left, of which 2 have to answer; away: m3"
    }
    assert three.done == []


@pytest.mark.parametrize(("silent", "said"), [("m3", SILENT), ("m2", SILENT), ("m3", look("m3", leader=0))])
def test_a_member_that_is_silent_for_a_moment_is_asked_again(three: Cluster, silent: str, said: str) -> None:
    """m2 tells who the members are: of one that does not, m1 is no member, and its machine was reset all the same."""
    three.run(silent).parts["etcd"] = said
    three.run.clock.on_sleep = lambda: three.run(silent).parts.update(etcd=look(silent))
    remove(three, "m1")
    assert three.run.failures == {}
    assert "m2: remove-member.sh a1" in three.done


def test_a_member_that_falls_silent_once_somebody_has_agreed_is_asked_again_before_it_goes(three: Cluster) -> None:
    def falls_silent() -> None:
        three.run("m3").parts["etcd"] = SILENT
        three.run.clock.on_sleep = lambda: three.run("m3").parts.update(etcd=look("m3"))

    three.run("m1").parts["leftovers"] = LEFT
    three.run("m2").on_lock = falls_silent
    remove(three, "m1")
    assert three.run.failures == {}
    assert "m2: remove-member.sh a1" in three.done


def test_a_plan_waits_for_no_member_and_tells_what_would_be_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = with_members(in_place(Run(three_masters(), dry=True), monkeypatch))
    made.run("m3").parts["etcd"] = SILENT
    with pytest.raises(Stop, match="nothing was changed"):
        remove(made, "m1")
    assert "away: m3" in made.run.failures["m2"]
    assert made.run.clock.slept == []


def test_a_machine_that_does_not_answer_is_asked_about(one: Cluster) -> None:
    one.run("client").on_look = away
    with pytest.raises(Stop, match=r"if the machine is off and stays off: `inv node\.remove --host client --dead`"):
        remove(one)
    assert one.done == []


def test_a_node_that_hosts_yml_does_not_know_is_removed_only_as_dead(one: Cluster) -> None:
    one.nodes["eve"] = {"ready": False}
    one.tell()
    with pytest.raises(KubefabError, match=r"hosts\.yml does not know eve.*--dead"):
        remove(one, "eve")
    assert one.done == []
    remove(one, "eve", dead=True)
    assert one.done[-1] == "manager: kubectl.sh delete node eve"


@pytest.mark.parametrize("called", ["m9", "10.0.0.9"])
def test_a_member_of_a_host_that_nobody_knows_any_more_is_removed_by_its_name_or_its_address(
    three: Cluster, called: str
) -> None:
    members = json.loads(membership("m1", "m2", "m3"))
    members["members"].append({"ID": 0xB9, "name": "m9", "peerURLs": ["https://10.0.0.9:2380"]})
    for name in three.masters:
        known = look(name).replace(membership("m1", "m2", "m3"), json.dumps(members))
        three.run(name).parts["etcd"] = known
    remove(three, called, dead=True)
    assert three.done == ["m2: put backup", "m1: remove-member.sh b9"]


@pytest.mark.parametrize("dead", [True, False])
def test_without_a_name_nobody_goes_though_a_member_of_etcd_has_none_before_it_has_started(
    three: Cluster, dead: bool
) -> None:
    known = json.loads(membership("m1", "m2", "m3"))
    known["members"].append({"ID": 0xE1, "peerURLs": ["https://10.0.0.9:2380"], "isLearner": True})
    for name in three.masters:
        said = three.run(name).parts["etcd"]
        three.run(name).parts["etcd"] = said.replace(membership("m1", "m2", "m3"), json.dumps(known))
    with pytest.raises(KubefabError, match="--host NAME is needed; allowed: m1, m2, m3, client"):
        remove(three, "", dead=dead)
    assert three.done == []
    assert [three.run(name).looks for name in three.masters] == [[], [], []]


@pytest.mark.parametrize("dead", [False, True])
def test_the_address_of_a_host_is_not_its_name(three: Cluster, dead: bool) -> None:
    at_addresses(three)
    with pytest.raises(KubefabError, match=r"10\.250\.0\.13 is the address of m3 in hosts\.yml: say --host m3"):
        remove(three, "10.250.0.13", dead)
    assert three.done == []


def test_another_address_of_a_master_that_answers_takes_out_no_member(three: Cluster) -> None:
    """Its etcd listens at an address that hosts.yml does not say."""
    at_addresses(three, m3="10.9.0.3")
    with pytest.raises(KubefabError, match=r"found no host '10\.9\.0\.3'"):
        remove(three, "10.9.0.3", dead=True)
    assert three.done == []


@pytest.mark.parametrize("answers", [True, False])
def test_an_old_node_at_the_address_of_a_master_goes_without_that_ones_member(three: Cluster, answers: bool) -> None:
    three.nodes["old"] = {"ready": False, "machine": "id-old"}
    at_addresses(three, old="10.250.0.13")
    three.run("m3").on_look = (lambda: None) if answers else away
    remove(three, "old", dead=True)
    assert three.done == [f"m1: kubectl.sh taint node old {TAINT}", "m1: kubectl.sh delete node old"]


def test_the_member_of_a_masters_dead_machine_goes_though_a_new_one_has_its_name_at_another_address(
    three: Cluster,
) -> None:
    """It has no etcd yet, and its machine is reset, so that it joins as any other."""
    three.nodes["m1"]["ready"] = False
    three.masters = ("m2", "m3")
    three.run("m1").parts = {"system": "machine_id another\naddress 10.250.0.99 eth0"}
    three.tell()
    remove(three, "m1")
    assert three.done[0] == "m2: put backup"
    assert three.done[-2:] == ["m2: remove-member.sh a1", "m2: kubectl.sh delete node m1"]


# --- a machine that is off


def test_who_answers_is_not_dead_whatever_somebody_says(one: Cluster) -> None:
    with pytest.raises(KubefabError, match="client answers over SSH, so that it is not off"):
        remove(one, dead=True)
    assert one.done == []


def test_a_machine_that_refuses_the_connection_is_on(one: Cluster) -> None:
    def refused() -> None:
        raise Refused("cannot be reached at 10.250.0.11:22: Connection refused", hint="is sshd there?")

    one.nodes["client"]["ready"] = False
    one.tell()
    one.run("client").on_look = refused
    with pytest.raises(KubefabError, match=r"client: a machine is on at its address: .* refused\n.*switch it off"):
        remove(one, dead=True)
    assert one.done == []


@pytest.mark.parametrize("why", [Refused, Unreachable, HostError])
def test_a_machine_behind_a_jump_host_that_fails_is_not_known_to_be_off_nor_on(
    one: Cluster, why: type[HostError]
) -> None:
    def failed() -> None:
        raise why("jump host bastion: cannot be reached", hint="is it on?", on_the_way=True)

    one.nodes["client"]["ready"] = False
    one.tell()
    one.run("client").on_look = failed
    with pytest.raises(KubefabError, match="client: not known whether a machine is on at its address: jump host bast"):
        remove(one, dead=True)
    assert one.done == []


def test_somebody_else_at_its_address_is_not_a_machine_that_is_off(one: Cluster) -> None:
    def changed() -> None:
        raise HostError("its SSH key has changed", hint="ssh-keygen -R 10.250.0.11")

    one.run("client").on_look = changed
    with pytest.raises(
        KubefabError, match=r"client: somebody answers at its address: its SSH key has changed\n.*ssh-keygen"
    ):
        remove(one, dead=True)
    assert one.done == []


@pytest.fixture
def by_hand(one: Cluster) -> Cluster:
    """The worker's Node has another name than hosts.yml gives it, and its kubelet is silent."""
    one.nodes = {"manager": one.nodes["manager"], "ip-1": {"ready": False, "machine": "id-client"}}
    one.nodes["ip-1"]["address"] = "10.250.0.11"
    one.run("client").parts["system"] = "machine_id id-client\naddress 10.250.0.11 eth0"
    one.tell()
    return one


def test_a_node_that_is_called_otherwise_in_hosts_yml_is_not_dead_while_its_host_answers(by_hand: Cluster) -> None:
    with pytest.raises(KubefabError, match="client answers over SSH, so that it is not off"):
        remove(by_hand, "ip-1", dead=True)
    assert by_hand.done == []


def test_the_machine_of_a_node_that_is_called_otherwise_in_hosts_yml_is_reset(by_hand: Cluster) -> None:
    by_hand.run("client").parts["leftovers"] = LEFT
    remove(by_hand, "ip-1")
    assert by_hand.done == [
        "manager: kubectl.sh patch node ip-1",
        TEAR_DOWN,
        "manager: kubectl.sh delete node ip-1",
    ]


def test_where_nobody_answers_at_its_address_either_it_goes(by_hand: Cluster) -> None:
    by_hand.run("client").on_look = away
    remove(by_hand, "ip-1", dead=True)
    assert by_hand.done == [f"manager: kubectl.sh taint node ip-1 {TAINT}", "manager: kubectl.sh delete node ip-1"]


@pytest.mark.parametrize("dead", [False, True])
def test_whose_node_a_silent_host_is_only_a_person_knows(by_hand: Cluster, dead: bool) -> None:
    by_hand.run("client").on_look = away
    told = (
        "client does not answer, and no Node has its name: the one at its address is ip-1; if it is that: --host ip-1"
    )
    with pytest.raises(KubefabError, match=told):
        remove(by_hand, "client", dead)
    assert by_hand.done == []


def test_who_answers_at_the_address_of_a_dead_node_and_is_none_may_be_its_machine(by_hand: Cluster) -> None:
    by_hand.run("client").parts["system"] = "machine_id another\naddress 10.250.0.11 eth0"
    with pytest.raises(KubefabError, match=r"client answers over SSH at ip-1's address.*join first.*: inv cluster\.up"):
        remove(by_hand, "ip-1", dead=True)
    assert by_hand.done == []


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The worker is known to be away, and its kubelet is silent."""
    wanted = inventory(HOSTS.replace("role: worker", "role: worker, absent: true"))
    made = Cluster(in_place(Run(wanted), monkeypatch), ("manager",), "manager", "client")
    made.nodes["client"]["ready"] = False
    made.tell()
    return made


def test_who_is_known_to_be_away_and_answers_is_not_dead_either(absent: Cluster) -> None:
    with pytest.raises(KubefabError, match=r"client answers over SSH.*without `absent: true` and --dead"):
        remove(absent, dead=True)
    assert absent.done == []


def test_who_is_known_to_be_away_and_is_goes(absent: Cluster) -> None:
    absent.run("client").on_look = away
    remove(absent, dead=True)
    assert absent.done == [f"manager: kubectl.sh taint node client {TAINT}", DELETE]


def test_whose_node_is_ready_is_waited_for_and_then_refused(one: Cluster) -> None:
    one.run("client").on_look = away
    remove(one, dead=True)
    assert one.run.failures == {"manager": "client is not Ready: still: it is, still"}
    assert one.done == []


def test_a_dead_workers_volumes_are_taken_from_it_before_its_node_goes(
    one: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    one.nodes["client"]["ready"] = False
    one.pods = f"attached va pv\n{NONE}"
    one.tell()
    one.run("client").on_look = away

    def let_go() -> None:
        assert one.done == [
            "manager: kubectl.sh taint node client node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
        ]
        one.pods = NONE
        one.tell()

    one.run.clock.on_sleep = let_go
    remove(one, dead=True)
    assert one.done[1:] == [DELETE]
    assert one.run.failures == {}
    said = capsys.readouterr().out
    assert "client  - taken for dead" in said
    assert "before another machine has its address: ssh-keygen -R 10.250.0.11" in said


def test_its_former_key_is_forgotten_by_the_name_that_ssh_knows_it_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At another port it is none of the address's, and `ssh-keygen -R` would find nothing."""
    elsewhere = of_two(in_place(Run(inventory(f"ssh: {{port: 2222}}\n{HOSTS}")), monkeypatch))
    elsewhere.nodes["client"]["ready"] = False
    elsewhere.tell()
    elsewhere.run("client").on_look = away
    remove(elsewhere, dead=True)
    assert "ssh-keygen -R '[10.250.0.11]:2222'" in capsys.readouterr().out


def test_a_dead_master_goes_with_its_member_first(three: Cluster) -> None:
    three.nodes["m1"]["ready"] = False
    three.tell()
    three.run("m1").on_look = away
    remove(three, "m1", dead=True)
    assert three.done == [
        "m2: put backup",
        "m2: remove-member.sh a1",
        "m2: kubectl.sh taint node m1 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        "m2: kubectl.sh delete node m1",
    ]


def test_a_person_is_asked_for_a_dead_node_too(one: Cluster) -> None:
    one.nodes["client"]["ready"] = False
    one.tell()
    one.run("client").on_look = away
    with pytest.raises(KubefabError, match="without a terminal, --yes is needed"):
        remove(one, dead=True, yes=False)
    assert one.done == []


def test_one_that_is_gone_already_is_asked_nothing(one: Cluster) -> None:
    del one.nodes["client"]
    one.tell()
    one.run("client").on_look = away
    remove(one, dead=True, yes=False)
    assert one.done == []
