"""All certificates of a master and a worker have ended: no API server answers, and one task cures it.

A minute and a half.
"""

import pytest

from .harness import MASTER, WORKER, Kubefab, in_time
from .renewals import OVER, aged, authorities, is_dead, is_renewed


@pytest.fixture
def dead(cluster: Kubefab) -> Kubefab:
    """Whatever is good for less than a month is renewed first, so that nothing else is to be done."""
    cluster("certs.renew").well()
    aged(authorities(MASTER), [MASTER, WORKER], OVER, kubelets=True)
    is_dead([MASTER])
    return cluster


def test_a_cluster_whose_certificates_have_all_ended_is_cured(dead: Kubefab) -> None:
    assert "certs.renew" in dead("certs.status").badly().stdout
    in_time("one master and a worker whose certificates have ended", 90, dead("certs.renew").well())
    is_renewed(dead, [MASTER], [WORKER])
