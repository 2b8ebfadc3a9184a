"""The admin's kubeconfig on a computer that is none of the hosts."""

import os
import stat
from pathlib import Path

import pytest
import yaml

from kubefab import kubeconfig
from kubefab.errors import KubefabError

SERVER = "https://10.250.0.10:6443"


def admin(ca: str = "QUJD", user: str = "kubernetes-admin") -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "lab",
                    "cluster": {
                        "certificate-authority-data": ca,
                        "server": "https://lab.kubefab.internal:6443",
                    },
                }
            ],
            "users": [{"name": user, "user": {"client-key-data": "c2VjcmV0"}}],
        }
    )


def test_it_names_a_server_that_this_computer_can_reach() -> None:
    before, after = yaml.safe_load(admin()), yaml.safe_load(kubeconfig.reachable_at(admin(), SERVER))
    assert after["clusters"][0]["cluster"].pop("server") == SERVER
    before["clusters"][0]["cluster"].pop("server")
    assert after == before


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
    file.write_text(admin(user="old"))
    kubeconfig.save(admin(), file, force=False)
    assert file.read_text() == admin()


@pytest.mark.parametrize("text", [admin(ca="REVG"), "", "[", "no: kubeconfig", "- a\n- list", "clusters: [{}]"])
def test_what_is_not_of_this_cluster_is_kept(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(KubefabError, match="is not of this cluster; --force writes over it"):
        kubeconfig.save(admin(), file, force=False)
    assert file.read_text() == text


def test_force_writes_over_it(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(admin(ca="REVG"))
    kubeconfig.save(admin(), file, force=True)
    assert file.read_text() == admin()


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
        kubeconfig.reachable_at(text, SERVER)


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
