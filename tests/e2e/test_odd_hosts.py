"""Hosts that are odd, as users' are: told before any change, or borne.

The machines are shared: whoever makes one odd undoes it, whatever happens.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from .harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    address,
    all_is_well,
    another_sshd,
    hosts_file,
    kubectl,
    mended,
    nodes,
    on,
    true_on,
    untouched,
)

PAIR = (MASTER, WORKER)


@contextmanager
def odd(host: str, make: str, undo: str) -> Iterator[None]:
    """A host is made odd, and is as before afterwards."""
    try:
        on(host, make)
        yield
    finally:
        on(host, undo)


# --- a worker that is out: what others left on it


@dataclass(frozen=True)
class Oddity:
    """What makes a worker odd, what undoes it, and the words that are to be told of it."""

    make: str
    undo: str
    told: tuple[str, ...]


SOURCE = "/etc/apt/sources.list.d/mine.sources"


CTR = "/usr/local/bin/ctr"


LAST = "/etc/sysctl.d/99-zzz-mine.conf"


WEAVE = "/etc/cni/net.d/10-weave.conflist"


ODDITIES = {
    "a second source of the same packages": Oddity(
        "printf 'Types: deb\\nURIs: http://10.250.0.1:8080/pkgs/core:/stable:/v1.37/deb/\\nSuites: /\\n"
        f"Signed-By: /etc/apt/keyrings/mine.asc\\n' >{SOURCE}",
        f"rm {SOURCE}",
        (SOURCE,),
    ),
    "another tool's programs": Oddity(
        f"printf '#!/bin/sh\\nexec /usr/bin/ctr --address /run/k3s/no.sock \"$@\"\\n' >{CTR}; chmod +x {CTR}",
        f"rm {CTR}",
        (CTR,),
    ),
    "what Cilium left": Oddity(
        "ip link add cilium_vxlan type vxlan external dstport 8472; ip link set cilium_vxlan up",
        "ip link delete cilium_vxlan",
        ("cilium_vxlan", "ip link delete cilium_vxlan"),
    ),
    "a network of its own within the pod subnet": Oddity(
        "ip link add e2e0 type bridge; ip addr add 10.244.77.1/24 dev e2e0; ip link set e2e0 up",
        "ip link delete e2e0",
        ("10.244.77.", "e2e0"),
    ),
    "its address on two interfaces": Oddity(
        f"ip link add e2e1 type bridge; ip addr add {address(WORKER)}/32 dev e2e1; ip link set e2e1 up",
        "ip link delete e2e1",
        ("e2e1",),
    ),
    "another pod network": Oddity(
        f"mkdir -p /etc/cni/net.d; echo '{{}}' >{WEAVE}",
        f"rm {WEAVE}",
        (WEAVE,),
    ),
    "a setting of the kernel's, in a file that comes last": Oddity(
        f"echo net.ipv4.ip_forward=0 >{LAST}",
        f"rm {LAST}",
        (f"{LAST} net.ipv4.ip_forward=0",),
    ),
}


PKI = "/etc/kubernetes/pki"


COPIED = Oddity(
    f"mkdir -p {PKI}; echo mine | tee {PKI}/ca.crt >{PKI}/ca.key", f"rm -r {PKI}", (f"inv restart --host {WORKER}",)
)


LEFT = (
    "apt-get -qq install -y nftables >&2 2>&1; nft add table ip kube-proxy; nft add table ip mine; "
    "ip link add kube-ipvs0 type bridge"
)


@dataclass(frozen=True)
class Told:
    restarted: Done
    left: str
    odd: Done
    copied: Done
    keys: str


@pytest.fixture(scope="module")
def told(inv: Kubefab) -> Told:
    """A worker that is taken out, with what kube-proxy leaves in other modes; and then is odd in many ways at once."""
    mended(inv)
    on(WORKER, LEFT)
    try:
        restarted = inv("restart", "--host", WORKER, "--yes")
        left = on(WORKER, "nft list tables; ip -o link")
    finally:
        on(WORKER, "nft delete table ip mine")
    with ExitStack() as oddities:
        for one in ODDITIES.values():
            oddities.enter_context(odd(WORKER, one.make, one.undo))
        with untouched(WORKER):
            oddly = inv("cluster.up")
    with odd(WORKER, COPIED.make, COPIED.undo):
        copied = inv("cluster.up")
        return Told(restarted, left, oddly, copied, on(WORKER, f"cat {PKI}/ca.key"))


def test_a_restart_takes_what_kube_proxy_left_in_any_mode(told: Told) -> None:
    assert "kube-ipvs0" in told.restarted.well().stdout
    assert "kube-ipvs0" not in told.left
    assert "table ip kube-proxy" not in told.left
    assert "table ip mine" in told.left


@pytest.mark.parametrize("kind", ODDITIES)
def test_what_only_its_owner_can_judge_is_told_before_any_change(told: Told, kind: str) -> None:
    for words in ODDITIES[kind].told:
        assert words in told.odd.badly().stderr


def test_keys_that_somebody_copied_to_a_worker_are_kept(told: Told) -> None:
    assert COPIED.told[0] in told.copied.badly().stderr
    assert told.keys == "mine\n"


# --- a worker that joins, odd as it is

GREETING = (
    "echo 'Welcome to Debian'; echo held; echo '== system'; echo 'machine_id 0'; echo 'now 1'; "
    "printf '\\033]0;title\\007'"
)


POLICY = "/etc/kubernetes/audit-policy.yaml"


LATER = "/etc/sysctl.d/99-local.conf"


SECOND = "172.31.9.11/24"


# What is borne: what makes the worker so, and what undoes it.
BORNE = (
    ("rm -rf /opt/cni", "true"),
    # hostname(1) would not. What the node is called, hosts.yml says.
    ("printf Client_1 >/proc/sys/kernel/hostname", "hostname $(cat /etc/hostname)"),
    (f"mkdir -p /etc/kubernetes; echo mine >{POLICY}", f"rm {POLICY}"),
    (f"echo net.ipv4.ip_forward=0 >{LATER}", f"rm {LATER}"),
    (
        # One shell: without its address nobody comes in.
        f"ip addr del {address(WORKER)}/24 dev eth0; ip addr add {SECOND} dev eth0; "
        f"ip addr add {address(WORKER)}/24 dev eth0; ip route add default via 10.250.0.1",
        f"ip addr del {SECOND} dev eth0; ip addr show dev eth0 | grep -q {address(WORKER)} || "
        f"ip addr add {address(WORKER)}/24 dev eth0; "
        "ip route show default | grep -q . || ip route add default via 10.250.0.1",
    ),
)


@contextmanager
def greeting(*hosts: str) -> Iterator[None]:
    """Whoever logs in there is greeted, in words that look like kubefab's own, and with no newline in the end."""
    with ExitStack() as greeters:
        for host in hosts:
            make = f"cp -a /root/.bashrc /root/.e2e; cat - /root/.e2e >/root/.bashrc <<'END'\n{GREETING}\nEND\n"
            greeters.enter_context(odd(host, make, "mv /root/.e2e /root/.bashrc"))
        yield


@dataclass(frozen=True)
class Borne:
    up: Done
    again: Done
    status: Done
    images: Done
    kubeconfig: Done
    policy: str
    forwards: str
    announced: str
    nodes: tuple[str, ...]


@pytest.fixture(scope="module")
def borne(inv: Kubefab, told: Told) -> Iterator[Borne]:
    with ExitStack() as oddities:
        for make, undo in BORNE:
            oddities.enter_context(odd(WORKER, make, undo))
        with greeting(*PAIR):
            up, again = (inv("cluster.up") for _ in range(2))
            status, images = all_is_well(inv, "--json"), inv("images.list")
            kubeconfig = inv("cluster.kubeconfig", "--output", str(inv.state / "greeted.conf"))
        yield Borne(
            up,
            again,
            status,
            images,
            kubeconfig,
            on(WORKER, f"cat {POLICY}"),
            on(WORKER, "systemctl restart systemd-sysctl; cat /proc/sys/net/ipv4/ip_forward"),
            announced(),
            tuple(nodes()),
        )
    # flannel is told every host's address from now on. Without its mark it is applied anew, as before.
    kubectl("annotate", "--namespace=kube-flannel", "daemonset/kube-flannel-ds", "kubefab.internal/flannel-")


def announced() -> str:
    """Where the other nodes' flannel sends what is for the worker's pods."""
    return str(nodes()[WORKER]["metadata"]["annotations"]["flannel.alpha.coreos.com/public-ip"])


def test_a_greeting_at_login_spoils_no_answer(borne: Borne) -> None:
    borne.up.well()
    assert "nothing to do" in borne.again.well().stdout
    assert json.loads(borne.status.well().stdout)["healthy"] is True
    assert not [line for line in borne.images.well().stdout.splitlines() if ":" not in line or "/" not in line]
    borne.kubeconfig.well()


def test_a_host_whose_name_is_no_nodes_joins_under_the_one_of_hosts_yml(borne: Borne) -> None:
    borne.up.well()
    assert WORKER in nodes()


def test_plugins_that_somebody_deleted_are_installed_again(borne: Borne) -> None:
    assert true_on(WORKER, "test -x /opt/cni/bin/bridge && test -x /opt/cni/bin/portmap")


def test_a_users_own_file_stays_where_it_is_as_its_host_joins(borne: Borne) -> None:
    assert borne.policy == "mine\n"


def test_a_setting_of_somebody_elses_does_not_win_at_boot(borne: Borne) -> None:
    assert borne.forwards == "1\n"


def test_a_hostname_in_capitals_is_the_nodes_name_in_hosts_yml(borne: Borne) -> None:
    borne.up.well()
    assert WORKER in borne.nodes
    assert not [name for name in borne.nodes if "_" in name]


def test_flannel_announces_the_nodes_own_address_of_two(borne: Borne) -> None:
    assert borne.announced == address(WORKER)


# --- a cluster that is there


def test_a_kubeconfig_that_works_is_left_as_its_user_has_it(cluster: Kubefab) -> None:
    on(MASTER, "kubectl config set-context --current --namespace=kube-system")
    try:
        assert "nothing to do" in cluster("cluster.up").well().stdout
        assert "kube-system" in on(MASTER, "kubectl config view --minify")
    finally:
        on(MASTER, "cp /etc/kubernetes/admin.conf ~/.kube/config")  # a reset takes away no other


@pytest.mark.parametrize("task", ["preflight", "cluster.up"])
def test_an_sshd_that_forbids_forwarding_is_told_before_any_change(cluster: Kubefab, tmp_path: Path, task: str) -> None:
    with another_sshd(MASTER, tmp_path, "AllowTcpForwarding=no") as says, untouched(*PAIR):
        said = cluster(task, hosts=hosts_file(tmp_path / "hosts.yml", *PAIR, **says)).badly().stderr
    assert "AllowTcpForwarding" in said
