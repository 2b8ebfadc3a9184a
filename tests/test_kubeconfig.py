"""The admin's kubeconfig on a computer that is none of the hosts."""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from kubefab import kubeconfig
from kubefab.errors import KubefabError

SERVER = "https://10.250.0.10:6443"
OTHERS = {"client-key-data": "b3RoZXI="}


def admin(ca: str = "QUJD", user: str = "kubernetes-admin", server: str = "https://lab.kubefab.internal:6443") -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "lab",
                    "cluster": {
                        "certificate-authority-data": ca,
                        "server": server,
                    },
                }
            ],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
            "users": [{"name": user, "user": {"client-key-data": "c2VjcmV0"}}],
        }
    )


def test_it_names_a_server_that_this_computer_can_reach() -> None:
    before, after = yaml.safe_load(admin()), yaml.safe_load(kubeconfig.reachable_at(admin(), SERVER, OTHERS))
    assert after["clusters"][0]["cluster"].pop("server") == SERVER
    before["clusters"][0]["cluster"].pop("server")
    before["users"][0]["user"] = OTHERS
    assert after == before


def test_a_name_that_go_would_take_for_a_number_is_in_quotes() -> None:
    assert "name: '1e3'\n" in kubeconfig.reachable_at(admin(user="1e3"), SERVER)


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        kubeconfig.save(admin(), tmp_path / "config", force=False)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "config").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_the_folder_of_who_has_just_begun_is_made(tmp_path: Path) -> None:
    kubeconfig.save(admin(), tmp_path / ".kube/config", force=False)
    assert (tmp_path / ".kube/config").read_text() == admin()
    assert stat.S_IMODE((tmp_path / ".kube").stat().st_mode) == 0o700


def test_one_of_the_same_cluster_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(admin().replace("c2VjcmV0", "b2xk"))
    kubeconfig.save(admin(), file, force=False)
    assert file.read_text() == admin()


def test_one_that_lets_another_in_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(admin(user="alice"))
    with pytest.raises(KubefabError, match="lets another user in; --force writes over it"):
        kubeconfig.save(admin(), file, force=False)
    assert file.read_text() == admin(user="alice")


def test_one_that_somebody_has_chosen_a_namespace_in_is_kept(tmp_path: Path) -> None:
    """kubectl config set-context --current --namespace dev"""
    document = yaml.safe_load(admin())
    document["contexts"][0]["context"]["namespace"] = "dev"
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(KubefabError, match="was changed by hand; --force writes over it, and a copy of it is kept"):
        kubeconfig.save(admin(), file, force=False)
    assert yaml.safe_load(file.read_text()) == document


def test_another_kubeadms_way_of_writing_one_is_no_change_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(f"preferences: {{}}\n{admin(server='https://10.0.0.9:6443')}")
    assert kubeconfig.save(admin(), file, force=False) is None
    assert file.read_text() == admin()


@pytest.mark.parametrize("text", [admin(ca="REVG"), "", "[", "no: kubeconfig", "- a\n- list", "clusters: [{}]"])
def test_what_is_not_of_this_cluster_is_kept(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(KubefabError, match="is not of this cluster; --force writes over it"):
        kubeconfig.save(admin(), file, force=False)
    assert file.read_text() == text


ANOTHERS = [admin(ca="REVG").encode(), admin(user="alice").encode(), b"# my notes\r\n", b"\xff\xfe"]


@pytest.mark.parametrize("was", ANOTHERS)
def test_force_writes_over_it_and_keeps_a_copy(tmp_path: Path, was: bytes) -> None:
    file, copy = tmp_path / "config", tmp_path / "config.before-kubefab"
    file.write_bytes(was)
    assert kubeconfig.save(admin(), file, force=True) == copy
    assert file.read_text() == admin()
    assert copy.read_bytes() == was
    assert copy.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("was", [admin().encode(), admin().replace("c2VjcmV0", "b2xk").encode(), b"", None])
def test_force_keeps_no_copy_where_nothing_is_anybodys(tmp_path: Path, was: bytes | None) -> None:
    file = tmp_path / "config"
    if was is not None:
        file.write_bytes(was)
    assert kubeconfig.save(admin(), file, force=True) is None
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


@pytest.mark.parametrize("path", ["no/such/folder/config", "."])
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path, path: str) -> None:
    with pytest.raises(KubefabError, match=str(tmp_path)):
        kubeconfig.save(admin(), tmp_path / path, force=False)


@pytest.mark.parametrize("force", [True, False])
def test_a_path_without_a_name_is_told(force: bool) -> None:
    with pytest.raises(KubefabError, match="/: "):
        kubeconfig.save(admin(), Path("/"), force)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\xfe")
    with pytest.raises(KubefabError, match=str(tmp_path)):
        kubeconfig.save(admin(), tmp_path / "config", force=False)


@pytest.mark.parametrize("text", ["", "[", "Welcome", "clusters: 5", "clusters: [5]", "clusters: [{}]", "- [" * 2000])
def test_what_is_no_kubeconfig_is_told(text: str) -> None:
    with pytest.raises(KubefabError, match=r"/etc/kubernetes/admin\.conf on the master is no kubeconfig"):
        kubeconfig.reachable_at(text, SERVER, {})


def test_no_room_is_told_as_that_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KubefabError) as error:
        kubeconfig.save(admin(), tmp_path / "config", force=False)
    assert str(error.value) == f"{tmp_path}/config: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut leaves a file of length 0, where there was one."""
    seen: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append([path.name for path in tmp_path.iterdir()]))
    kubeconfig.save(admin(), tmp_path / "config", force=False)
    assert "config" not in seen[0]


# --- a person's own


def test_a_file_with_two_names_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is put into it by one name would be taken out of it by the other."""
    config, link = tmp_path / "config", tmp_path / "lab.conf"
    config.touch()
    link.symlink_to("config")
    monkeypatch.setenv("KUBECONFIG", f"{config}:{link}:{tmp_path}/../{tmp_path.name}/config")
    assert kubeconfig.files() == [config]


def write(path: Path, text: str = "new") -> None:
    kubeconfig.change([path], lambda texts: {path: text})


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock."""
    monkeypatch.setattr(kubeconfig, "LOCK_PAUSE", 0.0)


@pytest.mark.parametrize(
    ("said", "files"),
    [("", ["~/.kube/config"]), ("a", ["a"]), ("a:b", ["a", "b"]), (":a::b:a:", ["a", "b"]), (":", ["~/.kube/config"])],
)
def test_the_files_are_those_that_kubectl_reads(monkeypatch: pytest.MonkeyPatch, said: str, files: list[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", said)
    assert kubeconfig.files() == [Path(os.path.expanduser(file)) for file in files]


def test_what_is_new_goes_where_kubectl_would_put_it(tmp_path: Path) -> None:
    """Into the first that is there; where none is, into the last."""
    one, two, three = paths = [tmp_path / name for name in ("one", "two", "three")]
    assert kubeconfig.home(paths) == three
    two.touch()
    assert kubeconfig.home(paths) == two
    one.touch()
    assert kubeconfig.home(paths) == one


def test_a_change_reads_and_writes_while_no_kubectl_does(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("old")

    def change(texts: Mapping[Path, str]) -> Mapping[Path, str]:
        assert texts == {one: "old", two: ""}
        assert {path.name for path in tmp_path.iterdir()} == {"one", "one.lock", "two.lock"}
        return {one: "new"}

    kubeconfig.change([two, one], change)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "new"}


def test_a_lock_of_somebody_else_is_told_and_stays(tmp_path: Path) -> None:
    (tmp_path / "b.lock").touch()
    (tmp_path / "b").write_text("old")
    with pytest.raises(KubefabError, match=r"another program is writing .*/b: .*/b\.lock is there; if none is: rm "):
        kubeconfig.change([tmp_path / "b", tmp_path / "a"], lambda texts: {tmp_path / "b": "new"})
    assert {path.name for path in tmp_path.iterdir()} == {"b", "b.lock"}
    assert (tmp_path / "b").read_text() == "old"


def test_a_lock_that_goes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "config.lock"
    lock.touch()
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: lock.unlink())
    write(tmp_path / "config")
    assert (tmp_path / "config").read_text() == "new"


def test_locks_go_whatever_happens(tmp_path: Path) -> None:
    def fail(texts: Mapping[Path, str]) -> Mapping[Path, str]:
        raise KubefabError("no")

    with pytest.raises(KubefabError, match="no"):
        kubeconfig.change([tmp_path / "config"], fail)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_nobody_can_write_keeps_nobody_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of several in $KUBECONFIG, on a file system that is read-only: kubectl only reads it, too."""

    def opened(path: Path, *flags: int) -> int:
        if path.name == "shared.lock":
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, *flags)

    real = os.open
    monkeypatch.setattr("kubefab.kubeconfig.os.open", opened)
    kubeconfig.change([tmp_path / "shared", tmp_path / "own"], lambda texts: {tmp_path / "own": "new"})
    assert (tmp_path / "own").read_text() == "new"


def test_a_link_leads_on_to_its_file_and_stays(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "dotfiles/config").write_text("old")
    (tmp_path / "link").symlink_to("dotfiles/config")
    (tmp_path / "config").symlink_to("link")
    write(tmp_path / "config")
    assert (tmp_path / "config").is_symlink()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "dotfiles/config").read_text() == "new"
    assert [path.name for path in (tmp_path / "dotfiles").iterdir()] == ["config"]


def test_a_link_that_leads_in_a_circle_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to("config")
    with pytest.raises(KubefabError, match=f"{tmp_path}/config: Too many levels of symbolic links"):
        write(tmp_path / "config")


def test_a_file_is_its_owners_alone_from_now_on(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("old")
    (tmp_path / "config").chmod(0o644)
    write(tmp_path / "config")
    assert stat.S_IMODE((tmp_path / "config").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TRIED: only root may give a file away")
def test_what_root_writes_stays_its_owners(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("old")
    os.chown(tmp_path / "config", 12345, 54321)
    write(tmp_path / "config")
    there = (tmp_path / "config").stat()
    assert (there.st_uid, there.st_gid) == (12345, 54321)


def test_where_there_is_no_room_the_file_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "config").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KubefabError, match=f"{tmp_path}/config: No space left on device"):
        write(tmp_path / "config")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"config": "old"}


def test_a_copy_takes_no_name_that_somebody_has(tmp_path: Path) -> None:
    path = tmp_path / "config"
    first = kubeconfig.kept(path)
    assert first.name == "config.before-kubefab"
    first.symlink_to("nowhere")
    second = kubeconfig.kept(path)
    second.touch()
    third = kubeconfig.kept(path)
    assert len({first, second, third}) == 3
    assert all(one.name.startswith("config.before-kubefab-") for one in (second, third))


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\xfe")
    with pytest.raises(KubefabError, match=f"{tmp_path}/config: "):
        write(tmp_path / "config")
    assert (tmp_path / "config").read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize("text", ["", "[", "Welcome", "clusters: []\nusers: []", "clusters: 5", "- [" * 2000])
def test_what_lets_nobody_in_is_told(text: str) -> None:
    with pytest.raises(KubefabError, match=r"/etc/kubernetes/admin\.conf on the master is no kubeconfig"):
        kubeconfig.inside(text)
