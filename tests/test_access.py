"""What lets kubectl on this computer in: which file gets what, and what a person is told of it."""

from pathlib import Path

import pytest
import yaml
from invoke.parser import Parser

import tasks
from kubefab import access
from kubefab.access import Ttl, Wish
from kubefab.errors import KubefabError
from tests.fakes import three_masters
from tests.runs import Run, in_place
from tests.test_merging import US

ADMINS = {name: US.admin(100 + n / 100) for n, name in enumerate(("m1", "m2", "m3"))}
KUBECONFIG = """\
clusters:
- {name: lab, cluster: {server: "https://lab.kubefab.internal:6443", certificate-authority-data: QUJD}}
users:
- {name: kubernetes-admin, user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def served(run: Run) -> Run:
    for master in run.cluster.masters:
        run.put_cluster(*(one.name for one in run.cluster.masters), on=master.name)
        run(master.name).answers["print-kubeconfig.sh"] = KUBECONFIG
    return run


def test_it_is_merged_into_a_persons_own(run: Run, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    access.give(served(run).context, Wish())
    found = yaml.safe_load((home / ".kube/config").read_text())
    assert found["clusters"][0]["cluster"]["server"] == "https://10.250.0.10:6443"
    assert found["users"][0]["user"]["client-key-data"] == "a2V5"
    assert capsys.readouterr().out == f"written: {home}/.kube/config\nkubectl get nodes\n"
    access.give(run.context, Wish())
    assert capsys.readouterr().out == "nothing to do: it is so already\nkubectl get nodes\n"
    assert [path.name for path in (home / ".kube").iterdir()] == ["config"]


def test_beside_somebody_elses_the_context_is_named_and_what_is_lost_is_kept(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".kube").mkdir()
    before = "# mine\ncurrent-context: work\n"
    (home / ".kube/config").write_text(before)
    access.give(served(run).context, Wish())
    kept = home / ".kube/config.before-kubefab"
    assert kept.read_text() == before
    assert kept.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().out == (
        f"written: {home}/.kube/config\nkept as it was, with its comments: {kept}\nkubectl --context lab get nodes\n"
    )
    access.give(run.context, Wish(use=True))
    assert capsys.readouterr().out.endswith("\nkubectl get nodes\n")


def test_each_of_several_masters_is_a_way_in(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = served(in_place(Run(three_masters()), monkeypatch))
    access.give(run.context, Wish())
    assert "by one master alone: --context lab/m1, lab/m2, lab/m3\n" in capsys.readouterr().out


def test_a_kubeconfig_leads_to_another_master_only_where_its_own_does_not_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usual(*silent: str) -> str:
        run = served(in_place(Run(three_masters()), monkeypatch))
        for name in silent:
            run(name).parts["cluster"] = "silent it hangs"
        access.give(run.context, Wish())
        server: str = yaml.safe_load((home / ".kube/config").read_text())["clusters"][0]["cluster"]["server"]
        return next(host.name for host in run.cluster.masters if str(host.wanted.address) in server)

    assert [usual("m1"), usual(), usual("m1", "m2"), usual(), usual("m3")] == ["m2", "m2", "m3", "m3", "m1"]


def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *silent: str) -> str:
    """The master that a file of its own leads to, each master's admin.conf having a certificate of its own."""
    run = served(in_place(Run(three_masters()), monkeypatch))
    for name in (one.name for one in run.cluster.masters):
        run(name).answers["print-kubeconfig.sh"] = ADMINS[name].alone()
        if name in silent:
            run(name).parts["cluster"] = "silent it hangs"
    access.give(run.context, Wish(str(tmp_path / "mine.conf")))
    server: str = yaml.safe_load((tmp_path / "mine.conf").read_text())["clusters"][0]["cluster"]["server"]
    return next(host.name for host in run.cluster.masters if str(host.wanted.address) in server)


def test_a_file_of_its_own_changes_only_where_its_master_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert output(tmp_path, monkeypatch, "m1") == "m2"
    before = (tmp_path / "mine.conf").read_bytes()
    assert [output(tmp_path, monkeypatch), output(tmp_path, monkeypatch, "m3")] == ["m2", "m2"]
    assert (tmp_path / "mine.conf").read_bytes() == before
    assert [output(tmp_path, monkeypatch, "m1", "m2"), output(tmp_path, monkeypatch)] == ["m3", "m3"]


@pytest.mark.parametrize("how", ["others read it", "its certificate ends sooner", "somebody has changed it"])
def test_a_file_of_its_own_that_does_not_do_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    assert output(tmp_path, monkeypatch, "m1") == "m2"
    path = tmp_path / "mine.conf"
    if how == "others read it":
        path.chmod(0o644)
    elif how == "somebody has changed it":
        path.write_text(path.read_text() + "preferences: {}\n")
    else:
        monkeypatch.setitem(ADMINS, "m1", US.admin(300))
    assert output(tmp_path, monkeypatch) == "m1"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_load_balancer_is_asked_under_its_own_name(run: Run, home: Path) -> None:
    named = run.cluster.inventory.cluster.model_copy(update={"endpoint": "api.example:8443"})
    run.cluster.inventory = run.cluster.inventory.model_copy(update={"cluster": named})
    access.give(served(run).context, Wish())
    usual, direct = (one["cluster"] for one in yaml.safe_load((home / ".kube/config").read_text())["clusters"])
    assert (usual["server"], usual.get("tls-server-name")) == ("https://api.example:8443", None)
    assert (direct["server"], direct["tls-server-name"]) == ("https://10.250.0.10:6443", "kubernetes")


def test_it_is_taken_out_though_there_is_no_cluster_any_more(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    access.give(served(run).context, Wish())
    looks = len(run("manager").looks)
    access.give(run.context, Wish(remove=True))
    assert yaml.safe_load((home / ".kube/config").read_text())["users"] == []
    assert len(run("manager").looks) == looks
    assert "no context is the current one now" in capsys.readouterr().out


def test_a_dry_run_changes_no_file(dry: Run, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wish in (Wish(), Wish(remove=True), Wish(remove=True, user="alice")):
        access.give(served(dry).context, wish)
    assert (list(home.iterdir()), dry.ran) == ([], [])
    assert capsys.readouterr().out == (
        f"would write the admin's key into {home}/.kube/config\n"
        f"would take the contexts of lab out of {home}/.kube/config\n"
        f"would take the user alice of lab out of {home}/.kube/config\n"
    )


@pytest.mark.parametrize("wish", [Wish("x", use=True), Wish("x", remove=True), Wish(use=True, remove=True)])
def test_what_excludes_each_other_is_told_before_anybody_is_asked(run: Run, wish: Wish) -> None:
    with pytest.raises(KubefabError, match="--use"):
        access.give(run.context, wish)
    assert run("manager").looks == []


@pytest.mark.parametrize("wish", [Wish(ttl=Ttl("1h")), Wish(groups=["dev"]), Wish("mine.conf", ttl=Ttl("24h"))])
def test_the_admin_gets_no_end_and_no_group_of_its_own(run: Run, wish: Wish) -> None:
    """Who asks for an hour would have the admin's credentials for a year."""
    with pytest.raises(KubefabError, match="--group and --ttl are for --user NAME"):
        access.give(run.context, wish)
    assert run("manager").looks == []


@pytest.mark.parametrize(("words", "typed"), [([], False), (["--ttl", "24h"], True)])
def test_the_usual_day_is_nobodys_wish(words: list[str], typed: bool) -> None:
    """invoke copies what a task has for its options."""
    asked = Parser(tasks.ns.to_contexts()).parse_argv(["cluster.kubeconfig", *words])
    assert asked[0].as_kwargs["ttl"].typed == typed


def test_a_refusal_writes_nothing(run: Run, home: Path) -> None:
    (home / ".kube").mkdir()
    before = "users: [{name: lab, user: {token: mine}}]\n"
    (home / ".kube/config").write_text(before)
    with pytest.raises(KubefabError, match="nothing was written; --force does it all the same"):
        access.give(served(run).context, Wish())
    assert {path.name: path.read_text() for path in (home / ".kube").iterdir()} == {"config": before}


def test_no_secret_is_shown_or_logged(run: Run, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    access.give(served(run).context, Wish())
    assert "a2V5" not in capsys.readouterr().out
    assert not [line for line in run.cluster.log.lines if "a2V5" in line]  # type: ignore[attr-defined]


NEW = KUBECONFIG.replace("Y2VydA==", "bmV3")


def renewed(run: Run) -> None:
    for master in run.cluster.masters:
        run(master.name).answers["print-kubeconfig.sh"] = NEW
    access.follow(run.engine)


def test_a_renewed_admin_is_so_here_too_and_that_is_said_once(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    access.give(served(run).context, Wish())
    capsys.readouterr()
    renewed(run)
    path = home / ".kube/config"
    assert yaml.safe_load(path.read_text())["users"][0]["user"]["client-certificate-data"] == "bmV3"
    assert capsys.readouterr().out == f"renewed in {path}: the admin's certificate of lab\n"
    renewed(run)
    assert capsys.readouterr().out == ""


def test_a_kubeconfig_that_has_nothing_of_ours_stays_as_it_is(run: Run, home: Path) -> None:
    (home / ".kube").mkdir()
    path = home / ".kube/config"
    path.write_text(KUBECONFIG)
    renewed(served(run))
    assert path.read_text() == KUBECONFIG


def test_where_nobody_has_a_kubeconfig_none_is_made(run: Run, home: Path) -> None:
    renewed(served(run))
    assert list(home.iterdir()) == []
