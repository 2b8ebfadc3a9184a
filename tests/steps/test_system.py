"""The machine as Kubernetes wants it."""

import pytest

from kubefab import render
from kubefab.facts import Facts
from kubefab.step import MISSING, sha256
from kubefab.steps import system
from tests.facts import known
from tests.fakes import HOSTS, cluster, step, world

WELL = known(
    modules=("overlay", "br_netfilter"),
    sysctl=render.SYSCTL,
    digests={path: sha256(text) for path, text in render.kernel().items()},
)


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(swap=("/swap.img, 2048 MiB",)), "swap is off", "/swap.img, 2048 MiB"),
        (
            known(swap=("/dev/zram0, 64 MiB",), swap_later=("/swap.img in /etc/fstab",)),
            "swap is off",
            "/dev/zram0, 64 MiB; /swap.img in /etc/fstab",
        ),
        (known(), "swap is off", None),
        (known(), "kernel settings persist across reboots", MISSING),
        (
            known(digests={**WELL.files.digests, "/etc/sysctl.d/99-zz-kubernetes.conf": "0"}),
            "kernel settings persist across reboots",
            "/etc/sysctl.d/99-zz-kubernetes.conf differs",
        ),
        (known(), "kernel modules are loaded", "overlay, br_netfilter"),
        (known(modules=("overlay",)), "kernel modules are loaded", "br_netfilter"),
        (
            known(sysctl={**render.SYSCTL, "net.ipv4.ip_forward": "0"}),
            "kernel settings are in effect",
            "net.ipv4.ip_forward = 0",
        ),
        (
            known(sysctl={"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": ""}),
            "kernel settings are in effect",
            "net.bridge.bridge-nf-call-iptables = missing, net.bridge.bridge-nf-call-ip6tables = missing",
        ),
    ],
)
def test_what_is_missing_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(system.steps(made, made.hosts["client"]), title).gap(facts) == gap


def test_what_is_told_of_missing_modules_can_be_typed_on_ubuntu_too() -> None:
    """It has no linux-image-amd64; and of a kernel that was upgraded the modules are gone until it boots."""
    made = cluster()
    hint = step(system.steps(made, made.founder), "kernel modules are loaded").hint
    assert "reboot" in hint
    assert "on Ubuntu: apt-get install linux-modules-$(uname -r)" in hint
    assert "on Debian: apt-get install linux-image-$(dpkg --print-architecture)" in hint


def test_a_machine_that_is_well_misses_nothing() -> None:
    made = cluster()
    assert {one.title: gap for one in system.steps(made, made.founder) if (gap := one.gap(WELL))} == {}


def test_each_state_has_its_change() -> None:
    made = cluster()
    for one in system.steps(made, made.hosts["client"]):
        assert one.close
        one.close(made.hosts["client"])
    assert world(made, "client").ran == [
        "swap-off.sh",
        "put-files.sh",
        "load-modules.sh overlay br_netfilter",
        "apply-sysctl.sh",
    ]


@pytest.mark.parametrize(("told", "there"), [("", True), ("failSwapOn: false", False), ("failSwapOn: true", True)])
def test_swap_that_the_kubelet_is_told_to_bear_stays(told: str, there: bool) -> None:
    text = HOSTS.replace("1.37.2\n", f"1.37.2\n  kubeadm: {{KubeletConfiguration: {{{told}}}}}\n")
    made = cluster(text)
    assert ("swap is off" in [one.title for one in system.steps(made, made.founder)]) == there
