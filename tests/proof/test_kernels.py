"""A whole cluster of one machine with a kernel of its own; its power is cut in the middle of apt."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import DPKG, Done, Kubefab, catch, cut_power, nodes, on, ready_nodes
from tests.proof.kernels import VM, a_pod_answers, brought_up, machine_as_new, of_one, switched_off, switched_on

COVERS = (
    "lab/qemu.py",
    "lab/vm*.py",
    "lab/machines.py",
    "lab/network.py",
    "lab/image-kernels/**",
    "lab/image/machine/etc/**",
    "tests/proof/kernels.py",
    "kubefab/crashes.py",
    "scripts/install-packages.sh",
    "scripts/mend-dpkg.sh",
)


@dataclass(frozen=True)
class Story:
    hosts: Path
    cut: Done
    up: Done


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Iterator[Story]:
    """From a machine as new; what was begun before the power cut is finished by the same command."""
    machine_as_new()
    hosts = of_one(inv.state / "one.yml", {}, {})
    with inv.started("cluster.up", hosts=hosts) as run:
        catch(run, VM, f"pgrep -f '^{DPKG}'", seconds=600)
        cut_power(VM)
        cut = run.ends()
    switched_on()
    yield Story(hosts, cut, brought_up(inv, hosts))
    switched_off()


def test_a_power_cut_in_the_middle_of_apt_is_told(story: Story) -> None:
    assert VM in story.cut.badly().stderr


def test_the_same_command_makes_the_cluster_after_it(story: Story) -> None:
    story.up.well()
    assert ready_nodes(VM) == {VM}
    assert on(VM, "dpkg --audit") == ""


def test_nothing_was_said_for_the_labs_sake(story: Story) -> None:
    told = on(
        VM,
        "cat /var/lib/kubelet/config.yaml; kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system "
        "get configmap kube-proxy -o yaml",
    )
    assert "failCgroupV1" not in story.hosts.read_text()
    assert "maxPerCore: 0" not in told


def test_a_pod_answers_by_its_services_name(story: Story) -> None:
    assert not nodes(VM)[VM]["spec"].get("taints")
    a_pod_answers("registry.k8s.io/lab/tools:1")


def test_a_second_up_has_nothing_to_do(story: Story, inv: Kubefab) -> None:
    assert "nothing to do" in inv("cluster.up", hosts=story.hosts).well().stdout
