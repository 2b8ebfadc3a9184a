"""The commands of docs/nodes.md that take from a machine what a reset leaves, as a person would type them."""

import re
from dataclasses import dataclass

import pytest

from tests.e2e.harness import MASTER, ROOT, Kubefab, differences, fresh, hosts_file, on, power_on, reboot

from .dockers import docker_hosts

COVERS = (
    "docs/nodes.md",
    "files/**",
    "kubefab/facts/leftovers.py",
    "kubefab/steps/packages.py",
    "scripts/tear-down.sh",
    "scripts/shared/made.sh",
    "scripts/install-kubernetes.sh",
    "scripts/install-packages.sh",
    "scripts/install-cri-dockerd.sh",
)
# What the machine itself writes there, and what apt and the journal remember.
ITS_OWN = re.compile(
    r"/var/lib/(dpkg|apt|systemd|dbus|ucf|logrotate|private|update-notifier)/|/etc/(ld\.so\.cache|mtab|\.pwd\.lock)$"
    r"|/root/\.(cache|bash_history|kube/cache)|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$"
)
# What docs/nodes.md names as left, of what a cluster of one machine has.
LEFT = re.compile(r"/usr/share/bash-completion/|/etc/profile\.d/bash_completion|/etc/bash_completion|/var/lib/kubefab-")
LEFT_PACKAGES = {"ii  bash-completion"}


@dataclass(frozen=True)
class Trace:
    files: dict[str, str]
    packages: str


def trace() -> Trace:
    found = on(MASTER, "find /etc /root /home /opt /usr/local /var/lib -xdev ! -type d -printf '%p\\t%l %s\\n' | sort")
    files = dict(line.split("\t") for line in found.splitlines())
    named = {name: what for name, what in files.items() if not ITS_OWN.search(name) and not LEFT.search(name)}
    return Trace(named, on(MASTER, "dpkg-query -Wf '${db:Status-Abbrev} ${Package}\\n' | sort"))


def commands(without: str) -> list[str]:
    """The blocks of that chapter, in their order, but the other runtime's: it has these words."""
    _, chapter = (ROOT / "docs/nodes.md").read_text().split("## A machine without any trace of kubefab")
    blocks = re.findall(r"(?:^    .*\n)+", chapter, re.MULTILINE)
    return [block for block in blocks if without not in block]


@pytest.mark.parametrize("runtime", ["containerd", "docker"])
def test_nothing_is_left_but_what_is_said(inv: Kubefab, runtime: str) -> None:
    power_on("--everything")
    fresh(MASTER)
    before = trace()
    path, takes_pods = inv.state / "one.yml", {MASTER: {"schedulable": True}}
    if runtime == "docker":
        hosts, others = docker_hosts(path, {}, MASTER, hosts=takes_pods), "rm -rf /etc/containerd "
    else:
        hosts, others = hosts_file(path, MASTER, hosts=takes_pods), "docker.io"
    inv("cluster.up", hosts=hosts).well()
    inv("cluster.reset", "--yes", hosts=hosts).well()
    for block in commands(others):
        on(MASTER, f'apt-get() {{ DEBIAN_FRONTEND=noninteractive command apt-get --yes "$@"; }}\n{block}\ntrue')
    reboot(MASTER)
    after = trace()
    assert "\n".join(differences(before.files, after.files)) == ""
    assert set(after.packages.splitlines()) - LEFT_PACKAGES == set(before.packages.splitlines())
