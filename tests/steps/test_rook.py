"""rook: its disks, its operator, and the Ceph cluster that is made of them."""

import json

import pytest

from kubefab.addons.rook import CEPHS, cluster_mark
from kubefab.errors import Silent
from kubefab.facts import Ceph, ClusterFacts
from kubefab.passes import ALL
from kubefab.releases import CONTROL_PLANE
from kubefab.step import MISSING, Step
from kubefab.steps import rook
from tests.facts import known
from tests.fakes import HOSTS, cluster, looked, step
from tests.runs import Run

DISKS = HOSTS.replace("10.250.0.11, role: worker", "10.250.0.11, role: worker, disks: [/dev/sdb, /dev/sdc]")
NAMED = DISKS.replace("1.37.2\n", "1.37.2\n  addons: [flannel, rook]\n")
MARK = "1.20.6 cluster-test client=/dev/sdb,/dev/sdc"
CEPH = CEPHS["1.20.6"]
READY = "the Ceph cluster is Ready, and healthy"


def of(host: str, hosts: str = DISKS, ceph: str = "", disks: str = "") -> list[Step]:
    made = looked({"manager": {"ceph": f"{ceph}\nceph_told yes"}, "client": {"disks": disks}}, hosts)
    return rook.deployed(made, made.hosts[host])


def test_up_does_it_only_where_hosts_yml_names_it() -> None:
    for text, named in ((DISKS, False), (NAMED, True)):
        made = cluster(text)
        assert bool(rook.steps(made, made.founder)) == named
        assert rook.steps(made, made.hosts["client"]) == []


def test_a_look_asks_for_disks_only_where_hosts_yml_names_some() -> None:
    made = looked({}, DISKS)
    for name in made.hosts:
        made.look(made.hosts[name])
    looks = {name: vars(host)["world"].looks[0] for name, host in made.hosts.items()}
    assert ("disks" in looks["client"], "ceph" in looks["manager"]) == (True, True)
    assert ("disks" in looks["manager"], "ceph" in looks["client"]) == (False, False)


@pytest.mark.parametrize(
    ("disks", "ceph", "told"),
    [
        ("disk /dev/sdb empty\ndisk /dev/sdc empty", "", None),
        ("disk /dev/sdb ext4\ndisk /dev/sdc in use", "", "client /dev/sdb: ext4, client /dev/sdc: in use"),
        ("disk /dev/sdb empty", "", "client /dev/sdc: not there"),
        # Once they are Ceph's they are neither raw nor empty, and shall not be.
        ("disk /dev/sdb ceph_bluestore\ndisk /dev/sdc ceph_bluestore", f"ceph {MARK}|Ready|HEALTH_OK|", None),
        ("disk /dev/sdb ceph_bluestore\ndisk /dev/sdc ext4", "ceph 1 x client=/dev/sdb|||", "client /dev/sdc: ext4"),
    ],
)
def test_a_disk_with_anything_on_it_is_never_given_to_ceph(disks: str, ceph: str, told: str | None) -> None:
    made = looked({"manager": {"ceph": f"{ceph}\nceph_told yes"}, "client": {"disks": disks}}, DISKS)
    check = step(rook.deployed(made, made.founder), "the disks for Ceph are raw and empty")
    assert check.gap(made.facts(made.founder)) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("/dev/sdb,/dev/sdd", "Ceph's, and maybe what the Ceph cluster has there as /dev/sdd, by another name"),
        ("/dev/sdb", "Ceph's"),
    ],
)
def test_nobody_is_told_to_wipe_a_disk_that_may_be_the_clusters_own_by_another_name(given: str, told: str) -> None:
    """A kernel names disks otherwise after a boot, and who takes /dev/disk/by-id for it would lose what they store."""
    disks, ceph = "disk /dev/sdb Ceph's\ndisk /dev/sdc Ceph's", f"ceph 1 x client={given}|Ready|HEALTH_OK|"
    made = looked({"manager": {"ceph": f"{ceph}\nceph_told yes"}, "client": {"disks": disks}}, DISKS)
    check = step(rook.deployed(made, made.founder), "the disks for Ceph are raw and empty")
    assert check.gap(made.facts(made.founder)) == f"client /dev/sdc: {told}"
    assert check.hint.startswith("name it as before, if it is the same disk; name another disk; or")


def test_a_disk_of_a_host_that_did_not_answer_is_not_given_away_unseen() -> None:
    made = looked({"manager": {}}, DISKS)
    told = step(rook.deployed(made, made.founder), "the disks for Ceph are raw and empty").gap(known())
    assert told == "client /dev/sdb: not looked at, client /dev/sdc: not looked at"


def test_a_ceph_cluster_that_the_api_server_did_not_tell_of_is_asked_for_again() -> None:
    run = Run(DISKS)
    run.put_cluster("manager", "client")
    run("client").parts["disks"] = "disk /dev/sdb empty\ndisk /dev/sdc empty"
    run.clock.on_sleep = lambda: run("manager").parts.update(ceph="ceph_told yes")
    title = "the disks for Ceph are raw and empty"
    run.engine.converge(ALL, lambda made, host: [one for one in rook.deployed(made, host) if one.title == title])
    assert (run.failures, len(run.clock.slept)) == ({}, 1)


def test_no_disk_at_all_is_told() -> None:
    assert (
        step(of("manager", HOSTS), "hosts.yml names disks for Ceph").gap(known()) == "no host of hosts.yml has `disks:`"
    )
    assert step(of("manager"), "hosts.yml names disks for Ceph").gap(known()) is None


@pytest.mark.parametrize(("taint", "told"), [(CONTROL_PLANE, "kubeadm's taint is on client"), ("gpu", None)])
def test_a_node_that_has_disks_has_to_take_pods(taint: str, told: str | None) -> None:
    node = {
        "kind": "Node",
        "metadata": {"name": "client"},
        "spec": {"taints": [{"key": taint}]},
        "status": {"nodeInfo": {"machineID": "abc"}},
    }
    live = "answer " + json.dumps({"items": [node]})
    made = looked({"manager": {"cluster": live}, "client": {"system": "machine_id abc"}}, DISKS)
    assert (
        step(rook.deployed(made, made.founder), "the nodes with disks take pods").gap(made.facts(made.founder)) == told
    )


def test_a_silent_api_server_has_not_said_that_nodes_with_disks_take_pods() -> None:
    with pytest.raises(Silent):
        step(of("manager"), "the nodes with disks take pods").gap(known(cluster=ClusterFacts(silent="refused")))


@pytest.mark.parametrize(("nodes", "used"), [(1, CEPH.cluster_test), (2, CEPH.cluster_test), (3, CEPH.cluster)])
def test_below_three_nodes_it_is_upstreams_cluster_for_fewer(nodes: int, used: object) -> None:
    assert CEPH.manifest(nodes) is used


def test_the_mark_tells_of_what_the_ceph_cluster_was_made() -> None:
    assert cluster_mark("1.20.6", CEPH.cluster_test, {"client": ["/dev/sdb", "/dev/sdc"]}) == MARK
    assert Ceph(MARK).disks("client") == ["/dev/sdb", "/dev/sdc"]
    assert Ceph(MARK).disks("manager") == []


@pytest.mark.parametrize(
    ("ceph", "told"),
    [(None, MISSING), (Ceph(MARK), None), (Ceph("1 x"), "1 x")],
)
def test_a_ceph_cluster_of_other_disks_is_applied_anew(ceph: Ceph | None, told: str | None) -> None:
    assert step(of("manager"), "the Ceph cluster is applied").gap(known(clusters=(ceph,) if ceph else ())) == told


def test_a_ceph_cluster_that_was_applied_by_hand_is_left_alone() -> None:
    other = step(of("manager"), "no other Ceph cluster is there")
    assert other.gap(known(clusters=(Ceph(""),))) == "one that was applied by hand"
    assert other.gap(known(clusters=(Ceph(MARK),))) is None
    assert other.gap(known()) is None


def test_where_the_api_server_does_not_say_nothing_is_applied_over_what_may_be_there() -> None:
    silent = known(cluster=ClusterFacts())
    for title in ("no other Ceph cluster is there", "the Ceph cluster is applied"):
        with pytest.raises(Silent):
            step(of("manager"), title).gap(silent)


def test_a_ceph_cluster_stays_what_it_was_made_of_when_nodes_come() -> None:
    made = MARK.replace("cluster-test", "cluster")
    found = step(of("manager", ceph=f"ceph {made}|Ready|HEALTH_OK|"), "the Ceph cluster is applied")
    assert found.gap(known(clusters=(Ceph(made),))) is None


def test_an_operator_without_a_word_is_told_in_bounded_time() -> None:
    silent = step(of("manager"), "rook's operator works on the Ceph cluster")
    assert silent.gap(known(clusters=(Ceph(MARK),))) == "rook's operator reports neither a phase nor a message"
    assert silent.gap(known(clusters=(Ceph(MARK, "Progressing"),))) is None
    assert 0 < silent.within <= 120


@pytest.mark.parametrize(
    ("ceph", "told"),
    [
        (Ceph(MARK, "Progressing", "", "Configuring Ceph Mons"), "Progressing: Configuring Ceph Mons"),
        (Ceph(MARK, "Ready", "HEALTH_ERR"), "HEALTH_ERR"),
        (Ceph(MARK, "Ready", ""), "its health is not reported"),
        (Ceph(MARK, "Ready", "HEALTH_WARN"), None),
        (Ceph(MARK, "Ready", "HEALTH_OK"), None),
    ],
)
def test_it_is_ready_with_its_health(ceph: Ceph, told: str | None) -> None:
    assert step(of("manager"), READY).gap(known(clusters=(ceph,) if ceph else ())) == told


def test_what_is_not_as_documented_is_a_warning() -> None:
    told = step(of("manager", disks="disk /dev/sdb empty"), "rook is applied").warning
    assert told.startswith("rook 1.20.6 is documented for Kubernetes 1.31 to 1.36, and this is 1.37; no rbd in")
    assert "rbd" not in step(of("manager", disks="disk /dev/sdb empty\nrbd yes"), "rook is applied").warning
