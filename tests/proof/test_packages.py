"""A package manager that is busy or broken, and repositories that are not to be trusted."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import SPARE, Kubefab, attempt, fresh, hosts_file, in_time, on, true_on, wait_on

COVERS = (
    "kubefab/steps/packages.py",
    "scripts/install-packages.sh",
    "scripts/install-kubernetes.sh",
    "scripts/mend-dpkg.sh",
)

# As apt takes its own: a POSIX lock, which flock(1) would not see.
HOLDER = """\
use Fcntl;
open(my $file, ">>", $ARGV[0]) or die;
my $lock = pack("ssx4qqi", F_WRLCK, 0, 0, 0, 0);
fcntl($file, F_SETLK, $lock) or die;
sleep 600;
"""
KEY = "54540AA9BA693F06AE160154B59DF9A96188E07C"  # of the lab's apt repository
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock")


@pytest.fixture(scope="module")
def alone(inv: Kubefab) -> Kubefab:
    """The third machine alone, as new: a master to be."""
    fresh(SPARE)
    return Kubefab(hosts_file(inv.state / "alone.yml", SPARE), inv.state)


@contextmanager
def held(path: str) -> Iterator[str]:
    """Somebody else has this lock; the process that is to be named."""
    on(SPARE, "cat >/root/holder.pl", stdin=HOLDER)
    on(SPARE, f"systemd-run --quiet --collect --unit=e2e-apt perl /root/holder.pl {path}")
    try:
        pid = on(SPARE, "systemctl show -P MainPID e2e-apt").strip()
        wait_on(SPARE, f"grep -q 'POSIX.* {pid} ' /proc/locks")
        yield f"perl (process {pid})"
    finally:
        attempt(SPARE, "systemctl stop e2e-apt")


@pytest.mark.parametrize("path", LOCKS)
def test_who_holds_a_lock_of_apt_is_named_while_waiting_and_then_it_goes_on(alone: Kubefab, path: str) -> None:
    on(SPARE, "apt-get purge -qq -y containerd")
    with ExitStack() as holding:
        holder = holding.enter_context(held(path))
        run = holding.enter_context(alone.started("install-docker"))
        assert run.says(holder), run.said()
        assert run.process.poll() is None, run.said()
        on(SPARE, "systemctl stop e2e-apt")
        run.ends().well()
    assert on(SPARE, "systemctl is-active containerd").strip() == "active"


def test_packages_that_were_only_unpacked_are_finished(alone: Kubefab) -> None:
    on(SPARE, "cd /tmp && apt-get -qq download containerd runc && dpkg --unpack ./*.deb && rm ./*.deb")
    assert "containerd" in on(SPARE, "dpkg --audit")
    said = alone("install-docker").well().stdout
    assert "dpkg has no half-installed packages" in said
    assert on(SPARE, "dpkg --audit") == ""
    assert on(SPARE, "systemctl is-active containerd").strip() == "active"


def test_a_dry_run_waits_for_nobody(alone: Kubefab) -> None:
    with held(LOCKS[0]):
        done = alone("--dry", "cluster.up").well()
    in_time("a dry run while somebody holds dpkg's lock", 10, done)
    assert re.search(rf"^{SPARE}\s+\+ Kubernetes", done.stdout, re.MULTILINE), done.stdout


@pytest.fixture
def without_packages(alone: Kubefab) -> Kubefab:
    """The runtime is there, Kubernetes is not."""
    alone("install-docker").well()
    on(SPARE, "apt-get purge -qq -y --allow-change-held-packages 'kube*'; rm -f /etc/apt/keyrings/kubernetes*")
    return alone


def mirrored(alone: Kubefab, says: dict[str, str]) -> Path:
    document = yaml.safe_load(alone.hosts.read_text())
    document["mirrors"]["https://pkgs.k8s.io/"] |= says
    path = alone.state / "mirrored.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_repository_with_another_key_is_not_believed(without_packages: Kubefab) -> None:
    hosts = mirrored(without_packages, {"key": "0" * 40})
    said = without_packages("install-kubeadm", hosts=hosts).badly().stderr
    assert KEY in said
    assert "0" * 40 in said
    assert "key: FINGERPRINT" in said
    assert not true_on(SPARE, "test -e /etc/apt/keyrings/kubernetes-apt-keyring.gpg || test -e /usr/bin/kubelet")


def test_a_repository_that_does_not_answer_is_named(without_packages: Kubefab) -> None:
    hosts = mirrored(without_packages, {"url": "http://10.250.0.1:9/pkgs/"})
    done = without_packages("install-kubeadm", hosts=hosts).badly()
    assert "http://10.250.0.1:9/pkgs/core:/stable:/v1.37/deb/Release.key" in done.stderr
    assert "mirrors:" in done.stderr
    in_time("a repository that does not answer is named", 10, done)


def test_a_version_that_the_repository_does_not_have_is_named(without_packages: Kubefab) -> None:
    hosts = hosts_file(without_packages.state / "nosuch.yml", SPARE, cluster={"kubernetes": "1.37.77"})
    said = without_packages("install-kubeadm", hosts=hosts).badly().stderr
    assert "1.37.77" in said
    assert "apt-cache policy kubelet" in said


def test_packages_that_somebody_else_took_off_hold_are_held_again(alone: Kubefab) -> None:
    alone("install-kubeadm").well()
    on(SPARE, "apt-mark unhold kubelet")
    said = alone("install-kubeadm").well().stdout
    assert "held" in said
    assert "kubelet" in on(SPARE, "apt-mark showhold").split()
    assert "nothing to do" in alone("install-kubeadm").well().stdout
