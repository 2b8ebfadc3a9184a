"""Three masters and a worker from machines as new, beside the same by hand over ssh: each once, in one run."""

import os

import pytest

from bench import run
from bench.contestants import ByHand, Kubefab
from kubefab.inventory import load
from tests.e2e.harness import COUNTED, FRONT, MACHINES, MEASURED, fresh, hosts_file, power_on

COVERS = (
    "bench/*",
    "tasks.py",
    "kubefab/steps/masters.py",
    "kubefab/steps/endpoint.py",
    "scripts/join-master.sh",
    "scripts/shared/settle.sh",
)
ALL = (*MACHINES, FRONT)


def test_three_masters_and_a_worker_take_no_longer_than_by_hand(
    machines: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    power_on(machines=ALL)
    roles = {name: {"role": "master"} for name in MACHINES}
    wanted = load(hosts_file(tmp_path_factory.mktemp("by-hand") / "hosts.yml", *ALL, hosts=roles))
    load_then = os.getloadavg()[0]
    try:
        by_hand, kubefab = run.compete(wanted, [ByHand(), Kubefab()], 1)
    finally:
        fresh(*ALL)
    theirs, ours = (score.races[0].total for score in (by_hand, kubefab))
    COUNTED.append(f"kubefab took {ours / theirs:.2f} of the time by hand; load {load_then:.1f} when it began")
    MEASURED.append(("three masters and a worker from fresh, wanted: as by hand", theirs, ours))
    assert ours < 3 * theirs
    assert not kubefab.restless
