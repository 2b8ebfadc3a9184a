"""A host as clean as before kubeadm: absences, each one named."""

from typing import Any

import pytest

from kubefab.facts import CEPHS, EMPTY, ClusterFacts, clock_time
from kubefab.steps import reset
from tests.facts import known
from tests.fakes import HOSTS, cluster, step, world

LEFT, IN_THE_WAY, KUBECONFIG, NAME = (
    "nothing of Kubernetes is left",
    "nothing else is in the way",
    "~/.kube/config is not this cluster's",
    "/etc/hosts has no control plane's name",
)


@pytest.mark.parametrize(
    ("found", "title", "gap"),
    [
        ({"admin_ca": "aaa"}, LEFT, "a control plane, with all that its etcd holds"),
        ({"kubelet_ca": "aaa"}, LEFT, "a node"),
        ({"containers": 3}, LEFT, "3 containers"),
        ({"chains": 7}, LEFT, "7 chains of iptables"),
        ({"mounts": ("/var/lib/kubelet/pods/a",)}, LEFT, "1 mounts below /var/lib/kubelet"),
        ({"directories": ("/etc/kubernetes", "/var/lib/etcd")}, LEFT, "/etc/kubernetes, /var/lib/etcd"),
        ({"links": ("cni0", "flannel.1")}, LEFT, "cni0, flannel.1"),
        (
            {"cni": ("10-flannel.conflist", "10-flannel.conflist.mine", "87-podman.conflist")},  # somebody else's stays
            LEFT,
            "/etc/cni/net.d/10-flannel.conflist",
        ),
        (
            {"admin_ca": "a", "kubelet_ca": "a", "links": ("cni0",)},
            LEFT,
            "a control plane, with all that its etcd holds, a node, cni0",
        ),
        ({"etcd_data": True}, LEFT, "a control plane, with all that its etcd holds"),
        ({"tear_down_begun": 1}, LEFT, "what an interrupted reset left"),
        ({"uncounted": ("containers (no answer)",)}, LEFT, "uncounted containers (no answer)"),
        ({"tables": ("ip kube-proxy", "kube-ipvs0")}, LEFT, "ip kube-proxy (kube-proxy's), kube-ipvs0 (kube-proxy's)"),
        ({"foreign": ("/etc/kubernetes/enc",), "set_aside": ("/var/lib/kubelet/config.json",)}, LEFT, None),
        (
            {"kubelet_ca": "a", "foreign": ("/etc/kubernetes/enc",), "set_aside": ("/var/lib/kubelet/config.json",)},
            LEFT,
            "a node; stays: /etc/kubernetes/enc; set aside below /var/lib/kubefab-kept: /var/lib/kubelet/config.json",
        ),
        ({"in_the_way": ("/var/lib/etcd/x is a mount",)}, IN_THE_WAY, "/var/lib/etcd/x is a mount"),
        ({"kubeconfig": "same"}, KUBECONFIG, "~/.kube/config, a copy of admin.conf"),
        ({"kubeconfig": "other"}, KUBECONFIG, None),
        ({"kubeconfig": "works"}, KUBECONFIG, None),  # with contexts of its own, perhaps
        (
            {"endpoints": {"lab.kubefab.internal": "10.250.0.10"}},
            NAME,
            "lab.kubefab.internal in /etc/hosts",
        ),
        # Of a cluster that was here before: nobody else would take it away.
        ({"endpoints": {"other.kubefab.internal": "10.250.0.9"}}, NAME, "other.kubefab.internal in /etc/hosts"),
        ({"endpoints": {"nas.example": "10.250.0.9"}}, NAME, None),
    ],
)
def test_what_is_left_is_named(found: dict[str, Any], title: str, gap: str | None) -> None:
    made = cluster()
    assert step(reset.steps(made, made.hosts["client"]), title).gap(known(**found)) == gap


def test_a_clean_host_has_nothing_left() -> None:
    made = cluster()
    clean = known(cni=("87-podman.conflist",))
    assert {one.title: gap for one in reset.steps(made, made.founder) if (gap := one.gap(clean))} == {}


def test_none_of_it_needs_a_living_cluster() -> None:
    made, dead = cluster(), known(cluster=ClusterFacts(silent="refused"))
    assert {one.title: gap for one in reset.steps(made, made.founder) if (gap := one.gap(dead))} == {}


def test_the_kubeconfig_goes_while_it_can_be_told_whose_it_is() -> None:
    made = cluster()
    world(made, "manager").parts["system"] = "endpoint lab.kubefab.internal 10.250.0.10"
    made.look(made.founder)
    for one in reset.steps(made, made.founder):
        if one.close:
            one.close(made.founder)
    assert world(made, "manager").ran == [
        "take-kubeconfig.sh",
        "tear-down.sh unix:///run/containerd/containerd.sock",
        "set-endpoint.sh lab.kubefab.internal",
    ]


WITH_DISKS = HOSTS.replace("role: worker", "role: worker, disks: [/dev/sdb, /dev/sdc]")


@pytest.mark.parametrize(
    ("states", "told", "lost"),
    [
        ({"/dev/sdb": EMPTY, "/dev/sdc": EMPTY}, None, None),
        ({"/dev/sdb": CEPHS, "/dev/sdc": EMPTY}, None, "/dev/sdb, with all on it (Ceph's)"),
        ({"/dev/sdb": "ext4", "/dev/sdc": EMPTY}, "/dev/sdb: ext4", "/dev/sdb, with all on it (ext4)"),
        ({"/dev/sdb": EMPTY}, "/dev/sdc: not there", "/dev/sdc, with all on it (not there)"),
    ],
)
def test_disks_with_anything_that_is_not_cephs_are_refused(
    states: dict[str, str], told: str | None, lost: str | None
) -> None:
    made = cluster(WITH_DISKS)
    (refused,) = reset.wipeable(True)(made, made.hosts["client"])
    (wiped,) = reset.disks(True)(made, made.hosts["client"])
    assert (refused.gap(known(states=states)), wiped.gap(known(states=states))) == (told, lost)
    assert refused.close is None


def test_no_disk_is_wiped_unasked() -> None:
    made = cluster(WITH_DISKS)
    assert reset.wipeable(False)(made, made.hosts["client"]) == reset.disks(False)(made, made.hosts["client"]) == []


HALF, FURTHER = "no interrupted reset left a node here", "no interrupted reset is left"
BEGUN = f"one was begun at {clock_time(1)} and not finished"


@pytest.mark.parametrize(
    ("found", "half", "further"),
    [
        ({}, None, None),
        ({"tear_down_begun": 1}, None, BEGUN),
        ({"tear_down_begun": 1, "kubelet_ca": "a"}, f"{BEGUN}, and there is one still", BEGUN),
        ({"tear_down_begun": 1, "etcd_data": True}, f"{BEGUN}, and there is one still", BEGUN),
        ({"kubelet_ca": "a"}, None, None),
    ],
)
def test_a_reset_that_was_broken_off_is_ended_by_up_where_no_node_is_left(
    found: dict[str, Any], half: str | None, further: str | None
) -> None:
    """Its complaint comes first: a node is only ever taken away by who asks for that."""
    made = cluster()
    steps = reset.unfinished(made, made.founder)
    assert [(one.title, one.gap(known(**found)), bool(one.close)) for one in steps] == [
        (HALF, half, False),
        (FURTHER, further, True),
    ]
