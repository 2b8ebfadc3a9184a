"""All machines of a cluster boot at once. What a boot brings back, as swap, is in tests/proof."""

from functools import partial

from .harness import MASTER, WORKER, Kubefab, at_once, coredns_answers, eventually, ready_nodes, reboot

PAIR = {MASTER, WORKER}


def test_after_a_reboot_of_all_fix_reboot_waits_until_all_is_well(cluster: Kubefab) -> None:
    at_once(*(partial(reboot, host) for host in PAIR))
    cluster("fix-reboot").well()
    assert ready_nodes() == PAIR
    assert eventually(coredns_answers)
    assert "nothing to do" in cluster("cluster.up").well().stdout
