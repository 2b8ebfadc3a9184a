"""What only the user can change: each complaint with its words."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from kubefab import render
from kubefab.cluster import Cluster
from kubefab.errors import Silent
from kubefab.facts import AptSource, ClusterFacts, Facts, Node, Package, Workload
from kubefab.steps import agreement, preflight
from tests import sandbox
from tests.facts import known, with_
from tests.fakes import HOSTS, looked, step

WELL = known(
    os="debian",
    os_version="13",
    arch="x86_64",
    kernel="6.12.57+deb13-amd64",
    cpus=2,
    memory_mib=1700,
    disk_mib=2048,
    hostname="manager",
    machine_id="abc",
    addresses={"10.250.0.10": "eth0", "10.250.0.11": "eth0"},
    cgroups="cgroup2fs",
    ports={22: "sshd"},
)
URL = "https://pkgs.k8s.io/core:/stable:/v1.37/deb/"
LIVE = ClusterFacts(
    version="1.37.2",
    pod_subnet="10.244.0.0/16",
    service_subnet="10.96.0.0/12",
    endpoint="https://lab.kubefab.internal:6443",
    ca="aaa",
    nodes={"client": Node("client", machine_id="abc", version="1.37.2")},
    workloads={"kube-system/kube-proxy": Workload()},
)
SILENT = replace(LIVE, silent="refused", nodes={})
FREE_PORTS = dict.fromkeys((6443, 2379, 2380, 10250, 10257, 10259), "kubelet")
ANOTHER = "(another one needs `inv cluster.reset` first)"


def looked_at(text: str = HOSTS) -> Cluster:
    return looked({"manager": {}, "client": {}}, text)


def complaints(name: str, facts: Facts, cluster: Cluster | None = None) -> dict[str, str]:
    """What the engine would tell: a complaint about a cluster that says nothing is none."""
    made, told = cluster or looked_at(), {}
    host = made.hosts[name]
    found = with_(facts, name=name, others=made.facts(host).others)
    for one in (one for one in preflight.steps(made, host) if not one.only_told):
        with suppress(Silent):
            if gap := one.gap(found):
                told[one.title] = gap
    return told


@pytest.mark.parametrize("name", ["manager", "client"])
def test_a_machine_that_is_well_gives_no_reason_to_complain(name: str) -> None:
    assert complaints(name, WELL) == {}


@pytest.mark.parametrize("name", ["manager", "client"])
def test_a_node_that_runs_gives_no_reason_to_complain(name: str) -> None:
    mine = (
        {"admin_ca": "aaa", "etcd_data": True, "manifests": ("etcd.yaml",)}
        if name == "manager"
        else {"manifests": ("my-own.yaml",)}
    )
    node: dict[str, Any] = {"kubelet_ca": "aaa", "cni": ("10-flannel.conflist",), "ports": FREE_PORTS, **mine}
    assert complaints(name, with_(WELL, cluster=LIVE, **node)) == {}
    assert complaints(name, with_(WELL, cluster=SILENT, **node)) == {}


def test_only_the_user_can_change_any_of_it() -> None:
    made = looked_at()
    assert all(one.close is None and not one.within for one in preflight.steps(made, made.founder))


@pytest.mark.parametrize(
    ("found", "title", "gap"),
    [
        (
            {"os": "fedora", "os_version": "43"},
            "the system is a known Debian or Ubuntu",
            "fedora 43 (known: debian 12, 13; ubuntu 22.04, 24.04, 26.04)",
        ),
        ({"os_version": "11"}, "the system is a known Debian or Ubuntu", None),
        ({"os": "ubuntu", "os_version": "20.04"}, "the system is a known Debian or Ubuntu", None),
        ({"arch": "armv7l"}, "the processor is x86-64 or arm64", "armv7l (known: x86_64, aarch64)"),
        ({"cpus": 1}, "there are enough CPUs", "1 CPU (2 or more on a master)"),
        ({"memory_mib": 1699}, "there is enough memory", "1699 MiB (1700 or more on a master)"),
        ({"disk_mib": 2047}, "disk space is sufficient", "2047 MiB (2048 or more)"),
        ({"kernel": "3.2.0-4-amd64"}, "the kernel is new enough", "3.2.0-4-amd64 (3.10 or newer)"),
        ({"kernel": "odd"}, "the kernel is new enough", "odd (3.10 or newer)"),
        ({"cgroups": "tmpfs"}, "the kubelet accepts the cgroup version", "version 1, which Kubernetes 1.37 refuses"),
        ({"cgroups": ""}, "the kubelet accepts the cgroup version", "/sys/fs/cgroup is not there"),
        ({"cgroups": "sysfs"}, "the kubelet accepts the cgroup version", "/sys/fs/cgroup is sysfs"),
        ({"lacks": ("ip", "pgrep")}, "ip, mount and pgrep are installed", "ip, pgrep"),
        (
            {"shadowing": ("/usr/local/bin/ctr", "/usr/local/sbin/kubeadm")},
            "no other kubeadm, kubelet or ctr comes first in PATH",
            "/usr/local/bin/ctr is in the way of /usr/bin/ctr, "
            "/usr/local/sbin/kubeadm is in the way of /usr/bin/kubeadm",
        ),
        (
            {"sysctl_later": ("/etc/sysctl.d/zz.conf net/ipv4/conf/all/forwarding=0",)},
            "no later sysctl file overrides the kernel settings",
            "/etc/sysctl.d/zz.conf net/ipv4/conf/all/forwarding=0",
        ),
        (
            {"disk_mib": 5120, "disk_total_mib": 61440},
            "disk space is sufficient",
            "5120 of 61440 MiB (15 % or more: else the kubelet evicts)",
        ),
        (
            {"apt_sources": (AptSource("/etc/apt/sources.list.d/k8s.sources", URL, "/etc/apt/keyrings/mine.asc"),)},
            "one apt source alone names the Kubernetes repository",
            f"/etc/apt/sources.list.d/k8s.sources names {URL}, believed by /etc/apt/keyrings/mine.asc",
        ),
        (
            {"readyz": "sshd forbids TCP forwarding (AllowTcpForwarding, PermitOpen)"},
            "sshd allows forwarding to the API server",
            "sshd forbids TCP forwarding (AllowTcpForwarding, PermitOpen)",
        ),
        (
            {"cluster": replace(LIVE, nodes={"b": Node("b", version="1.36.3", roles=("control-plane",))})},
            "the node has the version in hosts.yml",
            "b is still of 1.36.3; hosts.yml says 1.37.2",
        ),
        (
            {"cluster": replace(LIVE, pod_subnet="")},
            "the cluster has a pod subnet",
            "the controller manager has no --cluster-cidr",
        ),
        ({"clock": 86400}, "clocks agree", "at least 86400 s ahead of this computer"),
        ({"clock": -16}, "clocks agree", "at least 16 s behind this computer"),
        (
            {"cluster": LIVE, "kubelet_ca": "aaa", "admin_ca": "aaa", "debs": {"kubelet": Package("hi", "1.36.3-1.1")}},
            "the node has the version in hosts.yml",
            "kubelet 1.36.3; hosts.yml says 1.37.2",
        ),
        (
            {
                "cluster": SILENT,
                "kubelet_ca": "aaa",
                "admin_ca": "aaa",
                "debs": {"kubelet": Package("hi", "1.37.1-1.1")},
            },
            "the node has the version in hosts.yml",
            "kubelet 1.37.1; hosts.yml says 1.37.2",
        ),
        (
            {
                "kubelet_ca": "aaa",
                "admin_ca": "aaa",
                "cluster": replace(LIVE, nodes={"manager": Node("manager", "abc", "1.36.3", "10.250.0.10")}),
                "debs": {"kubelet": Package("hi", "1.37.2-1.1")},
            },
            "the node has the version in hosts.yml",
            "kubelet 1.36.3; hosts.yml says 1.37.2",
        ),
        (
            {"addresses": {"10.0.2.15": "eth0"}},
            "the host has the address of hosts.yml",
            "10.250.0.10 is none of 10.0.2.15",
        ),
        (
            {"addresses_untold": "ip: Cannot open netlink socket"},
            "the host has the address of hosts.yml",
            "not known: ip: Cannot open netlink socket",
        ),
        (
            {"ports": {6443: "nginx", 2379: "", 10250: "kubelet"}},
            "the ports are free",
            "6443 is held by nginx, 2379 is held by ?",
        ),
        (
            {"debs": {"kubelet": Package("hi", "1.38.0-1.1"), "kubectl": Package("un", "1.39.0-1.1")}},
            "no newer Kubernetes is installed",
            "kubelet 1.38.0-1.1; hosts.yml says 1.37.2",
        ),
        (
            {"debs": {"kubeadm": Package("ii", "1:1.37.3~rc1-0")}},
            "no newer Kubernetes is installed",
            "kubeadm 1:1.37.3~rc1-0; hosts.yml says 1.37.2",
        ),
        (
            {"cluster": replace(LIVE, version="1.36.0"), "admin_ca": "aaa", "machine_id": "new"},
            "the node has the version in hosts.yml",
            "the cluster is of 1.36.0; hosts.yml says 1.37.2",
        ),
        (
            {"cluster": replace(LIVE, version="1.37.3"), "admin_ca": "aaa", "machine_id": "new"},
            "the cluster is not newer than hosts.yml",
            "it is of 1.37.3, and hosts.yml says 1.37.2",
        ),
        (
            {"cluster": replace(SILENT, pod_subnet="10.0.0.0/16", service_subnet="10.1.0.0/16"), "admin_ca": "aaa"},
            "the cluster is what hosts.yml says",
            "the pod subnet is 10.0.0.0/16 there and 10.244.0.0/16 in hosts.yml: "
            f"put `pod_subnet: 10.0.0.0/16` back {ANOTHER}; "
            "the service subnet is 10.1.0.0/16 there and 10.96.0.0/12 in hosts.yml: "
            f"put `service_subnet: 10.1.0.0/16` back {ANOTHER}",
        ),
        (
            {"cluster": replace(LIVE, endpoint="https://old.kubefab.internal:6443"), "admin_ca": "aaa"},
            "the cluster is what hosts.yml says",
            f"the cluster's name is old there and lab in hosts.yml: put `name: old` back {ANOTHER}",
        ),
        (
            {"manifests": ("etcd.yaml",), "etcd_data": True},
            "nothing is left of another cluster",
            "/etc/kubernetes/manifests/etcd.yaml, data of etcd",
        ),
        (
            {"kubelet_ca": "bbb"},
            "nothing is left of another cluster",
            "a node of the cluster with the CA bbb, and there is none here",
        ),
        ({"cni": ("05-cilium.conflist",)}, "no other pod network is present", "/etc/cni/net.d/05-cilium.conflist"),
    ],
)
def test_a_master_is_complained_of(found: dict[str, Any], title: str, gap: str | None) -> None:
    told = complaints("manager", with_(WELL, **found))
    assert told == {title: gap or told.get(title)}


@pytest.mark.parametrize(
    ("socket", "gap"),
    [
        ("unix:///var/run/containerd/containerd.sock", None),
        ("", None),
        (
            "/var/run/dockershim.sock",
            "this node's kubelet uses /run/dockershim.sock, not /run/containerd/containerd.sock",
        ),
    ],
)
def test_a_node_keeps_its_runtime(socket: str, gap: str | None) -> None:
    told = complaints("client", with_(WELL, kubelet_ca="aaa", cluster=LIVE, cri_socket=socket))
    assert told.get("the runtime is what hosts.yml says") == gap


def test_the_cure_for_newer_packages_works_across_minors_where_there_is_no_node() -> None:
    """apt knows the repository of one minor alone, and the older one has to be written first."""
    made = looked_at(HOSTS.replace("1.37.2", "1.36.5"))
    hint = step(preflight.steps(made, made.founder), "no newer Kubernetes is installed").hint
    assert "apt-get remove --allow-change-held-packages kubelet kubeadm kubectl" in hint
    assert hint.endswith(
        "apt-get install --allow-downgrades --allow-change-held-packages "
        "kubelet=1.36.5-* kubeadm=1.36.5-* kubectl=1.36.5-*"
    )


def test_the_cure_for_newer_packages_works_across_minors_on_a_node_too() -> None:
    """An upgrade that somebody gives up has left the newer minor's repository, which does not have the older ones."""
    made = looked_at(HOSTS.replace("1.37.2", "1.36.5"))
    hint = step(preflight.steps(made, made.founder), "no newer Kubernetes is installed").hint
    source = f"deb [signed-by={render.KEYRING}] https://pkgs.k8s.io/core:/stable:/v1.36/deb/ /"
    assert f"echo '{source}' >{render.SOURCES}; apt-get update; apt-get install --allow-downgrades" in hint
    assert step(preflight.steps(made, made.founder), "the kubelet is not newer than the master").hint in hint


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({}, "2379 is held by etcd, 6443 is held by kube-apiserver"),
        ({"admin_ca": "aaa"}, None),
        ({"kubelet_ca": "aaa"}, None),
        ({"init_begun": 1.0}, None),
        ({"master_begun": 1.0}, None),
        ({"tear_down_begun": 1.0}, None),
    ],
    ids=["somebody's own", "a master", "a node", "half an init", "half a join", "half a reset"],
)
def test_a_port_is_kubernetes_own_only_where_a_control_plane_was_begun(found: dict[str, Any], told: str | None) -> None:
    """An etcd of somebody's own has the same name, and kubeadm would refuse it after all else is done."""
    made, held = looked_at(), {2379: "etcd", 6443: "kube-apiserver", 10250: "kubelet"}
    free = step(preflight.steps(made, made.founder), "the ports are free")
    gap = free.gap(with_(WELL, ports=held, **found))
    assert (gap and ", ".join(sorted(gap.split(", ")))) == told


def test_a_port_that_is_taken_comes_with_the_way_to_see_by_whom() -> None:
    made = looked_at()
    assert "ss -ltnp" in step(preflight.steps(made, made.founder), "the ports are free").hint


def test_a_kubelet_newer_than_its_master_is_refused() -> None:
    told = complaints("client", with_(WELL, kubelet_ca="aaa", cluster=replace(LIVE, version="1.37.1")))
    assert told["the kubelet is not newer than the master"] == "kubelet 1.37.2, master 1.37.1"


@pytest.mark.parametrize(
    ("found", "title", "gap"),
    [
        ({"ports": {10250: "docker-proxy"}}, "the ports are free", "10250 is held by docker-proxy"),
        (
            {"kubelet_ca": "bbb"},
            "nothing is left of another cluster",
            "a node of the cluster with the CA bbb, and there is none here",
        ),
        (
            {"kubelet_ca": "bbb", "cluster": LIVE, "machine_id": "new"},
            "nothing is left of another cluster",
            "a node of the cluster with the CA bbb, not of this one (aaa)",
        ),
        (
            {"kubelet_ca": "bbb", "token_left": True, "cluster": LIVE, "machine_id": "new"},
            "nothing is left of another cluster",
            "a node of the cluster with the CA bbb, not of this one (aaa)",
        ),
        (
            {"kubelet_ca": "bbb", "cluster": SILENT},
            "nothing is left of another cluster",
            "a node of the cluster with the CA bbb, not of this one (aaa)",
        ),
        (
            {"manifests": ("kube-apiserver.yaml",), "cluster": LIVE, "machine_id": "new"},
            "nothing is left of another cluster",
            "/etc/kubernetes/manifests/kube-apiserver.yaml",
        ),
        (
            {"cni": ("10-calico.conflist", "10-flannel.conflist")},
            "no other pod network is present",
            "/etc/cni/net.d/10-calico.conflist",
        ),
    ],
)
def test_a_worker_is_complained_of(found: dict[str, Any], title: str, gap: str) -> None:
    assert complaints("client", with_(WELL, **found)) == {title: gap}


def test_the_cure_for_another_pod_network_is_one_that_takes_it_away() -> None:
    """`inv restart` takes flannel's own files, and nobody else's."""
    made = looked_at()
    assert "mv FILE" in step(preflight.steps(made, made.founder), "no other pod network is present").hint


def test_a_status_tells_once_what_the_cluster_is_not() -> None:
    made = looked_at()
    told = {name: [one.title for one in preflight.as_wanted(made, made.hosts[name])] for name in made.hosts}
    version = "the node has the version in hosts.yml"
    once = ["the cluster is what hosts.yml says", "no restore of etcd is under way"]
    assert told == {"manager": [*once, version], "client": [version]}


def test_hosts_with_each_others_address_are_not_told_to_clean_anything() -> None:
    """As hosts.yml has it: the master there is a worker, and the worker the master."""
    made = looked({"manager": {"node": "kubelet_ca AAA"}, "client": {"node": "kubelet_ca AAA\nadmin_ca AAA"}})
    for name in ("manager", "client"):
        local = made.facts(made.hosts[name]).local
        found = with_(WELL, kubelet_ca=local.kubelet_ca, admin_ca=local.admin_ca)
        told = {"the host's cluster is the one in hosts.yml": "it is client (10.250.0.11)"}
        assert complaints(name, found, made) == told


def test_another_clusters_master_is_no_worker_of_ours() -> None:
    found = with_(WELL, admin_ca="bbb", kubelet_ca="bbb", cluster=LIVE, machine_id="new")
    assert "nothing is left of another cluster" in complaints("client", found)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("client", {"cpus": 1, "memory_mib": 500}),
        ("client", {"ports": {6443: "nginx"}}),
        ("client", {"cni": ("10-flannel.conflist", "87-podman.conflist", "99-loopback.conf", "100-crio-bridge.conf")}),
        ("client", {"apt_sources": (AptSource("/etc/apt/sources.list.d/other.list", URL, render.KEYRING),)}),
        ("client", {"apt_sources": (AptSource("/etc/apt/sources.list.d/other.list", f"{URL}x/", "-"),)}),
        ("client", {"apt_sources": (AptSource(render.SOURCES, URL, "-"),)}),
        ("client", {"hostname": "Client_1"}),  # hosts.yml names the node, and kubeadm is told so
        ("client", {"sysctl_later": ("/etc/sysctl.d/zz.conf net.ipv4.ip_forward=1",)}),
        ("client", {"vxlans": {"flannel.1": 8472, "vxlan0": 4789}, "udp": {68: "dhclient"}}),
        ("client", {"cni": ("05-cilium.conflist.bak", "README")}),
        ("client", {"kubelet_ca": "aaa", "disk_mib": 10, "cluster": LIVE}),
        ("client", {"token_left": True}),
        ("manager", {"init_begun": 1795377600, "etcd_data": True, "manifests": ("etcd.yaml",)}),
        ("manager", {"admin_ca": "aaa", "cluster": replace(LIVE, endpoint="https://10.250.0.10:6443")}),
        ("manager", {"hostname": "manager.example.org"}),
        ("manager", {"arch": "aarch64", "os": "ubuntu", "os_version": "24.04"}),
        ("manager", {"swap": ("/swap.img, 2048 MiB",), "apt_lock": "unattended-upgr (process 7)"}),
        ("manager", {"debs": {"kubelet": Package("hi", "1.36.0-1.1")}}),
        ("client", {"cluster": LIVE, "debs": {"kubelet": Package("hi", "1.36.0-1.1")}}),  # no node yet
        ("client", {"cluster": LIVE, "kubelet_ca": "aaa", "debs": {"kubelet": Package("rc", "1.36.0-1.1")}}),
    ],
)
def test_what_does_not_matter_or_is_cured_later_is_no_complaint(name: str, found: dict[str, Any]) -> None:
    assert complaints(name, with_(WELL, **found)) == {}


def test_whose_node_a_worker_is_cannot_be_told_without_its_master() -> None:
    made = looked({"client": {"system": "hostname client"}})
    assert complaints("client", with_(WELL, kubelet_ca="bbb"), made) == {}


def test_cgroups_of_version_1_are_for_those_who_ask_for_them() -> None:
    told = HOSTS.replace("1.37.2\n", "1.37.2\n  kubeadm: {KubeletConfiguration: {failCgroupV1: false}}\n")
    assert complaints("manager", with_(WELL, cgroups="tmpfs"), looked_at(told)) == {}
    assert complaints("manager", with_(WELL, cgroups="tmpfs"), looked_at(HOSTS.replace("1.37.2", "1.34.0"))) == {}


@pytest.mark.parametrize(
    ("what", "title", "line"),
    [
        ("hostname", "no other host has this hostname", "hostname twin"),
        ("machine_id", "no other host has this machine-id", "machine_id 123"),
    ],
)
def test_cloned_machines_are_told_from_each_other(what: str, title: str, line: str) -> None:
    made = looked({"manager": {"system": line}, "client": {"system": line}})
    steps = preflight.steps(made, made.hosts["client"])
    facts = made.facts(made.hosts["client"])
    assert step(steps, title).gap(facts) == f"{line.split()[1]} is also that of manager"
    assert agreement.same_elsewhere(known(others={"b": known()}), what) is None
    assert agreement.same_elsewhere(with_(facts, others={"b": known()}), what) is None


OLD = Node("old", "abc", address="10.250.0.99")
CLONE = known("clone", machine_id="abc", addresses={"10.250.0.12": "eth0"}, cluster=ClusterFacts(nodes={"old": OLD}))


@pytest.mark.parametrize(
    ("facts", "gap"),
    [
        (CLONE, "abc is also that of old, at 10.250.0.99"),
        (with_(CLONE, machine_id="new"), None),
        (with_(CLONE, machine_id=""), None),
        (with_(CLONE, addresses={"10.250.0.99": "eth0"}), None),  # it is that machine, by another name
        # Looked at, it says itself which id it has by now, whatever its kubelet has told.
        (with_(CLONE, others={"old": known("old", machine_id="its new one", addresses={"10.250.0.99": "eth0"})}), None),
        (known(machine_id="abc"), None),
    ],
)
def test_a_clone_is_known_by_the_clusters_own_nodes(facts: Facts, gap: str | None) -> None:
    """As where one machine alone is to join: the one that it was made of is not looked at."""
    facts = with_(facts, others={name: replace(one, cluster=facts.cluster) for name, one in facts.others.items()})
    made = looked_at()
    assert step(preflight.steps(made, made.hosts["client"]), "no other Node has this machine-id").gap(facts) == gap


@sandbox.program_needed("systemd-machine-id-setup")
@pytest.mark.parametrize("dbus", ["echo {0} >/var/lib/dbus/machine-id", "ln -s /etc/machine-id /var/lib/dbus/", ":"])
def test_a_clone_that_does_as_it_is_told_has_an_id_of_its_own(dbus: str) -> None:
    """D-Bus may have a copy of the id, which systemd takes before it makes one: https://wiki.debian.org/MachineId."""
    former = "0123456789abcdef0123456789abcdef"
    made = f"mkdir -p /var/lib/dbus; echo {former} >/etc/machine-id; {dbus.format(former)}; stub reboot :\n"
    found = sandbox.run(f"{made}{agreement.NEW_ID.partition(': ')[2]}\ncat /etc/machine-id /mnt/calls\n").split()
    assert found[0] != former
    assert found[-1] == "reboot"


def test_a_machine_without_an_id_is_told_before_anything_is_changed() -> None:
    assert complaints("client", with_(WELL, machine_id=""))["the host has a machine-id"].startswith(
        "/etc/machine-id is"
    )


@pytest.mark.parametrize(
    ("ours", "masters", "gap"),
    [
        (0, 0, None),
        (15, 0, None),
        (16, 0, "at least 16 s ahead of manager"),
        (-40.4, 5, "at least 45 s behind manager"),
        (99, 100, None),
    ],
)
def test_clocks_are_compared_with_the_masters(ours: float, masters: float, gap: str | None) -> None:
    facts = known(clock=ours, cluster=LIVE, others={"manager": known(clock=masters)})
    assert agreement.clock_apart("manager", agreement.STOP)(facts) == gap


@pytest.mark.parametrize(
    ("ours", "masters", "gap"),
    [
        (known(clock=2), known(), None),
        (known(clock=-2.5), known(), "at least 2 s behind manager"),
        (known(clock=3, asked_within=0.5), known(asked_within=0.6), None),  # two looks, either of which took a second
        (known(clock=3, asked_within=0.5), known(asked_within=0.4), "at least 2 s ahead of manager"),
        (known(clock=9, asked_within=8), known(clock=0), None),
    ],
)
def test_clocks_that_are_a_little_apart_are_told_as_far_as_a_slow_look_can_tell_it(
    ours: Facts, masters: Facts, gap: str | None
) -> None:
    made = looked_at()
    found = step(preflight.steps(made, made.hosts["client"]), "clocks agree to 2 s")
    assert found.gap(with_(ours, cluster=LIVE, others={"manager": masters})) == gap
    assert found.only_told
    assert "chrony" in found.hint


def test_a_clock_is_not_compared_with_that_of_a_master_that_is_away() -> None:
    assert agreement.clock_apart("manager", agreement.STOP)(known(clock=99, cluster=LIVE)) is None
