"""Machines that come back from a reboot with swap on, as the guide's did.

How swap is provoked: the lab's machines share their computer's kernel, and so its swap: what one switches on,
all see. And in a container systemd takes no notice of swap in /etc/fstab. So the worker gets what any machine
has, a swap file and its entry in /etc/fstab, and a unit of its own that does at boot what systemd does elsewhere:
`swapon --all`, before the kubelet starts. The file is on the volume of /var/lib/containerd: a container's own
root is an overlay, on which nobody can swap. Whatever happens, swap is switched off at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    attempt,
    coredns_answers,
    eventually,
    mended,
    on,
    poll,
    ready_nodes,
    reboot,
    true_on,
)

COVERS = ("kubefab/steps/reboot.py", "scripts/swap-off.sh", "scripts/restart-service.sh", "scripts/enable-service.sh")

PAIR = {MASTER, WORKER}
FILE = "/var/lib/containerd/swapfile"
UNIT = """\
[Unit]
Before=kubelet.service containerd.service
[Service]
Type=oneshot
ExecStart=/usr/sbin/swapon --all
[Install]
WantedBy=multi-user.target
"""
MAKE = f"""\
dd if=/dev/zero of={FILE} bs=1M count=32 status=none
chmod 600 {FILE}
mkswap -q {FILE}
echo '{FILE} none swap sw 0 0' >>/etc/fstab
cat >/etc/systemd/system/swap-at-boot.service
systemctl enable -q swap-at-boot
"""
UNMAKE = f"""\
swapoff {FILE} 2>/dev/null
systemctl disable -q swap-at-boot
rm -f /etc/systemd/system/swap-at-boot.service {FILE}
sed -i '\\#{FILE}#d' /etc/fstab
systemctl daemon-reload
"""


def swaps() -> list[str]:
    """Of this computer, and so of all its machines."""
    return Path("/proc/swaps").read_text().splitlines()[1:]


OTHERS = "/etc/sysctl.d/99-local.conf"  # in the order of its name before kubefab's own, as most are


@dataclass(frozen=True)
class Rebooted:
    kubelet: bool
    forwards: str
    done: Done
    swaps: list[str]
    fstab: str
    again: Done


@pytest.fixture(scope="module")
def worker(inv: Kubefab) -> Iterator[Rebooted]:
    """The worker after a reboot with swap back on, and after the task that cures it."""
    mended(inv)
    assert swaps() == [], "this computer swaps; these tests cannot tell theirs from it"
    on(WORKER, MAKE, stdin=UNIT)
    on(WORKER, f"echo net.ipv4.ip_forward=0 >{OTHERS}")
    try:
        reboot(WORKER)
        eventually(swaps)
        eventually(lambda: not true_on(WORKER, "systemctl is-system-running --wait | grep -q starting"))
        # systemd starts it again and again, each time for a moment.
        kubelet = not poll(lambda: not true_on(WORKER, "systemctl is-active kubelet"), 30)
        forwards = on(WORKER, "cat /proc/sys/net/ipv4/ip_forward")
        done = inv("fix-reboot")
        yield Rebooted(kubelet, forwards, done, swaps(), on(WORKER, "cat /etc/fstab"), inv("fix-reboot"))
    finally:
        attempt(WORKER, f"{UNMAKE}rm {OTHERS}")
        assert swaps() == [], "swap is still on: swapoff --all"


def test_with_swap_on_the_kubelet_does_not_run(worker: Rebooted) -> None:
    assert not worker.kubelet


def test_what_the_kernel_was_told_holds_after_a_boot_though_another_file_says_otherwise(worker: Rebooted) -> None:
    assert worker.forwards == "1\n"


def test_fix_reboot_brings_the_node_back(worker: Rebooted) -> None:
    worker.done.well()
    assert ready_nodes() == PAIR
    assert coredns_answers()


def test_fix_reboot_switches_swap_off_for_good(worker: Rebooted) -> None:
    assert worker.swaps == []
    assert not [line for line in worker.fstab.splitlines() if "swap" in line and not line.startswith("#")]


def test_a_second_fix_reboot_has_nothing_to_do(worker: Rebooted) -> None:
    assert "nothing to do" in worker.again.well().stdout


def test_after_another_reboot_the_worker_is_ready_by_itself(worker: Rebooted, inv: Kubefab) -> None:
    before = on(WORKER, "cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveEnterTimestamp kubelet")
    reboot(WORKER)
    eventually(lambda: true_on(WORKER, "systemctl is-active kubelet"))
    assert on(WORKER, "cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveEnterTimestamp kubelet") != before
    inv("fix-reboot").well()
    assert ready_nodes() == PAIR


def test_fix_reboot_starts_what_somebody_stopped(cluster: Kubefab) -> None:
    on(WORKER, "systemctl disable --now kubelet; systemctl disable --now containerd")
    cluster("fix-reboot").well()
    assert on(WORKER, "systemctl is-enabled containerd kubelet").split() == ["enabled", "enabled"]
    assert ready_nodes() == PAIR


def test_fix_reboot_of_a_host_that_is_no_node_says_what_makes_one(cluster: Kubefab) -> None:
    cluster("restart", "--host", WORKER, "--yes").well()
    said = cluster("fix-reboot").badly().stderr
    assert WORKER in said
    assert "inv cluster.up" in said
