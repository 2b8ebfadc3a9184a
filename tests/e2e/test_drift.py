"""What somebody changed by hand on machines that were well: put right, and nothing else."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .harness import (
    MASTER,
    ROOT,
    WORKER,
    Done,
    Kubefab,
    coredns_answers,
    edited,
    eventually,
    hosts_file,
    kubectl,
    mended,
    objects,
    on,
    ready_nodes,
    wait_on,
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
        "apt-mark unhold kubectl; apt-get -q -y remove --allow-change-held-packages kubeadm",
        "apt-mark showhold | grep -qx kubectl && kubeadm version -o short | grep -qx v1.37.2",
    ),
    "kubelet": ("systemctl stop kubelet", "systemctl is-active kubelet"),
}
FLANNEL = ("--namespace=kube-flannel", "daemonset/kube-flannel-ds")


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
    kubectl("delete", *FLANNEL, "--cascade=orphan")
    on(MASTER, "systemctl stop kubelet")
    dry, done = inv("--dry", "cluster.up"), inv("cluster.up")
    eventually(coredns_answers)
    return Repaired(started, dry, done, inv("cluster.up"))


@pytest.mark.parametrize("state", DRIFT)
def test_what_was_changed_by_hand_is_put_right(repaired: Repaired, state: str) -> None:
    on(WORKER, DRIFT[state][1])
    assert re.search(rf"^{WORKER}\s+[+~] .*{re.escape(state)}", repaired.dry.well().stdout, re.MULTILINE)
    assert re.search(rf"^{WORKER}\s+[+~] .*{re.escape(state)}", repaired.done.well().stdout, re.MULTILINE)


def test_a_service_whose_configuration_was_changed_is_restarted(repaired: Repaired) -> None:
    assert on(WORKER, "systemctl show -P ActiveEnterTimestampMonotonic containerd") != repaired.restarted


def test_a_package_that_is_missing_and_one_that_is_free_to_be_upgraded_are_told(repaired: Repaired) -> None:
    assert "is installed and held  (now: kubeadm missing, kubectl is not held)" in repaired.dry.stdout


def test_of_the_master_its_kubelet_is_started_flannel_is_applied_and_nothing_else_changes(repaired: Repaired) -> None:
    changed = re.findall(rf"^{MASTER}\s+[+~] (.+?)(?:  [\d.]+ s)?$", repaired.done.stdout, re.MULTILINE)
    assert sorted(changed) == ["flannel is applied", "kubelet runs"], repaired.done.stdout


def test_then_there_is_nothing_to_do(repaired: Repaired) -> None:
    assert "nothing to do" in repaired.again.well().stdout
    assert ready_nodes() == set(PAIR)


EDITED = [
    {"op": "remove", "path": "/metadata/annotations/kubefab.internal~1flannel"},
    {"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe/periodSeconds", "value": 3},
]


def probed_every(host: str) -> list[int]:
    """How often each flanneld of a host is asked, in seconds: of the manifest that its pod was made from."""
    pods = objects("pods", "--namespace=kube-flannel", f"--field-selector=spec.nodeName={host}")
    return [pod["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] for pod in pods]


@pytest.mark.usefixtures("repaired")
def test_a_node_that_is_away_does_not_keep_a_changed_flannel_from_the_others(inv: Kubefab) -> None:
    kubectl("patch", *FLANNEL, "--type=json", "--patch", json.dumps(EDITED))
    kubectl("rollout", "status", *FLANNEL, "--timeout=2m")
    on(WORKER, "systemctl stop kubelet")
    try:
        gone = f"--field-selector=spec.nodeName={WORKER}"
        kubectl("delete", "pods", "--namespace=kube-flannel", gone, "--wait=false")
        inv("install-flannel").well()
        eventually(lambda: probed_every(MASTER) == [2], seconds=60)
    finally:
        on(WORKER, "systemctl start kubelet")


# --- the control plane

PERIOD = "horizontal-pod-autoscaler-sync-period"
SCHEDULER = "/etc/kubernetes/manifests/kube-scheduler.yaml"


def saying(path: Path, **configuration: Any) -> Path:
    """A hosts.yml with these fields of ClusterConfiguration."""
    overlays = yaml.safe_load((ROOT / "hosts.yml").read_text())["cluster"]["kubeadm"]
    return hosts_file(path, *PAIR, cluster={"kubeadm": {**overlays, "ClusterConfiguration": configuration}})


def told(program: str) -> list[str]:
    """What a static pod's process was told; the kernel knows it by 15 characters."""
    return on(MASTER, f"tr '\\0' '\\n' </proc/$(pgrep -x {program[:15]})/cmdline").splitlines()


def kept() -> str:
    return kubectl("-n", "kube-system", "get", "configmap", "kubeadm-config", "-o", "jsonpath={.data}")


@pytest.fixture(scope="module")
def ours(inv: Kubefab) -> Kubefab:
    """A cluster whose static pods are kubefab's own, whoever has made it."""
    mended(inv)("cluster.put-back", "--host", MASTER, "--yes").well()
    return inv


@dataclass(frozen=True)
class Flagged:
    """A flag in hosts.yml; then somebody changes what kubeadm keeps; then the flag is in hosts.yml no more.

    Then there is nothing to do: the next test's run says so.
    """

    dry: Done
    done: Done
    told: list[str]
    kept: str
    again: Done
    changed: Done
    mended: Done
    kept_after: str
    gone: Done
    told_after: list[str]
    kept_at_last: str


@pytest.fixture(scope="module")
def flagged(ours: Kubefab, tmp_path_factory: pytest.TempPathFactory) -> Flagged:
    says = saying(tmp_path_factory.mktemp("drift") / "hosts.yml", controllerManager={"extraArgs": {PERIOD: "10s"}})
    dry, done = ours("--dry", "cluster.up", hosts=says), ours("cluster.up", hosts=says)
    first = told("kube-controller-manager"), kept(), ours("cluster.up", hosts=says)
    edited = "kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-system {} configmap kubeadm-config -o yaml"
    on(MASTER, f"{edited.format('get')} | sed 's/value: 10s/value: 99s/' | {edited.format('replace')} -f - >/dev/null")
    changed, mended = ours("--dry", "cluster.up", hosts=says), ours("cluster.up", hosts=says)
    after = kept()
    gone = ours("cluster.up")
    return Flagged(dry, done, *first, changed, mended, after, gone, told("kube-controller-manager"), kept())


def test_a_flag_of_hosts_yml_is_told_and_comes_to_what_runs_and_to_what_kubeadm_keeps(flagged: Flagged) -> None:
    words = f"kube-controller-manager is what hosts.yml says  (now: without --{PERIOD}=10s)"
    assert re.search(rf"^{MASTER}\s+~ {re.escape(words)}", flagged.dry.well().stdout, re.MULTILINE), flagged.dry.stdout
    assert "restarts" not in flagged.dry.stdout  # no API server does
    assert f"--{PERIOD}=10s" in flagged.told, flagged.done.well().stdout
    assert PERIOD in flagged.kept
    assert "nothing to do" in flagged.again.well().stdout


def test_what_somebody_has_changed_of_what_kubeadm_keeps_is_put_right(flagged: Flagged) -> None:
    assert f"controllerManager: --{PERIOD} is 99s, not 10s" in flagged.changed.well().stdout
    assert "value: 10s" in flagged.kept_after, flagged.mended.well().stdout


def test_a_flag_that_is_in_hosts_yml_no_more_goes_everywhere(flagged: Flagged) -> None:
    assert not [flag for flag in flagged.told_after if PERIOD in flag], flagged.gone.well().stdout
    assert PERIOD not in flagged.kept_at_last


@pytest.fixture
def verbose(ours: Kubefab, flagged: Flagged) -> Iterator[Kubefab]:
    """Somebody has changed the scheduler's manifest by hand."""
    edited(MASTER, SCHEDULER, "s/^    - --leader-elect=true$/&\\n    - --v=3/")
    wait_on(MASTER, "tr '\\0' '\\n' </proc/$(pgrep -x kube-scheduler)/cmdline | grep -qx -e --v=3")
    yield ours
    if "--v=3" in told("kube-scheduler"):
        ours("cluster.put-back", "--host", MASTER, "--yes")


def test_what_was_changed_by_hand_is_shown_left_alone_and_taken_back_where_somebody_agrees(verbose: Kubefab) -> None:
    said = verbose("cluster.up").well().stdout
    assert "kube-scheduler is as kubefab has left it; found: changed by hand: with --v=3; what to do:" in said
    assert "nothing to do" in said
    assert "--v=3" in told("kube-scheduler")
    refused = verbose("cluster.put-back", "--host", MASTER).badly()
    assert f"{MASTER}  - kube-scheduler: with --v=3" in refused.stdout
    assert "--v=3" in told("kube-scheduler")
    verbose("cluster.put-back", "--host", MASTER, "--yes").well()
    assert "--v=3" not in told("kube-scheduler")
    assert "nothing to do" in verbose("cluster.up").well().stdout
