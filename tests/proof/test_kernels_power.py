"""A machine with a kernel of its own whose power is cut in the middle of apt: the same command finishes its work."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import DPKG, Done, Kubefab, catch, cut_power, on
from tests.proof.kernels import VM, machine_as_new, of_one, switched_off, switched_on

COVERS = (
    "lab/qemu.py",
    "lab/vm*.py",
    "lab/machines.py",
    "lab/network.py",
    "lab/image-kernels/**",
    "lab/image/machine/etc/**",
    "tests/proof/kernels.py",
    "kubefab/steps/packages.py",
    "scripts/install-packages.sh",
    "scripts/mend-dpkg.sh",
)


@dataclass(frozen=True)
class Story:
    hosts: Path
    cut: Done
    again: Done


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Iterator[Story]:
    """From a machine as new."""
    machine_as_new()
    hosts = of_one(inv.state / "one.yml", {}, {})
    with inv.started("install-kubeadm", hosts=hosts) as run:
        catch(run, VM, f"pgrep -f '^{DPKG}'", seconds=600)
        cut_power(VM)
        cut = run.ends()
    switched_on()
    yield Story(hosts, cut, inv("install-kubeadm", hosts=hosts))
    switched_off()


def test_a_power_cut_in_the_middle_of_apt_is_told(story: Story) -> None:
    assert VM in story.cut.badly().stderr


def test_the_same_command_finishes_after_it(story: Story) -> None:
    story.again.well()
    assert on(VM, "dpkg --audit") == ""
    assert on(VM, "kubelet --version && containerd --version") != ""


def test_then_there_is_nothing_to_do(story: Story, inv: Kubefab) -> None:
    assert "nothing to do" in inv("install-kubeadm", hosts=story.hosts).well().stdout
