"""Between invoke and the engine: what is asked before anything is lost, and what is told in the end."""

import io
import stat
from collections.abc import Callable
from pathlib import Path
from shlex import quote

import pytest
from invoke.context import Context

from kubefab import access, downloads, passes, releases, runbook
from kubefab.access import Wish
from kubefab.cluster import Cluster
from kubefab.errors import HostError, InventoryError, KubefabError
from kubefab.steps import addons
from tests.runs import Run

CA = "QUJD"
KUBECONFIG = f"clusters:\n- cluster: {{server: https://lab.kubefab.internal:6443, certificate-authority-data: {CA}}}\n"


def test_an_empty_name_is_not_all_hosts(run: Run) -> None:
    """`inv restart --host "$HOST" --yes`, where that variable is not set."""
    assert runbook.meant(None, passes.ALL) is passes.ALL
    with pytest.raises(InventoryError, match="--host NAME is needed"):
        runbook.converge(run.context, runbook.meant("", passes.ALL), addons.steps)


@pytest.mark.parametrize("save", [runbook.back_up, runbook.fetch_backups])
def test_a_backup_does_not_go_wherever_somebody_is_where_its_folder_has_no_name(
    run: Run, save: Callable[[Context, str], None]
) -> None:
    """`inv etcd.backup --output "$FOLDER"`, where that variable is not set: it has all Secrets in it."""
    with pytest.raises(KubefabError, match="--output: found ''; write a folder's name"):
        save(run.context, "")
    assert run.ran == []


# --- what lets in


def test_a_pipe_is_given_no_token(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    runbook.admit(run.context, addons.addon_shown, hold=False, port=0)
    assert capsys.readouterr().out == "the login token is printed only to a terminal\n"
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


def test_of_a_cluster_whose_master_is_away_nothing_is_said(run: Run, tmp_path: Path) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    run("manager").on_look = away
    with pytest.raises(KubefabError, match=r"^manager: cannot be reached$"):
        access.give(run.context, Wish(str(tmp_path / "config")))
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


def test_a_kubeconfig_is_for_this_computer(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.put_cluster("manager")
    run("manager").answers["print-kubeconfig.sh"] = KUBECONFIG
    file = tmp_path / "config"
    access.give(run.context, Wish(str(file)))
    assert "server: https://10.250.0.10:6443" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert capsys.readouterr().out == f"kubectl --kubeconfig {quote(str(file))} get nodes\n"


def test_the_home_of_nobody_is_a_folder_that_is_not_there(run: Run) -> None:
    run.put_cluster("manager")
    run("manager").answers["print-kubeconfig.sh"] = KUBECONFIG
    with pytest.raises(KubefabError, match="~nouser/config: No such file or directory"):
        access.give(run.context, Wish("~nouser/config"))
    with pytest.raises(KubefabError, match="~nouser/x: No such file"):
        runbook.preload(run.context, (), lambda inventory: [], None, "~nouser/x")


@pytest.mark.parametrize(
    ("who", "image", "file", "told"),
    [
        (["client", "cliemt"], None, None, "found no host 'cliemt'"),
        ([""], "nginx", None, "--host NAME is needed"),
        ([], "", None, "--image and --from want a name"),
        ([], None, "", "--image and --from want a name"),
        ([], "nginx", "", "not both"),
    ],
)
def test_what_is_wrong_with_the_words_of_a_preload_is_told_before_anybody_is_asked(
    run: Run, who: list[str], image: str | None, file: str | None, told: str
) -> None:
    with pytest.raises(KubefabError, match=told):
        runbook.preload(run.context, who, lambda inventory: [], image, file)
    assert [run(name).looks for name in ("manager", "client")] == [[], []]


def test_an_image_that_is_asked_for_by_name_comes_to_a_worker_whatever_it_is_called(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name, workers are given no etcd; somebody's own application has one, and its pod runs there."""
    run.put_cluster("manager", "client")
    monkeypatch.setattr("kubefab.carry.fetch", lambda *words, to: "0")
    monkeypatch.setattr("kubefab.carry.send", lambda *words: None)
    run("client").parts["runtime"] = "cri ok"
    run("client").on_change = lambda: run("client").parts.update(runtime="cri ok\nimage quay.io/coreos/etcd:v3.5.9")
    runbook.preload(run.context, ["client"], lambda inventory: [], "quay.io/coreos/etcd:v3.5.9", None)
    assert run("client").ran == ["move-images.sh containerd take /var/lib/kubefab-images/0.tar 0"]


def test_without_a_cluster_there_is_no_kubeconfig(run: Run, tmp_path: Path) -> None:
    with pytest.raises(KubefabError, match="there is no cluster to fetch a kubeconfig from"):
        access.give(run.context, Wish(str(tmp_path / "config")))


def test_a_dry_run_writes_no_kubeconfig(dry: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry.put_cluster("manager")
    access.give(dry.context, Wish(str(tmp_path / "config")))
    assert (list(tmp_path.iterdir()), dry.ran) == ([], [])
    assert capsys.readouterr().out == f"would write the admin's key into {tmp_path}/config\n"
