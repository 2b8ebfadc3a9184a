"""kubectl by way of a master, and a shell on a host: what is asked of whom, and what is told."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from invoke import Exit

from kubefab import shells, streams
from kubefab.errors import InventoryError, KubefabError
from kubefab.host import Host
from tests.fakes import three_masters
from tests.runs import ADMIN, Run, in_place, nodes
from tests.sandbox import PATH


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    """Host, program, and whether it hears us; each ends well."""
    found: list[tuple[str, str, bool]] = []

    def run(host: Host, program: str, hear_us: bool) -> int:
        found.append((host.name, program, hear_us))
        return 0

    monkeypatch.setattr(streams, "run", run)
    return found


def say(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["inv", "kubectl", *words])


def ending(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(streams, "run", lambda *_: status)


def test_the_words_of_kubectl_arrive_as_they_were_typed(tmp_path: Path) -> None:
    """`exec POD -- sh -c 'echo "a  b"'`: invoke would join all of it by blanks."""
    words = ["exec", "web", "--", "sh", "-c", 'echo "a  b"', "it's", "", "$HOME", "*", "-n"]
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[5:])\n")
    kubectl.chmod(0o755)
    said = subprocess.run(
        ["sh"],
        env={"PATH": f"{tmp_path}:{PATH}"},
        input=shells.program(words),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert said.stdout == f"{words}\n"


def test_all_that_stands_behind_the_first_two_dashes_is_kubectls(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, "--", "exec", "web", "--", "sh", "-c", 'echo "a  b"')
    assert shells.typed() == ["exec", "web", "--", "sh", "-c", 'echo "a  b"']


@pytest.mark.parametrize("words", [(), ("--",)])
def test_without_words_the_way_to_write_them_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    say(monkeypatch, *words)
    with pytest.raises(KubefabError, match="inv kubectl -- get nodes"):
        shells.kubectl(run.context)


def test_a_master_whose_api_server_answers_is_asked(
    monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, str, bool]]
) -> None:
    run = in_place(Run(three_masters()), monkeypatch)
    run("m1").parts.update(node=ADMIN, cluster="silent it hangs")
    for name in ("m2", "m3"):
        run(name).parts.update(node=ADMIN, cluster=nodes("m1"))
    say(monkeypatch, "--", "get", "nodes")
    shells.kubectl(run.context)
    assert [(host, hears) for host, _, hears in ran] == [("m2", False)]
    assert (run("m3").looks, run("client").looks) == ([], [])


def test_where_no_api_server_answers_kubectl_says_so_itself(
    run: Run, monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, str, bool]]
) -> None:
    run("manager").parts.update(node=ADMIN, cluster="silent it hangs")
    say(monkeypatch, "--", "version", "--client")
    shells.kubectl(run.context)
    assert [host for host, *_ in ran] == ["manager"]


def test_without_a_cluster_the_command_that_makes_one_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, "--", "get", "nodes")
    with pytest.raises(KubefabError, match=r"inv cluster\.up"):
        shells.kubectl(run.context)


def test_its_exit_status_is_passed_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.put_cluster("manager")
    say(monkeypatch, "--", "diff", "-f", "-")
    ending(monkeypatch, 1)
    with pytest.raises(Exit) as ended:
        shells.kubectl(run.context)
    assert (ended.value.code, ended.value.message) == (1, None)


def test_who_interrupts_it_is_told_nothing_of_changes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    run.put_cluster("manager")
    say(monkeypatch, "--", "logs", "--follow", "web")
    monkeypatch.setattr(streams, "run", interrupted)
    with pytest.raises(Exit) as ended:
        shells.kubectl(run.context)
    assert (ended.value.code, ended.value.message) == (130, None)


def test_nothing_of_its_words_is_logged_or_given_to_sudo(
    run: Run, monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, str, bool]]
) -> None:
    run.put_cluster("manager")
    say(monkeypatch, "--", "create", "secret", "generic", "x", "--from-literal=password=hidden")
    shells.kubectl(run.context)
    assert "password=hidden" in ran[0][1]  # which goes over standard input
    assert not [line for line in run.cluster.log.lines if "hidden" in line]  # type: ignore[attr-defined]


def test_a_dry_run_asks_kubectl_nothing(
    dry: Run, monkeypatch: pytest.MonkeyPatch, ran: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    dry.put_cluster("manager")
    say(monkeypatch, "--", "delete", "pod", "a b")
    shells.kubectl(dry.context)
    assert (ran, capsys.readouterr().out) == ([], "would run by way of manager: kubectl delete pod 'a b'\n")


CLUSTERS = [
    "-ic db web",
    "-itc app web",
    "-inweb web",
    "-ticapp web",
    "-qi web",
    "-nweb -i web",
    "-i=1 web",
    "-ti=T web",
]
READING = ["apply -f -", "apply -f-", "apply --filename=-", "exec -i web -- cat", "exec -it web -- sh", "run x --stdin"]


@pytest.mark.parametrize(
    "words",
    [
        *READING,
        *(f"exec {words} -- psql" for words in CLUSTERS),
        *(f"exec --stdin={true} web -- psql" for true in ("1", "t", "T", "true", "TRUE", "True")),
        "exec --stdin=false -i web -- psql",
        "create -f /dev/stdin",
        "create configmap x --from-file=a=/dev/fd/0",
        "create configmap x --from-file=/proc/self/fd/0",
        "create -f-",
        "apply -Rf-",
        "apply -f=-",
        "apply -f web.yaml,-",
        "apply -fweb.yaml,-",
        "replace --filename=-",
        "set env deploy/x -",
        "run x -i --image=busybox",
        "debug -qit web",
        "attach -ti web",
        "delete --interactive pod x",
        "delete -Ai pods",
        "exec -i=true web",
    ],
)
def test_what_comes_through_a_pipe_is_handed_to_what_reads_it(words: str) -> None:
    assert shells.reads(shlex.split(words))


@pytest.mark.parametrize(
    "words",
    [
        "get pods -owide -nmonitoring",
        "get nodes",
        "drain --ignore-daemonsets node",
        "exec web -- grep -i -",
        "logs -f web",
        *(f"exec --stdin={false} web -- psql" for false in ("0", "f", "F", "false", "FALSE", "False")),
        "exec -i=false web -- psql",
        "exec -ti=false web -- psql",
        "exec -i --stdin=false web -- psql",
        "exec -cinit web -- psql",
        "exec -tcinit web -- psql",
        "exec web -- psql -ic x --stdin /dev/fd/0",
        "get pods -Aowide",
        "get pods -lapp=web,tier=i",
        "logs -pf web",
        "label pod web app-",
        "annotate pod web note=a,-",
        "",
    ],
)
def test_what_comes_through_a_pipe_is_not_lost_to_what_reads_nothing(words: str) -> None:
    assert not shells.reads(shlex.split(words))


def test_a_file_of_this_computer_is_told_to_be_elsewhere(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web app.yaml").touch()
    monkeypatch.chdir(tmp_path)
    run.put_cluster("manager")
    say(monkeypatch, "--", "apply", "-f", "web app.yaml")
    ending(monkeypatch, 1)
    with pytest.raises(Exit):
        shells.kubectl(run.context)
    told = (
        "kubectl ran on manager, which has not this computer's 'web app.yaml': hand it over by -f - <'web app.yaml'\n"
    )
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("words", ["apply -f here", "apply --filename=here", "apply -k here", "create -f=here"])
def test_a_file_is_told_however_it_is_named(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").touch()
    monkeypatch.chdir(tmp_path)
    assert shells.files_of_here(shlex.split(words)) == ["here"]
    assert shells.files_of_here(shlex.split("exec web -- tail -f here")) == []
    assert shells.files_of_here(shlex.split("apply -f there")) == []


# --- node.shell


def test_a_shell_is_for_that_host_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[str]]] = []

    def log_in(host: Host, words: list[str]) -> int:
        asked.append((host.name, words))
        return 3

    monkeypatch.setattr(streams, "log_in", log_in)
    say(monkeypatch, "--", "uname", "-a")
    with pytest.raises(Exit) as ended:
        shells.log_in(run.context, "client")
    assert (asked, ended.value.code) == ([("client", ["uname", "-a"])], 3)
    assert [run(name).looks for name in ("manager", "client")] == [[], []]


@pytest.mark.parametrize(("name", "told"), [("", "--host NAME is needed"), ("cliemt", "found no host 'cliemt'")])
def test_a_host_that_is_none_is_told(run: Run, name: str, told: str) -> None:
    with pytest.raises(InventoryError, match=told):
        shells.log_in(run.context, name)


def test_a_dry_run_logs_in_nowhere(
    dry: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch)
    shells.log_in(dry.context, "client")
    assert capsys.readouterr().out == "would run on client: a shell\n"


@pytest.mark.parametrize(
    "words",
    [
        "config set-context --current --namespace web",
        "config",
        "--v=4 config unset users",
        "-v 6 config unset users",
        "-n kube-system config set-context --current --namespace web",
        "-nweb config unset users",
        "--request-timeout 5s --match-server-version config use-context x",
        "config --user view set-context x",
        "-n -- config unset users",
        "'' config unset users",
    ],
)
def test_the_masters_own_kubeconfig_is_not_edited(run: Run, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    run.put_cluster("manager")
    say(monkeypatch, "--", *shlex.split(words))
    with pytest.raises(KubefabError, match=r"inv cluster\.kubeconfig"):
        shells.kubectl(run.context)


@pytest.mark.parametrize(
    "words",
    [
        "config view",
        "config get-contexts",
        "config --namespace web view",
        "config current-context",
        "get pods",
        "exec web -- config set",
        "-n config get pods",
        "--context=config get pods",
        "--help",
        "-h",
        "--",
    ],
)
def test_what_changes_no_kubeconfig_is_run(run: Run, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    run.put_cluster("manager")
    say(monkeypatch, "--", *shlex.split(words))
    ending(monkeypatch, 0)
    shells.kubectl(run.context)
