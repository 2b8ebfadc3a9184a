"""What somebody changed by hand on machines that were well: put right, and nothing else."""

import json
import re
from dataclasses import dataclass

import pytest

from .harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    coredns_answers,
    eventually,
    kubectl,
    mended,
    objects,
    on,
    ready_nodes,
)

PAIR = (MASTER, WORKER)
# state -> what makes it untrue on the worker, and what then has to be true there again
DRIFT = {
    "kernel settings are in effect": (
        "sysctl -qw net.ipv4.ip_forward=0",
        "[ $(cat /proc/sys/net/ipv4/ip_forward) = 1 ]",
    ),
    "kernel settings persist across reboots": (
        "echo net.ipv4.ip_forward = 0 >/etc/sysctl.d/99-zz-kubernetes.conf",
        "grep -q 'ip_forward *= *1' /etc/sysctl.d/99-zz-kubernetes.conf",
    ),
    "/etc/hosts has the control plane's name": (
        "sed -i /kubefab.internal/d /etc/hosts",
        "grep -q kubefab.internal /etc/hosts",
    ),
    "containerd is configured": (
        "echo '# mine' >>/etc/containerd/config.toml",
        "! grep -q '# mine' /etc/containerd/config.toml",
    ),
    "the repository and the version are pinned": (
        "rm /etc/apt/preferences.d/kubernetes",
        "apt-cache policy kubelet | grep -q 'Candidate: 1.37.2-'",
    ),
    "the repository key is installed": (
        "rm /etc/apt/keyrings/kubernetes-apt-keyring.gpg",
        "gpg --batch --show-keys /etc/apt/keyrings/kubernetes-apt-keyring.gpg",
    ),
    "shell completion knows kubectl and kubeadm": (
        "rm /etc/bash_completion.d/kubernetes",
        "[ -s /etc/bash_completion.d/kubernetes ]",
    ),
    "is installed and held": (
        "apt-mark unhold kubeadm",
        "apt-mark showhold | grep -qx kubeadm",
    ),
    "kubelet": ("systemctl stop kubelet", "systemctl is-active kubelet"),
}


@dataclass(frozen=True)
class Repaired:
    restarted: str
    dry: Done
    done: Done
    again: Done


@pytest.fixture(scope="module")
def repaired(inv: Kubefab) -> Repaired:
    mended(inv)
    started = on(WORKER, "systemctl show -P ActiveEnterTimestampMonotonic containerd")
    for break_it, _ in DRIFT.values():
        on(WORKER, break_it)
    return Repaired(started, inv("--dry", "cluster.up"), inv("cluster.up"), inv("cluster.up"))


@pytest.mark.parametrize("state", DRIFT)
def test_what_was_changed_by_hand_is_put_right(repaired: Repaired, state: str) -> None:
    on(WORKER, DRIFT[state][1])
    assert re.search(rf"^{WORKER}\s+[+~] .*{re.escape(state)}", repaired.dry.well().stdout, re.MULTILINE)
    assert re.search(rf"^{WORKER}\s+[+~] .*{re.escape(state)}", repaired.done.well().stdout, re.MULTILINE)


def test_a_service_whose_configuration_was_changed_is_restarted(repaired: Repaired) -> None:
    assert on(WORKER, "systemctl show -P ActiveEnterTimestampMonotonic containerd") != repaired.restarted


def test_the_other_host_is_left_alone(repaired: Repaired) -> None:
    assert not re.search(rf"^{MASTER}\s+[+~] ", repaired.done.stdout, re.MULTILINE), repaired.done.stdout


def test_then_there_is_nothing_to_do(repaired: Repaired) -> None:
    assert "nothing to do" in repaired.again.well().stdout
    assert ready_nodes() == set(PAIR)


def test_a_kubelet_of_the_master_that_was_stopped_is_started(cluster: Kubefab) -> None:
    on(MASTER, "systemctl stop kubelet")
    done = cluster("cluster.up").well()
    assert re.search(rf"^{MASTER}\s+~ kubelet runs", done.stdout, re.MULTILINE), done.stdout
    assert "nothing to do" in cluster("cluster.up").well().stdout


def test_a_flannel_that_was_deleted_is_applied_again(cluster: Kubefab) -> None:
    kubectl("-n", "kube-flannel", "delete", "daemonset", "kube-flannel-ds", "--cascade=orphan")
    assert "flannel is applied" in cluster("cluster.up").well().stdout
    eventually(coredns_answers)
    assert "nothing to do" in cluster("cluster.up").well().stdout


FLANNEL = ("--namespace=kube-flannel", "daemonset/kube-flannel-ds")
EDITED = [
    {"op": "remove", "path": "/metadata/annotations/kubefab.internal~1flannel"},
    {"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe/periodSeconds", "value": 3},
]


def probed_every(host: str) -> list[int]:
    """How often each flanneld of a host is asked, in seconds: of the manifest that its pod was made from."""
    pods = objects("pods", "--namespace=kube-flannel", f"--field-selector=spec.nodeName={host}")
    return [pod["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] for pod in pods]


def test_a_node_that_is_away_does_not_keep_a_changed_flannel_from_the_others(cluster: Kubefab) -> None:
    kubectl("patch", *FLANNEL, "--type=json", "--patch", json.dumps(EDITED))
    kubectl("rollout", "status", *FLANNEL, "--timeout=2m")
    on(WORKER, "systemctl stop kubelet")
    try:
        gone = f"--field-selector=spec.nodeName={WORKER}"
        kubectl("delete", "pods", "--namespace=kube-flannel", gone, "--wait=false")
        cluster("install-flannel").well()
        eventually(lambda: probed_every(MASTER) == [2], seconds=60)
    finally:
        on(WORKER, "systemctl start kubelet")
