"""A package manager that is busy, or was broken off by somebody else. A minute."""

import re

import pytest

from .harness import SPARE, Kubefab, fresh, hosts_file, on, wait_on

# As apt takes its own: a POSIX lock, which flock(1) would not see.
HOLD = (
    "systemd-run --quiet --unit=e2e-apt perl -e '"
    'use Fcntl; open(F, ">>", "{path}") or die; '
    'fcntl(F, F_SETLK, pack("ssx4qqi", F_WRLCK, 0, 0, 0, 0)) or die; sleep 600\''
)
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")


@pytest.fixture(scope="module")
def alone(inv: Kubefab) -> Kubefab:
    """The third machine alone, as new: a master to be."""
    fresh(SPARE)
    return Kubefab(hosts_file(inv.state / "alone.yml", SPARE), inv.state)


def test_who_holds_the_apt_lock_is_named_while_waiting_and_then_it_goes_on(alone: Kubefab) -> None:
    for path in LOCKS:
        on(SPARE, "systemctl reset-failed e2e-apt 2>/dev/null; " + HOLD.format(path=path))
        wait_on(SPARE, f"grep -q :$(stat -c %i {path}) /proc/locks", 10)
        pid = on(SPARE, "systemctl show -P MainPID e2e-apt").strip()
        with alone.started("install-docker") as run:
            named = run.says(f"perl (process {pid})")
            assert run.process.poll() is None, run.said()
            on(SPARE, "systemctl stop e2e-apt")
            run.ends(120).well()
            assert named, run.said()
        on(SPARE, "apt-get purge -qq -y containerd")


def test_packages_that_were_only_unpacked_are_finished(alone: Kubefab) -> None:
    on(SPARE, "cd /tmp && apt-get -qq download containerd runc && dpkg --unpack ./*.deb && rm ./*.deb")
    assert "containerd" in on(SPARE, "dpkg --audit")
    said = alone("install-docker").well().stdout
    assert "dpkg is in order" in said
    assert on(SPARE, "dpkg --audit") == ""
    assert on(SPARE, "systemctl is-active containerd").strip() == "active"


def test_a_dry_run_tells_of_it_and_waits_for_nobody(alone: Kubefab) -> None:
    on(SPARE, HOLD.format(path=LOCKS[0]))
    try:
        wait_on(SPARE, f"grep -q :$(stat -c %i {LOCKS[0]}) /proc/locks", 10)
        done = alone("--dry", "install-kubeadm").well()
        assert done.seconds < 20
        assert re.search(rf"^{SPARE}\s+\+ Kubernetes", done.stdout, re.MULTILINE), done.stdout
    finally:
        on(SPARE, "systemctl stop e2e-apt")


def test_packages_that_somebody_else_took_off_hold_are_held_again(alone: Kubefab) -> None:
    alone("install-kubeadm").well()
    on(SPARE, "apt-mark unhold kubelet")
    said = alone("install-kubeadm").well().stdout
    assert "held" in said
    assert "kubelet" in on(SPARE, "apt-mark showhold").split()
    assert "nothing to do" in alone("install-kubeadm").well().stdout
