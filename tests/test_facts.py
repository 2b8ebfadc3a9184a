"""The look's parser over captured output.

look-fresh.txt is a machine of the lab; the others have the same form, with something for every field.
"""

import json
from dataclasses import fields, replace
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kubefab import facts, framing
from kubefab.errors import HostError, NotAsked
from kubefab.facts import (
    AddonObject,
    AptSource,
    Ceph,
    Change,
    ClusterFacts,
    Configuration,
    Facts,
    Known,
    Member,
    Node,
    Package,
    Restore,
    Unit,
    Volume,
    Workload,
    parse,
    parse_cluster,
)
from kubefab.facts.change import Work
from kubefab.facts.network import Link, Network, OnInterface, Route
from kubefab.facts.node import LocalNode
from tests.facts import flat, known, read

CAPTURED = Path(__file__).parent / "captured"
KEPT = """\
apiServer:
  certSANs:
  - localhost
  - 10.250.0.10
  extraArgs:
  - name: profiling
    value: "false"
controlPlaneEndpoint: lab.kubefab.internal:6443
"""
FLANNEL = (
    "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3",
    "ghcr.io/flannel-io/flannel:v0.28.10",
)
MANAGER = Node(
    name="manager",
    machine_id="5f0d7a2c7c1b4b8e9d3f6a1c2b3d4e5f",
    version="1.37.2",
    address="10.250.0.10",
    runtime="containerd://1.7.24",
    ready=True,
    roles=("control-plane",),
    taints={"node-role.kubernetes.io/control-plane": "NoSchedule"},
    pod_cidr="10.244.0.0/24",
    announced=True,
)
CLIENT = Node(
    name="client",
    machine_id="26859e335e57a367f8ceb539030dee73",
    version="1.37.2",
    address="10.250.0.11",
    runtime="containerd://1.7.24",
    trouble="container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized",
    taints={"node.kubernetes.io/not-ready": "NoSchedule"},
    pod_cidr="10.244.1.0/24",
)
MASTER = known(
    os="debian",
    os_version="13",
    arch="x86_64",
    kernel="6.12.57+deb13-amd64",
    cpus=4,
    memory_mib=3915,
    disk_mib=77795,
    disk_total_mib=100000,
    hostname="manager",
    machine_id="5f0d7a2c7c1b4b8e9d3f6a1c2b3d4e5f",
    addresses={"10.250.0.10": "eth0", "10.0.2.15": "eth1", "10.244.0.1": "cni0"},
    clock=1795378817.983847796,
    asked=1795378816.483847796,
    cgroups="cgroup2fs",
    lacks=("mount",),
    shadowing=("/usr/local/bin/kubectl",),
    swap=("/dev/zram0, 2048 MiB",),
    swap_later=("/swap.img in /etc/fstab", "dev-zram0.swap"),
    modules=("overlay", "br_netfilter"),
    sysctl={
        "net.bridge.bridge-nf-call-iptables": "1",
        "net.bridge.bridge-nf-call-ip6tables": "0",
        "net.ipv4.ip_forward": "",
    },
    sysctl_later=("/etc/sysctl.d/zz.conf net.ipv4.ip_forward=0",),
    endpoints={"lab.kubefab.internal": "10.250.0.10", "other.kubefab.internal": "10.250.0.10"},
    digests={"/etc/containerd/config.toml": "5e5f3b1d6fe4e2d1f8e6d9b8c7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e2d1c0b9a8"},
    mtimes={"/etc/containerd/config.toml": 1795377500.123456, "/etc/sysctl.d/99-zz-kubernetes.conf": 1795377501.0},
    contents={"/etc/apt/keyrings/kubernetes-apt-keyring.gpg": "mQYEYWJjZGU="},
    addresses_on=(OnInterface("10.250.0.10", "eth0"), OnInterface("10.0.2.15", "eth1")),
    routes=(Route(IPv4Network("10.250.0.0/24"), "eth0"), Route(IPv4Network("10.244.0.0/24"), "cni0")),
    vxlans={"flannel.1": 8472},
    udp={68: "dhclient"},
    networkd=("/etc/systemd/network/80-all.network", "/etc/systemd/network/80-all.network Type=ether"),
    debs={
        "bash-completion": Package("ii", "1:2.16.0-7"),
        "containerd": Package("ii", "1.7.24~ds1-6+b4"),
        "kubeadm": Package("hi", "1.37.2-1.1"),
        "kubectl": Package("hi", "1.37.2-1.1"),
        "kubelet": Package("hi", "1.37.2-1.1"),
        "kubernetes-cni": Package("hi", "1.6.0-1.1"),
        "containerd.io": Package("un"),
    },
    plugins=("bridge", "loopback"),
    apt_sources=(
        AptSource(
            "/etc/apt/sources.list.d/k8s.sources",
            "https://pkgs.k8s.io/core:/stable:/v1.37/deb/",
            "/etc/apt/keyrings/k8s.asc",
        ),
    ),
    units={
        "containerd": Unit("active", "enabled", 1795377500.5, "success"),
        "kubelet": Unit("activating", "enabled", 1795377560.0, "exit-code"),
        "kubefab-images": Unit("inactive", "", 0, "success"),
    },
    cri="ok",
    mirrored=("quay.io",),
    images=("registry.k8s.io/kube-proxy:v1.37.2", "ghcr.io/flannel-io/flannel:v0.28.10"),
    ports={22: "sshd", 6443: "kube-apiserver", 10250: "kubelet", 8472: ""},
    admin_ca=facts.fingerprint("LS0tLS1CRUdJTi0tYQ=="),
    kubelet_ca=facts.fingerprint("LS0tLS1CRUdJTi0tYg=="),
    admin_server="https://lab.kubefab.internal:6443",
    kubelet_server="https://lab.kubefab.internal:6443",
    token_left=True,
    pki_left=True,
    join_begun=1795377650,
    master_begun=1795377660,
    tear_down_begun=1,
    init_begun=1795377600,
    etcd_data=True,
    etcd_log=True,
    manifests=("etcd.yaml", "kube-apiserver.yaml"),
    servers="https://127.0.0.1:2379",
    etcd_runs=True,
    member=Member(
        id=443629905751424238,
        cluster=13455796455940752355,
        leader=443629905751424238,
        learner=True,
        revision=2,
        applied=5,
        version="3.7.0",
        size=20480,
        used=16384,
        quota=2 << 30,
        errors=("memberID:443629905751424238  alarm:NOSPACE",),
    ),
    membership=(Known(443629905751424238, "manager", ("https://10.250.0.10:2380",), learner=True),),
    quota=8 << 30,
    cluster_state="existing",
    first_members=("manager=https://10.250.0.10:2380",),
    keys_missing=("ca.key",),
    configuration=Configuration(
        KEPT, "lab.kubefab.internal:6443", ("localhost", "10.250.0.10"), {"profiling": "false"}
    ),
    cni=("10-flannel.conflist",),
    links=("cni0", "flannel.1"),
    flannel=True,
    subnet="10.244.0.1/24",
    kubeconfig="same",
    containers=14,
    shims=7,
    chains=37,
    mounts=("/var/lib/kubelet/pods/1b2c/volumes/kubernetes.io~projected/kube-api-access-x7k2p",),
    directories=("/etc/kubernetes", "/var/lib/kubelet"),
    uncounted=("containers (context deadline exceeded)",),
    tables=("ip kube-proxy",),
    foreign=("/etc/kubernetes/audit-policy.yaml",),
    set_aside=("/var/lib/kubelet/config.json",),
    in_the_way=("/var/lib/etcd/backup is a mount",),
    certificates={"/etc/kubernetes/pki/ca.crt": "MIIB"},
    confs={"/etc/kubernetes/kubelet.conf": "https://10.250.0.10:6443 /var/lib/kubelet/pki/kubelet-client-current.pem"},
    static_pods={"/etc/kubernetes/manifests/etcd.yaml": "registry.k8s.io/etcd:3.7.0-0"},
    tokens={"YWJjZGVm": "MjAyNg== a3ViZWZhYg=="},
    tokens_told=True,
    info_told=True,
    info_server="https://lab.kubefab.internal:6443",
    info_ca=facts.fingerprint("LS0tLS1CRUdJTi0tYQ=="),
    changes=(Change("the control plane is there", 1795377600),),
    states={"/dev/sdb": "empty", "/dev/sda": "partitions"},
    rbd=True,
    clusters=(Ceph("1.20.6 cluster-test manager=/dev/sdb", "Ready", "HEALTH_OK", "Cluster created successfully"),),
    pools=("CephBlockPool replicapool",),
    ceph_told=True,
    addon_objects=(AddonObject("metrics-server", "service/metrics-server"),),
    addons_told=True,
    persistent=(Volume("default/data", "local-path", "rook-ceph.rbd.csi.ceph.com"),),
    volumes_told=True,
)
LIVE = ClusterFacts(
    version="1.37.2",
    pod_subnet="10.244.0.0/16",
    service_subnet="10.96.0.0/12",
    nodes={"manager": MANAGER, "client": CLIENT},
    workloads={
        "kube-flannel/kube-flannel-ds": Workload(
            2,
            1,
            FLANNEL,
            {"deprecated.daemonset.template.generation": "1", "kubefab.internal/flannel": "0.28.10 10.244.0.0/16"},
            current=True,
        ),
        # Its controller has not seen the newest generation yet: what it counts is of the one before.
        "kube-system/kube-proxy": Workload(
            2, 0, ("registry.k8s.io/kube-proxy:v1.37.2",), {"deprecated.daemonset.template.generation": "2"}
        ),
        "kube-system/coredns": Workload(2, 2, ("registry.k8s.io/coredns/coredns:v1.13.1",), current=True),
    },
)


@cache
def captured(name: str) -> dict[str, str]:
    return framing.parts((CAPTURED / f"look-{name}.txt").read_text())


def test_every_field_of_a_master_with_a_running_cluster() -> None:
    assert flat(read(captured("master"))) == flat(MASTER)


def test_what_the_master_has_not_is_told_by_other_captures() -> None:
    default = flat(known())
    assert {name for name, value in flat(MASTER).items() if value == default[name]} == {
        "configuration_missing",  # see test_look.py
        "controllers",  # nor is that
        "resolved",  # nor these
        "resolver_flag",
        "lacks_resolver",
        "readyz",  # no script's word
        "asked_within",  # nor is this, see test_host.py
        "dns_at",  # captured before it was asked: see test_look.py
        "dns_silent",
        "kubelet_at",  # captured before there was this part: see test_look.py
        "proxy",
        "proxy_has",
        "sees",
        "haproxy_begun",
        "balancer",
        "containerd_root",  # our own file says none: see test_look.py
        "addresses_untold",  # see test_look.py
        "dpkg_broken",
        "apt_lock",
        "docker",
        "docker_cri",
        "docker_images",
        "docker_others",
        "cri_dockerd",
        "cri_socket",
        "etcd_silent",
        "run",
        # Of nodes whose pods are to go, alone: see test_draining.py.
        "pods",
        "replicas",
        "kept",
        "attached",
        "held",
        "where",
        "pods_told",
        "workloads",
        "workloads_told",
        # Captured before it was looked at: see test_look.py.
        "backups",
        "former_backups",
        "backup_failed",
        "backup_failed_at",
        "timer_files",
        "static",
        "fetched",
        "kubelet_words",
        "issued",
        "clients",
        "written",
        "began",
        "served",
        "unserved",  # see test_certificates.py
        "otherwise",
        "renewal_begun",
        "remake_begun",
        "login",
        "login_apart",
        "refused",
        "restore_begun",
        *(field.name for field in fields(Restore)),  # see test_restore_scripts.py
        "copies",
        "torn",
        "etcd_mib",
        "etcd_unmeasured",
        "room_mib",
        "copies_mib",
        "deprecated",
        "asked_told",
        "kubelet_flags",
        # Captured before it was looked at: see test_drift_scripts.py.
        "now",
        "left",
        "marks",
        "given",
        "said",
        "stored",
        "taken",
        "halfway",
        "running",
        "written_ago",
        "kubelet_written",
        "kubelets",
        "proxies",
        "proxies_left",
    }


def test_the_cluster_as_its_master_tells_it() -> None:
    assert parse_cluster(captured("master")["cluster"]) == LIVE


def test_a_fresh_machine_is_a_machine_and_nothing_more() -> None:
    fresh = read(captured("fresh"))
    system = fresh.system
    assert (system.os, system.os_version, system.cgroups, system.cpus) == ("debian", "13", "tmpfs", 2)
    assert system.addresses == {"10.250.0.13": "eth0"}
    assert fresh.packages.debs == {"bash-completion": Package("un")}
    assert fresh.services.units == {name: Unit() for name in ("containerd", "kubelet", "kubefab-images")}
    assert (fresh.local, fresh.change, fresh.leftovers.containers) == (LocalNode(), Work(), 0)
    assert parse_cluster(captured("fresh")["cluster"]) is None


def test_a_broken_off_dpkg_behind_a_greeting() -> None:
    broken = read(captured("broken-dpkg")).packages
    assert broken.dpkg_broken == ("containerd", "kubelet")
    assert broken.apt_lock == "unattended-upgr (process 4711)"
    assert list(captured("broken-dpkg")) == ["packages"]


@pytest.mark.parametrize(
    ("status", "installed", "held"),
    [("ii", True, False), ("hi", True, True), ("iF", False, False), ("iU", False, False), ("un", False, False)],
)
def test_dpkg_says_in_two_letters_what_is_wanted_and_what_is(status: str, installed: bool, held: bool) -> None:
    package = Package(status)
    assert (package.installed, package.held) == (installed, held)


def test_an_api_server_that_cannot_be_reached_is_a_cluster_that_is_silent() -> None:
    live = parse_cluster(captured("silent")["cluster"])
    assert live is not None
    assert live.silent.startswith("The connection to the server lab.kubefab.internal:6443 was refused")
    assert (live.version, live.pod_subnet, live.nodes, live.workloads) == ("1.37.2", "10.244.0.0/16", {}, {})


def test_an_etcd_that_gives_no_answer_says_why_in_its_own_words() -> None:
    told = read(captured("silent")).etcd
    assert (told.member, told.membership, told.quota) == (None, (), 0)
    assert told.etcd_silent.endswith("connection refused")


@pytest.mark.parametrize(
    ("servers", "elsewhere"),
    [("", False), ("https://127.0.0.1:2379", False), ("https://10.9.9.9:2379,https://10.9.9.8:2379", True)],
)
def test_an_etcd_that_kubeadm_has_not_made_is_elsewhere(servers: str, elsewhere: bool) -> None:
    assert read({"etcd": f"servers {servers}"}).etcd.elsewhere is elsewhere


def test_what_kubectl_warns_of_beside_its_answer_ends_nothing() -> None:
    live = parse_cluster('version 1.37.2\nanswer Warning: v1 is old {"items": []} I1122 throttled')
    assert live == ClusterFacts(version="1.37.2")


def test_a_warning_in_braces_is_no_answer() -> None:
    """As Go prints a structure, ahead of what kubectl prints."""
    listed = '{     "apiVersion": "v1",     "items": [],     "kind": "List" }'
    live = parse_cluster(f"version 1.37.2\nanswer E1122 memcache.go:287] &errors.StatusError{{Code:503}} {listed}")
    assert live == ClusterFacts(version="1.37.2")


def test_an_answer_that_is_none_is_silence() -> None:
    live = parse_cluster("version 1.37.2\nanswer Warning: {")
    assert live == ClusterFacts(version="1.37.2", silent="kubectl said 'Warning: {'")


def test_what_was_not_looked_at_is_never_none() -> None:
    this = Facts("client", parse({"system": "swap /swap.img, 2048 MiB"}))
    assert this.system.swap == ("/swap.img, 2048 MiB",)
    for part in ("leftovers", "volumes", "ceph", "disks", "local"):
        with pytest.raises(NotAsked, match="the look has no answer for"):
            getattr(this, part)


def test_what_could_not_be_looked_at_says_why() -> None:
    """A busy machine whose systemd does not answer has its services all the same."""
    this = Facts("client", parse({"services": "untold systemctl: Failed to connect to bus"}))
    with pytest.raises(NotAsked, match="not known: systemctl: Failed to connect to bus") as error:
        this.services  # noqa: B018
    assert error.value.host == "client"  # whoever reads it of another host


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("files", "mtime /etc/hosts ?"),
        ("files", "mtime /etc/hosts inf"),
        ("system", "cpus many"),
        ("system", f"cpus {'9' * 5000}"),
        ("change", "change yesterday a title"),
        ("packages", "package kubelet ii 1.37.2 and more"),
        ("network", "port ssh sshd"),
        ("volumes", "volume"),
        ("services", "unit Id=x.service\nunit ActiveEnterTimestamp=Sun 2026-99-99 19:58:20 UTC"),
        ("cluster", 'answer {"items": [{"kind": "Node"}]}'),
        ("cluster", 'answer {"items": 7}'),
    ],
)
def test_what_cannot_be_understood_is_told_with_its_line(part: str, line: str) -> None:
    with pytest.raises(HostError, match=f"the answer to a look cannot be understood: {part}: ") as raised:
        parse({part: line}), parse_cluster(line)
    if part not in ("services", "cluster"):
        assert line[:100] in raised.value.what


def test_a_change_that_has_not_said_its_title_yet_ends_nothing() -> None:
    assert read({"change": "change "}).change.going_on == Change("a change", 0)


def test_lines_that_mean_nothing_are_passed_over() -> None:
    assert read({"system": "no-such-fact 7\n\nhostname client"}) == known(hostname="client")


HERE = {"10.250.0.11": "eth0"}


@pytest.mark.parametrize(
    ("facts", "node"),
    [
        (known("client", machine_id=CLIENT.machine_id, addresses=HERE, cluster=LIVE), CLIENT),
        (known("by-hand", machine_id=CLIENT.machine_id, addresses=HERE, cluster=LIVE), CLIENT),
        (known("client", machine_id="changed", addresses=HERE, cluster=LIVE), CLIENT),
        (known("client", machine_id=CLIENT.machine_id, addresses={"10.9.9.9": "eth0"}, cluster=LIVE), CLIENT),
        (known("other", machine_id="another", addresses=HERE, cluster=LIVE), None),
        # A clone: what is true of the machine that it was made of is not true of it.
        (known("clone", machine_id=CLIENT.machine_id, addresses={"10.9.9.9": "eth0"}, cluster=LIVE), None),
    ],
)
def test_a_host_is_the_node_of_its_name_or_of_its_id_at_its_address(facts: Facts, node: Node | None) -> None:
    assert facts.node == node


def test_a_machine_without_an_id_is_nobodys_node() -> None:
    assert known(cluster=ClusterFacts(nodes={"x": Node("x")})).node is None


def test_the_authority_of_a_tunnel_is_that_of_admin_conf() -> None:
    assert facts.authority(captured("master")["node"]) == "LS0tLS1CRUdJTi0tYQ=="
    assert facts.authority("") == ""


def test_a_node_that_has_not_reported_yet_says_so() -> None:
    item = '{"items": [{"kind": "Node", "metadata": {"name": "new"}, "status": {}}]}'
    live = parse_cluster(f"answer {item}")
    assert live is not None
    assert live.nodes["new"] == Node("new", trouble="its kubelet has not reported yet")


def test_a_node_of_several_addresses_is_at_the_first_one() -> None:
    """As `kubectl get nodes -o wide` has it, and who asks its kubelet: of a dual stack the other one is of IPv6."""
    addresses = [{"type": "InternalIP", "address": one} for one in ("10.0.0.5", "fd00::5")]
    item = {"kind": "Node", "metadata": {"name": "x"}, "status": {"addresses": addresses}}
    live = parse_cluster("answer " + json.dumps({"items": [item]}))
    assert live
    assert live.nodes["x"].address == "10.0.0.5"


def test_an_api_is_served_or_why_it_is_not() -> None:
    def api(*conditions: dict[str, str]) -> dict[str, object]:
        return {"kind": "APIService", "metadata": {"name": "v1.example"}, "status": {"conditions": conditions}}

    def told(item: dict[str, object]) -> str:
        live = parse_cluster("answer " + json.dumps({"items": [item]}))
        assert live
        return live.apis["v1.example"]

    assert told(api({"type": "Available", "status": "True"})) == ""
    assert told(api({"type": "Available", "status": "False", "message": "no endpoints"})) == "no endpoints"
    assert told(api()) == "not looked at yet"


ALL = "/etc/systemd/network/80-all.network"
VETH = Link("veth0123abcd", "ether", "veth")


@pytest.mark.parametrize(
    ("conditions", "file"),
    [
        (["Type=ether"], ALL),
        (["Name=*"], ALL),
        (["Name = en* veth*"], ALL),
        (["Name=!lo"], ALL),
        ([], ALL),
        (["Name=!veth* lo"], None),
        (["Name=eth0"], None),
        (["Type=ether", "Kind=!*"], None),
        (["Type=ether", "MACAddress=00:11:22:33:44:55"], None),
        (["Name=*", "Virtualization=yes"], ALL),
        (["Name=veth*", "Unmanaged=yes"], None),
        (["Name=veth*", "Unmanaged = True"], None),
        (["Name=veth*", "Unmanaged=1"], None),
        (["Name=veth*", "Unmanaged=no"], ALL),
    ],
)
def test_the_first_file_that_fits_takes_a_link_over(conditions: list[str], file: str | None) -> None:
    found = Network(
        networkd=("/etc/a.network", "/etc/a.network Name=eth0", ALL, *(f"{ALL} {one}" for one in conditions))
    )
    assert found.managed_by(VETH) == file


def test_a_file_that_leaves_a_link_alone_may_come_first() -> None:
    first = "/etc/systemd/network/00-kubernetes.network"
    lines = (first, f"{first} Name=cni0 flannel.1 veth*", f"{first} Unmanaged=yes")
    assert Network(networkd=(*lines, ALL, f"{ALL} Type=ether")).managed_by(VETH) is None
    assert Network(networkd=(ALL, f"{ALL} Type=ether", *lines)).managed_by(VETH) == ALL


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("error: You must be logged in to the server (Unauthorized)", "does not know whom admin.conf is for"),
        ("x509: certificate has expired or is not yet valid", "a certificate has ended"),
        ("x509: certificate signed by unknown authority", "is not of the cluster that admin.conf is for"),
        ("Error from server (Forbidden): nodes is forbidden", "forbids its own admin to look"),
        ("sh: 1: kubectl: not found", "kubectl is not there"),
        ("The connection to the server was refused", "the API server gives no answer"),
    ],
)
def test_a_refusal_is_told_apart_from_silence(said: str, meant: str) -> None:
    told = ClusterFacts(silent=said).unheard
    assert meant in told
    assert told.endswith(f": {said}")


def test_what_presses_a_node_is_told_by_name() -> None:
    item = {
        "kind": "Node",
        "metadata": {"name": "client"},
        "status": {
            "conditions": [
                {"type": "DiskPressure", "status": "True"},
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True"},
            ]
        },
    }
    live = parse_cluster("answer " + json.dumps({"items": [item]}))
    assert live
    assert live.nodes["client"].pressures == ("DiskPressure",)


def test_what_is_done_in_a_cluster_is_counted_while_it_comes_up() -> None:
    """A wait goes on as long as this grows; a pod that only comes and goes is not in it."""
    node = Node("client")
    stages = [
        ClusterFacts(),
        ClusterFacts(nodes={"client": node}),
        ClusterFacts(nodes={"client": replace(node, images=3)}),
        ClusterFacts(nodes={"client": replace(node, images=3, ready=True)}),
        ClusterFacts(nodes={"client": replace(node, images=3, ready=True, announced=True)}),
        ClusterFacts(nodes={"client": replace(node, images=4, ready=True, announced=True)}),
    ]
    grown = [*stages, replace(stages[-1], workloads={"a/b": Workload(wanted=5, current=True)})]
    grown += [replace(stages[-1], workloads={"a/b": Workload(wanted=5, ready=2, current=True)})]
    counts = [facts.done for facts in grown]
    assert counts == sorted(set(counts))


def test_a_nodes_images_are_counted() -> None:
    item = {"kind": "Node", "metadata": {"name": "x"}, "status": {"images": [{"names": ["a"]}, {"names": ["b"]}]}}
    live = parse_cluster("answer " + json.dumps({"items": [item]}))
    assert live
    assert live.nodes["x"].images == 2
