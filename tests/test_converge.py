"""The engine, on hosts that answer from memory."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from kubefab.cluster import PARTS, Cluster
from kubefab.converge import OF_PODS, Engine, Pass, Stop, Who
from kubefab.errors import HostError, KubefabError, Silent
from kubefab.facts import ClusterFacts, Facts
from kubefab.host import Host, _busy
from kubefab.passes import ALL, FOUNDER, MASTERS, SPEAKER, WORKERS
from kubefab.report import Report
from kubefab.step import MISSING, Close, Step, on_cluster
from kubefab.steps.objects import objects
from tests.fakes import HOSTS, cluster, many_hosts, world
from tests.runs import Run, each, lost, nodes, put, wants

NOTHING: Close = lambda host: None  # noqa: E731


def test_what_is_already_so_is_not_changed_and_takes_no_lock() -> None:
    run = Run()
    for name in ("manager", "client"):
        run(name).parts["files"] = "file a 0\n"
    run.converge(ALL, wants("a"))
    assert [run(name).ran + run(name).locks for name in ("manager", "client")] == [[], []]
    assert [len(run(name).looks) for name in ("manager", "client")] == [1, 1]


def test_a_change_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    told: list[tuple[str, str, str]] = []
    monkeypatch.setattr(run.engine.report, "running", lambda *words, **_: told.append(words))

    def close(host: Host) -> None:
        host.tell("1 of 2 MB there")
        put("a")(host)

    run.converge("client", wants("a", close=close))
    assert told == [("client", "a", ""), ("client", "a", "1 of 2 MB there")]


def test_a_second_task_of_the_same_run_looks_no_more() -> None:
    run = Run()
    run.converge(ALL, wants("a"))
    before = len(run("client").looks)
    run.converge(ALL, wants("a"))
    assert len(run("client").looks) == before


def test_a_change_is_made_once_under_the_lock_and_looked_at_again_in_its_parts_alone() -> None:
    run = Run()
    run.converge("manager", wants("a"), wants("b"))
    assert run("manager").ran == ["put a", "put b"]
    assert len(run("manager").locks) == 1
    # the first look; again under the lock, as another run may have ended since; then each step's own part
    whole = (*PARTS, "cluster", "addons", "backups", "kubeadm")
    assert run("manager").looks == [whole, whole, ("files",), ("files",)]


def test_a_warning_is_told_before_its_change_and_never_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run()
    run.converge("client", wants("a", warning="documented for less"), wants("a", warning="not told"))
    assert capsys.readouterr().out.splitlines()[0] == "client   ! documented for less"
    dry = Run(dry=True)
    dry.converge("client", wants("a", warning="documented for less"))
    assert capsys.readouterr().out.splitlines() == ["client   ! documented for less", "client   + a"]


def test_a_run_that_only_holds_on_lets_others_change() -> None:
    run = Run()
    run.converge("client", wants("a"))
    run.engine.let_go()
    run.converge("client", wants("b"))
    assert len(run("manager").locks) == 2


def test_a_change_of_the_cluster_makes_the_masters_look_stale() -> None:
    run = Run()
    run.converge("client", wants("a", touches="cluster"))
    assert run("manager").looks[-1] == ("node", "cluster")


def test_a_change_that_succeeds_without_effect_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run()
    run.converge("client", wants("a", close=NOTHING, hint="look into it"), wants("b"))
    assert run.failures == {"client": "a: still: missing"}
    assert run.engine.failures[0].error.hint == "look into it"
    assert run("client").ran == []
    assert "client   ! a: still: missing" in capsys.readouterr().out


def test_a_change_that_fails_is_told_with_its_steps_hint() -> None:
    def fail(host: Host) -> None:
        raise HostError("scripts/x.sh ended with exit status 1", "its last line")

    run = Run()
    run.converge("client", wants("a", close=fail, hint="look into it"))
    error = run.engine.failures[0].error
    assert (error.what, error.lines, error.hint) == (
        "scripts/x.sh ended with exit status 1",
        "its last line",
        "look into it",
    )


def test_a_dry_run_changes_nothing_and_prints_what_it_would(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(dry=True)
    run("client").parts["files"] = "file so 0\n"
    other = Step("otherwise", lambda facts: "2 GiB", NOTHING)
    patience = Step("in time", lambda facts: "not yet", None, within=300)
    run.converge("client", wants("so"), wants("new"), other, patience)
    assert capsys.readouterr().out.splitlines() == ["client   + new", "client   ~ otherwise  (now: 2 GiB)"]
    assert (run.engine.planned, run("client").ran, run("manager").locks) == (2, [], [])
    assert len(run("client").looks) == 1


def test_one_bad_host_hides_no_other() -> None:
    run = Run(many_hosts(3))
    run("client2").on_look = refuse("cannot be reached")
    run.converge(ALL, wants("a"))
    assert run.failures == {"client2": "it answers: cannot be reached"}
    assert [run(name).ran for name in ("manager", "client1", "client2", "client3")] == [
        ["put a"],
        ["put a"],
        [],
        ["put a"],
    ]
    run.converge(ALL, wants("b"))
    assert run("client2").ran == []
    assert run("client3").ran == ["put a", "put b"]


@pytest.mark.parametrize(
    "error", [ValueError("?"), KeyError("uid"), RecursionError(), UnicodeDecodeError("utf-8", b"", 0, 1, "")]
)
def test_whatever_goes_wrong_on_one_host_is_its_own_failure(error: Exception) -> None:
    def fail() -> None:
        raise error

    run = Run(many_hosts(2))
    run("client2").on_look = fail
    run.converge(ALL, wants("a"))
    assert list(run.failures) == ["client2"]
    assert "unexpected error in kubefab: " + type(error).__name__ in run.failures["client2"]
    assert [run(name).ran for name in ("manager", "client1")] == [["put a"], ["put a"]]
    assert "Traceback" in str(vars(run.cluster.log)["lines"])


def test_a_fault_in_a_step_is_told_by_its_title_and_stops_that_host_alone() -> None:
    def fault(facts: Facts) -> str | None:
        raise TypeError("unsupported")

    run = Run()
    run.converge("client", wants("a"), Step("b", fault, NOTHING), wants("c"))
    assert run.failures == {"client": "b: unexpected error in kubefab: TypeError: unsupported"}
    assert run("client").ran == ["put a"]


def test_a_master_that_is_lost_fails_itself_once_and_not_its_workers() -> None:
    def lost(host: Host) -> None:
        run("manager").on_look = refuse("cannot be reached")
        raise HostError("the connection was lost", host="manager")

    run = Run(many_hosts(3))
    run.converge(WORKERS, wants("a", close=lost))
    assert run.failures["manager"] == "it answers: cannot be reached"
    assert [failure.host for failure in run.engine.failures].count("manager") == 1
    assert run.failures["client2"] == "a: the connection was lost"


def test_a_master_that_answers_again_is_no_failure() -> None:
    def blip(host: Host) -> None:
        raise HostError("the connection was lost", host="manager")

    run = Run()
    run.converge(WORKERS, wants("a", close=blip))
    assert list(run.failures) == ["client"]


def test_nobody_waits_behind_those_who_wait_for_the_master() -> None:
    """However many they are, and wherever the master stands in hosts.yml."""
    workers = "".join(f"  client{n}: {{address: 10.250.1.{n}, role: worker}}\n" for n in range(1, 41))
    master = "  manager: {address: 10.250.0.10, role: master}\n"
    run = Run(HOSTS[: HOSTS.index("  manager")] + workers + master)
    there = threading.Event()

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        applied = Step("network", lambda facts: None if there.is_set() else MISSING, lambda host: there.set())
        waiting = Step("ready", lambda facts: None if there.wait(5) else MISSING, None, within=300, parts=())
        return [applied if host.name == "manager" else waiting]

    run.engine.converge(ALL, steps)
    assert run.failures == {}


def test_a_rolling_pass_begins_no_host_after_a_failure() -> None:
    def fail(host: Host) -> None:
        raise HostError("no")

    run = Run(many_hosts(5))
    close = {"client2": fail}

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        return [wants("a", close=close.get(host.name, put("a")))]

    with pytest.raises(Stop, match="client2 failed: no other host is begun after it"):
        run.engine.converge(WORKERS, steps, how=Pass(at_once=1, rolling=True))
    assert run.ran == ["put a"]


def test_a_rolling_pass_ends_the_run_too_where_a_host_fails_that_is_only_looked_at_again() -> None:
    """Nothing was missing there before the lock was ours; and then it has gone off."""
    run = Run(many_hosts(2))
    run("client1").parts["files"] = "file a 0\n"
    run("manager").on_lock = lambda: setattr(run("client1"), "on_look", refuse("the connection was lost"))
    with pytest.raises(Stop, match="client1 failed: no other host is begun after it"):
        run.engine.converge(WORKERS, each(wants("a")), how=Pass(at_once=1, rolling=True))
    assert run.ran == ["put a"]


def test_hosts_in_batches_are_begun_once_all_of_the_batch_before_have_ended() -> None:
    run, ended = Run(many_hosts(3)), threading.Event()
    done: list[str] = []

    def change(host: Host) -> None:
        done.append(f"{host.name} begins")
        if host.name == "client2":
            assert ended.wait(30)
        put("a")(host)
        done.append(f"{host.name} ends")
        if host.name == "client1":
            ended.set()

    def steps(_: Cluster, __: Host) -> list[Step]:
        return [wants("a", close=change)]

    run.engine.converge(WORKERS, steps, how=Pass(at_once=2, batches=True))
    assert {one.partition(" ")[0] for one in done[:4]} == {"client1", "client2"}
    assert done[4:] == ["client3 begins", "client3 ends"]


def test_no_batch_is_begun_after_a_failure_in_the_one_before() -> None:
    run = Run(many_hosts(5))

    def change(host: Host) -> None:
        if host.name == "client1":
            raise HostError("no")
        put("a")(host)

    def steps(_: Cluster, __: Host) -> list[Step]:
        return [wants("a", close=change)]

    with pytest.raises(Stop):
        run.engine.converge(WORKERS, steps, how=Pass(at_once=2, rolling=True, batches=True))
    assert not any(run(f"client{n}").ran for n in (3, 4, 5))


def refuse(what: str) -> Callable[[], None]:
    def raise_it() -> None:
        raise HostError(what)

    return raise_it


def test_all_complaints_are_told_at_once_before_any_change() -> None:
    run = Run()
    complaints = [Step(f"no {letter}", lambda facts: "it is", None) for letter in "xyz"]
    with pytest.raises(Stop):
        run.converge(ALL, wants("a"), *complaints)
    told = sorted((failure.host, failure.title) for failure in run.engine.failures)
    assert told == [(host, f"no {letter}") for host in ("client", "manager") for letter in "xyz"]
    assert run("manager").ran + run("client").ran + run("manager").locks == []


def test_what_is_not_known_is_told_by_the_first_check_that_needs_it_and_once() -> None:
    run = Run()
    run("client").parts["network"] = "untold ss: Cannot open netlink socket"
    checks = [Step(f"port {port} is free", lambda facts: str(facts.network.udp), None) for port in (1, 2)]
    run.converge("client", *checks, Step("another", lambda facts: "it is not", None))
    told = [(failure.title, failure.error.what) for failure in run.engine.failures]
    assert told == [("another", "it is not"), ("port 1 is free", "not known: ss: Cannot open netlink socket")]


def test_a_failed_master_stops_what_needs_it_but_not_its_own_workers() -> None:
    def fail_on_master(host: Host) -> None:
        if host.name == "manager":
            raise HostError("no")
        put("a")(host)

    run = Run()
    with pytest.raises(Stop, match="manager is the master"):
        run.converge(ALL, wants("a", close=fail_on_master))
    assert run.failures == {"manager": "a: no"}
    assert run("client").ran == ["put a"]


def test_a_failed_worker_stops_nothing() -> None:
    run = Run()
    run("client").on_look = refuse("no")
    run.converge(ALL, wants("a"))
    assert run("manager").ran == ["put a"]


def test_a_host_alone_needs_neither_its_masters_word_nor_its_lock() -> None:
    run = Run()
    run("manager").on_look = refuse("it is long gone")
    run.engine.converge("client", each(wants("a")), how=Pass(alone=True))
    assert (run("client").ran, len(run("client").locks), run.failures) == (["put a"], 1, {})


def test_a_state_may_come_true_within_its_time() -> None:
    run = Run()
    later = put("a")
    run.clock.on_sleep = lambda: None if len(run.clock.slept) < 3 else later(run.cluster.hosts["client"])
    run.converge("client", wants("a", close=NOTHING, within=20))
    assert (run.failures, run.clock.slept) == ({}, [0.3, 0.3, 0.3])


def test_a_state_that_does_not_come_true_in_its_time_is_a_failure_that_names_what_is_there() -> None:
    run = Run()
    run.converge("client", Step("a", lambda facts: "activating", NOTHING, within=6, parts=("files",)))
    assert run.failures == {"client": "a: still: activating"}
    assert 5 < sum(run.clock.slept) < 7


@pytest.mark.parametrize(("took", "pause"), [(0.1, 0.3), (2.0, 2.0), (60.0, 5.0)])
def test_a_machine_to_which_a_look_is_work_is_left_as_long_in_peace(took: float, pause: float) -> None:
    run = Run()
    run.clock.on_sleep = lambda: setattr(run("client"), "on_look", slow)
    later = put("a")

    def slow() -> None:
        run.clock.ahead += took
        if len(run.clock.slept) == 3:
            later(run.cluster.hosts["client"])

    run.converge("client", wants("a", close=NOTHING, within=300))
    assert run.failures == {}
    assert run.clock.slept == pytest.approx([0.3, pause, pause], abs=0.1)


def test_a_wait_goes_on_as_long_as_something_moves() -> None:
    """A slow machine is not a broken one."""
    run, done = Run(), [0]
    run.clock.on_sleep = lambda: done.append(len(run.clock.slept) // 4)  # every fourth look finds more
    step = Step("a", lambda facts: None if done[-1] == 5 else "not yet", None, within=6, touches="cluster", parts=())
    run.converge("client", replace(step, progress=lambda facts: done[-1]))
    assert (run.failures, len(run.clock.slept)) == ({}, 20)


@pytest.mark.parametrize("moves", [lambda n: n % 2, lambda n: -n])
def test_what_comes_and_goes_moves_nothing(moves: Callable[[int], int]) -> None:
    run = Run()
    step = Step("a", lambda facts: "not yet", None, within=6, touches="cluster", parts=())
    run.converge("client", replace(step, progress=lambda facts: moves(len(run.clock.slept))))
    assert run.failures == {"client": "a: still: not yet"}
    assert len(run.clock.slept) < 9


def test_no_wait_is_longer_than_ten_times_its_time() -> None:
    run = Run()
    step = Step("a", lambda facts: "not yet", None, within=6, touches="cluster", parts=())
    run.converge("client", replace(step, progress=lambda facts: len(run.clock.slept)))
    assert run.failures == {"client": "a: still: not yet"}
    assert 59 <= sum(run.clock.slept) <= 61


def test_a_crash_loop_of_what_is_waited_for_ends_the_wait_at_once() -> None:
    run, restarted = Run(), [0]

    def crash() -> None:
        restarted.append(len(run.clock.slept) // 15)
        run("manager").answers["kubectl.sh"] = f"coredns-7d-x  manager  <none>  <none>  coredns  {restarted[-1]}\n"

    run.clock.on_sleep = crash
    step = Step("a", lambda facts: "0 of 2 pods answer", None, "see why", within=300, touches="cluster", parts=())
    run.converge("client", replace(step, workload="kube-system/coredns"))
    told = "kube-system/coredns-7d-x is in a crash loop: container coredns, restarted 3 times"
    assert run.failures == {"client": f"a: {told}"}
    assert run.engine.failures[0].error.hint == "see why"
    assert len(run.clock.slept) < 60


def test_a_state_of_the_cluster_is_asked_for_once_a_second() -> None:
    run = Run()
    run.converge("client", Step("a", lambda facts: "not yet", None, within=5, touches="cluster", parts=()))
    assert set(run.clock.slept) == {1.0}
    assert run("client").looks == [PARTS]


def test_a_wait_without_change_takes_no_lock() -> None:
    run = Run()
    run.converge("client", Step("a", lambda facts: "not yet", None, within=5, parts=("files",)))
    assert run("manager").locks == []


def test_a_change_of_an_earlier_run_is_waited_for_and_then_looked_at() -> None:
    run = Run()
    run("client").parts["change"] = "change 1795377600 swap is off"

    def ends() -> None:
        if len(run.clock.slept) == 4:
            run("client").parts = {"files": "file a 0\n"}

    run.clock.on_sleep = ends
    run.converge("client", wants("a"))
    assert len(run.clock.slept) == 4
    assert run("client").looks[-1] == PARTS
    assert (run.failures, run("client").ran) == ({}, [])


def test_what_is_waited_for_no_more_is_told_no_more() -> None:
    run = Run()
    run("client").parts["change"] = "change 1795377600 swap is off"
    run("manager").parts["cluster"] = "silent refused"

    def ends() -> None:
        run("client").parts.clear()
        run("manager").parts.update(cluster=nodes("manager", "client"))

    run.clock.on_sleep = ends
    run.converge("client", Step("no Node is stale", no_client, NOTHING, touches="cluster"))
    assert (run.failures, run.engine.report._running) == ({}, {})


def test_a_change_of_an_earlier_run_that_never_ends_is_told_by_its_title() -> None:
    run = Run()
    run("client").parts["change"] = "change 1795377600 swap is off"
    run.clock.on_sleep = lambda: setattr(run.clock, "ahead", run.clock.ahead + 100)
    run.converge("client", wants("a"))
    assert run.clock.ahead > 1800
    assert "swap is off, since " in run.failures["client"]
    assert run("client").ran == []


def test_a_host_that_is_lost_while_a_change_of_an_earlier_run_is_waited_for_is_told_as_lost() -> None:
    """Nobody can log in there and see what the change waits for."""
    run = Run()
    run("client").parts["change"] = "change 1795377600 swap is off"
    run.clock.on_sleep = lambda: setattr(run("client"), "on_look", refuse("the connection was lost"))
    run.converge("client", wants("a"))
    assert run.failures == {"client": "it answers: the connection was lost"}


def test_whose_a_change_is_that_goes_on_is_asked_of_a_master_that_answers_last() -> None:
    run, seen = Run(), threading.Event()
    run("client").parts["change"] = "change 1795377600 the host is a node"
    run("client").on_look = seen.set
    run("manager").parts["change"] = "run 1795377600 eve@desk, process 7"

    def last() -> None:
        seen.wait(5)
        time.sleep(0.1)

    run("manager").on_look = last
    with pytest.raises(KubefabError, match="another run is under way: eve@desk, process 7"):
        run.converge("client", wants("a"))


@pytest.mark.parametrize("dry", [False, True])
def test_what_is_only_told_is_told_once_a_run_and_fails_nobody(dry: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(dry=dry)
    left = Step("it is ours", lambda _: "it is theirs", None, hint="take it", only_told=True)
    run.converge("client", left)
    run.converge("client", left)
    assert capsys.readouterr().out == "client   ! expected: it is ours; found: it is theirs; what to do: take it\n"
    assert (run.failures, run.engine.planned, run("client").locks) == ({}, 0, [])


def silent_until(asked: int) -> tuple[Step, list[int]]:
    """What is only told, and cannot be before it was asked for so often."""
    seen: list[int] = []

    def gap(_: Facts) -> str | None:
        seen.append(1)
        if len(seen) < asked:
            raise Silent("what kubeadm keeps cannot be read")
        return "it is theirs"

    return Step("it is ours", gap, None, hint="take it", only_told=True), seen


def test_what_nobody_could_read_is_asked_for_again_before_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run()
    run.converge("client", silent_until(3)[0])
    assert capsys.readouterr().out.endswith("! expected: it is ours; found: it is theirs; what to do: take it\n")
    assert run.failures == {}


@pytest.mark.parametrize("dry", [False, True])
def test_what_nobody_could_read_is_told_as_not_known(dry: bool, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(dry=dry)
    run.converge("client", silent_until(10**6)[0])
    found = "found: not known: what kubeadm keeps cannot be read"
    assert f"! expected: it is ours; {found}; what to do: take it\n" in capsys.readouterr().out
    assert run.failures == {}


def unreadable(_: Facts) -> str | None:
    raise HostError("kubeadm-config is missing", hint="bring it back")


def test_a_gap_that_cannot_be_told_fails_its_step_in_a_plan_and_hides_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Run(dry=True)
    left = Step("it is ours", lambda _: "it is theirs", None, hint="take it", only_told=True)
    unread = Step("it is there", unreadable, None, hint="look", only_told=True)
    run.converge("client", wants("a"), Step("it is as wanted", unreadable, put("b")), wants("c"), left, unread)
    assert capsys.readouterr().out.splitlines() == [
        "client   + a",
        "client   ! it is as wanted: kubeadm-config is missing",
        "client   + c",
        "client   ! expected: it is ours; found: it is theirs; what to do: take it",
        "client   ! expected: it is there; found: kubeadm-config is missing; what to do: look",
    ]
    assert run.failures == {"client": "it is as wanted: kubeadm-config is missing"}
    assert run.engine.failures[0].error.hint == "bring it back"


def test_a_complaint_that_cannot_be_told_has_failed_by_its_own_title_and_hides_no_other() -> None:
    run = Run()
    run.converge("client", Step("it is as wanted", unreadable, None), Step("no x", lambda _: "it is", None))
    told = [(failure.title, failure.error.what) for failure in run.engine.failures]
    assert told == [("it is as wanted", "kubeadm-config is missing"), ("no x", "it is")]


def test_a_dry_run_waits_for_nobody() -> None:
    run = Run(dry=True)
    run("client").parts["change"] = "change 1795377600 swap is off"
    run.converge("client", wants("a"))
    assert (run.clock.slept, run.engine.planned) == ([], 1)


def test_facts_older_than_the_lock_are_looked_at_again() -> None:
    run = Run()
    run("manager").on_lock = lambda: run("client").parts.update(files="file a 0\n")  # the run before us did it
    run.converge("client", wants("a"))
    assert (run("client").ran, run.failures) == ([], {})
    assert run("client").looks == [PARTS, PARTS]


def test_what_the_cluster_was_before_the_lock_is_asked_again_too() -> None:
    run = Run()
    run("manager").parts["cluster"] = nodes("manager")
    run("manager").on_lock = lambda: run("manager").parts.update(cluster=nodes("manager", "client"))
    run.converge(
        "client", Step("the host is a node", no_client, lambda host: pytest.fail("changed"), touches="cluster")
    )
    assert run.failures == {}


def test_the_lock_of_another_run_ends_everything_and_names_its_holder() -> None:
    run = Run()
    run("manager").held_by = "eve@desk, process 7, since 12:00:00"
    with pytest.raises(KubefabError, match="another run is under way: eve@desk, process 7"):
        run.converge(ALL, wants("a"))
    assert run("manager").ran + run("client").ran == []


def test_a_host_that_another_run_has_is_left_alone_and_what_comes_next_waits() -> None:
    run = Run(many_hosts(2))
    run("client2").held_by = "eve@desk, process 7"
    with pytest.raises(Stop, match="the rest waits for that run"):
        run.converge(ALL, wants("a"))
    assert "another run is under way: eve@desk, process 7" in run.failures["client2"]
    assert [run(name).ran for name in ("manager", "client1", "client2")] == [["put a"], ["put a"], []]


def test_a_host_whose_lock_cannot_be_taken_is_set_aside_and_nobody_waits_for_a_run_that_is_none() -> None:
    """Its /run is full, or read-only: what is said there is no other run."""

    def full() -> None:
        raise _busy(["cat:", "write", "error: No space left on device"], "client2")

    run = Run(many_hosts(2))
    run("client2").on_lock = full
    run.converge(ALL, wants("a"))
    assert run.failures == {"client2": "a: client2: cannot take the lock: cat: write error: No space left on device"}
    assert [run(name).ran for name in ("manager", "client1", "client2")] == [["put a"], ["put a"], []]


def test_a_host_in_which_nothing_was_missing_is_looked_at_again_once_the_lock_is_ours() -> None:
    """Whoever had the lock may have taken away what we saw there."""
    run = Run()
    run("manager").parts["files"] = "file a 0\n"
    run("manager").on_lock = lambda: run("manager").parts.update(files="")
    run.converge(ALL, wants("a"))
    assert [run(name).ran for name in ("manager", "client")] == [["put a"], ["put a"]]


def test_a_subject_begins_anew_under_the_lock() -> None:
    run = Run()
    run("client").parts["files"] = "file a 0\n"
    run("manager").on_lock = lambda: run("client").parts.update(files="")
    run.converge("client", wants("a"), wants("b"))
    assert run("client").ran == ["put a", "put b"]


def test_what_ends_a_run_ends_it_though_another_host_waits() -> None:
    """A lost lock, say: the first host in hosts.yml may wait for minutes."""
    run, over = Run(), threading.Event()

    def waits(host: Host) -> None:
        if host.name == "client":
            raise KubefabError("the lock on manager was lost")
        assert over.wait(5)

    closed = run.cluster.close

    def close() -> None:
        closed()
        over.set()

    run.cluster.close = close  # type: ignore[method-assign]
    with pytest.raises(KubefabError, match="the lock on manager was lost"):
        run.converge(ALL, wants("a", close=waits))
    assert over.is_set()


def test_nothing_more_is_changed_once_the_lock_is_lost() -> None:
    def lose(host: Host) -> None:
        put("a")(host)
        lost(run("manager"))

    run = Run()
    with pytest.raises(KubefabError, match="the lock on manager was lost"):
        run.converge("client", wants("a", close=lose), wants("b"))
    assert run("client").ran == ["put a"]


def test_a_lock_that_is_lost_with_its_master_stops_the_others_too() -> None:
    def lose(host: Host) -> None:
        put("a")(host)
        lost(run("manager"))
        run("manager").on_look = refuse("cannot be reached")

    run = Run()
    steps = wants("a", close=lose), Step("b", lambda facts: None, None, touches="cluster"), wants("c")
    with pytest.raises(KubefabError, match="the lock on manager was lost"):
        run.converge("client", *steps)
    assert run("client").ran == ["put a"]


def test_the_lock_is_taken_once_and_held_to_the_end() -> None:
    run = Run(many_hosts(5))
    run.converge(ALL, wants("a"))
    run.converge(WORKERS, wants("b"))
    assert len(run("manager").locks) == 1
    assert len(run("client1").locks) == 1  # what it changes there is one more reason to keep others off


def test_no_more_hosts_than_asked_for_are_worked_on_at_once() -> None:
    running: set[str] = set()
    most: list[int] = []
    pair = threading.Barrier(2, action=lambda: most.append(len(running)), timeout=30)

    def count(host: Host) -> None:
        running.add(host.name)
        pair.wait()
        running.discard(host.name)
        put("a")(host)

    run = Run(many_hosts(6))
    run.engine.converge(WORKERS, each(wants("a", close=count)), how=Pass(at_once=2))
    assert run.failures == {}
    assert max(most) == 2


def test_thirty_joins_share_the_masters_look() -> None:
    """They poll in step: in each moment one of them looks, and all know what it saw."""
    moment = [0.0]
    made = cluster(many_hosts(30), clock=lambda: moment[0])
    master = world(made, "manager")
    master.parts["cluster"] = nodes("manager")
    master.on_look = lambda: master.parts.update(cluster=nodes("manager", "client")) if len(master.looks) == 8 else None
    all_sleep = threading.Barrier(30, action=lambda: moment.append(moment.pop() + 1), timeout=30)

    def sleep(_: float) -> None:
        all_sleep.wait()

    engine = Engine(made, Report(made.hosts), sleep=sleep)
    engine.converge(WORKERS, each(Step("the host is a node", no_client, None, within=300, touches="cluster", parts=())))
    assert engine.failures == []
    assert len(master.looks) == 8


@on_cluster
def no_client(live: ClusterFacts, _: Facts) -> str | None:
    return None if "client" in live.nodes else MISSING


def test_silence_of_the_api_server_is_no_reason_for_a_change() -> None:
    run = Run()
    run("manager").parts["cluster"] = "silent refused"
    run.clock.on_sleep = lambda: run("manager").parts.update(cluster=nodes("manager", "client"))
    run.converge("client", Step("no Node is stale", no_client, lambda host: pytest.fail("changed"), touches="cluster"))
    assert (run.failures, len(run.clock.slept)) == ({}, 1)


def test_what_a_part_of_the_look_was_not_told_is_asked_again_before_a_change() -> None:
    run = Run()
    run("manager").parts.update(cluster=nodes("manager"), addons="")
    run.clock.on_sleep = lambda: run("manager").parts.update(addons="addons_told yes")
    run.converge(
        "manager",
        Step("it has none", lambda facts: ", ".join(objects("x", facts)) or None, lambda host: None, parts=("addons",)),
    )
    assert (run.failures, len(run.clock.slept)) == ({}, 1)


def test_while_an_answer_is_waited_for_another_master_that_dies_fails_nobody() -> None:
    run = Run(HOSTS.replace("role: worker", "role: master"))
    run.put_cluster("manager")
    run("manager").parts["cluster"] = "silent refused"

    def die() -> None:
        raise HostError("the connection was lost")

    def goes_on() -> None:
        run("manager").on_look = die
        run.put_cluster("manager", "client", on="client")

    run.clock.on_sleep = goes_on
    run.converge("client", Step("the Node has a label", no_client, lambda host: pytest.fail("changed")))
    assert run.failures == {}


def test_silence_after_a_change_is_no_failure_yet() -> None:
    """Though the step gives its state no time: what is told is final, what is not told is asked again."""
    run = Run()
    run("manager").parts["cluster"] = nodes("manager")
    run.clock.on_sleep = lambda: run("manager").parts.update(cluster=nodes("manager", "client"))

    def change(_: Host) -> None:
        run("manager").parts["cluster"] = "silent refused"

    run.converge("client", Step("the Node has a label", no_client, change, touches="cluster"))
    assert (run.failures, len(run.clock.slept)) == ({}, 1)


def test_silence_that_lasts_is_an_error_by_its_own_name() -> None:
    run = Run()
    run("manager").parts["cluster"] = "silent refused"
    stale = Step("no Node is stale", no_client, lambda host: pytest.fail("changed"), hint="drain it", touches="cluster")
    run.converge("client", stale)
    assert run.failures == {"client": "no Node is stale: the API server gives no answer: refused"}
    assert "inv cluster.status" in run.engine.failures[0].error.hint
    assert 50 < sum(run.clock.slept) < 70


def test_a_dry_run_tells_which_check_a_silent_api_server_left_open(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(dry=True)
    run("manager").parts["cluster"] = "silent refused"
    run.converge("client", Step("the Node is of this machine", no_client, None))
    told = "client   ! not known whether the Node is of this machine: the API server gives no answer: refused\n"
    assert (capsys.readouterr().out, run.failures, run.clock.slept) == (told, {}, [])


def test_of_a_change_too_it_tells_that_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    """It was shown as one that would be made, and counted as such."""
    run = Run(dry=True)
    run("manager").parts["cluster"] = "silent refused"
    run.converge("client", Step("the host is a node", no_client, lambda _: None), wants("a"))
    told = "client   ! not known whether the host is a node: the API server gives no answer: refused\n"
    assert capsys.readouterr().out.startswith(told)
    assert (run.engine.planned, run.engine.unknown, run.failures) == (1, 1, {})


def test_a_plan_tells_once_what_several_passes_would_see_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the name leads is looked at after each change that may lead it elsewhere."""
    run = Run(dry=True)
    for _ in range(2):
        run.converge("client", wants("a"))
    assert (capsys.readouterr().out.count("client "), run.engine.planned) == (1, 1)


def test_silence_passes_no_guard_of_a_later_change() -> None:
    guard = Step("no other machine uses this node name", lambda facts: no_client(facts) and "taken", None)
    changed = wants("a")
    run = Run()
    run("manager").parts["cluster"] = "silent refused"
    run.clock.on_sleep = lambda: run("manager").parts.update(cluster=nodes("manager"))
    run.converge("client", guard, changed)
    assert run("client").ran == []
    assert run.failures == {"client": "no other machine uses this node name: still: taken"}


def test_what_is_missing_can_be_told_without_a_change() -> None:
    run = Run()
    hosts = run.engine.look(ALL)
    gone = run.engine.gaps(hosts, each(wants("a")))
    assert sorted((host, step.title, gap) for host, step, gap in gone) == [
        ("client", "a", "missing"),
        ("manager", "a", "missing"),
    ]


def test_what_nobody_could_read_is_no_gap_unless_its_silence_is_asked_for() -> None:
    run, left = Run(), silent_until(10**6)[0]
    hosts = run.engine.look("client")
    assert run.engine.gaps(hosts, each(left)) == []
    told = run.engine.gaps(hosts, each(left), silence=True)
    assert told == [("client", left, "not known: what kubeadm keeps cannot be read")]


def test_more_parts_come_with_the_first_look() -> None:
    run = Run()
    run.engine.look("client", "leftovers")
    assert run("client").looks == [(*PARTS, "leftovers")]
    assert "leftovers" not in run("manager").looks[0]


def test_more_parts_can_be_looked_at_without_the_others_again() -> None:
    run = Run()
    run.engine.look(ALL)
    run.engine.look("client", "leftovers")
    assert run("client").looks == [PARTS, ("leftovers",)]


@pytest.mark.parametrize(
    ("who", "names"),
    [
        (ALL, ["manager", "client"]),
        (FOUNDER, ["manager"]),
        (SPEAKER, ["manager"]),
        (MASTERS, ["manager"]),
        (WORKERS, ["client"]),
        ("client", ["client"]),
    ],
)
def test_hosts_are_chosen_by_group_or_name(who: Who, names: list[str]) -> None:
    assert [host.name for host in Run().engine.chosen(who)] == names


@pytest.mark.parametrize("name", ["all", "master", "masters", "workers", "founder", "speaker", "ALL"])
def test_no_group_is_meant_by_a_name(name: str) -> None:
    with pytest.raises(KubefabError, match="found no host"):
        Run().converge(name, wants("a"))


def test_a_name_that_is_no_host_is_refused() -> None:
    with pytest.raises(KubefabError, match=r"found no host 'cliemt'.*did you mean client"):
        Run().converge("cliemt", wants("a"))


def test_a_host_known_to_be_away_is_left_out_and_cannot_be_asked_for() -> None:
    run = Run(HOSTS + "  away: {address: 10.250.0.12, role: worker, absent: true}\n")
    run.converge(ALL, wants("a"))
    with pytest.raises(KubefabError, match="away is marked `absent: true`"):
        run.converge("away", wants("a"))


def test_a_change_is_not_made_for_what_could_not_be_looked_at() -> None:
    """A systemd that does not answer has not said that the service is stopped."""
    run = Run()
    run("client").parts["services"] = "untold systemctl: Failed to connect to bus"
    stopped = Step(
        "kubelet runs", lambda facts: facts.services.unit("kubelet").active, lambda host: pytest.fail("changed")
    )
    run.converge("client", stopped)
    assert "not known: systemctl: Failed to connect to bus" in run.failures["client"]


def test_what_others_change_meanwhile_is_looked_at_before_it_is_decided() -> None:
    """As the pods of a node, to which those of the node before it have gone."""
    run = Run()
    run.put_cluster("manager", "client")
    run.cluster.ask_of(["client"])
    step = wants("a", touches="pods", anew=True)
    run("client").parts["files"] = "file a 0\n"
    run.converge("client", step)
    assert ("node", "cluster", *OF_PODS) in run("manager").looks
    assert run("client").ran == []


def test_what_follows_from_other_changes_is_looked_at_anew_once_there_was_one() -> None:
    run = Run()
    run.converge("client", Step("b", lambda _: None, None, parts=("files",), follows=True))
    assert run("client").looks == [PARTS]
    run.converge("client", wants("a"), Step("b", lambda _: None, None, parts=("network",), follows=True))
    assert run("client").looks[-1] == ("network",)


def test_what_the_cluster_may_have_said_before_the_host_is_asked_again_before_it_is_changed() -> None:
    """As of a flannel that has come up since: it was begun anew for nothing."""
    run = Run()
    run.put_cluster("manager")
    step = Step("the Node has a label", no_client, put("a"), touches="cluster", doubted=True)

    def told() -> None:
        if len(run("manager").looks) > 2:  # the first one, and the one under the lock
            run.put_cluster("manager", "client")

    run("manager").on_look = told
    run.converge("client", step)
    assert (run("client").ran, run.failures) == ([], {})


def test_a_plan_looks_at_nothing_anew() -> None:
    run = Run(dry=True)
    run.put_cluster("manager", "client")
    run.converge("client", wants("a", touches="pods", anew=True))
    assert len(run("manager").looks) == 1


def test_where_nobody_knows_the_hint_of_what_would_be_found_is_not_given() -> None:
    """It may say to delete what is there, as that of flannel's does."""

    def unlisted(_: Facts) -> str | None:
        raise Silent("the API server does not list the add-ons' objects")

    run = Run()
    run.converge("client", Step("flannel is applied", unlisted, put("a"), "kubectl delete ns kube-flannel"))
    (failure,) = run.engine.failures
    assert failure.error.hint == Silent("").hint
    assert "delete" not in failure.error.hint
