"""What the end-to-end tests give to kubefab, without any machine."""

from pathlib import Path

import pytest

from tests import sandbox
from tests.e2e import harness

OF_SOMEBODY = {
    "HOME": "/home/somebody",
    "INVOKE_RUN_DRY": "1",
    "KUBECONFIG": "/home/somebody/kubeconfig",
    "KUBEFAB_SUDO_PASSWORD": "somebody's",
    "SSH_AUTH_SOCK": "/home/somebody/agent",
    "FORCE_COLOR": "1",
    "COLUMNS": "20",
    "MAKEFLAGS": "w",
}
OF_THE_COMPUTER = {
    "https_proxy": "http://127.0.0.1:9",
    "PIP_INDEX_URL": "https://127.0.0.1",
    "GOPROXY": "off",
    "TZ": "UTC",
}


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (OF_SOMEBODY | OF_THE_COMPUTER).items():
        monkeypatch.setenv(name, value)


def test_a_run_of_kubefab_has_the_environment_of_nobody(
    somebody: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inv = tmp_path / "inv"
    inv.write_text("#!/bin/sh\nenv\n")
    inv.chmod(0o700)
    monkeypatch.setattr(harness, "INV", inv)
    said = harness.Kubefab(tmp_path / "hosts.yml", tmp_path)("cluster.up").well().stdout
    found = dict(line.split("=", 1) for line in said.splitlines())
    assert {name: value for name, value in found.items() if OF_SOMEBODY.get(name) == value} == {}
    assert Path(found["HOME"]).is_dir()
    assert list(Path(found["HOME"]).iterdir()) == []
    assert found["INV_HOSTS"] == f"{tmp_path}/hosts.yml"


def test_what_is_the_computers_stays_and_so_do_the_caches(somebody: None, tmp_path: Path) -> None:
    """Else `make up` of the page would make again, or not at all, what is there."""
    found = harness.surroundings(tmp_path)
    assert found | OF_THE_COMPUTER == found
    assert found["XDG_CACHE_HOME"] == "/home/somebody/.cache"
    assert not {*OF_SOMEBODY} - {"HOME"} & {*found}


@sandbox.needed
@pytest.mark.parametrize(("folder", "said"), [("/srv", "made"), ("/tmp", "made"), ("", "refused"), ("/usr", "refused")])
def test_a_sandbox_leaves_nothing_on_this_computer(folder: str, said: str) -> None:
    made = f"{folder}/of-a-sandbox"
    assert sandbox.run(f"mkdir {made} 2>/dev/null && echo made || echo refused") == f"{said}\n"
    assert not Path(made).exists()
