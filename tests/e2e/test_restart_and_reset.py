"""Taking Kubernetes away from hosts, and coming back from there."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    attempt,
    cluster_uid,
    cut_power,
    kubectl,
    mended,
    on,
    power_on,
    ready_nodes,
    untouched,
)

PAIR = (MASTER, WORKER)


# What has to print nothing on a host that is as clean as before kubeadm.
NOTHING = {
    "containers": "ctr -n k8s.io containers ls -q; ctr -n k8s.io tasks ls -q",
    "processes": "ps -eo args= | grep -E '^(kube|etcd|/opt/bin/flanneld|/coredns|/usr/bin/containerd-shim|/pause)'",
    "links": "ip -o link | grep -E 'cni0|flannel|veth'",
    "routes": "ip route | grep -E '10[.]244[.]|flannel|cni'",
    "chains": "{ iptables-save; ip6tables-save; } | grep -E ':(KUBE|FLANNEL|CNI)-|-[jg] (KUBE|FLANNEL|CNI)-'",
    "mounts": "grep -E ' (/var/lib/kubelet/|/run/netns/)' /proc/mounts",
    "files": "find /etc/kubernetes /var/lib/kubelet /var/lib/etcd /var/lib/cni /run/flannel /etc/cni/net.d"
    " /var/lib/kubefab /var/lib/kubefab-manifests /root/.kube/config -mindepth 0 ! -type d 2>/dev/null",
    "directories": "ls -A /etc/kubernetes /var/lib/kubelet /var/lib/etcd /var/lib/cni /run/flannel 2>/dev/null"
    " | grep -v :",
    "names": "grep kubefab.internal /etc/hosts",
    "ports": "ss -Hltn | grep -E ':(6443|2379|2380|10250|10257|10259|10256) '",
    "the kubelet": "systemctl is-active kubelet | grep -x active",
}


POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: with-mounts}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 30
  containers:
    - {{name: tools, image: "registry.k8s.io/lab/tools:1", command: [sleep, "3600"],
       volumeMounts: [{{name: memory, mountPath: /memory}}]}}
  volumes: [{{name: memory, emptyDir: {{medium: Memory}}}}]
"""


FIREWALL = """\
for family in iptables:192.0.2.0/24 ip6tables:2001:db8::/64; do
    table=${family%%:*} net=${family#*:}
    $table -N MINE
    $table -A MINE -s $net -m comment --comment 'away from KUBE-land' -j DROP
    $table -I INPUT -j MINE
    $table -t nat -A POSTROUTING -s $net -j MASQUERADE
done
"""


NO_FIREWALL = """\
for family in iptables:192.0.2.0/24 ip6tables:2001:db8::/64; do
    table=${family%%:*} net=${family#*:}
    $table -D INPUT -j MINE
    $table -F MINE
    $table -X MINE
    $table -t nat -D POSTROUTING -s $net -j MASQUERADE
done
"""


def found(host: str, kind: str) -> str:
    return on(host, f"{NOTHING[kind]} || true")


@pytest.fixture(scope="module")
def busy(inv: Kubefab) -> Iterator[Kubefab]:
    """A cluster whose worker has a pod with mounts, and a firewall that is not ours."""
    mended(inv)
    kubectl("apply", "-f", "-", stdin=POD.format(node=WORKER))
    kubectl("wait", "--for=condition=Ready", "pod/with-mounts", "--timeout=180s")
    attempt(WORKER, NO_FIREWALL)
    on(WORKER, FIREWALL)
    yield inv
    on(WORKER, NO_FIREWALL)


@dataclass(frozen=True)
class Restarted:
    asked: Done
    firewall: str
    done: Done
    kept: str
    firewall_after: str
    again: Done


POLICY, POD_OF_MINE = "/etc/kubernetes/audit-policy.yaml", "/etc/kubernetes/manifests/mine.yaml"


KEPT = f"/var/lib/kubefab-kept{POD_OF_MINE}"


def firewall() -> str:
    """The rules that are not Kubernetes'."""
    text = on(WORKER, "iptables-save; ip6tables-save")
    return "\n".join(line for line in text.splitlines() if re.search("MINE|192.0.2|2001:db8", line))


@pytest.fixture(scope="module")
def restarted(busy: Kubefab) -> Restarted:
    on(WORKER, f"mkdir -p /etc/kubernetes/manifests; echo policy >{POLICY}; echo '# mine' >{POD_OF_MINE}")
    with untouched(*PAIR):
        asked = busy("restart", "--host", WORKER, stdin="yes\n")
    before = firewall()
    done = busy("restart", "--host", WORKER, "--yes")
    kept = on(WORKER, f"cat {POLICY} {KEPT}; rm -r /etc/kubernetes {KEPT}")
    return Restarted(asked, before, done, kept, firewall(), busy("restart", "--host", WORKER, "--yes"))


def test_restart_without_a_terminal_lists_what_would_be_lost_and_refuses(restarted: Restarted) -> None:
    said = restarted.asked.badly().said
    assert "--yes" in said
    assert re.search(rf"{WORKER}.*a node.*containers.*chains", said), said
    assert MASTER not in said.replace(f"{MASTER} --", ""), "the other host is mentioned too"


def test_restart_of_one_host_ends_well(restarted: Restarted) -> None:
    assert not re.search(rf"^{MASTER} ", restarted.done.well().stdout, re.MULTILINE)


def test_restart_names_and_keeps_what_is_somebody_elses(restarted: Restarted) -> None:
    assert f"stays: {POLICY}" in restarted.asked.stdout
    assert re.search(f"set aside below /var/lib/kubefab-kept: .*{POD_OF_MINE}", restarted.asked.stdout)
    assert restarted.kept == "policy\n# mine\n"


@pytest.mark.parametrize("kind", NOTHING)
def test_restart_leaves_nothing_of_this_kind_behind(restarted: Restarted, kind: str) -> None:
    assert found(WORKER, kind) == ""


def test_restart_leaves_the_firewall_of_others_as_it_is(restarted: Restarted) -> None:
    assert restarted.firewall.count("MINE") >= 6
    assert restarted.firewall_after == restarted.firewall


def test_a_second_restart_has_nothing_to_do(restarted: Restarted) -> None:
    assert "nothing to do" in restarted.again.well().stdout


def test_after_a_restart_up_joins_the_host_again(restarted: Restarted, inv: Kubefab) -> None:
    uid = cluster_uid()
    inv("cluster.up").well()
    assert ready_nodes() == set(PAIR)
    assert cluster_uid() == uid
    assert firewall() == restarted.firewall


def test_a_mount_below_what_would_go_is_named_and_nothing_is_taken_away(cluster: Kubefab) -> None:
    disk = "/var/lib/etcd/backup"
    on(MASTER, f"mkdir -p {disk} /srv/nas; mount --bind /srv/nas {disk}; touch {disk}/precious")
    try:
        with untouched(*PAIR):
            said = cluster("cluster.reset", "--yes").badly().said
    finally:
        on(MASTER, f"umount {disk}; rmdir {disk}")
    assert f"{disk} is a mount" in said
    assert on(MASTER, "ls /srv/nas").split() == ["precious"]
    assert ready_nodes() == set(PAIR)


# --- all hosts


@dataclass(frozen=True)
class Reset:
    uid: str
    dry: Done
    asked: Done
    strangers: Done
    done: Done
    clean: dict[tuple[str, str], str]
    again: Done
    dry_up: Done
    status: Done
    kubeconfig: Done
    up: Done


STRANGER = "{apiVersion: v1, kind: Node, metadata: {name: stranger}}"


@pytest.fixture(scope="module")
def reset(inv: Kubefab) -> Reset:
    mended(inv)
    uid = cluster_uid()
    with untouched(*PAIR):
        dry = inv("--dry", "cluster.reset")
        asked = inv("cluster.reset", stdin="yes\n" * 1000)
        kubectl("apply", "-f", "-", stdin=STRANGER)
        strangers = inv("cluster.reset", "--yes")
        kubectl("delete", "node", "stranger")
    done = inv("cluster.reset", "--yes")
    clean = {(host, kind): found(host, kind) for host in PAIR for kind in NOTHING}
    again, dry_up = inv("cluster.reset", "--yes"), inv("--dry", "cluster.up")
    status, kubeconfig = inv("cluster.status", "--json"), inv("cluster.kubeconfig", "--output", "/nowhere/at/all")
    up = inv("cluster.up")
    return Reset(uid, dry, asked, strangers, done, clean, again, dry_up, status, kubeconfig, up)


def test_a_dry_reset_lists_what_would_go_on_every_host_and_touches_nothing(reset: Reset) -> None:
    said = reset.dry.well().stdout
    for host in PAIR:
        assert re.search(rf"^{host}\s+\S .*containers", said, re.MULTILINE), said


def test_yes_in_a_pipe_does_not_reset(reset: Reset) -> None:
    said = reset.asked.badly().said
    assert "--yes" in said
    assert all(re.search(rf"^{host}.*containers", said, re.MULTILINE) for host in PAIR), said


def test_a_node_that_hosts_yml_does_not_know_stops_a_reset(reset: Reset, inv: Kubefab) -> None:
    assert "stranger" in reset.strangers.badly().stderr
    assert str(inv.hosts) in reset.strangers.stderr


def test_reset_ends_well(reset: Reset) -> None:
    reset.done.well()


@pytest.mark.parametrize("host", PAIR)
@pytest.mark.parametrize("kind", NOTHING)
def test_reset_leaves_nothing_of_this_kind_behind(reset: Reset, host: str, kind: str) -> None:
    assert reset.clean[host, kind] == ""


def test_a_second_reset_has_nothing_to_do(reset: Reset) -> None:
    assert "nothing to do" in reset.again.well().stdout


def test_after_a_reset_the_plan_is_to_make_a_cluster_again(reset: Reset) -> None:
    planned = reset.dry_up.well().stdout
    assert re.search(rf"^{MASTER}\s+\+ the control plane exists", planned, re.MULTILINE)
    assert re.search(rf"^{WORKER}\s+\+ the host is a node", planned, re.MULTILINE)
    assert "is installed" not in planned


def test_without_a_cluster_status_says_so_in_json_too(reset: Reset) -> None:
    found = json.loads(reset.status.badly().stdout)
    assert (found["healthy"], found["nodes"]) == (False, [])


def test_without_a_cluster_there_is_no_kubeconfig_and_what_makes_one_is_said(reset: Reset) -> None:
    assert "inv cluster.up" in reset.kubeconfig.badly().stderr


def test_after_a_reset_up_makes_a_new_cluster(reset: Reset) -> None:
    reset.up.well()
    assert ready_nodes() == set(PAIR)
    assert cluster_uid() != reset.uid


def test_a_reset_without_the_word_of_the_master_is_refused(cluster: Kubefab) -> None:
    cut_power(MASTER)
    try:
        with untouched(WORKER):
            said = cluster("cluster.reset", "--yes").badly().stderr
    finally:
        power_on()
    assert MASTER in said
    assert "--unheard" in said
