"""Between invoke and the engine: what is asked before anything is lost, and what is told in the end."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from invoke import Exit

from kubefab import downloads, executor, releases, runbook
from kubefab.cluster import Cluster
from kubefab.converge import Stop
from kubefab.errors import HostError, KubefabError
from kubefab.facts import ADDON
from kubefab.host import Host
from kubefab.report import Failure
from kubefab.runbook import ALL
from kubefab.step import Step
from kubefab.steps import addons, health, removal, reset
from tests.runs import ADMIN, Run

CA = "QUJD"
KUBECONFIG = f"clusters:\n- cluster: {{server: https://lab.kubefab.internal:6443, certificate-authority-data: {CA}}}\n"
LEFT = "directory /etc/kubernetes"
TORN_DOWN = "tear-down.sh unix:///run/containerd/containerd.sock"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_place(Run(), monkeypatch)


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> Run:
    return in_place(Run(dry=True), monkeypatch)


def in_place(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Its engine is the one that hosts.yml would have made; nobody is at a terminal."""
    monkeypatch.setattr(executor, "_made", run.engine)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return run


# --- what destroys


def test_without_a_terminal_nothing_is_lost_without_yes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("client").parts["leftovers"] = LEFT
    with pytest.raises(KubefabError, match="without a terminal it wants --yes"):
        runbook.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert capsys.readouterr().out == "client  - /etc/kubernetes\n"
    assert run.ran == []


@pytest.mark.parametrize("answer", ["", "n", "maybe"])
def test_what_is_no_yes_loses_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    run("client").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: answer)
    with pytest.raises(KubefabError, match="nothing was changed"):
        runbook.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


def test_the_end_of_input_is_no_yes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(question: str) -> str:
        raise EOFError

    run("client").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(KubefabError, match="nothing was changed"):
        runbook.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


@pytest.mark.parametrize("answer", ["y", " YES "])
def test_a_yes_at_the_terminal_is_enough(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    run("client").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: answer)
    runbook.destroy(run.context, "client", reset.steps, yes=False, unheard=False)
    assert run.ran == [TORN_DOWN]


def test_yes_in_advance_asks_nobody_and_still_lists_what_dies(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("client").parts["leftovers"] = LEFT
    runbook.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran == [TORN_DOWN]
    assert capsys.readouterr().out.startswith("client  - /etc/kubernetes\n")


def test_where_nothing_is_left_nobody_is_asked(run: Run) -> None:
    runbook.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


def test_a_dry_reset_asks_nobody_and_loses_nothing(dry: Run, capsys: pytest.CaptureFixture[str]) -> None:
    dry("client").parts["leftovers"] = LEFT
    runbook.destroy(dry.context, ALL, reset.steps, yes=False, unheard=False)
    assert dry.ran == []
    assert "client   ~ nothing of Kubernetes is left  (now: /etc/kubernetes)" in capsys.readouterr().out


def test_nodes_that_hosts_yml_does_not_know_stop_a_reset(run: Run) -> None:
    run.put_cluster("manager", "client", "eve")
    with pytest.raises(KubefabError, match=r"has nodes that hosts\.yml does not know: eve"):
        runbook.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []


def away() -> None:
    raise HostError("it is long gone")


def put_leftovers(run: Run, *names: str) -> None:
    """What a tear-down takes away."""
    for name in names:
        run(name).parts["leftovers"] = LEFT
        run(name).on_change = run(name).parts.clear


def test_one_host_is_cleaned_without_its_master_for_those_who_say_so(run: Run) -> None:
    run("manager").on_look = away
    put_leftovers(run, "client")
    with pytest.raises(KubefabError, match=r"manager: it is long gone\n.*--unheard"):
        runbook.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran + run("client").locks == []
    runbook.destroy(run.context, "client", reset.steps, yes=True, unheard=True)
    assert run.ran == [TORN_DOWN]
    assert (run("manager").locks, len(run("client").locks)) == ([], 1)
    assert run.failures == {}


@pytest.mark.parametrize("gone", ["manager", "client"])
def test_a_reset_leaves_nothing_out_unless_told_to(run: Run, gone: str) -> None:
    put_leftovers(run, "manager", "client")
    run(gone).on_look = away
    with pytest.raises(KubefabError, match=rf"{gone}: it is long gone\n.*nothing was changed.*--unheard"):
        runbook.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []
    runbook.destroy(run.context, ALL, reset.steps, yes=True, unheard=True)
    assert run.ran == [TORN_DOWN]
    assert run.failures == {gone: "it answers: it is long gone"}


def test_a_silent_control_plane_that_served_is_lost_only_by_its_own_word(run: Run) -> None:
    run("manager").parts.update(node=ADMIN, cluster="silent refused", leftovers=LEFT)
    with pytest.raises(KubefabError, match=r"manager: its API server gives no answer: refused\n.*--unheard"):
        runbook.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert run.ran == []
    runbook.destroy(run.context, ALL, reset.steps, yes=True, unheard=True)
    assert TORN_DOWN in run.ran


def test_a_silent_control_plane_that_we_left_half_made_has_nothing_to_say(run: Run) -> None:
    put_leftovers(run, "manager")
    run("manager").parts.update(node=f"{ADMIN}\ninit_begun 1795377600", cluster="silent refused")
    runbook.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
    assert TORN_DOWN in run.ran


def test_what_dies_is_listed_under_the_locks(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("client").parts["leftovers"] = LEFT
    run("client").on_lock = lambda: run("client").parts.update(leftovers=f"{LEFT}\ndirectory /var/lib/etcd")
    runbook.destroy(run.context, ALL, reset.steps, yes=True, unheard=False)
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
        runbook.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert (len(asked), run.ran) == (2, [])


def test_a_stranger_that_comes_while_somebody_thinks_stops_a_reset(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str) -> str:
        run.put_cluster("manager", "eve")
        return "y"

    run("manager").parts["leftovers"] = LEFT
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(KubefabError, match=r"does not know: eve"):
        runbook.destroy(run.context, ALL, reset.steps, yes=False, unheard=False)
    assert run.ran == []


def test_more_of_the_same_is_not_asked_for_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(question: str) -> str:
        run("client").parts["leftovers"] = "containers 5"
        return "y"

    run("client").parts["leftovers"] = "containers 4"
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", answer)
    runbook.destroy(run.context, "client", reset.steps, yes=False, unheard=False)
    assert run.ran == [TORN_DOWN]


def test_what_may_not_be_changed_on_one_host_stops_a_reset_before_anybody_is_asked(run: Run) -> None:
    def refused(cluster: Cluster, host: Host) -> list[Step]:
        return [Step("nothing is mounted below it", lambda facts: "/var/lib/etcd/backup", None)]

    run("client").parts["leftovers"] = LEFT
    with pytest.raises(Stop):
        runbook.destroy(run.context, ALL, reset.steps, refused, yes=False, unheard=False)
    assert run.ran == []
    assert run.failures["client"] == "nothing is mounted below it: /var/lib/etcd/backup"


def test_a_restart_of_one_worker_and_a_run_on_all_exclude_each_other(run: Run) -> None:
    run("client").parts["leftovers"] = LEFT
    run("manager").held_by = "eve@desk, process 7"  # `up` takes its master's first of all
    with pytest.raises(KubefabError, match="another run is under way: eve@desk, process 7"):
        runbook.destroy(run.context, "client", reset.steps, yes=True, unheard=False)
    assert run.ran == []


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
    with pytest.raises(KubefabError, match="without a terminal it wants --yes"):
        runbook.remove(run.context, "metrics-server", removal.steps, yes=False)
    assert capsys.readouterr().out == "manager  - metrics-server 0.9.0, with all that it serves\n"
    assert run.ran == []


def test_what_is_no_addon_is_told_with_those_that_are(run: Run) -> None:
    with pytest.raises(KubefabError, match=r"found no add-on 'flannel'.*allowed: metrics-server"):
        runbook.remove(run.context, "flannel", removal.steps, yes=True)


def test_an_addon_that_is_not_there_needs_no_removal(run: Run) -> None:
    run("manager").parts.update(node=ADMIN, cluster='answer {"items": []}', volumes="volumes_told yes")
    run("manager").parts["addons"] = "addons_told yes"
    runbook.remove(run.context, "metrics-server", removal.steps, yes=False)
    assert run.ran == []


def test_a_pipe_is_given_no_token(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    runbook.admit(run.context, addons.addon_shown, hold=False, port=0)
    assert capsys.readouterr().out == "a token to log in with is printed to a terminal alone\n"
    assert run.ran == []


def test_a_terminal_is_given_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    said = type("Terminal", (io.StringIO,), {"isatty": lambda self: True})()
    monkeypatch.setattr("sys.stdout", said)
    run("manager").answers["mint-login.sh"] = "eyJ.token\n"
    runbook.admit(run.context, addons.addon_shown, hold=False, port=0)
    assert said.getvalue().endswith("\neyJ.token\n")
    assert run.ran == ["mint-login.sh kube-system kubefab-admin"]


def test_where_no_token_of_an_hour_is_to_be_had_another_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Cluster, "release", releases.release("1.19.16"))
    runbook.admit(run.context, addons.addon_shown, hold=False, port=0)
    assert "kubectl -n kube-system describe secret kubefab-admin" in capsys.readouterr().out
    assert run.ran == []


# --- what only looks


def status(run: Run, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(Exit) as ended:
        runbook.show_status(run.context, health.steps, as_json=True)
    assert ended.value.code == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_status_is_one_object_and_nothing_else(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = status(run, capsys)
    assert found["healthy"] is False
    assert "client: it is Ready: there is no cluster yet" in found["problems"]


def test_a_host_that_does_not_answer_is_a_problem_like_others(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    run("client").on_look = away
    assert "client: cannot be reached" in status(run, capsys)["problems"]


def test_people_are_told_what_says_more_of_a_host_that_does_not_answer(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> None:
        raise HostError("its SSH key is not known")

    run("client").on_look = away
    with pytest.raises(Exit):
        runbook.show_status(run.context, health.steps, as_json=False)
    assert capsys.readouterr().out.endswith("\nwhat to do about it: inv preflight\n")


def test_of_a_cluster_whose_master_is_away_nothing_is_said(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    run("manager").on_look = away
    told = ["manager: cannot be reached", "the cluster cannot be asked: manager does not answer"]
    assert status(run, capsys)["problems"] == told
    with pytest.raises(KubefabError, match=r"^manager: cannot be reached$"):
        runbook.save_kubeconfig(run.context, str(tmp_path / "config"), force=False)
    with pytest.raises(KubefabError, match=r"^manager: cannot be reached$"):
        runbook.show_explained(run.context, as_json=False)


def test_images_that_nobody_can_tell_are_so_for_a_reason(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    monkeypatch.setattr(downloads, "repository_key", lambda inventory: b"keyring")
    for name in ("manager", "client"):
        run(name).on_look = away
    with pytest.raises(KubefabError, match=r"none can fetch it\n(.|\n)*manager: cannot be reached\nclient: cannot be"):
        runbook.list_images(run.context, lambda inventory: [])


def test_a_change_that_goes_on_is_told_and_not_waited_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("client").parts["change"] = "change 1795377600 swap is off"
    assert "client: a change is going on: swap is off" in status(run, capsys)["problems"]
    assert run.clock.slept == []


def test_a_status_leaves_what_comes_after_it_as_it_was(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.engine.failures.append(Failure("third", "swap is off", HostError("no")))
    status(run, capsys)
    assert (run.engine.report.quiet, run.engine.patient) == (False, True)
    assert [failure.host for failure in run.engine.failures] == ["third"]


def test_a_kubeconfig_is_for_this_computer(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.put_cluster("manager")
    run("manager").answers["print-kubeconfig.sh"] = KUBECONFIG
    file = tmp_path / "config"
    runbook.save_kubeconfig(run.context, str(file), force=False)
    assert "server: https://10.250.0.10:6443" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert capsys.readouterr().out == f"kubectl --kubeconfig {file} get nodes\n"


def test_the_home_of_nobody_is_a_folder_that_is_not_there(run: Run) -> None:
    run.put_cluster("manager")
    run("manager").answers["print-kubeconfig.sh"] = KUBECONFIG
    with pytest.raises(KubefabError, match="~nouser/config: No such file or directory"):
        runbook.save_kubeconfig(run.context, "~nouser/config", force=False)
    with pytest.raises(KubefabError, match="~nouser/x: No such file"):
        runbook.preload(run.context, (), lambda inventory: [], "", "~nouser/x")


def test_without_a_cluster_there_is_no_kubeconfig(run: Run, tmp_path: Path) -> None:
    with pytest.raises(KubefabError, match="there is no cluster to fetch a kubeconfig from"):
        runbook.save_kubeconfig(run.context, str(tmp_path / "config"), force=False)


def test_a_dry_run_writes_no_kubeconfig(dry: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry.put_cluster("manager")
    runbook.save_kubeconfig(dry.context, str(tmp_path / "config"), force=False)
    assert (list(tmp_path.iterdir()), dry.ran) == ([], [])
    assert capsys.readouterr().out == f"would write {tmp_path}/config\n"
