"""A whole restore on hosts that answer from memory: what is asked, its order, and how it goes on after a kill."""

import json
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kubefab import backup, carry, restoring
from kubefab.certificates import SHARED
from kubefab.converge import Engine, Stop
from kubefab.errors import HostError, KubefabError, Unreachable
from kubefab.facts import fingerprint
from kubefab.inventory import Inventory
from kubefab.passes import Group
from kubefab.step import complaint
from kubefab.steps import agreement, restore_checks
from kubefab.steps import restore as steps
from tests.databases import authority_of, namespace_of, small, snapshot
from tests.fakes import HOSTS, FakeHost, three_masters
from tests.members import CLUSTER, IDS, M, membership, status
from tests.runs import Run, in_place

ADMIN = "admin_ca QUJD\nkubelet_ca QUJD\nadmin_server https://lab.kubefab.internal:6443"
PARTS = ("etcd.yaml", "kube-apiserver.yaml", "kube-controller-manager.yaml", "kube-scheduler.yaml")
FLANNEL = "flannel.alpha.coreos.com/public-ip"
KEYS = SHARED
TAKEN = 9  # the snapshot's revision


@dataclass
class Machine:
    """What is true on one of the hosts."""

    master: bool
    stopped: bool = False
    under_way: tuple[str, str] = ("", "")
    staged: str = ""
    restored: str = ""
    restored_at: float = 0
    kubelet: float = 1000
    data: str = "former"
    kept: list[str] = field(default_factory=list)
    aside: bool = False  # its manifests are
    comes: int = 0  # looks until its API server answers
    revision: int = 20
    bump: int = 0
    headless: bool = False
    left: tuple[str, ...] = ()  # members that it knows besides
    image: str = "registry.k8s.io/etcd:3.7.0-0"
    free: int = 9000
    made: bool = True
    keys: dict[str, str] = field(default_factory=dict)


class Masters:
    """Masters of a cluster, and its workers: they do what they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wanted: str | Inventory = HOSTS) -> None:
        self.monkeypatch, self.wanted = monkeypatch, wanted
        self.worlds = Run(wanted)
        roles = {host.name: host.wanted.role == "master" for host in self.worlds.cluster.hosts.values()}
        self.machines = {name: Machine(master) for name, master in roles.items()}
        self.marks: dict[str, str] = {}  # workload -> by which restore its pods have begun anew
        self.now = 2000.0
        self.taken = TAKEN
        self.nodes_besides: tuple[str, ...] = ()
        self.leads = True
        self.asked: set[tuple[str, str]] = set()  # after which change a master was asked of its cluster
        self.dead = False  # the run is, and begins nothing more
        self.done: list[str] = []
        self.served: list[str] = []  # what both former and new data had at once
        self.killed: Callable[[], bool] = lambda: False
        self.one_by_one = threading.Lock()
        self.run: Run

    def restored(self, source: Path, yes: bool = True, dry: bool = False, answer: str = "") -> Run:
        """One invocation over these hosts."""
        self.dead = False
        self.run = in_place(Run(self.wanted, dry=dry), self.monkeypatch)
        self.monkeypatch.setattr(carry, "send", self.send)
        for name in self.machines:
            self.run(name).parts = self.worlds(name).parts
            self.run(name).on_change = partial(self.changed, name)
            self.run(name).on_look = partial(self.looked, name)
            self.run(name).answers["list-since.sh"] = answer or "made configmaps/default/later\nchanged 2\n"
        self.tell()
        restoring.restore(self.run.context, str(source), yes, [self.make], [self.rest])
        return self.run

    def given_up(self) -> Run:
        self.dead = False
        self.run = in_place(Run(self.wanted), self.monkeypatch)
        for name in self.machines:
            self.run(name).parts = self.worlds(name).parts
            self.run(name).on_change = partial(self.changed, name)
            self.run(name).on_look = partial(self.looked, name)
        self.tell()
        restoring.give_up(self.run.context)
        return self.run

    def looked(self, name: str) -> None:
        with self.one_by_one:
            if "cluster" in self.run(name).looks[-1]:
                self.asked.add((self.done[-1].partition(": ")[2] if self.done else "", name))
            self.machines[name].comes = max(self.machines[name].comes - 1, 0)
            self.tell()

    def rest(self, _: object) -> None:
        assert self.is_well
        self.note("rest")

    def make(self, _: object) -> None:
        """What `up` does."""
        assert set(self.machines[self.masters[0]].keys) == set(KEYS)
        self.note("up")
        for machine in self.machines.values():
            machine.made = True
        self.tell()
        self.run.engine.look_again(list(self.run.cluster.hosts.values()))

    def send(self, host: Any, file: Path, to: str) -> None:
        assert to == steps.THERE
        with self.one_by_one:
            self.note(f"{host.name}: send")

    def note(self, what: str) -> None:
        self.done.append(what)
        if self.killed():
            self.dead = True
            raise KeyboardInterrupt

    def changed(self, name: str) -> None:
        with self.one_by_one:  # hosts change at once, and each tells of all of them
            self._changed(name)

    def _changed(self, name: str) -> None:
        if self.dead:
            raise KeyboardInterrupt
        self.now += 10
        host, machine = self.run(name), self.machines[name]
        script, *words = host.of_thread.change.split(" ")
        if script == "stage-restore.sh":
            machine.staged = words[0]
            machine.bump = int(words[4])
            assert words[3] == ",".join(f"{one}=https://{one}:2380" for one in self.masters)
        elif script == "stop-control-plane.sh":
            machine.stopped, machine.under_way = True, (words[0], words[1])
            machine.aside = True
        elif script == "swap-etcd.sh":
            assert machine.stopped, "it is served"
            machine.kept.append(machine.data)
            machine.data = machine.restored = words[0]
            machine.revision = self.taken + machine.bump + 1
            machine.staged, machine.restored_at = "", self.now
        elif script == "start-control-plane.sh":
            machine.stopped = machine.aside = False
            machine.comes = 3  # its API server answers some looks later
        elif script == "give-up-restore.sh":
            assert not machine.under_way[0] or machine.restored != machine.under_way[0]
            machine.stopped = machine.aside = False
            machine.staged, machine.under_way = "", ("", "")
        elif script == "restart-service.sh":
            machine.kubelet = self.now
        elif script == "kubectl.sh":
            assert not any(one.stopped or one.comes for one in self.machines.values()), "no API server answers"
            self.marks[words[2]] = json.loads(host.payloads[script])["metadata"]["annotations"][steps.RESTORED]
        elif script == "put-keys.sh":
            lines = [line.split(" ") for line in host.payloads[script].splitlines()]
            machine.keys = {name: sha256(b64decode(body)).hexdigest() for name, body in lines}
        elif script == "end-restore.sh":
            machine.under_way = ("", "")
        running = {one.data for one in self.machines.values() if one.master and not one.stopped}
        if len(running) > 1:
            self.served.append(f"{running}")
        self.tell()
        self.note(f"{name}: {script}")

    @property
    def masters(self) -> list[str]:
        return [name for name, one in self.machines.items() if one.master]

    def tell(self) -> None:
        up = [name for name in self.masters if not self.machines[name].stopped]
        for name, one in self.machines.items():
            parts = self.worlds(name).parts
            parts["services"] = "\n".join(("unit Id=kubelet.service", "unit ActiveState=active", _began(one.kubelet)))
            parts["system"] = f"machine_id id-{name}\nclock {self.now}\nasked {self.now}"
            if not one.made:
                parts.update(node="", cluster="", etcd="", restore=_keys(one))
                continue
            parts["node"] = f"{ADMIN}\nflannel yes\netcd_data yes"
            if not one.master:
                parts["node"] = "kubelet_ca QUJD\nflannel yes"
                continue
            parts["node"] += "".join(f"\nmanifest {part}" for part in PARTS if not (one.aside or one.headless))
            parts["node"] += f"\nrestore_begun {1700000000 * bool(one.under_way[0])}"
            answers = name in up and not one.comes and len(up) * 2 > len(self.masters)
            parts["cluster"] = self.cluster() if answers else "silent refused"
            parts["etcd"] = self.etcd(name) if name in up else ""
            parts["restore"] = "" if one.headless else self.restore(name)

    def restore(self, name: str) -> str:
        one = self.machines[name]
        said = {
            "under_way": one.under_way[0],
            "snapshot": one.under_way[1],
            "folder": "/var/lib/etcd",
            "peer": f"{name}=https://{name}:2380",
            "image": one.image,
            "staged": one.staged,
            "restored": one.restored,
            "restored_at": one.restored_at,
            "free_mib": one.free,
        }
        lines = [f"{key} {value}" for key, value in said.items() if value]
        kind = "aside" if one.aside else "runs"
        return "\n".join((*lines, *(f"{kind} {part}" for part in PARTS), _keys(one)))

    def etcd(self, name: str) -> str:
        data = self.machines[name].data
        new = data.startswith("kubefab-")
        said = {"revision": self.machines[name].revision, **({"cluster": 0xFEED} if new else {})}
        ids = membership(*self.masters, *self.machines[name].left)
        leader = {"leader": IDS[self.masters[0]] if self.leads or new else 0}
        return f"etcd_runs yes\nmember {status(name, **said, **leader)}\nmembership {ids}"

    def cluster(self) -> str:
        items = [self.node(name) for name in (*self.machines, *self.nodes_besides)]
        items += [self.workload(name) for name in steps.ANEW]
        return f"answer {json.dumps({'items': items})}"

    def node(self, name: str) -> dict[str, Any]:
        status = {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"machineID": f"id-{name}"}}
        labels = (
            {} if name in self.machines.keys() - set(self.masters) else {"node-role.kubernetes.io/control-plane": ""}
        )
        return {
            "kind": "Node",
            "metadata": {"name": name, "labels": labels, "annotations": {FLANNEL: "x"}},
            "status": status,
        }

    def workload(self, name: str) -> dict[str, Any]:
        namespace, _, short = name.partition("/")
        kind = "Deployment" if steps.ANEW[name] == "deployment" else "DaemonSet"
        wanted = len(self.machines)
        marks = {steps.RESTORED: self.marks[short]} if short in self.marks else {}
        return {
            "kind": kind,
            "metadata": {"name": short, "namespace": namespace, "annotations": marks, "generation": 1},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": "x"}]}}},
            "status": {
                "observedGeneration": 1,
                "desiredNumberScheduled": wanted,
                "updatedNumberScheduled": wanted,
                "numberAvailable": wanted,
                "updatedReplicas": 2,
                "availableReplicas": 2,
            },
        }

    @property
    def is_well(self) -> bool:
        """One restore has been done, whole: of it are all data, and what has to be is younger."""
        masters = [self.machines[name] for name in self.masters]
        (id,) = {one.restored for one in masters}
        last = max(one.restored_at for one in masters)
        return (
            bool(id)
            and {one.data for one in masters} == {id}
            and set(self.marks.values()) == {id}
            and not any(one.stopped or one.under_way[0] for one in masters)
            and all(one.kubelet >= last for one in self.machines.values())
            and all("former" in one.kept for one in masters)
            and {one.revision for one in masters} == {int(id.rpartition("-r")[2]) + 1}
            and not self.served
        )


def _keys(machine: Machine) -> str:
    return "\n".join(f"key {name} {digest}" for name, digest in machine.keys.items())


def _began(moment: float) -> str:
    return f"unit ActiveEnterTimestamp={datetime.fromtimestamp(moment, UTC):%a %Y-%m-%d %H:%M:%S} UTC"


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Masters:
    monkeypatch.setitem(IDS, "manager", 0xB1)
    return Masters(monkeypatch)


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Masters:
    return Masters(monkeypatch, three_masters())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A backup of the cluster as it was before."""
    return backup_of(tmp_path / "lab-1", CLUSTER)


def backup_of(folder: Path, etcd: int, revision: int = TAKEN, host: str = "m2", besides: bytes = b"") -> Path:
    data = small(revision, names=["manager", "m1"]) + besides.ljust(512, b"\0")
    backup.put(folder, "snapshot.db", snapshot(data))
    members = [{"host": host, "cluster_id": f"{etcd:x}"}]
    about = {"cluster": "lab", "time": "2026-11-26T08:00:00+00:00", "host": host, "members": members}
    backup.finish(folder, about)
    return folder


def scripts(made: Masters) -> list[str]:
    return list(dict.fromkeys(line.partition(": ")[2] for line in made.done))


def killed_when(made: Masters, source: Path, script: str, times: int) -> None:
    """At once after so many masters have done this."""
    made.killed = lambda: [line for line in made.done if line.endswith(script)][times - 1 :] != []
    with pytest.raises(KeyboardInterrupt):
        made.restored(source)
    made.killed = lambda: False


def away(monkeypatch: pytest.MonkeyPatch, name: str, since: Callable[[], bool] = lambda: True) -> None:
    """This host cannot be reached any more."""
    look = FakeHost.look

    def unless(self: FakeHost, *how: Any) -> dict[str, str]:
        if self.name == name and since():
            raise Unreachable("cannot be reached")
        return look(self, *how)

    monkeypatch.setattr(FakeHost, "look", unless)


IN_TURN = [
    "send",
    "stage-restore.sh",
    "stop-control-plane.sh",
    "swap-etcd.sh",
    "start-control-plane.sh",
    "restart-service.sh",
    "kubectl.sh",
    "end-restore.sh",
]


def test_one_master_goes_back_to_a_snapshot(one: Masters, source: Path) -> None:
    run = one.restored(source)
    assert (run.failures, one.is_well) == ({}, True)
    assert scripts(one) == IN_TURN


def test_three_masters_go_back_together_and_none_has_new_data_before_all_have_stopped(
    three: Masters, source: Path
) -> None:
    run = three.restored(source)
    assert (run.failures, three.is_well) == ({}, True)
    at = {script: [n for n, line in enumerate(three.done) if line.endswith(script)] for script in IN_TURN}
    for before, after in pairwise(IN_TURN[1:5]):
        assert len(at[before]) == 3
        assert max(at[before]) < min(at[after])


@pytest.mark.parametrize("many", [HOSTS, three_masters()], ids=["one", "three"])
def test_killed_after_any_change_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, source: Path, many: str | Inventory
) -> None:
    monkeypatch.setitem(IDS, "manager", 0xB1)
    whole = Masters(monkeypatch, many)
    whole.restored(source)
    for at in range(1, len(whole.done) + 1):
        made = Masters(monkeypatch, many)
        made.killed = lambda made=made, at=at: len(made.done) == at  # type: ignore[misc]
        with pytest.raises(KeyboardInterrupt):
            made.restored(source)
        made.killed = lambda: False
        masters = [machine for machine in made.machines.values() if machine.master]
        begun = all(machine.under_way[0] or machine.restored for machine in masters)
        ended = "end-restore.sh" in scripts(made) and not any(machine.under_way[0] for machine in masters)
        if not ended:
            run = made.restored(source, yes=not begun)
            assert run.failures == {}, f"after {made.done[at - 1]}"
        assert made.is_well, f"after {made.done[at - 1]}: {made.done}"
        assert [len(machine.kept) for machine in made.machines.values() if machine.master] == [1] * len(made.masters)


def test_another_snapshot_takes_the_place_of_one_that_was_broken_off(
    three: Masters, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_when(three, source, "swap-etcd.sh", 1)
    three.taken = 8
    three.restored(backup_of(tmp_path / "lab-0", CLUSTER, 8))
    assert three.is_well
    said = capsys.readouterr().out
    assert ", which was broken off, is given up" in said
    assert "no member of etcd answers: what it has that the snapshot has not cannot be told" in said


def test_a_snapshot_that_went_back_once_goes_back_again_as_a_restore_of_its_own(three: Masters, source: Path) -> None:
    three.restored(source)
    with pytest.raises(KubefabError, match="without a terminal, --yes is needed"):
        three.restored(source, yes=False)


def test_what_the_api_servers_said_before_they_ended_counts_no_more(three: Masters, source: Path) -> None:
    three.restored(source)
    assert {name for script, name in three.asked if script == "swap-etcd.sh"} == set(three.masters)


def test_each_restore_begins_above_all_that_any_client_has_seen(three: Masters, source: Path) -> None:
    revisions = []
    for _ in range(3):
        three.restored(source)
        revisions.append(three.machines["m1"].revision)
    assert revisions[0] > 20 + steps.FURTHER
    assert all(later > before + steps.FURTHER for before, later in pairwise(revisions))


def test_where_nobody_tells_what_clients_have_seen_it_begins_further_still(three: Masters, source: Path) -> None:
    for _ in range(2):
        three.restored(source)
        for name in three.masters:
            three.machines[name].stopped = True  # its etcd is silent
        before = three.machines["m1"].revision
        three.restored(source)
        assert three.machines["m1"].revision > before + steps.FURTHER


def test_where_some_masters_may_have_served_since_it_asks_again(
    three: Masters, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One has stopped for it, and the others go on for days."""
    killed_when(three, source, "stop-control-plane.sh", 1)
    for name in three.masters:
        if not three.machines[name].under_way[0]:
            three.machines[name].revision = 5000
    with pytest.raises(KubefabError, match="--yes is needed"):
        three.restored(source, yes=False)
    assert ", which was broken off, is given up" in capsys.readouterr().out
    three.restored(source)
    assert three.is_well
    assert three.machines["m1"].revision > 5000 + steps.FURTHER


def test_a_master_whose_manifests_somebody_has_put_back_is_told_and_asked_for(
    three: Masters, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_when(three, source, "swap-etcd.sh", 1)
    (first,) = [name for name in three.masters if three.machines[name].restored]
    other = next(name for name in three.masters if name != first)
    three.machines[other].aside = three.machines[other].stopped = False
    with pytest.raises(KubefabError, match="--yes is needed"):
        three.restored(source, yes=False)
    assert f"{other}  - it has, and may serve, the former data, though others have stopped" in capsys.readouterr().out
    three.served.clear()
    three.restored(source)
    assert three.is_well


def test_for_other_masters_than_it_was_begun_for_it_is_begun_anew(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_when(three, source, "stop-control-plane.sh", 3)
    former = {three.machines[name].under_way[0] for name in three.masters}
    del three.machines["m3"]
    three.wanted = without(three_masters(), "m3")
    run = three.restored(source)
    assert (run.failures, three.is_well) == ({}, True)
    assert not {three.machines[name].restored for name in three.masters} & former


def without(wanted: Inventory, name: str) -> Inventory:
    return wanted.model_copy(update={"hosts": tuple(host for host in wanted.hosts if host.name != name)})


# --- the way back


def test_what_was_broken_off_before_any_swap_may_be_given_up(three: Masters, source: Path) -> None:
    killed_when(three, source, "stop-control-plane.sh", 2)
    run = three.given_up()
    assert run.failures == {}
    assert {one.data for one in three.machines.values()} == {"former"}
    assert not any(one.stopped or one.staged or one.under_way[0] for one in three.machines.values())
    assert not three.given_up().ran


def test_once_one_has_the_new_data_there_is_no_way_back(three: Masters, source: Path) -> None:
    killed_when(three, source, "swap-etcd.sh", 1)
    with pytest.raises(
        KubefabError, match=r"m\d has the snapshot's data already: only going on .* with the same snapshot"
    ):
        three.given_up()
    assert "give-up-restore.sh" not in "".join(three.done)


def test_what_another_run_did_until_the_locks_were_had_counts(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_when(three, source, "stop-control-plane.sh", 3)
    lock = Engine.lock

    def late(self: Engine, *how: Any) -> None:
        """A restore goes on to its first swap, and is broken off there."""
        three.machines["m2"].restored = three.machines["m2"].under_way[0]
        three.tell()
        lock(self, *how)

    monkeypatch.setattr(Engine, "lock", late)
    with pytest.raises(KubefabError, match="m2 has the snapshot's data already: only going on is possible"):
        three.given_up()
    assert "give-up-restore.sh" not in "".join(three.done)


def test_who_is_lost_while_the_locks_are_taken_ends_it(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_when(three, source, "stop-control-plane.sh", 3)
    monkeypatch.setattr(Engine, "lock", lambda self, hosts, *_: self.complain(hosts, lambda *_: [complaint("x", str)]))
    with pytest.raises(Stop, match="nothing was changed"):
        three.given_up()
    assert "give-up-restore.sh" not in "".join(three.done)


# --- who takes part


def test_a_control_plane_without_etcds_manifest_is_no_empty_machine(three: Masters, source: Path) -> None:
    for name in three.masters:
        three.machines[name].headless = True
    with pytest.raises(KubefabError, match=r"m1 has an etcd that runs, etcd's data, an admin\.conf; m2 has"):
        three.restored(source)
    assert three.done == []


def test_a_member_that_nobody_of_ours_answers_for_is_taken_out_first(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(IDS, "m9", 0xA9)
    three.machines["m1"].left = ("m9",)
    with pytest.raises(Stop):
        three.restored(source)
    why = "every member of etcd is on a master of hosts.yml: m9 (https://m9:2380)"
    assert list(three.run.failures.values()) == [why]


def test_where_there_is_no_quorum_it_is_told_as_left_behind(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(IDS, "m9", 0xA9)
    three.leads = False
    three.machines["m1"].left = ("m9",)
    three.restored(source)
    said = capsys.readouterr().out
    assert "member m9 (https://m9:2380) is left behind: its machine must never come up again with its etcd" in said
    assert three.is_well


def test_a_master_that_hosts_yml_does_not_know_would_serve_the_former_data(three: Masters, source: Path) -> None:
    three.nodes_besides = ("m9",)
    with pytest.raises(Stop):
        three.restored(source)
    assert list(three.run.failures.values()) == ["every master of the cluster is one of hosts.yml: m9"]


# --- what is told and asked for


def test_what_is_lost_is_told_before_anything_is_changed(
    three: Masters, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KubefabError, match="all of this is lost; without a terminal, --yes is needed"):
        three.restored(source, yes=False)
    said = capsys.readouterr().out
    what = "of 2026-11-26 08:00:00 UTC, of m2; revision 9; its checksum is right"
    assert f"{source}/snapshot.db: {what}\n" in said
    assert "- 11 writes since the snapshot" in said
    assert "- configmaps/default/later: made since" in said
    assert "- 2 objects changed since: they are as they were" in said
    assert "- what was deleted since is there again" in said
    assert said.count("what etcd had is kept as /var/lib/etcd/before-restore-TIME") == 3
    assert three.done == []


def test_the_snapshot_of_another_etcd_loses_all_there_is(
    three: Masters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three.restored(backup_of(tmp_path / "x", 0xABC))
    assert "all that etcd has now: it is another etcd than the snapshot's" in capsys.readouterr().out


def test_an_etcd_that_has_begun_anew_over_an_emptied_folder_loses_all_there_is(
    three: Masters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its ids are those of before, since they are made of names alone."""
    three.taken = 21
    three.restored(backup_of(tmp_path / "x", CLUSTER, 21))
    said = capsys.readouterr().out
    assert "m1  - all that etcd has now: its revision, 20, is lower than the snapshot's" in said
    assert "writes since" not in said
    assert not [line for line in three.run.ran if line.startswith("list-since.sh")]


def test_an_etcd_of_the_snapshots_own_revision_has_no_writes_since(
    three: Masters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three.taken = 20
    three.restored(backup_of(tmp_path / "x", CLUSTER, 20))
    assert "m1  - 0 writes since the snapshot" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("had", "has", "told"),
    [
        ("5f0b7f2e", "5f0b7f2e", "11 writes since the snapshot\n"),
        ("5f0b7f2e", "00000000", "all that etcd has now: it is another etcd than the snapshot's"),
        ("5f0b7f2e", "", "11 writes since the snapshot, if it is still that etcd, and has not begun anew since"),
        ("", "5f0b7f2e", "11 writes since the snapshot, if it is still that etcd, and has not begun anew since"),
    ],
)
def test_an_etcd_that_has_begun_anew_and_passed_the_snapshots_revision_is_another(
    three: Masters, tmp_path: Path, capsys: pytest.CaptureFixture[str], had: str, has: str, told: str
) -> None:
    rest = "-9a3c-4d7e-8f10-2b6c1d0e9a47"
    folder = backup_of(tmp_path / "x", CLUSTER, besides=namespace_of(had + rest) if had else b"")
    listed = "made configmaps/default/later\n"
    three.restored(folder, answer=f"uid {has}{rest}\n{listed}" if has else listed)
    said = capsys.readouterr().out
    assert f"- {told}" in said
    assert ("configmaps/default/later: made since" in said) == ("writes since" in told)


def test_of_a_bare_snapshot_nobody_knows_whose_it_is(
    three: Masters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.db").write_bytes(snapshot(small(TAKEN, names=["m2"])))
    three.restored(tmp_path / "mine.db")
    assert three.is_well
    said = capsys.readouterr().out
    assert "of which etcd this snapshot is nobody has written down" in said
    assert "when the snapshot was taken nobody has written down; revision 9" in said


@pytest.mark.parametrize(("names", "why"), [(["other"], "its nodes are other"), ([], "it has no node")])
def test_a_bare_snapshot_without_a_node_of_this_cluster_is_refused(
    three: Masters, tmp_path: Path, names: list[str], why: str
) -> None:
    (tmp_path / "mine.db").write_bytes(snapshot(small(TAKEN, names=names)))
    with pytest.raises(Stop):
        three.restored(tmp_path / "mine.db")
    assert three.run.failures["m1"] == f"the snapshot has a node of this cluster: {why}"


def test_a_bare_snapshot_of_another_cluster_is_refused_though_its_nodes_have_the_same_names(
    three: Masters, tmp_path: Path
) -> None:
    data = small(TAKEN, names=M) + authority_of(AUTHORITY).ljust(512, b"\0")
    (tmp_path / "mine.db").write_bytes(snapshot(data))
    with pytest.raises(Stop):
        three.restored(tmp_path / "mine.db")
    assert three.run.failures["m1"].startswith("the snapshot is this cluster's: it is of the one with the CA ")
    assert three.done == []


def test_a_bare_snapshot_of_this_cluster_goes_back_though_no_node_of_it_is_left(
    three: Masters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_checks, "fingerprint", lambda text: fingerprint("QUJD"))
    data = small(TAKEN, names=["other"]) + authority_of(AUTHORITY).ljust(512, b"\0")
    (tmp_path / "mine.db").write_bytes(snapshot(data))
    three.restored(tmp_path / "mine.db")
    assert three.is_well


def test_a_dry_run_tells_and_changes_nothing(three: Masters, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three.restored(source, dry=True)
    said = capsys.readouterr().out
    assert "- 11 writes since the snapshot" in said
    assert "m1      ~ etcd's data are the snapshot's  (now: they are the former ones)" in said
    assert three.done == []


# --- what is refused before anything is changed


def test_without_a_source_nothing_is_taken_for_one(three: Masters) -> None:
    with pytest.raises(KubefabError, match="--from wants a folder"):
        restoring.restore(Run().context, "", True, (), ())


def test_a_damaged_snapshot_is_refused_before_any_host_is_talked_to(three: Masters, source: Path) -> None:
    data = bytearray((source / "snapshot.db").read_bytes())
    data[300] ^= 1
    (source / "snapshot.db").write_bytes(data)
    with pytest.raises(KubefabError, match="its checksum is another one"):
        three.restored(source)
    assert [three.run(name).looks for name in M] == [[], [], []]


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ({"image": "registry.k8s.io/etcd:3.5.21-0"}, "etcd is 3.6 or newer: its manifest names"),
        ({"image": "registry.k8s.io/etcd@sha256:1"}, "etcd is 3.6 or newer: its manifest names"),
        ({"free": 0}, ""),
    ],
)
def test_what_only_a_person_can_change_stops_all_masters(
    three: Masters, source: Path, says: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_checks, "ROOM", 1 << 20)
    for name, value in says.items():
        setattr(three.machines["m3"], name, value)
    with pytest.raises(Stop, match="nothing was changed"):
        three.restored(source)
    assert three.run.failures["m3"].startswith(why or "there is room for the snapshot: 0 MiB are free; allowed: ")
    assert three.done == []


def test_the_snapshot_of_another_cluster_is_refused_by_its_authority(three: Masters, source: Path) -> None:
    text = f"-----BEGIN CERTIFICATE-----\n{b64encode(b'other').decode()}\n-----END CERTIFICATE-----\n"
    backup.put(source, "pki/ca.crt", text.encode())
    with pytest.raises(Stop):
        three.restored(source)
    assert three.run.failures["m1"].startswith("the snapshot is this cluster's: it is of the one with the CA ")


@pytest.mark.parametrize("name", ["m2", "client"])
def test_a_host_that_does_not_answer_stops_it(
    three: Masters, source: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away(monkeypatch, name)
    with pytest.raises(Stop, match="nothing was changed: a restore is of all hosts"):
        three.restored(source)
    assert three.done == []


@pytest.mark.parametrize("script", ["stop-control-plane.sh", "swap-etcd.sh", "start-control-plane.sh"])
def test_a_worker_that_is_lost_on_the_way_keeps_no_master_down(
    three: Masters, source: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "the masters have the snapshot's data, and run; the rest waits for all hosts"
    with monkeypatch.context() as lost:
        away(lost, "client", lambda: script in scripts(three))
        with pytest.raises(Stop, match=why):
            three.restored(source)
    assert three.run.failures == {"client": "it answers: cannot be reached"}
    assert all(run_new_data(three))
    assert not {"restart-service.sh", "end-restore.sh"} & set(scripts(three))
    assert three.restored(source).failures == {}
    assert three.is_well


def run_new_data(made: Masters) -> list[bool]:
    masters = [made.machines[name] for name in made.masters]
    return [bool(one.restored) and one.restored == one.under_way[0] and not one.stopped for one in masters]


@pytest.mark.parametrize("times", [1, 3])
def test_where_a_master_has_the_new_data_it_goes_on_without_a_worker(
    three: Masters, source: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_when(three, source, "swap-etcd.sh", times)
    away(monkeypatch, "client")
    with pytest.raises(Stop, match="the masters have the snapshot's data, and run"):
        three.restored(source, yes=False)
    assert all(run_new_data(three))


def test_where_no_master_has_them_it_waits_for_the_worker_and_may_be_given_up_without_it(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_when(three, source, "stop-control-plane.sh", 3)
    away(monkeypatch, "client")
    done = list(three.done)
    with pytest.raises(Stop, match="nothing was changed: a restore is of all hosts"):
        three.restored(source)
    assert three.done == done
    assert three.given_up().failures == {}
    assert not any(one.stopped or one.under_way[0] for one in three.machines.values())


def test_it_is_not_given_up_while_a_master_does_not_answer(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_when(three, source, "stop-control-plane.sh", 3)
    away(monkeypatch, "m2")
    with pytest.raises(Stop, match="a master that is lost for good is taken out of it"):
        three.given_up()
    assert "give-up-restore.sh" not in "".join(three.done)


# --- machines that have no cluster yet

AUTHORITY = f"-----BEGIN CERTIFICATE-----\n{'QUJD' * 16}\n-----END CERTIFICATE-----\n"


@pytest.fixture
def fresh(three: Masters) -> Masters:
    """A worker has outlived its masters."""
    for name in three.masters:
        three.machines[name].made = False
    return three


@pytest.fixture
def keyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup with keys, of an etcd that is gone."""
    folder = tmp_path / "lab-k"
    for name in KEYS:
        backup.put(folder, name, AUTHORITY.encode() if name == "pki/ca.crt" else name.encode())
    for module in (restore_checks, restoring):
        monkeypatch.setattr(module, "fingerprint", lambda text: fingerprint("QUJD"))
    return backup_of(folder, 0xABC)


def test_where_there_is_no_cluster_one_is_made_by_the_keys_of_the_backup_and_then_goes_back(
    fresh: Masters, keyed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fresh.restored(keyed)
    assert (run.failures, fresh.is_well) == ({}, True)
    assert fresh.done[:2] == ["m1: put-keys.sh", "up"]
    assert fresh.done[-1] == "rest"
    said = capsys.readouterr().out
    assert "m1  - there is no cluster: one is made, with the keys of the backup, and goes back to it" in said
    assert "client  - its pods end, with what is in their emptyDirs; those of the snapshot begin anew" in said


def test_killed_at_any_point_of_it_the_same_command_goes_back_and_tells_or_makes_the_rest(
    monkeypatch: pytest.MonkeyPatch, keyed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fresh() -> Masters:
        made = Masters(monkeypatch, three_masters())
        for name in made.masters:
            made.machines[name].made = False
        return made

    whole = fresh()
    whole.restored(keyed)
    for at in range(1, len(whole.done)):
        made = fresh()
        made.killed = lambda made=made, at=at: len(made.done) == at  # type: ignore[misc]
        with pytest.raises(KeyboardInterrupt):
            made.restored(keyed)
        made.killed = lambda: False
        capsys.readouterr()
        run = made.restored(keyed)
        assert (run.failures, made.is_well) == ({}, True), f"after {made.done[at - 1]}"
        assert made.done[-1] == "rest" or "`inv cluster.up` makes" in capsys.readouterr().out


def test_who_has_yet_to_join_joins_after_the_restore(three: Masters, source: Path) -> None:
    """As after a run that made one master, and was broken off."""
    three.machines["client"] = Machine(master=False, made=False, kubelet=9999)
    three.restored(source)
    assert three.done[-1] == "rest"


def test_where_a_restore_has_failed_nothing_else_is_begun(
    fresh: Masters, keyed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bring_about(self: restoring.Restoring, _: object) -> None:
        self.run.complain(list(self.run.cluster.hosts.values()), lambda *_: [complaint("x", lambda _: "y")])

    monkeypatch.setattr(restoring.Restoring, "bring_about", bring_about)
    assert fresh.restored(keyed).failures
    assert "rest" not in fresh.done


def test_a_cluster_is_made_only_by_a_persons_leave(fresh: Masters, keyed: Path) -> None:
    with pytest.raises(
        KubefabError, match="a cluster is made here, and what is listed is lost; without a terminal, --yes is needed"
    ):
        fresh.restored(keyed, yes=False)
    assert fresh.done == []


def test_a_dry_run_on_them_makes_nothing(fresh: Masters, keyed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fresh.restored(keyed, dry=True)
    assert "m1      + the backup's keys are on the host" in capsys.readouterr().out
    assert fresh.done == []


def test_without_the_keys_no_cluster_could_be_the_snapshots(fresh: Masters, source: Path) -> None:
    with pytest.raises(Stop):
        fresh.restored(source)
    assert fresh.run.failures["m1"].startswith("the backup has the keys that all masters share: no pki/ca.crt, ")
    assert fresh.done == []


def test_a_key_that_no_master_had_goes_there_once_a_person_has_put_it_into_the_backup(
    fresh: Masters, keyed: Path
) -> None:
    key = (keyed / "pki/ca.key").read_bytes()
    (keyed / "pki/ca.key").unlink()
    again(keyed)
    with pytest.raises(Stop):
        fresh.restored(keyed)
    assert fresh.run.failures["m1"].endswith("has the keys that all masters share: no pki/ca.key")
    backup.put(keyed, "pki/ca.key", key)
    assert fresh.restored(keyed).failures == {}


def test_other_keys_that_are_there_stay(fresh: Masters, keyed: Path) -> None:
    fresh.machines["m1"].keys = {"pki/sa.key": "another"}
    with pytest.raises(Stop):
        fresh.restored(keyed)
    assert fresh.run.failures["m1"] == "no other keys are on the host: pki/sa.key"


def add(backed_up: Path, name: str, content: bytes) -> None:
    """One more file in a backup that is whole."""
    backup.put(backed_up, name, content)
    again(backed_up)


def again(backed_up: Path) -> None:
    """Its files are those of now."""
    about = json.loads((backed_up / "backup.json").read_text())
    (backed_up / "backup.json").unlink()
    backup.finish(backed_up, about)


def test_what_encrypts_etcd_is_told_since_nobody_else_puts_it_there(
    fresh: Masters, keyed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(keyed, "encryption-provider-config", b"secret")
    fresh.restored(keyed)
    assert "the backup's encryption-provider-config has to be on every master first" in capsys.readouterr().out


def test_what_encrypts_etcd_is_told_where_the_backup_is_without_it_too(
    fresh: Masters, keyed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(keyed, "manifests/kube-apiserver.yaml", b"    - --encryption-provider-config=/enc/x.yaml\n")
    fresh.restored(keyed)
    told = capsys.readouterr().out
    assert (
        "encryption-provider-config of m2's API server has to be on every master first, and the backup is without"
        in told
    )


# --- what goes wrong on the way


def test_where_one_host_cannot_be_made_ready_nothing_is_stopped(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(host: Any, *_: object) -> None:
        if host.name == "m3":
            raise HostError("no room")

    monkeypatch.setattr(three, "send", send)
    with pytest.raises(Stop):
        three.restored(source)
    assert "stop-control-plane.sh" not in scripts(three)


def test_a_list_that_cannot_be_had_is_told_and_stops_nothing(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(self: FakeHost, *_: object, **__: object) -> str:
        raise HostError("etcd is slow")

    monkeypatch.setattr(FakeHost, "ask", ask)
    three.restored(source)
    said = capsys.readouterr().out
    assert (
        "11 writes since the snapshot, if it is still that etcd, and has not begun anew since: nobody can say so"
        in said
    )
    assert "what was made since: it cannot be told: etcd is slow" in said
    assert three.is_well


def test_a_master_that_is_lost_after_its_swap_is_not_said_to_run(
    three: Masters, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Engine.look_again

    def late(self: Engine, hosts: list[Any], *besides: str, **since: float) -> None:
        if "swap-etcd.sh" in scripts(three):
            away(monkeypatch, "m2")
        look(self, hosts, *besides, **since)

    monkeypatch.setattr(Engine, "look_again", late)
    assert three.restored(source).failures == {"m2": "it answers: cannot be reached"}
    assert "start-control-plane.sh" not in scripts(three)


def test_before_it_is_told_what_will_be_lost_each_host_is_looked_at_once(three: Masters, source: Path) -> None:
    """An API server without its etcd takes half a minute for each look."""
    run = three.restored(source, dry=True)
    assert {name: len(run(name).looks) for name in three.machines} == dict.fromkeys(three.machines, 1)


def test_until_it_is_done_no_other_task_begins(three: Masters, source: Path) -> None:
    killed_when(three, source, "stop-control-plane.sh", 3)
    run = Run(three_masters())
    for name in three.machines:
        run(name).parts = three.worlds(name).parts
    hosts = run.engine.look(Group.ALL)
    run.engine.complain(hosts, lambda *_: [agreement.restored()])
    why = r"no restore of etcd is under way: one was begun on m\d at \d\d:\d\d:\d\d"
    assert all(re.fullmatch(why, failure) for failure in run.failures.values())
    assert set(run.failures) == set(three.machines)
    assert "--from the same snapshot, which is needed until it is done" in agreement.restored().hint
