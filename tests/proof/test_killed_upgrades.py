"""An upgrade of one master and one worker that is killed after each of its steps: the same command, the same end."""

from collections.abc import Iterator

import pytest

from tests.e2e.harness import MASTER, WORKER, Kubefab, fresh, power_on

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
    "scripts/forget-copies.sh",
    "scripts/put-manifests.sh",
)
BEFORE = "1.37.1"
BOTH = (MASTER, WORKER)


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
