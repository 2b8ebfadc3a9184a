"""One more master: what stops its join, what an earlier one left, the join itself, and what it is worth then."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kubefab.cluster import Cluster
from kubefab.errors import HostError, Silent
from kubefab.facts import ClusterFacts, Configuration, Facts, Known, Member, Node, Unit, clock_time
from kubefab.facts.manifests import Manifest
from kubefab.host import Host
from kubefab.passes import IN_TURN, MASTERS
from kubefab.step import MISSING, NO_CLUSTER, Step, Subject
from kubefab.steps import agreement, health, masters
from tests.facts import known, with_
from tests.fakes import cluster, looked, step, three_masters, world
from tests.members import look
from tests.runs import ADMIN, Run
from tests.test_masters import served

ADDRESSES = {"10.250.0.11": "m1", "10.250.0.12": "m2", "10.250.0.13": "m3"}
IDS = {"m1": 1, "m2": 2, "m3": 3}
JOIN = "the host is a master of the cluster"
STALE = "etcd has no member of an earlier m3"
TAKEN_BACK = "no interrupted join of a master is left"
MAJORITY = "etcd keeps its majority without an earlier member"
ANSWERS = "every member of etcd answers"
UP_TO_DATE = "its member of etcd has a vote and all that the others have"
KUBEADM = "configuration " + b64encode(b"controlPlaneEndpoint: lab.kubefab.internal:6443").decode()
CONFIGURATION = Configuration("", "lab.kubefab.internal:6443", ("localhost", "127.0.0.1"))
LIVE = ClusterFacts(speaker="m1", ca="aaa", nodes={name: Node(name, ready=True) for name in IDS})


def members(*names: str, learner: str = "") -> tuple[Known, ...]:
    places = {name: address for address, name in ADDRESSES.items()}
    return tuple(Known(IDS[name], name, (f"https://{places[name]}:2380",), name == learner) for name in names)


def master(name: str, *others: str, **said: Any) -> Facts:
    """A master that is well, by whose etcd these are members; none where it is not one of them."""
    own = {"admin_ca": "aaa", "kubelet_ca": "aaa", "etcd_data": True, "manifests": ("etcd.yaml",)}
    own |= {"member": Member(IDS[name], 9, 1, applied=100), "membership": members(*others), "etcd_runs": True}
    return known(name, **{**own, "configuration": CONFIGURATION, **said})


def seen(host: Facts, *others: Facts, live: ClusterFacts | None = LIVE) -> Facts:
    return replace(host, cluster=live, others={one.name: replace(one, cluster=live) for one in others})


def bare(name: str = "m3", **said: Any) -> Facts:
    return known(name, **said)


def gap(title: str, facts: Facts, name: str = "m3") -> str | None:
    made = cluster(three_masters())
    return step(masters.steps(made, made.hosts[name]), title).gap(facts)


def pair(*them: str, **of_m2: Any) -> tuple[Facts, Facts]:
    """m1 and m2, who know of these members."""
    return master("m1", *them), master("m2", *them, **of_m2)


# --- what stops a join


@pytest.mark.parametrize(
    ("m1", "title", "told"),
    [
        (master("m1", "m1"), "kubeadm keeps etcd on the masters", None),
        (
            master("m1", servers="https://10.0.0.9:2379"),
            "kubeadm keeps etcd on the masters",
            "etcd is at https://10.0.0.9:2379",
        ),
        (master("m1", "m1"), "a master has the keys that all masters share", None),
        (
            master("m1", "m1", keys_missing=("ca.key",)),
            "a master has the keys that all masters share",
            "m1 is without /etc/kubernetes/pki/ca.key",
        ),
        (master("m1", "m1"), "the cluster's endpoint is for several masters", None),
        (
            master("m1", "m1", configuration=Configuration("")),
            "the cluster's endpoint is for several masters",
            "it has no controlPlaneEndpoint",
        ),
        (
            master("m1", "m1", configuration=Configuration("", "10.250.0.11:6443")),
            "the cluster's endpoint is for several masters",
            "controlPlaneEndpoint is 10.250.0.11:6443, which is one master, m1",
        ),
        (
            master("m1", "m1", configuration=Configuration("", "lb:6443", (), {"advertise-address": "10.250.0.11"})),
            "each API server tells its own address",
            "kubeadm-config has advertise-address=10.250.0.11 for all of them",
        ),
        (
            master("m1", "m1", configuration=None, configuration_missing=True),
            "the cluster's endpoint is for several masters",
            "it has no ConfigMap kubeadm-config",
        ),
    ],
)
def test_a_cluster_that_cannot_have_one_more_master_says_why(m1: Facts, title: str, told: str | None) -> None:
    assert gap(title, seen(bare(), m1)) == told
    assert gap(title, seen(master("m3"), m1)) is None  # it is one already


def test_a_host_without_systemd_resolved_becomes_no_master_beside_one_with_it() -> None:
    """kubeadm tells all kubelets what is right for the first one, and waits for static pods that never start."""
    title, stored = "the kubelet will find its name servers", f"resolvConf: {health.RESOLVED}"
    m1 = master("m1", "m1", kubelets=Manifest.read(b64encode(stored.encode()).decode()))
    assert gap(title, seen(bare(), m1)) == f"it will be told to read {health.RESOLVED}, which is not there"
    assert gap(title, seen(with_(bare(), resolved=True), m1)) is None
    assert gap(title, seen(with_(bare(), resolver_flag=True), m1)) is None
    assert gap(title, seen(bare(), master("m1", "m1"))) is None


@pytest.mark.parametrize(
    ("endpoint", "one"),
    [
        ("m1:6443", "m1"),
        ("M1:6443", "m1"),
        ("m1", "m1"),  # kubeadm adds the port
        ("m1.:6443", "m1"),
        ("m1.example.org:6443", "m1"),
        ("m3:6443", "m3"),
        ("box:6443", "m1"),  # as the machine calls itself
        ("box.example.org:6443", "m1"),
        ("box.example.com:6443", None),
        ("10.250.0.11", "m1"),
        ("k8s.example.org:6443", None),
        ("m1-lb.example.org:6443", None),
        ("client:6443", None),  # a worker may well have a load balancer
        ("m1.kubefab.internal:6443", None),  # our own name, of a cluster that is called as a master is
    ],
)
def test_an_endpoint_that_is_a_masters_own_name_leads_to_that_one_alone(endpoint: str, one: str | None) -> None:
    m1 = master("m1", "m1", configuration=Configuration("", endpoint), hostname="Box.example.org")
    told = f"controlPlaneEndpoint is {endpoint}, which is one master, {one}" if one else None
    assert gap("the cluster's endpoint is for several masters", seen(bare(), m1)) == told


def test_a_configuration_that_was_not_told_is_no_reason_to_refuse() -> None:
    """An API server that is away for a second is asked again."""
    with pytest.raises(Silent, match="its ConfigMap kubeadm-config cannot be read"):
        gap("the cluster's endpoint is for several masters", seen(bare(), master("m1", "m1", configuration=None)))


def test_a_dead_member_of_another_master_stops_the_join_and_names_the_command() -> None:
    m1, m2 = pair("m1", "m2", member=None)
    told = "m2 (https://10.250.0.12:2380) gives no answer; is it gone for good? inv node.remove --host m2"
    assert gap(ANSWERS, seen(bare(), m1, m2)) == told
    assert gap(ANSWERS, seen(bare(), m1)) == told  # nobody could look at m2


def test_a_member_of_a_host_that_hosts_yml_does_not_know_stops_the_join() -> None:
    stranger = (*members("m1"), Known(9, "old", ("https://10.250.0.99:2380",)))
    told = gap(ANSWERS, seen(bare(), master("m1", membership=stranger)))
    assert told == "old (https://10.250.0.99:2380) gives no answer; is it gone for good? inv node.remove --host old"


@pytest.mark.parametrize("name", ["m2", "m3"])
def test_the_dead_member_of_a_master_that_has_another_address_now_stops_its_join(name: str) -> None:
    """kubeadm tells etcd of both addresses under that one name, and etcd refuses that until the join's time is over."""
    old = (*members("m1", *({"m2", "m3"} - {name})), Known(9, name, ("https://10.250.0.99:2380",)))
    others = [master(other, membership=old) for other in ("m1", "m2") if other != name]
    told = gap(ANSWERS, seen(bare(name), *others, bare("m3") if name == "m2" else bare("m2")), name)
    assert (
        f"{name} (https://10.250.0.99:2380) gives no answer; is it gone for good? inv node.remove --host {name}" == told
    )


def test_a_member_that_answers_is_not_dead_whatever_it_is_called() -> None:
    called = (Known(1, "ip-1", ("https://192.168.0.11:2380",)), Known(2, "ip-2", ("https://192.168.0.12:2380",)))
    m1, m2 = master("m1", membership=called), master("m2", membership=called)
    assert gap(ANSWERS, seen(bare(), m1, m2)) is None


@pytest.mark.parametrize("m2", [known("m2"), known("m2", master_begun=1, admin_ca="aaa", etcd_data=True)])
def test_what_another_hosts_own_join_will_take_out_stops_nobody(m2: Facts) -> None:
    assert gap(ANSWERS, seen(bare(), master("m1", "m1", "m2"), m2)) is None


def test_etcd_that_does_not_say_who_is_a_member_is_no_word_of_there_being_none() -> None:
    with pytest.raises(Silent, match="m1: its etcd does not say who its members are"):
        gap(ANSWERS, seen(bare(), master("m1", membership=())))


# --- what an earlier join, or an earlier machine, has left


def test_the_member_of_a_host_that_was_installed_anew_goes_by_the_speaker() -> None:
    made = looked(served("m1", "m2"), three_masters())
    m1, m2 = pair("m1", "m2", "m3")
    facts = seen(bare(), m1, m2)
    assert gap(STALE, facts) == "m3 (https://10.250.0.13:2380)"
    made._facts["m3"] = facts
    step(masters.steps(made, made.hosts["m3"]), STALE).close(made.hosts["m3"])  # type: ignore[misc]
    assert world(made, "m1").ran == ["remove-member.sh 3"]
    assert world(made, "m1").about == ["member m3"]


def test_one_that_was_added_and_never_started_is_known_by_its_address() -> None:
    unnamed = (*members("m1"), Known(3, "", ("https://10.250.0.13:2380",), learner=True))
    told = gap(STALE, seen(bare(master_begun=1), master("m1", membership=unnamed)))
    assert told == "one that has never started (https://10.250.0.13:2380)"


@pytest.mark.parametrize("there", [{"etcd_data": True}, {"admin_ca": "aaa"}, {"manifests": ("kube-apiserver.yaml",)}])
def test_unasked_no_member_goes_of_a_host_that_may_still_have_one(there: Mapping[str, Any]) -> None:
    assert gap(STALE, seen(bare(**there), *pair("m1", "m2", "m3"))) is None


def test_static_pods_of_the_users_own_are_no_control_plane() -> None:
    assert gap(STALE, seen(bare(manifests=("web.yaml",)), *pair("m1", "m2", "m3")))


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (pair("m1", "m2", "m3"), None),
        ((master("m1", "m1", "m2", "m3"), known("m2")), "1 of the 2 others answer"),
        ((master("m1", "m1", "m3"),), "1 of the 1 others answer"),  # of two voters one alone decides nothing
    ],
)
def test_a_voter_goes_only_where_a_majority_stays(others: tuple[Facts, ...], told: str | None) -> None:
    assert gap(MAJORITY, seen(bare(), *others)) == told


def test_a_half_joined_voter_that_answers_is_half_of_two_and_may_be_taken_out() -> None:
    half = master("m3", "m1", "m3", master_begun=1)
    assert gap(MAJORITY, seen(half, master("m1", "m1", "m3"))) is None
    assert gap(STALE, seen(half, master("m1", "m1", "m3")))


def test_a_learner_has_no_vote_to_miss() -> None:
    m1 = master("m1", membership=members("m1", "m3", learner="m3"))
    assert gap(MAJORITY, seen(bare(), m1)) is None


def test_a_half_joined_master_is_taken_back_though_its_node_is_ready_and_joined_again() -> None:
    half = seen(master("m3", "m1", "m3", master_begun=1795377600), master("m1", "m1", "m3"))
    assert gap(TAKEN_BACK, half) == f"begun at {clock_time(1795377600)} and not finished"
    assert gap(JOIN, half) == MISSING
    made = cluster(three_masters())
    titles = [one.title for one in masters.steps(made, made.hosts["m3"])]
    assert titles.index(STALE) < titles.index(TAKEN_BACK) < titles.index(JOIN)


def test_only_another_master_takes_back_a_half_joined_one() -> None:
    alone = seen(master("m3", "m3", master_begun=1), live=replace(LIVE, speaker="m3"))
    assert gap("an interrupted join has another master", alone) == "no other master's API server answers"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"master_begun": 1, "etcd_data": True, "units": {"kubelet": Unit("inactive")}}, "inactive"),
        ({"master_begun": 1, "etcd_data": True, "units": {"kubelet": Unit("active")}}, None),
        ({"master_begun": 1, "units": {"kubelet": Unit("inactive")}}, None),  # nothing there has a vote
        ({"etcd_data": True, "units": {"kubelet": Unit("inactive")}}, None),
    ],
)
def test_a_member_with_a_vote_is_started_before_it_is_taken_out(said: Mapping[str, Any], told: str | None) -> None:
    assert gap("the kubelet of the interrupted join runs", known("m3", **said)) == told


# --- what kubeadm writes into every certificate

STORED = """\
apiServer:
  certSANs:
  - localhost
  - 10.250.0.11
  - k8s.example.org
  extraArgs:
  - name: profiling
    value: 10.250.0.11
certificatesDir: /etc/kubernetes/pki
controlPlaneEndpoint: lab.kubefab.internal:6443
"""


def test_a_masters_address_goes_out_of_kubeadms_configuration_before_a_second_one_joins() -> None:
    kept = Configuration(STORED, "lab.kubefab.internal:6443", ("localhost", "10.250.0.11", "k8s.example.org"))
    m1 = master("m1", "m1", configuration=kept)
    title = "kubeadm's configuration has no master's address"
    assert gap(title, seen(bare(), m1)) == "certSANs has 10.250.0.11"
    assert gap(title, seen(master("m3"), m1)) is None
    made = looked(served("m1"), three_masters())
    made._facts["m3"] = seen(bare(), m1)
    step(masters.steps(made, made.hosts["m3"]), title).close(made.hosts["m3"])  # type: ignore[misc]
    assert world(made, "m1").ran[0].startswith("kubectl.sh patch configmap kubeadm-config")


def test_nothing_else_of_kubeadms_configuration_changes() -> None:
    assert masters.without(STORED, ADDRESSES) == STORED.replace("  - 10.250.0.11\n", "", 1)
    quoted = STORED.replace("  - 10.250.0.11\n", '  - "10.250.0.11"\n')
    assert masters.without(quoted, ADDRESSES) == STORED.replace("  - 10.250.0.11\n", "", 1)


# --- the join itself

KEYS = """\
pki/ca.crt QQ==
pki/ca.key Qg==
pki/etcd/ca.key Qw==
pki/sa.pub RA==
manifests/etcd.yaml RQ==
kubeadm-config RQ==
"""


@pytest.fixture
def joining() -> Cluster:
    made = looked(served("m1"), three_masters())
    world(made, "m1").answers |= {"mint-token.sh": "abcdef.0123456789abcdef QUJD", "print-keys.sh": KEYS}
    return made


def test_the_shared_keys_go_over_standard_input_and_nothing_else_of_a_master_does(joining: Cluster) -> None:
    masters.join(joining, joining.hosts["m3"])
    discovery, document, *keys, last = world(joining, "m3").payloads["join-master.sh"].split("\n")
    assert "server: https://lab.kubefab.internal:6443" in b64decode(discovery).decode()
    assert "advertiseAddress: 10.250.0.13" in b64decode(document).decode()
    assert (keys, last) == (["pki/ca.crt QQ==", "pki/ca.key Qg==", "pki/etcd/ca.key Qw==", "pki/sa.pub RA=="], "")
    assert world(joining, "m3").ran == ["join-master.sh /run/kubefab/discovery.conf config validate 1"]


def test_the_shared_keys_come_from_any_master_that_has_all_of_them(joining: Cluster) -> None:
    world(joining, "m1").parts["kubeadm"] = "key_missing ca.key"
    world(joining, "m2").parts.update(node=ADMIN)
    world(joining, "m2").answers["print-keys.sh"] = KEYS
    for name in ("m1", "m2"):
        joining.look(joining.hosts[name])
    masters.join(joining, joining.hosts["m3"])
    assert [line.split()[0] for line in world(joining, "m1").ran] == ["mint-token.sh"]
    assert world(joining, "m2").ran == ["print-keys.sh"]


@pytest.mark.parametrize(
    ("m2", "told"),
    [
        (master("m2", "m1", "m2"), None),
        (master("m2", "m1", "m2", keys_missing=("sa.key",)), "m1 is without /etc/kubernetes/pki/ca.key"),
        (master("m2", "m1", "m2", admin_ca="bbb"), "m1 is without /etc/kubernetes/pki/ca.key"),  # another cluster's
        (master("m2", "m1", "m2", master_begun=1), "m1 is without /etc/kubernetes/pki/ca.key"),
        (bare("m2"), "m1 is without /etc/kubernetes/pki/ca.key"),  # nobody has asked it for keys
    ],
)
def test_one_master_without_the_keys_stops_no_join_where_another_has_them(m2: Facts, told: str | None) -> None:
    m1 = master("m1", "m1", "m2", keys_missing=("ca.key",))
    assert gap("a master has the keys that all masters share", seen(bare(), m1, m2)) == told


def test_the_token_of_a_masters_join_goes_once_the_cluster_has_an_ear_again(joining: Cluster) -> None:
    masters.join(joining, joining.hosts["m3"])
    assert not [line for line in world(joining, "m1").ran if line.startswith("delete-tokens.sh")]
    titles = [one.title for one in masters.steps(joining, joining.hosts["m3"])]
    assert titles.index("the API server is healthy") < titles.index("the join token is gone")
    facts = seen(master("m3", token_left=True), master("m1", "m1"))
    assert gap("the join token is gone", facts) == "left by an interrupted join"


def test_the_token_of_a_masters_join_is_gone_where_it_failed(joining: Cluster) -> None:
    def fail() -> None:
        raise HostError("kubeadm join failed")

    world(joining, "m3").on_change = fail
    with pytest.raises(HostError, match="kubeadm join failed"):
        masters.join(joining, joining.hosts["m3"])
    assert world(joining, "m1").ran[-1] == "delete-tokens.sh m3"


def test_where_there_is_no_cluster_yet_a_plan_has_the_join(joining: Cluster) -> None:
    assert gap(JOIN, bare(), "m2") == NO_CLUSTER


def test_one_master_alone_has_nothing_of_this() -> None:
    made = looked({"manager": {}, "client": {}})
    assert [masters.steps(made, host) for host in made.hosts.values()] == [[], []]


def test_a_second_master_is_told_to_be_no_better_than_one() -> None:
    made = cluster(three_masters())
    wanted = made.inventory
    made.inventory = wanted.model_copy(update={"hosts": (*wanted.masters[:2], *wanted.workers)})
    del made.hosts["m3"]
    assert "2 masters bear the loss of 0, as 1 do" in step(masters.steps(made, made.hosts["m2"]), JOIN).warning


# --- what it is good for


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, None),
        ({"member": Member(3, 9, 1, learner=True)}, "it still learns"),
        ({"member": None, "etcd_silent": "refused"}, "its etcd gives no answer: refused"),
        ({"member": Member(3, 9, 1, applied=50)}, "4950 entries behind"),
        ({"member": Member(3, 9, 1, applied=4999)}, "1 entry behind"),
        ({"member": Member(3, 9, 0, applied=5000)}, "it has no leader"),
    ],
)
def test_the_next_master_waits_for_a_vote_and_for_all_that_the_others_have(
    said: Mapping[str, Any], told: str | None
) -> None:
    assert caught_up("m3", said, masters.steps(*joining_one("m3"))) == told


def test_an_earlier_one_of_a_run_that_broke_off_is_waited_for_before_the_next_joins_too() -> None:
    late = {"member": Member(2, 9, 1, applied=4999)}
    assert caught_up("m2", late, masters.steps(*joining_one("m2", "m1", "m2"))) == "1 entry behind"


def test_once_all_are_masters_a_busy_cluster_may_have_gone_on_between_two_looks() -> None:
    late = {"member": Member(3, 9, 1, applied=4500)}
    for subject in (masters.steps, masters.settled):
        assert caught_up("m3", late, subject(*joining_one("m3", *IDS))) is None
    assert caught_up("m3", {"member": Member(3, 9, 1, applied=50)}, masters.settled(*joining_one("m3", *IDS)))


def joining_one(name: str, *there: str) -> tuple[Cluster, Host]:
    """This host, where these are masters already, or m1 and m2."""
    made = looked(served(*(there or ("m1", "m2"))), three_masters())
    return made, made.hosts[name]


def caught_up(name: str, said: Mapping[str, Any], states: Sequence[Step]) -> str | None:
    m1 = master("m1", "m1", name, member=Member(1, 9, 1, applied=5000))
    own = master(name, "m1", name, **{"member": Member(IDS[name], 9, 1, applied=5000), **said})
    return step(states, UP_TO_DATE).gap(seen(own, m1))


def settled(facts: Facts) -> str | None:
    made = cluster(three_masters())
    return step(masters.settled(made, made.hosts["m3"]), "etcd starts over its data alone").gap(facts)


ALL_THREE = tuple(f"{name}=https://{address}:2380" for address, name in ADDRESSES.items())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"cluster_state": "new"}, "over an empty folder it would make a cluster of its own"),
        ({"cluster_state": ""}, "over an empty folder it would make a cluster of its own"),
        (
            {"cluster_state": "existing", "first_members": ALL_THREE},
            "over an empty folder it would begin anew as the same member",
        ),
        ({"cluster_state": "existing", "first_members": ALL_THREE[:2]}, None),
        ({"cluster_state": "new", "membership": members("m3")}, None),  # one member alone loses nothing to others
    ],
)
def test_no_member_of_several_begins_anew_over_an_empty_folder(said: Mapping[str, Any], told: str | None) -> None:
    assert settled(seen(master("m3", *IDS, **said), *pair(*IDS))) == told


@pytest.mark.parametrize("m3", [bare(), bare(admin_ca="aaa", master_begun=1, etcd_data=True)], ids=["no", "half a"])
def test_a_host_that_has_yet_to_join_is_settled_when_it_has(m3: Facts) -> None:
    """Another one's join settles all members, and waited five minutes for the API server of a machine as new."""
    made = cluster(three_masters())
    steps = masters.settled(made, made.hosts["m3"])
    assert [one.title for one in steps if one.gap(seen(m3, *pair("m1", "m2")))] == []


def test_no_etcd_is_begun_anew_while_another_member_is_away() -> None:
    m3 = master("m3", *IDS, cluster_state="new")
    assert settled(seen(m3, *pair(*IDS)))
    assert settled(seen(m3, master("m1", *IDS))) is None


MUTE: Mapping[str, Any] = {"member": None, "etcd_silent": "refused"}
FORGETFUL: Mapping[str, Any] = {"cluster_state": "new"}
SETTLED: Mapping[str, Any] = {"cluster_state": "existing", "first_members": ALL_THREE[2:]}


@pytest.mark.parametrize(
    ("m2", "m3", "silent"),
    [(MUTE, FORGETFUL, "m2"), ({}, {**FORGETFUL, **MUTE, "membership": ()}, "m3")],
    ids=["another", "its own"],
)
def test_a_member_that_is_silent_for_a_moment_is_waited_for(
    m2: Mapping[str, Any], m3: Mapping[str, Any], silent: str
) -> None:
    """The one before it has just begun anew, say."""
    with pytest.raises(Silent, match=f"{silent}: its etcd gives no answer: refused"):
        settled(seen(master("m3", *IDS, **m3), *pair(*IDS, **m2)))


def test_who_is_settled_waits_for_nobody() -> None:
    assert settled(seen(master("m3", *IDS, **SETTLED), *pair(*IDS, **MUTE))) is None


def test_the_silent_etcd_of_one_that_is_no_member_any_more_is_not_waited_for() -> None:
    assert settled(seen(master("m3", "m1", "m3", **FORGETFUL), *pair("m1", "m3", **MUTE)))


# --- a master alone


def test_the_etcd_of_a_master_alone_is_restarted_for_nothing_and_kubeadm_has_the_patch_for_it() -> None:
    made = cluster()
    (patches,) = masters.settled(made, made.hosts["manager"])
    assert (patches.title, patches.gap(known("manager"))) == ("kubeadm's patches are there", MISSING)


# --- roles, and other clusters


@pytest.mark.parametrize(
    ("name", "facts", "told"),
    [
        ("m3", master("m3"), None),
        ("m3", bare(kubelet_ca="aaa"), "it is a worker of this cluster, and hosts.yml calls it a master"),
        ("m3", bare(kubelet_ca="aaa", master_begun=1), None),
        ("m3", bare(), None),
        ("client", known("client", kubelet_ca="aaa"), None),
        (
            "client",
            known("client", kubelet_ca="aaa", manifests=("kube-apiserver.yaml",)),
            "it is a master of this cluster, and hosts.yml calls it a worker",
        ),
    ],
)
def test_a_role_changed_in_hosts_yml_is_refused(name: str, facts: Facts, told: str | None) -> None:
    found = role(name)
    assert found.gap(seen(facts, master("m1", "m1"))) == told
    assert f"inv node.remove --host {name}" in found.hint


def test_a_role_changed_in_hosts_yml_ends_the_run_for_all_since_haproxy_would_lose_that_master() -> None:
    made = looked(served("m1"), three_masters())
    title = "hosts.yml gives no other host another role"
    found = step(agreement.steps(made, made.hosts["m1"]), title)
    worker = known("client", kubelet_ca="aaa")
    assert found.gap(seen(master("m1"), master("m2"), worker)) is None
    other = replace(master("m2"), name="client")
    told = "client: it is a master of this cluster, and hosts.yml calls it a worker"
    assert found.gap(seen(master("m1"), master("m2"), other)) == told
    assert title not in {one.title for one in agreement.steps(made, made.hosts["client"])}


def role(name: str) -> Step:
    made = looked(served("m1"), three_masters())
    return step(agreement.steps(made, made.hosts[name]), "the host has the role of hosts.yml")


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (master("m3"), None),
        (master("m3", admin_ca="bbb"), "a control plane of the cluster with the CA bbb; m1 has one with aaa"),
        (bare(master_begun=1, etcd_data=True), None),
        (bare(etcd_data=True), "data of etcd"),
    ],
)
def test_a_second_master_is_well_where_it_is_of_the_same_cluster(facts: Facts, told: str | None) -> None:
    made = looked(served("m1"), three_masters())
    left = step(agreement.steps(made, made.hosts["m3"]), "nothing is left of another cluster")
    assert left.gap(seen(facts, master("m1", "m1"), known("m2"))) == told


# --- all of it in one run


def test_the_first_master_of_hosts_yml_joins_anew_where_another_speaks() -> None:
    """It was installed anew: its old member goes, by way of the speaker, and then it joins."""
    run = Run(three_masters())
    for name in ("m2", "m3"):
        run.put_cluster("m2", "m3", on=name)
        run(name).parts |= {"etcd": at(look(name)), "kubeadm": KUBEADM}
    run("m2").answers |= {"mint-token.sh": "abcdef.0123456789abcdef QUJD", "print-keys.sh": KEYS}

    def removed() -> None:
        if any(line.startswith("remove-member.sh") for line in run("m2").ran):
            for name in ("m2", "m3"):
                run(name).parts["etcd"] = at(look(name, "m2", "m3"))

    def joined() -> None:
        run("m1").parts |= {"node": ADMIN, "etcd": at(look("m1"))}

    run("m2").on_change, run("m1").on_change = removed, joined
    run.engine.converge(MASTERS, only(STALE.replace("m3", "m1"), MAJORITY, ANSWERS, JOIN), how=IN_TURN)
    assert run.failures == {}
    assert [line.split()[0] for line in run("m2").ran] == [
        "remove-member.sh",
        "mint-token.sh",
        "print-keys.sh",
    ]
    assert [line.split()[0] for line in run("m1").ran] == ["join-master.sh"]


def at(text: str) -> str:
    """Members have addresses where the others' tests have names."""
    for address, name in ADDRESSES.items():
        text = text.replace(f"//{name}:", f"//{address}:")
    return text


def only(*titles: str) -> Subject:
    return lambda cluster, host: [one for one in masters.steps(cluster, host) if one.title in titles]
