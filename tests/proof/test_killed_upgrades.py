"""An upgrade of one master and one worker that is killed after each of its steps, and whose machines lose their power.

The same command, the same end; and status and up name what is half done.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.harness import (
    LONGEST,
    MASTER,
    WORKER,
    Done,
    Kubefab,
    catch,
    cut_power,
    eventually,
    fresh,
    power_on,
)

from .upgrades import AFTER, Watch, hosts_of, is_upgraded, killed_after_a_new_step, watched

COVERS = (
    "kubefab/upgrading.py",
    "kubefab/steps/upgrade*.py",
    "kubefab/steps/versions.py",
    "scripts/**/*upgrade*",
    "scripts/shared/hasten.sh",
    "scripts/shared/marks.sh",
    "scripts/shared/servers.sh",
    "scripts/shared/named.sh",
    "scripts/shared/etcd.sh",
    "scripts/shared/podded.sh",
    "scripts/fetch-kubernetes.sh",
    "scripts/finish-packages.sh",
    "scripts/forget-copies.sh",
    "scripts/put-manifests.sh",
    "kubefab/images.py",
    "kubefab/steps/draining.py",
    "scripts/drain.sh",
    "scripts/shared/cordons.sh",
    "scripts/list-images.sh",
    "scripts/fetch-images.sh",
    "scripts/shared/kubernetes.sh",
    "scripts/shared/copies.sh",
)
BEFORE = "1.37.1"
BOTH = (MASTER, WORKER)
NAMED = "inv cluster.upgrade"  # as the way on
# A shell command that is true on a host while it is half new.
HALF_NEW = {
    MASTER: f"grep -q kube-apiserver:v{AFTER} /etc/kubernetes/manifests/kube-apiserver.yaml",
    WORKER: f"dpkg-query -W kubelet | grep -q {AFTER}",
}


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    """Its cluster is at the version before, and its hosts.yml says the new one."""
    folder = tmp_path_factory.mktemp("killed-upgrades")
    power_on("--everything", "--kubernetes", BEFORE)
    fresh(*BOTH)
    inv = Kubefab(hosts_of(folder / "hosts.yml", AFTER, [MASTER], [WORKER]), folder)
    inv("cluster.up", hosts=hosts_of(folder / "before.yml", BEFORE, [MASTER], [WORKER])).well()
    yield inv
    inv("cluster.reset", "--yes").well()


@pytest.fixture(scope="module")
def watch(inv: Kubefab) -> Watch:
    done: set[tuple[str, str]] = set()
    with watched("cluster.upgrade, killed after each step", [MASTER], [WORKER], inv.state) as watch:
        while new := killed_after_a_new_step(inv, done, BOTH, "cluster.upgrade", "--yes"):
            done |= new
    assert {host for host, _ in done} == set(BOTH)
    return watch


def test_the_same_command_goes_on_to_the_same_end(watch: Watch, inv: Kubefab) -> None:
    is_upgraded(inv, [MASTER], [WORKER])


def test_nobody_notices(watch: Watch) -> None:
    watch.nobody_noticed()


# --- without power


@dataclass(frozen=True)
class Told:
    """What a host without power leaves is told as, once it has some again."""

    status: str
    up: Done


@pytest.fixture(scope="module")
def told(watch: Watch, inv: Kubefab) -> dict[str, Told]:
    """By the host whose power was cut in the middle of its upgrade; afterwards the upgrade is at its end."""
    fresh(*BOTH)
    inv("cluster.up", hosts=inv.state / "before.yml").well()
    told = {}
    for host, half_new in HALF_NEW.items():
        with inv.started("cluster.upgrade", "--yes") as run:
            catch(run, host, half_new, LONGEST)
            run.is_killed()
            cut_power(host)
        power_on("--everything", "--kubernetes", BEFORE)
        status = eventually(lambda: said if NAMED in (said := inv("cluster.status").said) else "", LONGEST)
        told[host] = Told(status, inv("cluster.up"))
    inv("cluster.upgrade", "--yes").well()
    return told


@pytest.mark.parametrize("host", BOTH)
def test_status_and_up_name_the_half_done_upgrade_with_the_command(told: dict[str, Told], host: str) -> None:
    assert NAMED in told[host].status
    assert NAMED in told[host].up.badly().said


def test_what_has_lost_its_power_comes_to_the_same_end(told: dict[str, Told], inv: Kubefab) -> None:
    is_upgraded(inv, [MASTER], [WORKER])
