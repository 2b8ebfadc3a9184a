"""Certificates of three masters and a worker are renewed: while somebody writes, and where all of them have ended."""

import time

import pytest

from tests.e2e.harness import FRONT, MACHINES, MASTER, Kubefab, eventually, fresh, power_on
from tests.e2e.renewals import OVER, SOON, aged, answers, authorities, is_dead, is_renewed, served

from .upgrades import AFTER, hosts_of, watched

COVERS = (
    "kubefab/renewing.py",
    "kubefab/steps/renewal.py",
    "scripts/renew-certificates.sh",
    "scripts/restart-static-pod.sh",
    "scripts/admit-kubelet.sh",
    "scripts/shared/manifest.sh",
    "scripts/shared/podded.sh",
    "scripts/shared/static.sh",
)
ALL = (*MACHINES, FRONT)
GAP = 5  # seconds that a client of the API may wait, with three masters


@pytest.fixture(scope="module")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Kubefab:
    folder = tmp_path_factory.mktemp("renew-masters")
    power_on("--everything", machines=ALL)
    fresh(*ALL)
    inv = Kubefab(hosts_of(folder / "hosts.yml", AFTER, MACHINES, [FRONT]), folder)
    inv("cluster.up").well()
    return inv


def test_while_three_masters_are_renewed_the_api_is_away_for_a_moment_at_most(inv: Kubefab) -> None:
    for host in MACHINES:  # one by one, since each begins anew by that
        aged(authorities(MASTER), [host], SOON)
        eventually(lambda host=host: answers(host))  # type: ignore[misc]
    serials = {host: served(host) for host in MACHINES}
    with watched("three masters are renewed", MACHINES, [FRONT], inv.state) as watch:
        began = time.monotonic()
        inv("certs.renew").well()
    for host in MACHINES:
        assert not {*serials[host].values()} & {*served(host).values()}
    is_renewed(inv, MACHINES, [FRONT])
    watch.nobody_noticed()
    watch.writer.gaps("while three masters are renewed", began, GAP)


def test_three_masters_whose_certificates_have_all_ended_are_cured(inv: Kubefab) -> None:
    aged(authorities(MASTER), ALL, OVER, kubelets=True)
    is_dead(MACHINES)
    inv("certs.renew").well()
    is_renewed(inv, MACHINES, [FRONT])
