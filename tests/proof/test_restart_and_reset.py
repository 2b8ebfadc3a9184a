"""Taking Kubernetes away where the cluster does not answer, or the container runtime does not."""

import re
from dataclasses import dataclass

import pytest

from tests.e2e.harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    address,
    attempt,
    cut_power,
    eventually,
    mended,
    on,
    power_on,
    untouched,
)
from tests.e2e.test_restart_and_reset import NOTHING, found

COVERS = (
    "kubefab/steps/reset.py",
    "kubefab/losing.py",
    "kubefab/facts/leftovers.py",
    "scripts/tear-down.sh",
    "scripts/shared/made.sh",
)

PAIR = (MASTER, WORKER)


# --- without a cluster that answers


@dataclass(frozen=True)
class Silent:
    """What is done while the master is off, and while only its API server is down."""

    off: Done
    off_unheard: Done
    alone: Done
    api_down: Done
    api_down_unheard: Done
    clean: dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def silent(inv: Kubefab) -> Silent:
    mended(inv)
    cut_power(MASTER)
    try:
        with untouched(WORKER):
            off = inv("cluster.reset", "--yes")
        off_unheard = inv("cluster.reset", "--yes", "--unheard")
        clean = {("off", kind): found(WORKER, kind) for kind in NOTHING}
        on(WORKER, "mkdir -p /etc/kubernetes/manifests && touch /etc/kubernetes/manifests/kube-scheduler.yaml")
        alone = inv("restart", "--host", WORKER, "--yes", "--unheard")
        clean |= {("alone", kind): found(WORKER, kind) for kind in NOTHING}
    finally:
        power_on()
    on(MASTER, "rm /etc/kubernetes/manifests/kube-apiserver.yaml")
    eventually(lambda: attempt(MASTER, "ss -Hltn | grep ':6443 ' || pgrep -x kube-apiserver").returncode)
    with untouched(MASTER):
        api_down = inv("cluster.reset", "--yes")
    api_down_unheard = inv("cluster.reset", "--yes", "--unheard")
    clean |= {("api down", kind): found(MASTER, kind) for kind in NOTHING}
    return Silent(off, off_unheard, alone, api_down, api_down_unheard, clean)


def test_a_reset_without_the_word_of_the_master_or_its_api_server_is_refused(silent: Silent) -> None:
    for done in (silent.off, silent.api_down):
        said = done.badly().stderr
        assert MASTER in said
        assert "--unheard" in said


def test_a_reset_with_the_master_off_cleans_the_rest_and_names_it(silent: Silent) -> None:
    said = silent.off_unheard.badly().stderr
    assert re.findall(r"^(\S+): FAILED:", said, re.MULTILINE) == [MASTER], said
    assert address(MASTER) in said


def test_a_worker_is_restarted_while_its_master_is_off(silent: Silent) -> None:
    silent.alone.well()


def test_a_reset_with_the_api_server_down_ends_well(silent: Silent) -> None:
    silent.api_down_unheard.well()


@pytest.mark.parametrize("when", ["off", "alone", "api down"])
@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_of_this_kind_is_left_behind_then_either(silent: Silent, kind: str, when: str) -> None:
    assert silent.clean[when, kind] == ""


# --- without a container runtime


def test_a_worker_is_restarted_though_its_container_runtime_is_down(cluster: Kubefab) -> None:
    """Its containers go on without it, and would for ever."""
    on(WORKER, "systemctl stop containerd")
    cluster("restart", "--host", WORKER, "--yes").well()
    on(WORKER, "systemctl start containerd")
    assert {kind: found(WORKER, kind) for kind in NOTHING} == dict.fromkeys(NOTHING, "")
    cluster("cluster.up").well()
