"""etcd with the data of a snapshot: what is missing of it, by what the looks tell."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubefab.backup import Snapshot
from kubefab.facts import ClusterFacts, Facts, Member, Unit, Workload, fingerprint
from kubefab.step import Step
from kubefab.steps import restore, restore_checks
from kubefab.steps.restore import FURTHER, RESTORED, Restore
from tests.facts import known, with_
from tests.fakes import looked, three_masters

SNAPSHOT = Snapshot(
    Path("/x/snapshot.db"), "digest", 300 << 20, 9, datetime(2026, 11, 26, tzinfo=UTC), nodes=frozenset({"m1"})
)
LEAST = 1_000_000_020
ID = f"new-r{LEAST}"
THIS = Restore(ID, SNAPSHOT)
PEER = "m1=https://10.0.0.1:2380"
FORMER = known("m1", peer=PEER, folder="/var/lib/etcd", image="registry.k8s.io/etcd:3.6.16-0", free_mib=600)
RUNS = with_(FORMER, manifests=("etcd.yaml", "kube-apiserver.yaml", "mine.yaml"), runs=("etcd", "kube-apiserver"))


def steps(name: str = "m1") -> list[Step]:
    made = looked({}, three_masters())
    host = made.hosts[name]
    subjects = (restore_checks.possible, restore.staged, restore.swapped_out, restore.swapped_in, restore.running)
    return [step for subject in subjects for step in subject(THIS)(made, host)]


def gaps(facts: Facts) -> list[str]:
    return [f"{step.title}: {gap}" for step in steps() if step.close and (gap := step.gap(facts))]


def complaints(facts: Facts) -> list[str]:
    told = [step for step in steps() if not step.close and not step.within]
    return [f"{step.title}: {gap}" for step in told if (gap := step.gap(facts))]


# --- what only a person can change


def test_a_master_that_is_well_may_go_back() -> None:
    assert complaints(FORMER) == []


@pytest.mark.parametrize("image", ["registry.k8s.io/etcd:3.5.21-0", "registry.k8s.io/etcd", "x@sha256:1"])
def test_an_etcd_that_cannot_raise_revisions_is_refused(image: str) -> None:
    assert complaints(with_(FORMER, image=image)) == [f"etcd is 3.6 or newer: its manifest names {image}"]


@pytest.mark.parametrize(("storage", "is_told"), [("3.7", True), ("3.6", False), ("3.5", False), ("", False)])
def test_an_etcd_that_does_not_start_by_the_snapshots_data_is_refused(storage: str, is_told: bool) -> None:
    gap = restore_checks.older_etcd(replace(SNAPSHOT, storage=storage))
    told = f"its manifest names {FORMER.restore.image}, and the snapshot's data are in the form of etcd {storage}"
    assert gap(FORMER) == (told if is_told else None)


@pytest.mark.parametrize(("free", "told"), [(600, False), (599, True)])
def test_there_has_to_be_room_for_the_snapshot_and_what_is_made_of_it(free: int, told: bool) -> None:
    assert bool(complaints(with_(FORMER, free_mib=free))) is told
    assert complaints(with_(FORMER, free_mib=free, staged=ID)) == []
    assert complaints(with_(FORMER, free_mib=free, restored=ID)) == []


def test_an_image_without_etcdutl_is_refused_before_anybody_is_asked() -> None:
    told = "etcd's image has the tool that makes its data of a snapshot"
    assert complaints(with_(FORMER, lacks_etcdutl=True)) == [f"{told}: {FORMER.restore.image} has no etcdutl"]


def test_a_log_that_is_kept_elsewhere_would_be_of_the_former_data() -> None:
    assert complaints(with_(FORMER, wal="/fast/wal")) == ["etcd keeps its log with its data: /fast/wal"]


def test_data_that_are_a_mount_of_their_own_cannot_make_room_for_others() -> None:
    assert complaints(with_(FORMER, mounted="/var/lib/etcd/member/wal")) == [
        "etcd's data can be moved aside: /var/lib/etcd/member/wal is a mount of its own"
    ]


@pytest.mark.parametrize(
    ("mark", "told"), [("init_begun", "init"), ("master_begun", "join"), ("tear_down_begun", "reset")]
)
def test_what_was_broken_off_is_ended_first(mark: str, told: str) -> None:
    assert complaints(with_(FORMER, **{mark: 1.0})) == [f"no init, join or reset is under way: {told}"]


def test_another_clusters_snapshot_is_told_by_its_authority_where_that_is_known() -> None:
    gap = restore_checks.another_cluster(replace(SNAPSHOT, authorities=frozenset({"QUJD"})))
    assert gap(with_(FORMER, admin_ca=fingerprint("QUJD"))) is None
    assert gap(FORMER) is None
    told = f"it is of the one with the CA {fingerprint('QUJD')}, and here is other"
    assert gap(with_(FORMER, admin_ca="other")) == told


def test_one_that_has_had_another_authority_before_is_this_clusters_still() -> None:
    gap = restore_checks.another_cluster(replace(SNAPSHOT, authorities=frozenset({"QUJD", "REVG"})))
    assert gap(with_(FORMER, admin_ca=fingerprint("REVG"))) is None
    both = ", ".join(sorted((fingerprint("QUJD"), fingerprint("REVG"))))
    assert gap(with_(FORMER, admin_ca="other")) == f"it is of the one with the CA {both}, and here is other"


def test_a_manifest_that_does_not_say_where_is_told() -> None:
    title = "etcd's manifest says where its data are"
    assert complaints(with_(FORMER, folder="")) == [f"{title}: it has no --data-dir"]
    assert complaints(with_(FORMER, peer="=")) == [
        f"{title}: it has no --name, it has no --initial-advertise-peer-urls"
    ]


# --- what all masters have to have the same


def test_an_id_says_for_whom_the_data_are_in_whatever_order_they_are_named() -> None:
    masters = [FORMER, with_(FORMER, peer="m2=url")]
    now = datetime(2026, 11, 26, tzinfo=UTC)
    one, two = (restore.new_id(SNAPSHOT, some, now) for some in (masters, masters[::-1]))
    assert one == two
    assert restore.of_peers(masters) in one
    assert restore.of_peers(masters[:1]) not in one


@pytest.mark.parametrize(
    ("says", "least"),
    [
        ({"member": Member(1, 2, revision=500)}, FURTHER + 500),
        ({"member": Member(1, 2, revision=5)}, FURTHER + 9),
        ({}, FURTHER + 1_000_000),
        ({"restored": "kubefab-x-r7000000"}, 1001 * FURTHER + 7_000_000),
        ({"restored": "kubefab-of-before"}, FURTHER + 1_000_000),
        ({"restored": "kubefab-x-r7000000", "member": Member(1, 2, revision=8_000_000)}, FURTHER + 8_000_000),
    ],
)
def test_it_begins_above_what_anybody_may_have_seen(says: dict[str, object], least: int) -> None:
    id = restore.new_id(SNAPSHOT, [with_(FORMER, **says)], datetime.fromtimestamp(1000, UTC))
    assert Restore(id, SNAPSHOT).least == least


@pytest.mark.parametrize(
    ("says", "serves"),
    [
        ({}, True),
        ({"under_way": ID}, False),
        ({"under_way": "other"}, True),
        ({"under_way": ID, "manifests": ("kube-apiserver.yaml",)}, True),
        ({"under_way": ID, "manifests": ("mine.yaml",)}, False),
        ({"restored": ID, "manifests": ("kube-apiserver.yaml",)}, False),
    ],
)
def test_a_master_may_serve_the_former_data_unless_it_has_stopped_for_this_restore(
    says: dict[str, object], serves: bool
) -> None:
    assert restore.serves_former(with_(FORMER, **says), ID) is serves


# --- how far it has come


def test_the_former_data_are_served_no_more_before_others_take_their_place() -> None:
    assert gaps(RUNS) == [
        "the snapshot's data are ready on the host: they are not",
        "no API server and no etcd has the former data: etcd, kube-apiserver, etcd.yaml, kube-apiserver.yaml",
        "etcd's data are the snapshot's: they are the former ones",
    ]


def test_what_has_stopped_for_another_restore_may_come_back() -> None:
    stopped = with_(FORMER, staged=ID, under_way="old", aside=("etcd.yaml",))
    assert "no API server and no etcd has the former data: it may come back" in gaps(stopped)
    assert "no API server and no etcd has the former data" not in "".join(gaps(with_(stopped, under_way=ID)))


def test_what_has_the_new_data_may_run() -> None:
    swapped = with_(RUNS, restored=ID, under_way=ID)
    assert gaps(swapped) == []
    assert gaps(with_(swapped, aside=("etcd.yaml",))) == [
        "the kubelet sees the whole control plane: the kubelet does not see etcd.yaml"
    ]


@pytest.mark.parametrize(
    ("member", "told"),
    [
        (None, "does not run"),
        (Member(1, 2, leader=0, revision=LEAST), "no leader"),
        (Member(1, 2, leader=1, revision=20), f"it is at revision 20; wanted: {LEAST} at least"),
        (Member(1, 2, leader=1, revision=LEAST), None),
    ],
)
def test_its_etcd_is_one_that_has_a_leader_and_a_higher_revision(member: Member | None, told: str | None) -> None:
    assert restore.unlike(THIS)(with_(FORMER, member=member)) == told


def test_who_has_no_etcd_yet_is_no_part_of_it() -> None:
    assert gaps(known("m1")) == complaints(known("m1")) == []
    assert steps("client") == []


def test_all_members_are_named_in_the_same_order_on_each_host() -> None:
    others = {name: with_(FORMER, peer=f"{name}=url") for name in ("m3", "m2")} | {"client": known("client")}
    assert restore.peers(with_(FORMER, others=others)) == f"{PEER},m2=url,m3=url"


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (Member(2, 7, leader=1), ""),
        (Member(2, 7, leader=1, size=2 << 30), ""),
        (Member(2, 8, leader=1), "2 clusters"),
        (Member(2, 7, leader=2), "different leaders"),
        (None, "m2: its etcd does not run"),
    ],
)
def test_all_members_have_to_be_of_one_cluster_and_follow_one_leader(second: Member | None, told: str) -> None:
    other = with_(known("m2"), peer="m2=url", member=second, manifests=("etcd.yaml",))
    found = restore.torn(with_(FORMER, member=Member(1, 7, leader=1), others={"m2": other}))
    assert told in (found or "") if told else found is None


# --- what begins anew


def kubelet(since: float, restored_at: float = 1000, ahead: float = 0, masters_ahead: float = 0) -> str | None:
    master = with_(FORMER, restored_at=restored_at, clock=masters_ahead, asked=0.0)
    unit = {"kubelet": Unit(active="active", since=since)}
    return restore.older_kubelet(known("client", others={"m1": master}, units=unit, clock=ahead, asked=0.0))


def test_a_kubelet_that_is_older_than_the_last_masters_data_begins_anew() -> None:
    assert (kubelet(999), kubelet(1000), kubelet(5)) == ("it is older", None, "it is older")


def test_clocks_that_differ_are_reckoned_with() -> None:
    assert kubelet(1500, ahead=600) == "it is older"
    assert kubelet(1700, ahead=600) is None
    assert kubelet(500, masters_ahead=600) is None
    assert kubelet(300, masters_ahead=600) == "it is older"


def test_a_kubelet_that_is_down_is_no_young_one() -> None:
    assert restore.older_kubelet(FORMER) == "inactive"


def test_a_workload_that_is_not_there_has_nothing_to_begin_anew() -> None:
    name = "kube-flannel/kube-flannel-ds"
    old = Workload(annotations={RESTORED: "old"})
    gap = restore.older_pods(name, "new")
    assert gap(known(cluster=ClusterFacts(workloads={}))) is None
    assert gap(known(cluster=ClusterFacts(workloads={name: old}))) == "its pods are older"
    assert gap(known(cluster=ClusterFacts(workloads={name: Workload(annotations={RESTORED: "new"})}))) is None
