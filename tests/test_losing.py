"""What is heard, locked, listed and asked before anything is lost."""

import json

import pytest

from kubefab import losing
from kubefab.cluster import Cluster
from kubefab.converge import Stop
from kubefab.errors import Busy, HostError, KubefabError
from kubefab.facts import ADDON
from kubefab.host import Host
from kubefab.passes import ALL, ONE_BY_ONE
from kubefab.step import Step
from kubefab.steps import removal, reset
from tests.runs import ADMIN, Run, each, in_place, put, wants

LEFT = "directory /etc/kubernetes"
TORN_DOWN = "tear-down.sh unix:///run/containerd/containerd.sock"


def test_without_a_terminal_nothing_is_lost_without_yes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("client").parts["leftovers"] = LEFT
    with pytest.raises(KubefabError, match="without a terminal, --yes is needed"):
        losing.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert capsys.readouterr().out == "client  - /etc/kubernetes\n"
    assert run.ran == []


@pytest.mark.parametrize("answer", ["", "n", "maybe"])
def test_what_is_no_yes_loses_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    run("client").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: answer)
    with pytest.raises(KubefabError, match="nothing was changed"):
        losing.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


def test_the_end_of_input_is_no_yes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(question: str) -> str:
        raise EOFError

    run("client").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(KubefabError, match="nothing was changed"):
        losing.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


@pytest.mark.parametrize("answer", ["y", " YES "])
def test_a_yes_at_the_terminal_is_enough(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    run("client").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: answer)
    losing.destroy(run.context, "client", reset.steps, yes=False, unheard=False)
    assert run.ran == [TORN_DOWN]


def test_yes_in_advance_asks_nobody_and_still_lists_what_dies(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("client").parts["leftovers"] = LEFT
    losing.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran == [TORN_DOWN]
    assert capsys.readouterr().out.startswith("client  - /etc/kubernetes\n")


def test_where_nothing_is_left_nobody_is_asked(run: Run) -> None:
    losing.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


def test_a_dry_reset_asks_nobody_and_loses_nothing(dry: Run, capsys: pytest.CaptureFixture[str]) -> None:
    dry("client").parts["leftovers"] = LEFT
    losing.destroy(dry.context, ALL, reset.steps, yes=False, unheard=False)
    assert dry.ran == []
    assert "client   ~ nothing of Kubernetes is left  (now: /etc/kubernetes)" in capsys.readouterr().out


def test_nodes_that_hosts_yml_does_not_know_stop_a_reset(run: Run) -> None:
    run.put_cluster("manager", "client", "eve")
    with pytest.raises(KubefabError, match=r"has nodes that hosts\.yml does not know: eve"):
        losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []


def away() -> None:
    raise HostError("it is long gone")


def put_leftovers(run: Run, *names: str) -> None:
    """What a tear-down takes away."""
    for name in names:
        run(name).parts["leftovers"] = LEFT
        run(name).on_change = run(name).parts.clear


def test_a_node_of_another_cluster_stops_a_reset_of_this_one(run: Run) -> None:
    """A wrong address in hosts.yml, say: its pods would be lost as `a node`, and with --yes unasked."""
    run.put_cluster("manager")
    run("client").parts |= {"leftovers": LEFT, "node": "kubelet_ca another\nkubelet_server https://prod:6443"}
    with pytest.raises(KubefabError, match=r"client is of the one at https://prod:6443.*inv restart --host"):
        losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []
    losing.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran == [TORN_DOWN]


@pytest.mark.parametrize("begun", [False, True])
def test_a_reset_that_was_begun_is_no_node_of_another_cluster_and_goes_on(run: Run, begun: bool) -> None:
    run.put_cluster("manager")
    mark = "\ntear_down_begun 5" if begun else ""
    run("client").parts["node"] = f"kubelet_ca another\nkubelet_server https://prod:6443{mark}"
    assert bool(others(run)) != begun


def test_a_node_of_this_cluster_whose_ca_is_being_replaced_is_none_of_another(run: Run) -> None:
    put_eve(run)
    run("client").parts["node"] = "kubelet_ca former\nkubelet_server https://prod:6443"
    ready = json.loads(run("manager").parts["cluster"].removeprefix("answer "))
    ready["items"][0]["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert others(run) != []
    run("manager").parts["cluster"] = "answer " + json.dumps(ready)
    assert others(run) == []


def others(run: Run) -> list[str]:
    for host in run.cluster.hosts.values():
        run.cluster.look(host)
    return losing.others_nodes(run.cluster)


def put_eve(run: Run, *others: str) -> None:
    """The host called client is the Node eve; these are Nodes, too."""
    at = {name: [{"type": "InternalIP", "address": address}] for name, address in EVERYWHERE.items()}
    told = {name: {"nodeInfo": {"machineID": name}, "addresses": at[name]} for name in ("eve", *others)}
    items = [{"kind": "Node", "metadata": {"name": name}, "status": status} for name, status in told.items()]
    run.put_cluster("manager")
    run("manager").parts["cluster"] = "answer " + json.dumps({"items": items})
    run("client").parts |= {"leftovers": LEFT, "system": "machine_id eve\naddress 10.250.0.11 eth0"}


EVERYWHERE = {"eve": "10.250.0.11", "client": "10.250.0.12"}
SWAPPED = r"client of hosts\.yml is the Node eve, and another machine is client, at 10\.250\.0\.12: are"


def test_a_host_that_is_another_node_than_its_name_says_is_not_reset_for_it(run: Run) -> None:
    """One of the two is broken, and the other one's pods would be lost."""
    put_eve(run, "client")
    with pytest.raises(KubefabError, match=SWAPPED):
        losing.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran == []


def test_a_host_that_somebody_has_joined_under_another_name_is_reset(run: Run) -> None:
    put_eve(run)
    run("client").on_change = run("client").parts.clear
    losing.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran == [TORN_DOWN]


def test_one_host_is_cleaned_without_its_master_for_those_who_say_so(run: Run) -> None:
    run("manager").on_look = away
    put_leftovers(run, "client")
    with pytest.raises(KubefabError, match=r"manager: it is long gone\n.*--unheard"):
        losing.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran + run("client").locks == []
    losing.destroy(run.context, "client", reset.steps, yes=True, unheard=True)
    assert run.ran == [TORN_DOWN]
    assert (run("manager").locks, len(run("client").locks)) == ([], 1)
    assert run.failures == {}


@pytest.mark.parametrize("gone", ["manager", "client"])
def test_a_reset_leaves_nothing_out_unless_told_to(run: Run, gone: str) -> None:
    put_leftovers(run, "manager", "client")
    run(gone).on_look = away
    with pytest.raises(KubefabError, match=rf"{gone}: it is long gone\n.*nothing was changed.*--unheard"):
        losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []
    losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=True)
    assert run.ran == [TORN_DOWN]
    assert run.failures == {gone: "it answers: it is long gone"}


def test_a_silent_control_plane_that_served_is_lost_only_by_its_own_word(run: Run) -> None:
    run("manager").parts.update(node=ADMIN, cluster="silent refused", leftovers=LEFT)
    with pytest.raises(KubefabError, match=r"manager: its API server gives no answer: refused\n.*--unheard"):
        losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []
    losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=True)
    assert TORN_DOWN in run.ran


def test_a_silent_control_plane_that_we_left_half_made_has_nothing_to_say(run: Run) -> None:
    put_leftovers(run, "manager")
    run("manager").parts.update(node=f"{ADMIN}\ninit_begun 1795377600", cluster="silent refused")
    losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert TORN_DOWN in run.ran


def test_what_dies_is_listed_under_the_locks(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("client").parts["leftovers"] = LEFT
    run("client").on_lock = lambda: run("client").parts.update(leftovers=f"{LEFT}\ndirectory /var/lib/etcd")
    losing.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert capsys.readouterr().out.startswith("client  - /etc/kubernetes, /var/lib/etcd\n")
    assert [len(run(name).locks) for name in ("manager", "client")] == [1, 1]


def test_what_has_grown_while_somebody_thought_is_asked_for_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        run("client").parts["leftovers"] = f"{LEFT}\ndirectory /var/lib/etcd"
        return "y" if len(asked) == 1 else "n"

    run("client").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(KubefabError, match="nothing was changed"):
        losing.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert (len(asked), run.ran) == (2, [])


def test_a_stranger_that_comes_while_somebody_thinks_stops_a_reset(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str) -> str:
        run.put_cluster("manager", "eve")
        return "y"

    run("manager").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(KubefabError, match=r"does not know: eve"):
        losing.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


def test_a_host_that_goes_away_while_somebody_thinks_stops_a_reset(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str) -> str:
        run("manager").on_look = away
        return "y"

    put_leftovers(run, "manager", "client")
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(KubefabError, match=r"manager: it is long gone\n.*--unheard"):
        losing.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


def test_more_of_the_same_is_not_asked_for_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str) -> str:
        run("client").parts["leftovers"] = "containers 5"
        return "y"

    run("client").parts["leftovers"] = "containers 4"
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", answer)
    losing.destroy(run.context, "client", reset.steps, yes=False, unheard=False)
    assert run.ran == [TORN_DOWN]


def test_what_may_not_be_changed_on_one_host_stops_a_reset_before_anybody_is_asked(run: Run) -> None:
    def refused(cluster: Cluster, host: Host) -> list[Step]:
        return [Step("nothing is mounted below it", lambda facts: "/var/lib/etcd/backup", None)]

    run("client").parts["leftovers"] = LEFT
    with pytest.raises(Stop):
        losing.destroy(run.context, ALL, reset.steps, refused, yes=False, unheard=False)
    assert run.ran == []
    assert run.failures["client"] == "nothing is mounted below it: /var/lib/etcd/backup"


def beside(run: Run) -> Run:
    """Another run on the same machines."""
    other = Run()
    for host in other.cluster.hosts.values():
        vars(host)["world"] = run(host.name)
    return other


def test_a_restart_of_one_worker_does_not_cut_into_a_run_on_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    other, refused = in_place(beside(run), monkeypatch), list[str]()

    def restart(host: Host) -> None:
        with pytest.raises(Busy) as busy:
            losing.destroy(other.context, "client", reset.steps, yes=True, unheard=False)
        refused.append(str(busy.value))
        put("a")(host)

    run("client").parts["leftovers"] = LEFT
    run.engine.converge(ALL, each(wants("a", close=restart)), how=ONE_BY_ONE)
    assert len(refused) == 2
    assert all("another run is under way" in told for told in refused)
    assert run.ran == ["put a", "put a"]


def test_a_run_on_all_does_not_cut_into_a_restart_of_one_worker(run: Run) -> None:
    def up() -> None:
        with pytest.raises(Busy, match="another run is under way"):
            beside(run).engine.converge(ALL, each(wants("a")))
        run("client").parts.clear()

    run("client").parts["leftovers"] = LEFT
    run("client").on_change = up
    losing.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran == [TORN_DOWN]


def test_a_restart_without_its_master_does_not_cut_into_a_run_that_changes_the_worker(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master's lock cannot be seen then: the worker's own is what both want."""
    other = in_place(beside(run), monkeypatch)

    def restart(host: Host) -> None:
        run("manager").on_look = away
        with pytest.raises(Busy):
            losing.destroy(other.context, "client", reset.steps, yes=True, unheard=True)
        run("manager").on_look = lambda: None
        put("a")(host)

    run("client").parts["leftovers"] = LEFT
    run.converge("client", wants("a", close=restart))
    assert run.ran == ["put a"]


# --- add-ons


def put_metrics_server(run: Run) -> None:
    item = {
        "kind": "Deployment",
        "metadata": {
            "namespace": "kube-system",
            "name": "metrics-server",
            "annotations": {ADDON: "metrics-server 0.9.0"},
        },
        "spec": {"template": {"spec": {"containers": []}}},
    }
    run("manager").parts.update(
        node=ADMIN, cluster="answer " + json.dumps({"items": [item]}), volumes="volumes_told yes"
    )


def test_an_addon_is_not_removed_without_yes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    put_metrics_server(run)
    with pytest.raises(KubefabError, match="without a terminal, --yes is needed"):
        losing.remove(run.context, "metrics-server", removal.steps, yes=False)
    assert capsys.readouterr().out == "manager  - metrics-server 0.9.0, with all that it serves\n"
    assert run.ran == []


def test_what_is_no_addon_is_told_with_those_that_are(run: Run) -> None:
    with pytest.raises(KubefabError, match=r"found no add-on 'flannel'.*allowed: metrics-server"):
        losing.remove(run.context, "flannel", removal.steps, yes=True)


def test_an_addon_that_is_not_there_needs_no_removal(run: Run) -> None:
    run("manager").parts.update(node=ADMIN, cluster='answer {"items": []}', volumes="volumes_told yes")
    run("manager").parts["addons"] = "addons_told yes"
    losing.remove(run.context, "metrics-server", removal.steps, yes=False)
    assert run.ran == []
