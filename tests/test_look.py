"""The look, run by this computer's own shell: what it prints can be read, and it changes nothing."""

import json
import shlex
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from kubefab import facts, framing
from kubefab.facts import CORDONED_BY, ClusterFacts, Facts, Node
from kubefab.facts.network import OnInterface
from kubefab.facts.part import Untold
from kubefab.facts.runtime import Runtime
from kubefab.patience import SHORT, USUAL
from kubefab.programs import look_program
from kubefab.questions import Questions
from tests import sandbox
from tests.facts import known, read

ADMIN = sandbox.file(
    "/etc/kubernetes/admin.conf",
    """apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QUJD
    server: https://lab.kubefab.internal:6443
  name: lab
""",
)


def data_in(folder: str) -> str:
    return sandbox.file("/etc/kubernetes/manifests/etcd.yaml", f"    - --data-dir={folder}\n")


MANIFESTS = sandbox.file(
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    """spec:
  containers:
  - command:
    - kube-apiserver
    - --service-cluster-ip-range=10.96.0.0/12
    - --service-account-issuer=https://kubernetes.default.svc.cluster.local
    image: registry.k8s.io/kube-apiserver:v1.37.2
""",
) + sandbox.file(
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    """spec:
  containers:
  - command:
    - kube-controller-manager
    - --cluster-cidr=10.244.0.0/16
    image: registry.k8s.io/kube-controller-manager:v1.37.2
""",
)
SOCKET = f"""mkdir -p /run/containerd
{sys.executable} -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/containerd/containerd.sock")'
"""

IPVS = (
    sandbox.file(
        "/mnt/ip_vs",
        """IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr
  -> 0AFA000A:192B      Masq    1      0          0
UDP  0A60000A:0035 rr
TCP  C0A80001:0050 wrr
FWM  00000001 rr
""",
    )
    + sandbox.file(
        "/mnt/addresses",
        """9: kube-ipvs0    inet 10.96.0.1/32 scope global kube-ipvs0\\       valid_lft forever preferred_lft forever
9: kube-ipvs0    inet 10.96.0.10/32 scope global kube-ipvs0\\       valid_lft forever preferred_lft forever
""",
    )
    + """stub cat '[ "$1" = /proc/net/ip_vs ] && exec /bin/cat /mnt/ip_vs || exec /bin/cat "$@"'
stub ip 'case "$*" in *kube-ipvs0) cat /mnt/addresses ;; esac'
mount -t tmpfs links /sys/class/net
mkdir /sys/class/net/kube-ipvs0
"""
)

ALL = Questions()


def look(before: str, *parts: str, questions: Questions = ALL, patience: int = USUAL.question) -> dict[str, str]:
    """A look in a sandbox, after this shell text."""
    program = sandbox.file("/mnt/look", look_program(questions, patience))
    return framing.parts(sandbox.run(f"{before}\n{program}sh /mnt/look {' '.join(parts)} || true"))


def found(before: str, *parts: str, questions: Questions = ALL) -> Facts:
    return read(look(before, *parts, questions=questions))


@cache
def here() -> dict[str, str]:
    """A look at this very computer, as the user who runs the tests."""
    parts = ("change", "system", "files", "packages", "services", "runtime", "node", "leftovers")
    ended = subprocess.run(
        ["sh", "-s", "--", *parts],
        input=look_program(Questions(("/etc/passwd", "/nonexistent"))),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert ended.stderr == ""
    return framing.parts(ended.stdout)


def test_a_look_at_this_computer_can_be_read() -> None:
    told = read(here())
    this = told.system
    assert set(here()) == {"change", "system", "files", "packages", "services", "runtime", "node", "leftovers"}
    assert this.cpus > 0
    assert this.memory_mib > 0
    assert this.disk_mib > 0
    assert this.os
    assert this.arch
    assert this.kernel
    assert this.hostname
    assert this.cgroups in ("cgroup2fs", "tmpfs")
    assert list(told.files.digests) == ["/etc/passwd"]
    assert told.files.mtimes["/etc/passwd"] > 0
    assert this.skew > 0  # nobody said when we asked


def test_a_limit_for_parallel_programs_does_not_make_the_cpus_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """/etc/environment of a machine that computes may have one; a master was refused for want of CPUs."""
    count = read(here()).system.cpus
    monkeypatch.setenv("OMP_NUM_THREADS", str(count + 1))
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    told = subprocess.run(
        ["sh", "-s", "--", "system"], input=look_program(Questions()), capture_output=True, encoding="utf-8", check=True
    )
    assert read(framing.parts(told.stdout)).system.cpus == count


def test_only_what_is_asked_for_is_looked_at_and_what_goes_on_comes_first() -> None:
    ended = subprocess.run(
        ["sh", "-s", "--", "change", "files"],
        input=look_program(Questions()),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert [line for line in ended.stdout.splitlines() if line.startswith("==")] == ["== change", "== files"]


def test_a_part_that_is_not_there_leaves_the_others_alone() -> None:
    ended = subprocess.run(
        ["sh", "-s", "--", "none", "system"],
        input=look_program(Questions()),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert read(framing.parts(ended.stdout)).system.cpus > 0


def test_a_part_that_broke_off_has_no_end() -> None:
    """Here for want of a variable; for want of a process or of memory a shell ends in the same way."""
    begin = "look_system() (\n"
    cut = look_program(Questions()).replace(begin, f"{begin}echo cpus 2\nset -u; echo $nobody_set_this\n")
    ended = subprocess.run(
        ["sh", "-s", "--", "system", "change"], input=cut, capture_output=True, encoding="utf-8", check=True
    )
    assert "cpus 2" in ended.stdout
    assert list(framing.parts(ended.stdout)) == ["change"]


@sandbox.needed
def test_nobody_else_can_hold_up_a_look() -> None:
    is_held = sandbox.until("! flock -n $file true")
    held = f"for file in /etc/os-release /etc/passwd /run /etc /; do\nflock $file sleep 20 &\n{is_held}done\n"
    assert set(look(held, "system", "change")) == {"system", "change"}


@sandbox.needed
def test_a_look_changes_nothing() -> None:
    everything = "change system files packages services runtime node leftovers cluster"
    before = f"{ADMIN}{MANIFESTS}{SOCKET}{sandbox.file('/mnt/look', look_program(Questions()))}"
    look = f"touch /mnt/before; sleep 0.02\nsh /mnt/look {everything} >/mnt/said\n"
    assert sandbox.run(f"{before}{look}find /etc /run /var /root -xdev -newer /mnt/before") == ""


@sandbox.needed
def test_kubectl_leaves_nothing_in_anybodys_home() -> None:
    before = f"{ADMIN}{MANIFESTS}{sandbox.file('/mnt/look', look_program(Questions()))}"
    (call,) = sandbox.run(f"{before}sh /mnt/look cluster >/dev/null\ncat /mnt/calls").splitlines()
    assert "--cache-dir /run/kubefab/kubectl" in call
    assert "--request-timeout 5s" in call


@sandbox.needed
@pytest.mark.parametrize("trick", [r"\n", r"\n== system\n", r"\\n", r"\\012", r"\r", r"\033[2J"])
def test_no_name_of_a_file_is_a_fact_of_its_own(trick: str) -> None:
    """Neither by a line break in it, nor by what dash's echo would make one of."""
    before = (
        "mkdir -p /etc/cni/net.d /etc/kubernetes/manifests\n"
        f"""name=$(printf 'a{trick}init_begun 1795377600{trick}b.yaml')\n"""
        '>"/etc/cni/net.d/$name"\n>"/etc/kubernetes/manifests/$name"\n'
    )
    local = found(before, "node").local
    assert (local.init_begun, len(local.cni), len(local.manifests)) == (0, 1, 1)
    assert "init_begun 1795377600" in local.cni[0]


# --- system

SWAPS = """Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/swap.img                               file\t\t2097148\t\t0\t\t-2
/dev/zram0                              partition\t65536\t\t0\t\t100
"""
FSTAB = """# comment
/dev/sda1 / ext4 defaults 0 1
  /swap.img none swap sw 0 0
#/old.img none swap sw 0 0
LABEL=x none swap defaults
/dev/sdb1 /swap ext4
"""


@sandbox.needed
def test_swap_is_seen_now_and_after_the_next_boot() -> None:
    before = (
        sandbox.file("/mnt/swaps", SWAPS)
        + "mount --bind /mnt/swaps /proc/swaps\n"
        + sandbox.file("/etc/fstab", FSTAB)
        + sandbox.file("/run/systemd/generator/dev-zram0.swap", "")
        + "mkdir -p /etc/systemd/system/multi-user.target.wants\nln -s /dev/null /etc/systemd/system/masked.swap\n"
        + sandbox.file("/run/systemd/generator/masked.swap", "")
        + sandbox.file("/etc/systemd/system/multi-user.target.wants/dphys-swapfile.service", "")
    )
    this = found(before, "system").system
    assert this.swap == ("/swap.img, 2047 MiB", "/dev/zram0, 64 MiB")
    assert this.swap_later == (
        "/swap.img in /etc/fstab",
        "LABEL=x in /etc/fstab",
        "dev-zram0.swap",
        "dphys-swapfile.service",
    )


@sandbox.needed
def test_after_swap_off_there_is_nothing_left_to_switch_off() -> None:
    units = sandbox.file("/run/systemd/generator/dev-zram0.swap", "") + sandbox.file("/etc/systemd/system/a.swap", "")
    mask = 'stub systemctl \'[ "$1" != mask ] || ln -s /dev/null "/etc/systemd/system/$3"\'\n'
    before = sandbox.file("/etc/fstab", FSTAB) + units + mask + sandbox.script("swap-off.sh")
    assert found(before, "system").system.swap_later == ()


@sandbox.needed
def test_names_of_control_planes_are_seen_and_comments_are_not() -> None:
    hosts = """127.0.0.1 localhost
10.0.0.1 lab.kubefab.internal gate # near old.kubefab.internal
#10.0.0.2 gone.kubefab.internal
# 10.0.0.3 gone.kubefab.internal
10.0.0.4 other.example.org # not x.kubefab.internal
"""
    seen = found(sandbox.file("/etc/hosts", hosts), "system").system.endpoints
    assert {name: address for name, address in seen.items() if name.endswith(".kubefab.internal")} == {
        "lab.kubefab.internal": "10.0.0.1"
    }


@sandbox.needed
def test_a_release_may_be_written_in_quotes() -> None:
    text = 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n'
    this = found(f"rm /etc/os-release\n{sandbox.file('/etc/os-release', text)}", "system").system
    assert (this.os, this.os_version) == ("ubuntu", "24.04")


@sandbox.needed
def test_a_machine_without_an_id_has_none() -> None:
    assert found("rm -f /etc/machine-id", "system").system.machine_id == ""


IP = r"""#!/bin/sh
case "$*" in
    *addr*) echo '2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\       valid_lft forever' ;;
    *route*)
        echo 'default via 10.0.0.1 dev eth0'
        echo '10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.5'
        echo '10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink'
        case "$*" in *-o*) end=\\ ;; *) end='
' ;; esac
        printf '%s\\tnexthop via %s dev eth%s weight 1 ' '10.244.7.0/24 proto bird '"$end" 10.0.0.1 0 "$end" 10.1.0.1 1
        echo
        echo 'blackhole 10.9.0.0/16' ;;
    *vxlan*)
        echo '4: cilium_vxlan: <UP> mtu 1450 \    link/ether 02:00:00:00:00:01 \    vxlan external dstport 8472 ttl 1'
        echo '5: v@eth0: <UP> mtu 1450 \    vxlan id 1 dstport 4789 ttl auto' ;;
esac
"""
SS = "#!/bin/sh\necho 'UNCONN 0 0 0.0.0.0:8472 0.0.0.0:* users:((\"socat\",pid=1,fd=5))'\n"


@sandbox.needed
def test_what_else_uses_the_network_is_told() -> None:
    stubs = f"{sandbox.file('/mnt/bin/ip', IP)}{sandbox.file('/mnt/bin/ss', SS)}chmod +x /mnt/bin/*\n"
    this = found(stubs, "network").network
    assert this.addresses_on == (OnInterface("10.0.0.5", "eth0"),)
    routes = [(str(route.network), route.interface) for route in this.routes]
    assert routes == [("10.0.0.0/24", "eth0"), ("10.244.1.0/24", "flannel.1"), ("10.244.7.0/24", "eth1")]
    assert this.vxlans == {"cilium_vxlan": 8472, "v": 4789}
    assert this.udp == {8472: "socat"}


# As ss does: it reads the processes first, so that one which began to listen meanwhile stands there without its name.
ANEW = """#!/bin/sh
case $1 in *u*) exit ;; esac
echo asked >>/mnt/asked
echo 'LISTEN 0 0 0.0.0.0:2049 0.0.0.0:* '
[ "$(grep -c . /mnt/asked)" -ge {} ] || who=
echo "LISTEN 0 0 127.0.0.1:10257 0.0.0.0:* ${{who-users:((\\"kube-controller\\",pid=1,fd=5))}}"
"""


@sandbox.needed
@pytest.mark.parametrize(
    ("named_at", "owner"), [(1, "kube-controller"), (2, "kube-controller"), (3, "kube-controller"), (9, "")]
)
def test_a_socket_without_a_process_is_asked_for_again(named_at: int, owner: str) -> None:
    """The first one is the kernel's own, and never has a process."""
    stub = sandbox.file("/mnt/bin/ss", ANEW.format(named_at)) + "chmod +x /mnt/bin/ss\n"
    assert found(stub, "network").network.ports == {2049: "", 10257: owner}


@sandbox.needed
def test_a_silent_ss_is_asked_once() -> None:
    program = sandbox.file("/mnt/look", look_program(QUESTIONS))
    stub = "stub ss 'echo asked >>/mnt/asked; echo half an answer; exit 1'"
    sandbox.run(f"{program}{stub}\nsh /mnt/look endpoint >/dev/null; [ $(grep -c . /mnt/asked) = 1 ]")


@sandbox.needed
def test_the_files_of_a_running_networkd_are_told_in_its_order() -> None:
    folders = ("/etc/systemd/network", "/run/systemd/network")
    files = (
        f"rm -rf {' '.join(folders)}; "
        + sandbox.file(f"{folders[1]}/10-a.network", "[Match]\nName = *\n[Network]\nDHCP=yes\n")
        + sandbox.file(f"{folders[0]}/20-b.network", "# mine\n[Match]\nType=ether\n[Link]\nUnmanaged=yes\n")
        + sandbox.file(f"{folders[1]}/20-b.network", "[Match]\nName=never\n")
        + f"ln -s /dev/null {folders[0]}/30-c.network\n"
    )
    own = [line for line in found(files, "network").network.networkd if not line.startswith("/usr/")]
    assert own == [
        "/run/systemd/network/10-a.network",
        "/run/systemd/network/10-a.network Name = *",
        "/etc/systemd/network/20-b.network",
        "/etc/systemd/network/20-b.network Type=ether",
        "/etc/systemd/network/20-b.network Unmanaged=yes",
    ]
    assert found(f"{files}stub systemctl 'exit 3'\n", "network").network.networkd == ()


@sandbox.needed
def test_a_file_that_says_otherwise_after_ours_at_boot_is_told() -> None:
    files = sandbox.file("/etc/sysctl.d/99-local.conf", "net.ipv4.ip_forward=0\n") + sandbox.file(
        "/etc/sysctl.d/zz.conf", "# x\n-net.ipv4.ip_forward = 0\nvm.swappiness=1\n"
    )
    assert found(files, "system").system.sysctl_later == ("/etc/sysctl.d/zz.conf net.ipv4.ip_forward=0",)


CONF = "clusters:\n- cluster:\n    certificate-authority-data: QUJD\nusers:\n- user:\n    client-certificate-data: QUJD"
LAST_LINES: dict[str, tuple[str, str, Callable[[Facts], object]]] = {
    "/etc/fstab": ("system", "/swap.img none swap sw 0 0", lambda it: it.system.swap_later),
    "/etc/sysctl.d/zz.conf": ("system", "net.ipv4.ip_forward=0", lambda it: it.system.sysctl_later),
    "/etc/hosts": ("system", "10.0.0.1 lab.kubefab.internal", lambda it: it.system.endpoints),
    "/run/systemd/network/10-a.network": ("network", "[Match]\nName=*", lambda it: it.network.networkd[1:]),
    "/var/lib/kubelet/kubeadm-flags.env": ("node", "X=--network-plugin=cni", lambda it: it.local.cri_socket),
    "/etc/kubernetes/kubelet.conf": ("node", CONF.partition("\nusers")[0], lambda it: it.local.kubelet_ca),
    "/etc/kubernetes/admin.conf": ("certificates", CONF, lambda it: it.certificates.clients),
    "/etc/kubernetes/scheduler.conf": ("explain", CONF, lambda it: it.explain.confs["/etc/kubernetes/scheduler.conf"]),
    "/etc/kubernetes/manifests/a.yaml": ("node", "- name: a\n  image: b:v1", lambda it: it.local.static),
    "/etc/kubernetes/manifests/b.yaml": ("explain", "- name: a\n  image: b:v1", lambda it: it.explain.static_pods),
    "/etc/containerd/config.toml": ("runtime", 'root = "/data"', lambda it: it.runtime.containerd_root),
    "/etc/default/kubelet": ("upgrade", "X=--fail-swap-on", lambda it: it.upgrade.kubelet_flags),
}


@sandbox.needed
@pytest.mark.parametrize("path", LAST_LINES)
def test_the_last_line_of_a_file_counts_though_nothing_ends_it(path: str) -> None:
    """As whoever wrote `printf` or Ansible's `content:` leaves it; whose file it is reads it."""
    part, text, told = LAST_LINES[path]
    ended, unended = (told(found(f"rm -f {path}\n{sandbox.file(path, one)}", part)) for one in (f"{text}\n", text))
    assert ended
    assert unended == ended


@sandbox.needed
def test_programs_of_another_installer_are_told() -> None:
    files = (
        "mount -t tmpfs none /usr/local/bin; "
        "touch /usr/local/bin/kubeadm; ln -s /usr/bin/env /usr/local/bin/ctr; touch /usr/local/bin/else\n"
    )
    assert found(files, "system").system.shadowing == ("/usr/local/bin/kubeadm", "/usr/local/bin/ctr")


@sandbox.needed
def test_addresses_have_their_interfaces() -> None:
    line = "2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\n"
    this = found(f"{sandbox.file('/mnt/lines', line)}stub ip 'cat /mnt/lines'\n", "system").system
    assert this.addresses == {"10.0.0.5": "eth0"}


@sandbox.needed
def test_a_look_asks_of_what_python_names() -> None:
    mine = Questions(
        units=("haproxy",),
        packages=("keepalived", "haproxy"),
        sysctls=("net.ipv4.conf.all.rp_filter", "net.no.such"),
        modules=("nosuch",),
    )
    program = sandbox.file("/mnt/look", look_program(mine))
    asked = sandbox.run(f"{program}stub dpkg-query true\nsh /mnt/look services packages >/dev/null; cat /mnt/calls")
    assert "Result haproxy\n" in asked
    assert "keepalived haproxy\n" in asked
    system = found("", "system", questions=mine).system
    assert (system.sysctl["net.ipv4.conf.all.rp_filter"] in ("0", "1", "2"), system.modules) == (True, ())
    assert system.sysctl["net.no.such"] == ""


REFUSED = "'echo half an answer; echo Cannot open netlink socket >&2; exit 1'"
PARTED = ("system", "network", "node", "services", "packages", "files", "runtime")
QUESTIONS = Questions(("/etc/hosts", "/etc/some.json"))


@sandbox.needed
@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("ip", {"network"}),
        ("ss", {"network"}),
        ("systemctl", {"services"}),
        ("dpkg-query", {"packages"}),
        ("sha256sum", {"files"}),
        ("stat", {"files"}),
        ("base64", {"files"}),
    ],
)
def test_who_does_not_answer_has_not_said_that_there_is_nothing(command: str, parts: set[str]) -> None:
    """Half an answer is none either: what it told may not be all of it."""
    program = sandbox.file("/mnt/look", look_program(QUESTIONS)) + "echo '{}' >/etc/some.json\n"
    stub = "stub dpkg-query 'exit 137'" if command == "dpkg-query" else f"stub {command} {REFUSED}"
    said = framing.parts(sandbox.run(f"{program}{stub}\nsh /mnt/look {' '.join(PARTED)}"))
    untold = {name: part for name, part in facts.parse(said).items() if isinstance(part, Untold)}
    assert set(untold) == parts
    assert all(command in part.why for part in untold.values())


@sandbox.needed
def test_what_others_read_of_a_host_is_told_though_a_command_of_it_failed() -> None:
    """Else one machine without its `ip` would stop all of them."""
    this = found(f"stub ip {REFUSED}\nstub getent {REFUSED}\n", "system", "node")
    why = "Cannot open netlink socket"
    assert (this.system.addresses_untold, this.local.kubeconfig) == (f"ip: {why}", f"getent: {why}")
    assert this.system.cpus > 0


@sandbox.needed
def test_who_never_answers_is_not_waited_for_and_does_not_count_as_none() -> None:
    """timeout(1) tells it by its exit status."""
    never = 'stub ss :\nstub timeout \'case "$*" in *Hltnp*) exit 124 ;; esac; shift 3; exec "$@"\'\n'
    assert "untold ss: no answer in 15 s" in look(never, "network")["network"]


@sandbox.needed
def test_an_api_server_that_hangs_is_given_up_whatever_it_is_asked_for() -> None:
    """As where its etcd hangs: kubectl waits for each kind anew, and there are more than a look has time for."""
    complains = "echo E1127 memcache.go:265 >&2; exec sleep 60"
    hangs = f'stub kubectl "{complains}"\nstub timeout \'shift 3; exec /usr/bin/timeout -k 2 0.2 "$@"\'\n'
    told = look(f"{ADMIN}{MANIFESTS}{hangs}", "cluster", "addons")
    live = facts.parse_cluster(told["cluster"])
    assert live
    assert live.silent == "no answer in 30 s"
    assert "addons_told" not in told["addons"]


@sandbox.needed
def test_an_api_server_that_is_asked_for_many_kinds_has_longer_for_them() -> None:
    """It needs up to four seconds for each on a slow machine, one after the other."""
    slow = """stub kubectl "printf '{\\"items\\": []}'"\n"""
    slow += """stub timeout '[ $3 -ge 50 ] || exit 124; shift 3; exec "$@"'\n"""
    begun = "mkdir -p /var/lib/kubefab; touch /var/lib/kubefab/init\n"
    told = look(f"{ADMIN}{MANIFESTS}{begun}{slow}", "cluster", "addons")
    live = facts.parse_cluster(told["cluster"])
    assert live
    assert not live.silent
    assert "addons_told yes" in told["addons"]


@sandbox.needed
def test_who_has_little_patience_waits_less_for_one_question() -> None:
    never = 'stub ss :\nstub timeout \'case "$*" in *Hltnp*) exit 124 ;; esac; shift 3; exec "$@"\'\n'
    assert "untold ss: no answer in 3 s" in look(never, "network", patience=SHORT.question)["network"]


@sandbox.needed
def test_what_is_not_installed_has_nothing_to_tell() -> None:
    """An old or a small system: neither iptables nor nft, no ip, ss or pgrep, no Docker, no ctr, no kubectl."""
    here = "sh cat sed grep sort tail head tr cut find stat date uname nproc flock timeout sleep readlink basename awk"
    kept = "sha256sum base64 getent dpkg-query systemctl ls cmp blkid mkdir"
    only = (
        f"mkdir /mnt/few; for name in {here} {kept}; do\n"
        '    [ -e /mnt/bin/$name ] && cp /mnt/bin/$name /mnt/few/ || ln -s "$(command -v $name)" /mnt/few/\ndone\n'
    )
    program = sandbox.file(
        "/mnt/look", look_program(QUESTIONS).replace("export LC_ALL=C PATH=", "export LC_ALL=C NONE=")
    )
    names = (*PARTED, "leftovers", "disks")
    said = framing.parts(sandbox.run(f"{SOCKET}{DOCKER}{program}{only}PATH=/mnt/few sh /mnt/look {' '.join(names)}"))
    assert set(said) == set(names)
    assert [name for name, part in facts.parse(said).items() if isinstance(part, Untold)] == []
    told = read(said)
    assert (told.runtime, told.leftovers.uncounted, told.network.ports) == (Runtime(), (), {})
    assert told.system.lacks == ("ip", "mount", "pgrep")


# --- files, packages


@sandbox.needed
def test_files_have_their_digest_and_their_age() -> None:
    before = "printf text >/etc/a\ntouch -d @1795377600.25 /etc/a\n"
    this = found(before, "files", questions=Questions(("/etc/a", "/etc/none"))).files
    assert this.digests == {"/etc/a": "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"}
    assert this.mtimes == {"/etc/a": 1795377600.25}


DPKG = """Package: kubelet
Status: hold ok half-configured
Maintainer: x
Architecture: all
Version: 1.37.2-1.1
Description: Node agent for Kubernetes clusters

Package: containerd
Status: install ok unpacked
Maintainer: x
Architecture: all
Version: 1.7.24~ds1-6+b4
Description: open and reliable - container runtime

Package: kubectl
Status: hold ok installed
Maintainer: x
Architecture: all
Version: 1.37.2-1.1
Description: command line
"""
OWN_DPKG = sandbox.file("/mnt/dpkg/status", DPKG) + (
    "mkdir -p /mnt/dpkg/info /mnt/dpkg/updates /mnt/dpkg/triggers\necho 1 >/mnt/dpkg/info/format\n"
    "for name in kubelet containerd kubectl; do >/mnt/dpkg/info/$name.list; >/mnt/dpkg/info/$name.md5sums; done\n"
    "export DPKG_ADMINDIR=/mnt/dpkg\n"
)


@sandbox.needed
def test_a_broken_off_dpkg_names_its_packages_once_and_bare() -> None:
    this = found(OWN_DPKG, "packages").packages
    assert sorted(this.dpkg_broken) == ["containerd", "kubelet"]


@sandbox.needed
@pytest.mark.parametrize(
    ("status", "broken"),
    [
        ("install ok half-installed", True),
        ("install reinstreq half-installed", True),
        ("install reinstreq installed", True),
        ("install ok triggers-awaited\nTriggers-Awaited: kubectl", True),
        ("install ok triggers-pending\nTriggers-Pending: man", True),
        ("deinstall ok half-configured", True),
        ("hold ok installed", False),
        ("deinstall ok config-files", False),
        ("unknown ok not-installed", False),
    ],
)
def test_a_package_is_broken_by_its_state(status: str, broken: bool) -> None:
    one = f"Package: agent\nStatus: {status}\nMaintainer: x\nArchitecture: all\nVersion: 1\nDescription: x\n"
    this = found(OWN_DPKG + sandbox.file("/mnt/dpkg/status", one), "packages").packages
    assert this.dpkg_broken == ("agent",) * broken


@sandbox.needed
def test_a_package_that_is_only_badly_made_is_not_broken() -> None:
    whole = sandbox.file(
        "/mnt/dpkg/status", DPKG.replace("half-configured", "installed").replace("unpacked", "installed")
    )
    badly_made = "rm /mnt/dpkg/info/kubectl.md5sums\ndpkg --audit | grep -q kubectl\n"
    assert found(OWN_DPKG + whole + badly_made, "packages").packages.dpkg_broken == ()


@sandbox.needed
def test_packages_have_their_state_and_version() -> None:
    packages = found(OWN_DPKG, "packages").packages.debs
    assert packages["kubectl"].held
    assert packages["kubectl"].installed
    assert packages["kubelet"].version == "1.37.2-1.1"
    assert not packages["kubelet"].installed
    assert not packages["containerd"].installed


@sandbox.needed
def test_whoever_holds_apts_lock_is_named() -> None:
    holder = (
        "import fcntl, time\n"
        "file = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "open('/mnt/held', 'w'); time.sleep(30)\n"
    )
    wait = "n=0; until [ -e /mnt/held ]; do n=$((n + 1)); [ $n -lt 2000 ] || exit 9; sleep 0.01; done\n"
    started = f"{sandbox.file('/mnt/holder.py', holder)}{sys.executable} /mnt/holder.py &\n{wait}"
    before = f"mkdir -p /var/lib/dpkg /var/lib/apt/lists\n{started}"
    lock = found(before, "packages").packages.apt_lock
    assert lock.startswith("python")
    assert "(process " in lock
    assert found("", "packages").packages.apt_lock == ""


@sandbox.needed
def test_a_lock_on_another_disks_file_of_the_same_inode_is_not_apts() -> None:
    """With /var on a disk of its own their numbers are small: the run waited for a lock that nobody would let go of."""
    holder = (
        "import fcntl, os, time\n"
        "file = open('/srv/other', 'w'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "assert os.stat('/srv/other').st_ino == os.stat('/var/lib/dpkg/lock').st_ino\n"
        "open('/mnt/held', 'w'); time.sleep(30)\n"
    )
    disks = "mkdir -p /var/lib/dpkg; mount -t tmpfs one /var/lib/dpkg; mount -t tmpfs other /srv\n"
    started = f"{sandbox.file('/mnt/holder.py', holder)}{sys.executable} /mnt/holder.py &\n"
    held = f"{disks}>/var/lib/dpkg/lock\n{started}{sandbox.until('[ -e /mnt/held ]')}"
    assert found(held, "packages").packages.apt_lock == ""


SOURCES = {
    "/etc/apt/sources.list.d/not apts.list": "deb http://passed-over x y\n",
    "/etc/apt/sources.list": """deb http://deb.debian.org/debian trixie main
# deb http://gone x y
deb-src http://src x y
""",
    "/etc/apt/sources.list.d/a.list": """deb [arch=amd64 signed-by=/etc/k.asc] https://a/ /
 deb [signed-by=/b trusted=yes] b/ /
""",
    "/etc/apt/sources.list.d/b.sources": """# By hand.
Types: deb
URIs: https://c/ https://d/
Suites: /
Signed-By: /etc/keys/c.asc

Enabled: no
Types: deb
URIs: https://off/

URIs: https://off-too/
Enabled: False

types: deb
uris: https://e/
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
""",
}


@sandbox.needed
def test_every_source_of_apt_is_told_with_the_keyring_it_is_believed_by() -> None:
    this = found("".join(sandbox.file(path, text) for path, text in SOURCES.items()), "packages").packages
    assert [(source.file.rpartition("/")[2], source.uri, source.keyring) for source in this.apt_sources] == [
        ("sources.list", "http://deb.debian.org/debian", "-"),
        ("a.list", "https://a/", "/etc/k.asc"),
        ("a.list", "b/", "/b"),
        ("b.sources", "https://c/", "/etc/keys/c.asc"),
        ("b.sources", "https://d/", "/etc/keys/c.asc"),
        ("b.sources", "https://e/", "(inline)"),
    ]


@sandbox.needed
def test_the_plugins_that_are_there_are_told() -> None:
    there = "mount -t tmpfs x /opt\nmkdir -p /opt/cni/bin\n>/opt/cni/bin/README\ncp /bin/true /opt/cni/bin/bridge\n"
    assert found(there, "packages").packages.plugins == ("bridge",)


@sandbox.needed
def test_of_keyrings_and_json_all_is_told() -> None:
    before = "printf text >/etc/a.gpg\nprintf '{}' >/etc/b.json\nprintf x >/etc/c\n"
    this = found(before, "files", questions=Questions(("/etc/a.gpg", "/etc/b.json", "/etc/c", "/etc/none.json"))).files
    assert this.contents == {"/etc/a.gpg": "dGV4dA==", "/etc/b.json": "e30="}


# --- runtime, node, cluster, leftovers


@sandbox.needed
def test_a_runtime_says_whether_its_cri_answers_and_which_images_it_has() -> None:
    plugins = "TYPE ID PLATFORMS STATUS\nio.containerd.grpc.v1 cri linux/amd64 ok\nio.containerd.grpc.v1 version - ok\n"
    ctr = 'case "$*" in *plugins*) cat /mnt/plugins ;; *images*) echo r/pause:3; echo r/proxy:1 ;; esac'
    this = found(f"{SOCKET}{sandbox.file('/mnt/plugins', plugins)}stub ctr '{ctr}'\n", "runtime").runtime
    assert (this.cri, this.images) == ("ok", ("r/pause:3", "r/proxy:1"))


BIND = "import socket, sys; [socket.socket(socket.AF_UNIX).bind(name) for name in sys.argv[1:]]"
DOCKER = f"{sys.executable} -c '{BIND}' /run/docker.sock /run/cri-dockerd.sock\n"


@sandbox.needed
@pytest.mark.parametrize(
    ("said", "answers"), [("unknown service containerd.services.version.v1.Version", "ok"), ("refused", "no answer")]
)
def test_docker_and_what_is_between_it_and_the_kubelet(said: str, answers: str) -> None:
    stubs = f"""{DOCKER}stub docker 'echo r/pause:3'\nstub ctr 'echo "{said}" >&2; exit 1'\n"""
    this = found(stubs, "runtime").runtime
    assert (this.docker, this.docker_images, this.docker_cri, this.cri) == (
        "ok",
        ("r/pause:3",),
        answers,
        "",
    )


@sandbox.needed
def test_containers_of_others_in_docker_are_named() -> None:
    """Kubernetes' own have a label of cri-dockerd's; a compose project may be called k8s."""
    asked = '{{.Label \\"io.kubernetes.docker.type\\"}} {{.Names}}'
    stub = (
        f"""stub docker '[ "$*" != "ps --format {asked}" ] || printf " web\\npodsandbox k8s_POD_x\\n k8s_db_1\\n"'\n"""
    )
    assert found(f"{DOCKER}{stub}", "runtime").runtime.docker_others == ("web", "k8s_db_1")


@sandbox.needed
def test_docker_that_is_stopped_is_not_started_by_a_look() -> None:
    stopped = "stub systemctl 'case \"$*\" in *is-active*) exit 3 ;; esac'\nstub docker 'echo bad'\n"
    assert found(DOCKER + stopped, "runtime", "leftovers") == known()


RESOLVED = "/run/systemd/resolve/resolv.conf"


@sandbox.needed
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_kubelet_lacks_the_file_of_name_servers_that_it_is_told_of_where_that_is_not_there(quote: str) -> None:
    told = sandbox.file("/var/lib/kubelet/config.yaml", f"a: b\nresolvConf: {quote}{RESOLVED}{quote}\n")
    assert found(told, "node").local.lacks_resolver == RESOLVED
    there = found(told + sandbox.file(RESOLVED, "nameserver 10.0.0.1\n"), "node").local
    assert (there.resolved, there.lacks_resolver) == (True, "")
    assert found(sandbox.file("/var/lib/kubelet/config.yaml", 'resolvConf: ""\n'), "node").local.lacks_resolver == ""


@sandbox.needed
@pytest.mark.parametrize("file", ["/etc/default/kubelet", "/var/lib/kubelet/kubeadm-flags.env"])
def test_a_kubelets_flag_says_more_of_its_name_servers_than_its_configuration(file: str) -> None:
    told = sandbox.file("/var/lib/kubelet/config.yaml", f"resolvConf: {RESOLVED}\n")
    flag = sandbox.file(file, 'KUBELET_EXTRA_ARGS="--v=2 --resolv-conf=/etc/resolv.conf"\n')
    node = found(told + flag, "node").local
    assert (node.resolver_flag, node.lacks_resolver) == (True, "")


ANSWERS = f"""/bin/ip link set lo up
{sys.executable} - <<'END' &
import socket, time
kept = socket.create_server(("127.0.0.1", 53))
time.sleep(60)
END
until bash -c ': <>/dev/tcp/127.0.0.1/53'; do sleep 0.05; done 2>/dev/null
"""
NO_ROUTE = "10.255.0.1"


@sandbox.program_needed("ip")
@pytest.mark.parametrize(
    ("told", "at", "silent"),
    [
        ("clusterDNS:\n- 127.0.0.1\nclusterDomain: a", "127.0.0.1", False),
        ("clusterDNS:\n  - '127.0.0.1'\n  - 10.0.0.1\n", "127.0.0.1", False),
        ("clusterDNS: [127.0.0.1, 10.0.0.1]", "127.0.0.1", False),
        (f"clusterDNS:\n- {NO_ROUTE}\n", NO_ROUTE, True),
        ("clusterDNS: []\n", "", False),
        ("clusterDomain: a\n", "", False),
    ],
)
def test_whether_the_clusters_dns_answers_is_asked_where_the_kubelet_says(told: str, at: str, silent: bool) -> None:
    files = sandbox.file("/var/lib/kubelet/config.yaml", f"{told}\n") + sandbox.file("/etc/kubernetes/kubelet.conf", "")
    dns = found(ANSWERS + files, "dns").dns
    assert (dns.dns_at, dns.dns_silent) == (at, silent)


@sandbox.needed
def test_no_dns_is_asked_for_where_there_is_no_kubelet() -> None:
    assert found("", "dns").dns.dns_at == ""


@sandbox.needed
@pytest.mark.parametrize(
    ("file", "text", "socket"),
    [
        ("instance-config.yaml", 'containerRuntimeEndpoint: "unix:///run/a.sock"', "unix:///run/a.sock"),
        ("kubeadm-flags.env", 'X="--container-runtime-endpoint=unix:///run/a.sock --b=c"', "unix:///run/a.sock"),
        ("kubeadm-flags.env", 'X="--v=2 --container-runtime-endpoint=/run/a.sock"', "/run/a.sock"),
        ("kubeadm-flags.env", 'X="--network-plugin=cni --node-ip=10.0.0.1"', "/var/run/dockershim.sock"),
        ("kubeadm-flags.env", 'X="--node-ip=10.0.0.1"', ""),
    ],
)
def test_which_runtime_a_kubelet_uses(file: str, text: str, socket: str) -> None:
    assert found(sandbox.file(f"/var/lib/kubelet/{file}", f"{text}\n"), "node").local.cri_socket == socket


@sandbox.needed
def test_without_a_socket_nobody_is_asked() -> None:
    assert found("stub ctr 'echo bad'", "runtime", "leftovers") == known()


@sandbox.needed
@pytest.mark.parametrize(
    ("there", "log"),
    [("", False), ("snap/db", False), ("wal/0.tmp", False), ("wal/0000000000000000-0000000000000000.wal", True)],
)
def test_data_of_etcds_without_a_log_are_none(there: str, log: bool) -> None:
    """Told that its cluster exists, it makes a folder and an empty database before it finds that it has no data."""
    before = sandbox.file(f"/var/lib/etcd/member/{there}", "x") if there else ""
    local = found(before, "node").local
    assert (local.etcd_data, local.etcd_log) == (bool(there), log)


@sandbox.needed
@pytest.mark.parametrize("at", ["/srv/etcd", "/var/lib/etcd"], ids=["its own", "an earlier one's"])
def test_data_of_etcds_are_looked_for_where_its_manifest_has_them_too(at: str) -> None:
    """Without them a reset would take a control plane's keys away that has lost its admin.conf, and not say so."""
    before = sandbox.file(f"{at}/member/snap/db", "x") + data_in("/srv/etcd")
    assert found(before, "node").local.etcd_data


@sandbox.needed
def test_data_of_etcds_that_a_reset_does_not_take_away_are_told_as_what_stays() -> None:
    data = sandbox.file("/srv/etcd/member/snap/db", "x") + sandbox.file("/var/lib/etcd/member/snap/db", "x")
    for at, foreign in (("/srv/etcd", ("/srv/etcd (etcd's data)",)), ("/var/lib/etcd", ())):
        assert found(data + data_in(at), "leftovers").leftovers.foreign == foreign


@sandbox.needed
def test_data_of_etcds_behind_a_link_are_the_ones_that_a_reset_takes_away() -> None:
    data = sandbox.file("/srv/etcd/member/snap/db", "x") + "ln -s /srv/etcd /var/lib/etcd\n"
    assert found(data + data_in("/srv/etcd"), "leftovers").leftovers.foreign == ()


@sandbox.needed
def test_a_log_of_etcds_on_another_disk_is_one_too() -> None:
    before = sandbox.file("/srv/fast/wal/0000000000000000-0000000000000000.wal", "x")
    before += "mkdir -p /var/lib/etcd/member; ln -s /srv/fast/wal /var/lib/etcd/member/wal"
    assert found(before, "node").local.etcd_log


@sandbox.needed
@pytest.mark.parametrize(("at", "log"), [("/srv/ssd/etcd", True), ("/srv/ssd", False), ("/var/lib/etcd", False)])
def test_a_log_of_etcds_is_looked_for_where_its_manifest_has_it_on_the_host(at: str, log: bool) -> None:
    """Its container may have as /var/lib/etcd what is elsewhere here."""
    mounts = "    volumeMounts:\n    - mountPath: /var/lib/etcd\n      name: etcd-data\n"
    volumes = "  volumes:\n  - hostPath:\n      path: /srv/ssd/etcd\n    name: etcd-data\n"
    manifest = f"spec:\n  containers:\n  - command:\n    - etcd\n    - --data-dir=/var/lib/etcd\n{mounts}{volumes}"
    before = sandbox.file("/etc/kubernetes/manifests/etcd.yaml", manifest) + sandbox.file(f"{at}/member/wal/0.wal", "x")
    assert found(before, "node").local.etcd_log == log


@sandbox.needed
def test_what_of_kubernetes_is_on_a_host() -> None:
    before = (
        ADMIN
        + MANIFESTS
        + "sed s/QUJD/REVG/ /etc/kubernetes/admin.conf >/etc/kubernetes/kubelet.conf\n"
        + "mkdir -p /root/.kube /var/lib/etcd/member /etc/cni/net.d /var/lib/kubefab /run/flannel\n"
        + "cp /etc/kubernetes/admin.conf /root/.kube/config\n>/etc/cni/net.d/10-flannel.conflist\n"
        + ">/run/flannel/subnet.env\n>/etc/kubernetes/bootstrap-kubelet.conf\necho 1795377600 >/var/lib/kubefab/init\n"
    )
    assert found(before, "node") == known(
        admin_ca=facts.fingerprint("QUJD"),
        kubelet_ca=facts.fingerprint("REVG"),
        admin_server="https://lab.kubefab.internal:6443",
        kubelet_server="https://lab.kubefab.internal:6443",
        token_left=True,
        init_begun=1795377600,
        etcd_data=True,
        manifests=("kube-apiserver.yaml", "kube-controller-manager.yaml"),
        static={
            "kube-apiserver.yaml": "registry.k8s.io/kube-apiserver:v1.37.2",
            "kube-controller-manager.yaml": "registry.k8s.io/kube-controller-manager:v1.37.2",
        },
        controllers={"kube-controller-manager": "none", "kube-scheduler": "none"},
        cni=("10-flannel.conflist",),
        flannel=True,
        kubeconfig="same",
    )


ENTRY = "- cluster:\n    certificate-authority-data: {}\n    server: https://{}\n  name: {}\n"
OWN, OTHER = ENTRY.format("T1VS", "lab:6443", "lab"), ENTRY.format("VEhF", "localhost:8443", "{}")


@sandbox.needed
@pytest.mark.parametrize(
    ("others_name", "chosen", "known"),
    [
        ("vcluster", "VEhF https://localhost:8443", False),  # as by `vcluster connect`, or `kind create cluster`
        ("vcluster", "T1VS https://lab:6443", False),  # its CA is the last one, which would be taken for ours
        ("kind", "VEhF https://localhost:8443", False),
        ("kind", "T1VS https://lab:6443", True),
    ],
)
def test_an_admin_conf_that_leads_to_another_cluster_tells_nothing_of_this_one(
    others_name: str, chosen: str, known: bool
) -> None:
    """The host was said to be a node of another one, to be given up by a restart."""
    entries = "".join(sorted((OWN, OTHER.format(others_name)), key=lambda one: one.splitlines()[-1]))
    conf = f"apiVersion: v1\nclusters:\n{entries}"
    files = sandbox.file("/etc/kubernetes/admin.conf", conf) + sandbox.file("/etc/kubernetes/kubelet.conf", OWN)
    view = f'*"config view"*) echo "{chosen}" ;;'
    kubectl = f"""stub kubectl 'case "$*" in {view} *) echo "{{\\"items\\": []}}" ;; esac'\n"""
    told = look(f"{files}{MANIFESTS}{kubectl}", "cluster", "node")
    live = facts.parse_cluster(told["cluster"])
    assert live
    assert (not live.silent) == known
    assert ("untold" not in told["node"]) == known


@sandbox.needed
@pytest.mark.parametrize(("text", "since"), [("1795377600", 1795377600), ("", 1), ("by hand", 1), ("9" * 30, 1)])
def test_a_marker_is_one_whatever_is_in_it(text: str, since: int) -> None:
    marks = "".join(sandbox.file(f"/var/lib/kubefab/{mark}", text) for mark in ("init", "join", "tear-down"))
    local = found(marks, "node").local
    assert (local.init_begun, local.join_begun, local.tear_down_begun) == (since, since, since)


@sandbox.needed
def test_what_others_may_have_left_is_no_marker() -> None:
    local = found(sandbox.file("/etc/kubernetes/pki/ca.crt", "x"), "node").local
    assert (local.pki_left, local.token_left, local.join_begun) == (True, False, 0)


KUBECTL = r"""stub kubectl 'case "$*" in
    *"config view"*) cat "$2" ;;
    *get*) cat /mnt/said; exit $(cat /mnt/status) ;;
esac'
"""


@sandbox.needed
@pytest.mark.parametrize(
    ("mine", "said", "status", "told"),
    [
        ("CA cert\n", "", 1, "works"),  # with other contexts, or a namespace: the same user
        ("CA mine\n", "default  Active", 0, "works"),
        ("CA mine\n", 'namespaces "default" is forbidden: (Forbidden)', 1, "works"),  # whoever it is was let in
        ("CA mine\n", "You must be logged in to the server (Unauthorized)", 1, "other"),
        ("CA mine\n", "Unable to connect: x509: certificate has expired", 1, "other"),
        ("CA mine\n", "Unable to connect to the server: net/http: TLS handshake timeout", 1, "works"),  # nobody said no
        ("CA mine\n", "getting credentials: exec: executable kubelogin not found", 1, "works"),
        ("OTHER cert\n", "default  Active", 0, "other"),
        ("", "default  Active", 0, "other"),
    ],
)
def test_a_kubeconfig_that_works_for_this_cluster_is_told_apart(mine: str, said: str, status: int, told: str) -> None:
    before = f"{KUBECTL}{sandbox.file('/mnt/said', said)}echo {status} >/mnt/status\n" + sandbox.file(
        "/etc/kubernetes/admin.conf", "CA cert"
    )
    assert found(before + sandbox.file("/root/.kube/config", mine), "node").local.kubeconfig == told


@sandbox.needed
def test_a_kubeconfig_whose_login_waits_for_somebody_holds_up_no_look() -> None:
    said = sandbox.file("/mnt/said", "(Unauthorized)") + sandbox.file("/root/.kube/config", "CA mine")
    never = 'stub timeout \'case "$*" in *namespace*) exit 124 ;; *getent*) shift 3 ;; esac; exec "$@"\'\n'
    before = f"{KUBECTL}{said}echo 1 >/mnt/status\n{never}"
    assert found(before + sandbox.file("/etc/kubernetes/admin.conf", "CA cert"), "node").local.kubeconfig == "works"


@sandbox.needed
def test_a_kubeconfig_of_another_cluster_is_another() -> None:
    assert found(KUBECTL + ADMIN + sandbox.file("/root/.kube/config", "x"), "node").local.kubeconfig == "other"


@sandbox.needed
def test_a_kubeconfig_that_nobody_can_judge_is_left_as_it_is() -> None:
    broken = "stub kubectl 'exit 1'\n"
    assert found(broken + ADMIN + sandbox.file("/root/.kube/config", "x"), "node").local.kubeconfig == "works"


@sandbox.needed
@pytest.mark.parametrize(
    ("line", "ports"),
    [
        ('LISTEN 0 4096 0.0.0.0:6443 0.0.0.0:* users:(("kube-apiserver",pid=7,fd=3))', {6443: "kube-apiserver"}),
        ('LISTEN 0 4096 [::]:10250 [::]:* users:(("kubelet",pid=7,fd=3),("x",pid=8,fd=3))', {10250: "kubelet"}),
        ("LISTEN 0 4096 *:2379 *:*", {2379: ""}),
        ('LISTEN 0 4096 127.0.0.54%lo:53 0.0.0.0:* users:(("systemd-resolve",pid=7,fd=3))', {53: "systemd-resolve"}),
    ],
)
def test_ports_have_whoever_holds_them(line: str, ports: dict[int, str]) -> None:
    line += "\n"
    assert found(f"{sandbox.file('/mnt/lines', line)}stub ss 'cat /mnt/lines'\n", "network").network.ports == ports


def cluster(kubectl: str) -> ClusterFacts | None:
    return facts.parse_cluster(look(f"{ADMIN}{MANIFESTS}stub kubectl '{kubectl}'\n", "cluster")["cluster"])


LIVE = ClusterFacts(version="1.37.2", pod_subnet="10.244.0.0/16", service_subnet="10.96.0.0/12")
ITEM = '{"items": [{"kind": "Node", "metadata": {"name": "a \\\\ n"}, "status": {}}]}'


# What a person may make of a word in a manifest.
AS_WRITTEN = ('"{}"', "'{}'", "{}  ", "{} # mine", '"{}"  # it is "mine"')


def written(how: str) -> str:
    flags = ("--service-cluster-ip-range=10.96.0.0/12", "--cluster-cidr=10.244.0.0/16")
    images = [f"registry.k8s.io/{pod}:v1.37.2" for pod in ("kube-apiserver", "kube-controller-manager")]
    edits = [f"-es|{word}$|{how.format(word)}|" for word in (*flags, *images)]
    return f"{MANIFESTS}sed -i {shlex.join(edits)} /etc/kubernetes/manifests/*.yaml\n"


@sandbox.needed
@pytest.mark.parametrize("how", AS_WRITTEN)
def test_a_manifest_is_understood_however_a_person_writes_it(how: str) -> None:
    told = look(f"{ADMIN}{written(how)}stub kubectl :\n", "cluster", "explain", "node")
    live = facts.parse_cluster(told["cluster"])
    assert live
    assert (live.version, live.pod_subnet, live.service_subnet) == ("1.37.2", "10.244.0.0/16", "10.96.0.0/12")
    image = "registry.k8s.io/kube-apiserver:v1.37.2"
    this = read(told)
    assert this.explain.static_pods["/etc/kubernetes/manifests/kube-apiserver.yaml"] == image
    assert this.local.static["kube-apiserver.yaml"] == image


def beside(pod: str, image: str) -> str:
    """A manifest in which somebody's patch has put a container ahead of kubeadm's, and one behind it."""
    others = ("  - args: [x]\n    image: kms:v0.1\n", "  - image: kms:v0.2\n")
    own = f"  - command:\n    - {pod}\n    image: {image}\n"
    return sandbox.file(f"/etc/kubernetes/manifests/{pod}.yaml", f"spec:\n  containers:\n{own.join(others)}")


@sandbox.needed
@pytest.mark.parametrize("image", ["r.io/kube-apiserver:v1.37.2", "r.io:5000/x/kube-apiserver:v1.37.2@sha256:0f"])
def test_a_pods_image_is_that_of_the_container_that_it_is_called_by(image: str) -> None:
    """A strategic merge puts what is new ahead of what was there."""
    etcd = beside("etcd", "r.io/etcd:3.6.5-0")
    before = f"{ADMIN}{MANIFESTS}{beside('kube-apiserver', image)}{etcd}stub kubectl :\n"
    told = look(before, "cluster", "explain", "node", "restore")
    live, this = facts.parse_cluster(told["cluster"]), read(told)
    assert live
    assert live.version == "1.37.2"
    assert this.local.static["kube-apiserver.yaml"] == image
    assert this.explain.static_pods["/etc/kubernetes/manifests/kube-apiserver.yaml"] == image
    assert this.restore.image == "r.io/etcd:3.6.5-0"


@sandbox.needed
def test_the_cluster_is_told_by_its_manifests_and_its_api_server() -> None:
    node = Node("n", trouble="its kubelet has not reported yet")
    item = ITEM.replace("a \\\\ n", "n").replace(" ", "\\n")
    assert cluster(f'printf "%b" "{item.replace(chr(34), chr(92) + chr(34))}"') == replace(LIVE, nodes={"n": node})


@sandbox.needed
def test_an_api_server_that_does_not_answer_is_told_by_kubectls_last_line() -> None:
    kubectl = 'echo "E1122 memcache.go: trouble" >&2; echo "The connection was refused" >&2; exit 1'
    assert cluster(kubectl) == replace(LIVE, silent="The connection was refused")


@sandbox.needed
def test_warnings_beside_an_answer_are_passed_over() -> None:
    kubectl = 'echo "Warning: v1 is old" >&2; printf "{\\"items\\": []}"'
    assert cluster(kubectl) == LIVE


MARKED = {
    "kind": "Node",
    "metadata": {"name": "n", "annotations": {CORDONED_BY: "node.drain at 1"}},
    "spec": {"unschedulable": True},
    "status": {},
}


@sandbox.needed
@pytest.mark.parametrize(
    ("whose", "by"),
    [("echo marked n", ""), ("echo marked n; echo ours n", "node.drain at 1")],
    ids=["a person", "ours"],
)
def test_whose_a_cordon_is_says_who_has_set_it_and_no_annotation_alone(whose: str, by: str) -> None:
    text = sandbox.file("/mnt/items", json.dumps({"items": [MARKED]}))
    stub = f"stub kubectl 'case \"$*\" in *go-template*) {whose} ;; *) cat /mnt/items ;; esac'\n"
    live = facts.parse_cluster(look(f"{ADMIN}{MANIFESTS}{text}{stub}", "cluster")["cluster"])
    assert live
    assert (live.nodes["n"].cordoned_by, live.nodes["n"].mark) == (by, "node.drain at 1")


@sandbox.needed
def test_where_it_is_not_said_whose_a_cordon_is_the_cluster_is_silent() -> None:
    text = sandbox.file("/mnt/items", json.dumps({"items": [MARKED]}))
    stub = "stub kubectl 'case \"$*\" in *go-template*) echo refused >&2; exit 1 ;; *) cat /mnt/items ;; esac'\n"
    live = facts.parse_cluster(look(f"{ADMIN}{MANIFESTS}{text}{stub}", "cluster")["cluster"])
    assert live == replace(LIVE, silent="refused")


@sandbox.needed
def test_what_a_half_made_cluster_keeps_is_asked_for_before_it_may_be_taken_back() -> None:
    kept = r"{\"kind\": \"StatefulSet\", \"metadata\": {\"namespace\": \"default\", \"name\": \"db\"}}"
    kubectl = (
        f'case "$*" in *statefulsets*) printf "{{\\"items\\": [{kept}]}}" ;; *) printf "{{\\"items\\": []}}" ;; esac'
    )
    half = f"{ADMIN}{MANIFESTS}mkdir -p /var/lib/kubefab; echo 1 >/var/lib/kubefab/init\nstub kubectl '{kubectl}'\n"
    assert facts.parse_cluster(look(half, "cluster")["cluster"]) == replace(LIVE, kept=("StatefulSet default/db",))
    assert cluster(kubectl) == LIVE


@sandbox.needed
@pytest.mark.parametrize(
    ("kubectl", "told"),
    [
        ('printf "kubeadm-config\\ncontrolPlaneEndpoint: a:6443\\001"', (True, False)),
        ("exit 1", (False, False)),  # nobody has answered
        ("exit 0", (False, True)),
    ],
)
def test_a_configuration_that_is_not_there_is_no_silence(kubectl: str, told: tuple[bool, bool]) -> None:
    this = found(f"{ADMIN}stub kubectl '{kubectl}'\n", "kubeadm").kubeadm
    assert (bool(this.configuration), this.configuration_missing) == told


@sandbox.needed
def test_each_configuration_that_kubeadm_keeps_is_told_for_itself() -> None:
    kubectl = 'printf "kubeadm-config\\na: 1\\nb: 2\\001kube-proxy\\nmode: x\\n\\001kubelet-config\\nmaxPods: 7\\001"'
    this = found(f"{ADMIN}stub kubectl '{kubectl}'\n", "kubeadm").kubeadm
    assert this.configuration
    assert this.kubelets
    assert this.proxies
    assert this.configuration.text == "a: 1\nb: 2"
    assert (this.kubelets.settings, this.proxies.settings) == ({"maxPods": "7"}, {"mode": "x"})
    assert this.proxies_left is None


@sandbox.needed
def test_what_kubefab_has_left_of_kube_proxys_configuration_is_told_beside_what_it_is() -> None:
    kubectl = 'printf "kube-proxy\nmode: x\n\001kube-proxy.left\nmode: y\n\001kubeadm-config\na: 1\001"'
    this = found(f"{ADMIN}stub kubectl '{kubectl}'\n", "kubeadm").kubeadm
    assert this.proxies
    assert this.proxies_left
    assert (this.proxies.settings, this.proxies_left.settings) == ({"mode": "x"}, {"mode": "y"})


@sandbox.needed
def test_without_a_control_plane_there_is_no_cluster() -> None:
    assert facts.parse_cluster(look("", "cluster")["cluster"]) is None


@sandbox.needed
def test_what_a_reset_takes_away_is_seen() -> None:
    chains = ("KUBE-FORWARD", "DOCKER", "CNI-DN-X", "CNI-DN-PODMANS", "CNI-FORWARD")
    rules = "".join(("*nat\n", *(f":{name} - [0:0]\n" for name in chains))) + (
        "-A INPUT -j KUBE-FORWARD\n"
        '-A CNI-HOSTPORT-DNAT -m comment --comment "dnat name: \\"cbr0\\" id: \\"1\\"" -j CNI-DN-X\n'
        '-A CNI-HOSTPORT-DNAT -m comment --comment "dnat name: \\"podman\\" id: \\"2\\"" -j CNI-DN-PODMANS\nCOMMIT\n'
    )
    before = (
        SOCKET
        + "stub ctr 'echo one; echo two'\n"
        + f"{sandbox.file('/mnt/rules', rules)}stub iptables-save 'cat /mnt/rules'\n"
        + "mkdir -p /var/lib/kubelet/pods/a /var/lib/etcd /var/lib/cni\nmount -t tmpfs a /var/lib/kubelet/pods/a\n"
    )
    this = found(before, "leftovers").leftovers
    assert (this.containers, this.chains, this.mounts) == (
        2,
        2,
        ("/var/lib/kubelet/pods/a",),
    )
    assert this.directories == ("/var/lib/kubelet",)  # empty ones are nothing


@sandbox.needed
def test_what_is_left_of_others_is_told_and_not_as_something_to_take_away() -> None:
    paths = (
        "/etc/kubernetes/enc/enc.yaml",
        "/etc/kubernetes/manifests/mine.yaml",
        "/var/lib/kubelet/config.json",
        "/var/lib/cni/networks/podman/10.88.0.2",
    )
    links = "mount -t tmpfs links /sys/class/net\nmkdir /sys/class/net/cilium_vxlan\n"
    this = found(links + "".join(sandbox.file(path, "x") for path in paths), "leftovers").leftovers
    assert this.directories == ()
    assert this.foreign == ("/etc/kubernetes/enc", "/var/lib/cni/networks/podman", "cilium_vxlan")
    assert this.set_aside == ("/etc/kubernetes/manifests/mine.yaml", "/var/lib/kubelet/config.json")


@sandbox.needed
def test_keys_that_somebody_copied_to_a_worker_are_told_as_set_aside() -> None:
    keys = [f"/etc/kubernetes/pki/{name}" for name in ("ca.crt", "ca.key")]
    this = found("".join(sandbox.file(path, "x") for path in keys), "leftovers").leftovers
    assert (this.directories, this.set_aside) == ((), tuple(keys))


@sandbox.needed
def test_what_would_be_deleted_through_a_mount_is_told() -> None:
    mount = "mkdir -p '/var/lib/etcd/b c'\nmount -t tmpfs mine '/var/lib/etcd/b c'\n"
    this = found(mount, "leftovers").leftovers
    assert this.in_the_way == ("/var/lib/etcd/b c is a mount, and would be emptied with what it is in",)


@sandbox.needed
def test_a_runtime_that_does_not_answer_has_not_said_that_it_has_no_containers() -> None:
    this = found(f"{SOCKET}stub ctr 'echo connection refused >&2; exit 1'\n", "leftovers").leftovers
    assert this.uncounted == ("containers (connection refused)",)


@sandbox.needed
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("docker", "containers (Cannot open netlink socket)"),
        ("pgrep", "processes of containers (Cannot open netlink socket)"),
        ("iptables-save", "chains of iptables (iptables-save: Cannot open netlink socket)"),
        ("ip6tables-save", "chains of iptables (ip6tables-save: Cannot open netlink socket)"),
        ("nft", "tables of nftables (nft: Cannot open netlink socket)"),
    ],
)
def test_what_a_reset_cannot_count_is_told_and_is_not_none(command: str, told: str) -> None:
    stub = f"stub {command} 'echo Cannot open netlink socket >&2; exit 2'\n"
    assert found(f"{DOCKER}stub docker :\n{stub}", "leftovers").leftovers.uncounted == (told,)


@sandbox.needed
@pytest.mark.parametrize(
    "said",
    [
        "iptables/1.8.7 Failed to initialize nft: Protocol not supported",
        "iptables-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Invalid argument",
        "iptables-save v1.8.9 (legacy): Cannot initialize: Table does not exist (do you need to insmod?)",
        "mnl.c:43: Unable to initialize Netlink socket: Protocol not supported",
    ],
)
def test_a_kernel_without_such_a_filter_has_no_rules_of_it(said: str) -> None:
    programs = ("iptables-save", "ip6tables-save", "nft")
    stubs = "".join(f"stub {program} 'cat /mnt/said >&2; exit 1'\n" for program in programs)
    assert found(sandbox.file("/mnt/said", said) + stubs, "leftovers") == known()


@sandbox.needed
@pytest.mark.parametrize("command", ["systemctl", "pgrep"])
def test_who_does_not_say_that_k3s_is_not_there_forbids_a_reset(command: str) -> None:
    (told,) = found(f"stub {command} 'echo No such bus >&2; exit 2'\n", "leftovers").leftovers.in_the_way
    assert told.startswith(("systemd does not say whether k3s", "pgrep does not say whether containers of k3s"))
    assert told.endswith(": No such bus")


@sandbox.needed
def test_where_nobody_tells_what_is_mounted_a_reset_is_forbidden() -> None:
    killed = """stub awk 'case $* in *ENVIRON*) kill -KILL $$ ;; *) exec /usr/bin/awk "$@" ;; esac'\n"""
    (told,) = found(killed, "leftovers").leftovers.in_the_way
    assert told.startswith("nobody tells what is mounted here")


@sandbox.needed
@pytest.mark.parametrize("call", ["plugins", "images ls"])
def test_a_containerd_that_does_not_tell_all_does_not_answer(call: str) -> None:
    """Its images would else be none, and all of them be fetched again."""
    fails = "echo half; echo unavailable >&2; exit 1"
    ctr = f"""stub ctr 'case "$*" in *"{call}"*) {fails} ;; *) echo a cri b ok ;; esac'\n"""
    this = found(SOCKET + ctr, "runtime").runtime
    assert (this.cri, this.images) == ("unavailable", ())


@sandbox.needed
def test_a_docker_that_does_not_tell_whose_containers_run_does_not_answer() -> None:
    docker = "stub docker '[ \"$1\" = images ] && echo r/pause:3 || { echo too busy >&2; exit 1; }'\n"
    this = found(DOCKER + docker, "runtime").runtime
    assert (this.docker, this.docker_images, this.docker_others) == ("too busy", (), ())


@sandbox.needed
def test_virtual_servers_that_nobody_here_can_delete_are_told_as_staying() -> None:
    """kube-proxy's, known by the addresses that its link has; keepalived's are no business of ours."""
    this = found(IPVS, "leftovers").leftovers
    hint = "in IPVS (ipvsadm or a reboot clears it)"
    assert this.foreign == (f"10.96.0.1:443 {hint}", f"10.96.0.10:53 {hint}")
    assert found(f"{IPVS}stub ipvsadm :\n", "leftovers").leftovers.foreign == ()


@sandbox.needed
def test_kube_proxys_tables_are_seen_and_nobody_elses() -> None:
    nft = "stub nft 'echo table ip kube-proxy; echo table inet filter; echo table ip6 kube-proxy'\n"
    links = "mount -t tmpfs links /sys/class/net\nmkdir /sys/class/net/kube-ipvs0\n"
    assert found(nft + links, "leftovers").leftovers.tables == ("ip kube-proxy", "ip6 kube-proxy", "kube-ipvs0")


@sandbox.needed
def test_certificates_are_told_without_the_keys_beside_them() -> None:
    both = "-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nR0hJ\n"
    conf = "clusters:\n- cluster:\n    server: https://here:6443\nusers:\n- user:\n    client-certificate: {}\n"
    before = (
        sandbox.file("/etc/kubernetes/pki/ca.crt", both)
        + sandbox.file("/var/lib/kubelet/pki/current.pem", both)
        + sandbox.file("/etc/kubernetes/kubelet.conf", conf.format("/var/lib/kubelet/pki/current.pem"))
    )
    this = found(before, "explain").explain
    assert this.certificates == {
        "/etc/kubernetes/pki/ca.crt": "QUJDREVG",
        "/var/lib/kubelet/pki/current.pem": "QUJDREVG",
    }
    assert this.confs == {"/etc/kubernetes/kubelet.conf": "https://here:6443 /var/lib/kubelet/pki/current.pem"}


SERVING = """\
touch -d @1000 /etc/kubernetes/scheduler.conf /etc/kubernetes/pki/etcd/peer.crt
touch -d @2000 /var/lib/kubelet/pki/kubelet-client-current.pem
stub date 'echo 1100'
stub ss 'echo LISTEN 0 1 10.0.0.1:2380 0.0.0.0:*; echo LISTEN 0 1 *:2379 *:*; echo LISTEN 0 1 127.0.0.1:22 *:*'
stub openssl 'case $1 in s_client) echo "$3" ;; x509) grep -v 2379 ;; esac'
"""


@sandbox.needed
def test_files_confs_processes_and_what_is_served_are_told_without_a_key() -> None:
    both = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nR0hJ\n"
    conf = "users:\n- user:\n    client-certificate-data: WA==\n    client-key-data: R0hJ\n"
    said = look(
        sandbox.file("/etc/kubernetes/pki/etcd/peer.crt", both)
        + sandbox.file("/var/lib/kubelet/pki/kubelet-client-current.pem", both)
        + sandbox.file("/etc/kubernetes/scheduler.conf", conf)
        + SERVING,
        "certificates",
    )
    this = read(said).certificates
    assert "R0hJ" not in said["certificates"]
    assert set(this.issued.values()) == {"QUJD"}
    assert set(this.issued) == {
        "/etc/kubernetes/pki/etcd/peer.crt",
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
    }
    assert this.clients == {"/etc/kubernetes/scheduler.conf": "WA=="}
    assert this.written == {
        "/etc/kubernetes/pki/etcd/peer.crt": 1000,
        "/var/lib/kubelet/pki/kubelet-client-current.pem": 2000,
        "/etc/kubernetes/scheduler.conf": 1000,
    }
    assert this.began == {}
    assert (this.renewal_begun, this.remake_begun, this.login) == (False, False, ())
    assert this.served == {"2380": b64encode(b"10.0.0.1:2380\n").decode(), "2379": "none"}


CONF = "server: here\nuser: admin\n    client-certificate-data: {0}\n    client-key-data: {0}\n"


@sandbox.needed
@pytest.mark.parametrize(
    ("login", "told"),
    [
        (CONF.format("b2xk"), ("b2xk",)),
        (CONF.format("b2xk") + "mine: too\n" + CONF.format("bW9yZQ=="), ("b2xk", "bW9yZQ==")),
        ("    client-certificate-data: b2xk\nuser: x\n    client-key-data: b2xk\n", ()),
        ("    client-certificate-data: 'b2xk' # mine\n    client-key-data: \"b2xk\"\n", ("b2xk",)),
        ("    client-certificate-data: b2xk\n    client-key-data: |\n      b2xk\n", ()),
        ("    client-certificate-data: '$x'\n    client-key-data: b2xk\n", ()),
        ("", ()),
    ],
)
def test_whoever_a_login_is_is_told_where_the_key_follows(login: str, told: tuple[str, ...]) -> None:
    files = sandbox.file("/etc/kubernetes/admin.conf", CONF.format("bmV3")) + sandbox.file("/root/.kube/config", login)
    begun = "mkdir -p /var/lib/kubefab/renewal\n"
    this = found(files + begun, "certificates").certificates
    assert (this.login, this.renewal_begun) == (told, True)


@sandbox.needed
@pytest.mark.parametrize(
    ("login", "told"),
    [
        ('{"user": {\n  "client-certificate-data": "b2xk",\n  "client-key-data": "a2V5"\n}}\n', ("b2xk",)),
        (json.dumps([{"client-certificate-data": one, "client-key-data": "a"} for one in "bc"]), ("b", "c")),
        ("- user: {client-certificate-data: b2xk, client-key-data: a2V5}\n", ("b2xk",)),
        ("client-certificate-data: b2xk\nmine: x\nclient-key-data: a2V5\n", ("b2xk",)),
        ("client-certificate-data: b2xk\nclient-key-data: |\n  a2V5\n", ("b2xk",)),
        ("client-key-data: a2V5\nclient-certificate-data: b2xk\n", ("b2xk",)),
        ("client-certificate-data: |\n  b2xk\nclient-key-data: a2V5\n", ("",)),
        (CONF.format("b2xk") + "user: {client-certificate-data: bW9yZQ==}\n", ("bW9yZQ==",)),
        (CONF.format("b2xk") + "# client-certificate-data: bW9yZQ==\n", ()),
        ('user: {client-certificate-data: "", token: t}\n', ()),
        ('{"client-certificate-data": null, "token": "t"}\n', ()),
        ("client-certificate-data: ''\ntoken: t\n", ()),
        ("client-certificate-data: null\ntoken: t\n", ()),
    ],
)
def test_a_certificate_of_a_logins_that_no_renewal_follows_is_told_apart(login: str, told: tuple[str, ...]) -> None:
    files = sandbox.file("/etc/kubernetes/admin.conf", CONF.format("bmV3")) + sandbox.file("/root/.kube/config", login)
    this = found(files, "certificates").certificates
    assert (this.login_apart, this.login) == (told, ("b2xk",) if login.startswith(CONF[:6]) else ())


@sandbox.needed
def test_a_logins_kubeconfig_that_cannot_be_read_is_not_understood() -> None:
    files = sandbox.file("/etc/kubernetes/admin.conf", "") + sandbox.file("/root/.kube/config", "")
    assert found(f"{files}stub awk 'exit 2'\n", "certificates").certificates.login_apart == ("",)


@sandbox.needed
def test_a_certificate_of_the_api_servers_that_was_being_made_is_told() -> None:
    this = found("mkdir -p /etc/kubernetes/pki-remade\n", "certificates").certificates
    assert (this.remake_begun, this.renewal_begun) == (True, False)


RUNNING = """\
mkdir -p /etc/kubernetes
for name in etcd kube-controller-manager; do cp $(command -v sleep) /mnt/bin/$name; done
stub date 'echo 1000'
stub ps 'case "$*" in "-o etimes= -p"*) echo "  40" ;; esac'
in_group() { echo "0::/$1" >/mnt/$2; mount --bind /mnt/$2 /proc/$2/cgroup; }
"""


@sandbox.program_needed("pgrep")
@pytest.mark.parametrize(
    ("command", "group", "began"),
    [
        ("etcd 60", "kubepods.slice/x", {"etcd": 960}),
        ("etcd 60", "system.slice/etcd.service", {}),
        ("unshare --net etcd 60", "kubepods.slice/x", {}),
    ],
)
def test_a_static_pods_process_is_in_a_pods_group_and_in_this_hosts_network(
    command: str, group: str, began: dict[str, float]
) -> None:
    run = f"{RUNNING}{command} >/dev/null &\nuntil pgrep -x etcd >/dev/null; do sleep 0.05; done\nin_group {group} $!\n"
    assert found(run, "certificates").certificates.began == began


@sandbox.program_needed("pgrep")
def test_a_master_tells_whether_its_controller_manager_and_its_scheduler_run() -> None:
    begun = "kube-controller-manager 60 >/dev/null &\nkube-scheduler 60 >/dev/null &\n"
    both = (
        f"cp /mnt/bin/etcd /mnt/bin/kube-scheduler\n{begun}{sandbox.running(2, '^kube-')}in_group system.slice/x $!\n"
    )
    ours = "in_group kubepods.slice/y $(pgrep -x kube-controller)\n"
    assert found(f"{RUNNING}{both}{ours}{ADMIN}", "node").local.controllers == {
        "kube-controller-manager": "runs",
        "kube-scheduler": "none",
    }


@sandbox.needed
def test_where_nobody_says_what_runs_the_rest_of_a_node_is_known_all_the_same() -> None:
    local = found(f"{ADMIN}stub pgrep 'exit 3'\n", "node").local
    assert local.controllers["kube-scheduler"] == "pgrep does not say what runs"
    assert local.admin_ca


@sandbox.program_needed("pgrep")
def test_the_age_of_a_program_in_a_machine_within_this_one_is_not_ours() -> None:
    """kind's has the very same flags."""
    flags = "--kubeconfig=/etc/kubernetes/controller-manager.conf"
    ps = f"""stub ps 'case "$*" in *"-p $ours") echo 40 ;; *) echo 7 kube-controller-manager {flags} ;; esac'\n"""
    both = "kube-controller-manager 60 >/dev/null &\nexport ours=$!\nunshare --net kube-controller-manager 61 &\n"
    groups = "until pgrep -fx 'kube-controller-manager 61'; do sleep 0.05; done >/dev/null\n"
    groups += "in_group kubepods.slice/x $ours\nin_group kubepods.slice/y $!\n"
    assert found(RUNNING + ps + both + groups, "certificates").certificates.began == {"kube-controller-manager": 960}


@sandbox.program_needed("pgrep")
@pytest.mark.parametrize(
    ("program", "shows", "served"),
    [
        ("etcd", "cat", {}),  # a worker, whose haproxy passes on what some master shows
        ("kube-apiserver", "cat", {"6443": b64encode(b"127.0.0.1:6443\n").decode()}),
        ("kube-apiserver", "false", {"6443": "none"}),
    ],
)
def test_6443_is_asked_what_it_shows_where_an_api_server_runs(program: str, shows: str, served: dict[str, str]) -> None:
    copy = "" if program == "etcd" else f"cp /mnt/bin/etcd /mnt/bin/{program}\n"
    run = f"{RUNNING}{copy}{program} 60 >/dev/null &\nuntil pgrep -x {program}; do sleep 0.05; done >/dev/null\n"
    stubs = "stub ss 'echo LISTEN 0 1 *:6443 *:*'\n"
    stubs += f"""stub openssl 'case $1 in s_client) echo "$3" ;; x509) {shows} ;; esac'\n"""
    assert found(f"{run}in_group kubepods.slice/x $!\n{stubs}", "certificates").certificates.served == served


@sandbox.program_needed("pgrep")
def test_a_process_whose_age_nobody_tells_is_not_known() -> None:
    run = f"{RUNNING}stub ps 'exit 1'\netcd 60 >/dev/null &\nuntil pgrep -x etcd >/dev/null; do sleep 0.05; done\n"
    said = look(f"{run}in_group kubepods.slice/x $!\n", "certificates")["certificates"]
    assert said.endswith("untold ps does not say since when etcd runs")


@sandbox.needed
@pytest.mark.parametrize("program", ["stub pgrep 'exit 3'", "stub pgrep 'exit 127'"])
def test_where_nobody_says_what_runs_that_is_not_known(program: str) -> None:
    assert look(f"mkdir -p /etc/kubernetes\n{program}\n", "certificates")["certificates"].endswith(
        "untold pgrep does not say what runs"
    )


@sandbox.needed
@pytest.mark.parametrize(("says", "told"), [("exit 0", ""), ("echo Unauthorized >&2; exit 1", "Unauthorized")])
def test_whether_a_kubelet_is_let_in_the_api_server_says_to_its_own_kubeconfig(says: str, told: str) -> None:
    stub = f"stub kubectl 'case \"$*\" in *kubelet.conf*readyz*) {says} ;; *) exit 9 ;; esac'\n"
    assert found(sandbox.file("/etc/kubernetes/kubelet.conf", "x") + stub, "kubelet").kubelet.refused == told
    assert found(stub, "kubelet").kubelet.refused == ""


@sandbox.program_needed("ps")
def test_a_program_that_was_told_of_a_certificate_of_its_own_is_told_apart() -> None:
    stubs = "mkdir -p /etc/kubernetes; cp $(command -v sleep) /mnt/bin/kube-apiserver\n"
    own, kubeadms = "--tls-cert-file=/own.crt", "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt"
    for flag, told in (
        (own, ("6443",)),
        (kubeadms, ()),
        ("--tls-cert-file", ("6443",)),
    ):  # its value may be the next word
        run = f"{stubs}bash -c \"exec -a '{flag}' kube-apiserver 60\" &\n"
        run += "until pgrep -x kube-apiserver; do sleep 0.05; done >/dev/null\n"
        assert found(run, "certificates").certificates.otherwise == told


@sandbox.program_needed("ps")
@pytest.mark.parametrize(
    ("said", "counts"),
    [("tlsCertFile: ''", True), ("tlsCertFile: /own.crt", False), ("tlsCertFile: '/own.crt'", False), ("", True)],
)
def test_what_a_kubelet_made_counts_as_long_as_it_serves_it(said: str, counts: bool) -> None:
    made = "/var/lib/kubelet/pki/kubelet.crt"
    before = sandbox.file("/etc/kubernetes/kubelet.conf", "") + sandbox.file(made, "")
    config = sandbox.file("/var/lib/kubelet/config.yaml", f"{said}\n")
    assert (made in found(before + config, "certificates").certificates.issued) is counts


@sandbox.needed
def test_where_kubernetes_is_not_no_certificate_is_looked_for() -> None:
    assert look("", "certificates") == {"certificates": ""}


@sandbox.needed
@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --v=4"', ("--node-ip=10.0.0.1", "--v=4")),
        ("# X\nKUBELET_KUBEADM_ARGS=--v=4  --node-labels=a=b,c=d\n", ("--v=4", "--node-labels=a=b,c=d")),
        ("KUBELET_KUBEADM_ARGS='--v=4 --lock'\n#KUBELET_KUBEADM_ARGS=--v=5", ("--v=4", "--lock")),
        ("KUBELET_KUBEADM_ARGS=\n", ()),
    ],
)
def test_a_kubelets_flags_are_told_as_kubeadm_has_left_them(text: str, flags: tuple[str, ...]) -> None:
    kubelet = ">/etc/kubernetes/kubelet.conf\n" + sandbox.file("/var/lib/kubelet/kubeadm-flags.env", text)
    assert found(f"{ADMIN}{kubelet}", "manifests").manifests.kubelet_words == flags
    assert found(ADMIN + ">/etc/kubernetes/kubelet.conf\n", "manifests").manifests.kubelet_words == ()


@sandbox.needed
def test_static_pods_have_their_image() -> None:
    this = found(MANIFESTS, "explain").explain
    assert this.static_pods["/etc/kubernetes/manifests/kube-apiserver.yaml"] == "registry.k8s.io/kube-apiserver:v1.37.2"


@sandbox.needed
def test_where_kubernetes_is_not_there_is_nothing_to_explain() -> None:
    assert look("", "explain") == {"explain": ""}


@sandbox.needed
def test_which_registries_we_have_asked_elsewhere_is_told() -> None:
    folder = "/etc/containerd/certs.d"
    ours = sandbox.file(
        f"{folder}/quay.io/hosts.toml", "# Written by kubefab from hosts.yml's mirrors.\nserver = 'x'\n"
    )
    theirs = sandbox.file(f"{folder}/ghcr.io/hosts.toml", "server = 'x'\n")
    assert found(ours + theirs, "runtime").runtime.mirrored == ("quay.io",)


ADDONS = r"""stub kubectl "cat /mnt/table; exit 0"
cat >/mnt/table <<'END'
              namespace/local-path-storage   Active   3d   local-path

kube-system   serviceaccount/metrics-server   0   3d   metrics-server

kube-system   deployment.apps/metrics-server   1/1   1   1   3d   metrics-server
clusterrole.rbac.authorization.k8s.io/system:metrics-server   2026-11-22T19:58:20Z   metrics-server
END
"""


@sandbox.needed
def test_each_object_of_an_addon_is_told_by_its_label() -> None:
    this = found(ADMIN + ADDONS, "addons").addons
    assert this.of("local-path") == ["namespace/local-path-storage"]
    assert this.of("metrics-server") == [
        "serviceaccount/metrics-server",
        "deployment.apps/metrics-server",
        "clusterrole.rbac.authorization.k8s.io/system:metrics-server",
    ]
    assert this.addons_told


@sandbox.needed
@pytest.mark.parametrize("part", ["addons", "volumes", "ceph"])
def test_silence_is_not_taken_for_an_answer(part: str) -> None:
    """Not by a look either: it then says nothing of what was told, and kubectl may have said half of it."""
    refused = "stub kubectl 'echo The connection to the server was refused >&2; exit 1'\n"
    assert "_told" not in look(ADMIN + refused, part)[part]
    assert look(ADMIN + "stub kubectl :\n", part)[part].endswith("_told yes")


@sandbox.needed
def test_ceph_clusters_and_what_keeps_data_in_them_are_told() -> None:
    kubectl = r"""stub kubectl 'case "$*" in
        *cephclusters*) echo "ceph 1.20.6 x|Ready|HEALTH_OK|well"; echo "ceph |Ready||" ;;
        *cephblockpools*) echo "ceph_pool CephBlockPool a" ;;
        *) echo "error: the server doesn\'t have a resource type" >&2; exit 1 ;;
    esac'
""".replace(r"\'", "'\\''")
    this = found(ADMIN + kubectl, "ceph").ceph
    assert ([one.mark for one in this.clusters], this.pools, this.ceph_told) == (
        ["1.20.6 x", ""],
        ("CephBlockPool a",),
        True,
    )


@sandbox.needed
def test_where_there_is_no_such_kind_there_is_no_ceph_cluster() -> None:
    none = "stub kubectl 'echo error: the server \"doesn'\\''t\" have a resource type >&2; exit 1'\n"
    this = found(ADMIN + none, "ceph").ceph
    assert (this.clusters, this.pools, this.ceph_told) == ((), (), True)


@sandbox.needed
def test_a_kind_that_was_removed_is_not_there_though_kubectl_remembers_it() -> None:
    """For hours: what it knows of kinds is below its --cache-dir."""
    kubectl = r"""stub kubectl 'case "$*" in
        *"--cache-dir /dev/null"*) echo "error: the server doesn\'t have a resource type" >&2 ;;
        *) echo "Error from server (NotFound): the server could not find the requested resource" >&2 ;;
    esac
    exit 1'
""".replace(r"\'", "'\\''")
    this = found(ADMIN + kubectl, "ceph").ceph
    assert (this.clusters, this.pools, this.ceph_told) == ((), (), True)


@sandbox.needed
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('version = 2\nroot = "/data/containerd"\n[grpc]\n', "/data/containerd"),
        ("root='/data'  # the big disk\n", "/data"),
        ('#root = "/data"\nstate = "/run/x"\n', ""),
        ('[plugins]\nroot = "/data"\n', ""),
    ],
)
def test_where_containerd_stores_is_told_as_its_file_says(text: str, told: str) -> None:
    assert found(sandbox.file("/etc/containerd/config.toml", text), "runtime").runtime.containerd_root == told


@sandbox.needed
def test_the_flags_of_a_kubelet_are_told_that_a_unit_of_somebodys_gives_it() -> None:
    """A cluster that was made by hand has them there, and the new kubelet would start on no node."""
    unit = "/etc/systemd/system/kubelet.service"
    before = (
        sandbox.file(unit, "[Service]\nExecStart=/usr/bin/kubelet \\\n\t--config=/x \\\n  --v=2\n")
        + sandbox.file(f"{unit}.d/20-own.conf", '; --old\nEnvironment="KUBELET_EXTRA_ARGS=--storage-driver-db=x"\n')
        + sandbox.file(f"{unit}.d/20-own.conf.off", "Environment=X=--old\n")
    )
    told = (f"config {unit}", f"v {unit}", f"storage-driver-db {unit}.d/20-own.conf")
    assert found(before, "upgrade").upgrade.kubelet_flags == told


@sandbox.needed
def test_the_flags_of_a_kubelet_are_told_with_their_files() -> None:
    """But for the one that kubeadm's own upgrade takes out of its file: kubernetes/kubernetes#133778."""
    before = (
        sandbox.file(FLAGS, 'KUBELET_KUBEADM_ARGS="--node-ip=10.250.0.10 --pod-infra-container-image=x --v 2"\n')
        + "mkdir -p /etc/default\n"
        + sandbox.file("/etc/default/kubelet", "# --old=1\nKUBELET_EXTRA_ARGS='--pod-infra-container-image=x'\n")
    )
    assert found(before, "upgrade").upgrade.kubelet_flags == (
        f"node-ip {FLAGS}",
        f"v {FLAGS}",
        "pod-infra-container-image /etc/default/kubelet",
    )


FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
METRICS = """# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="",removed_release="",resource="componentstatuses",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="x.k8s.io",removed_release="1.38",resource="things",subresource="",version="v1beta3"} 1
"""  # noqa: E501


@sandbox.needed
def test_what_an_upgrade_wants_to_know_of_a_master() -> None:
    before = (
        ADMIN
        + MANIFESTS
        + "cd /etc/kubernetes; mkdir -p /var/lib/etcd tmp/kubeadm-backup-etcd-1 tmp/kubeadm-init-dryrun1; cd /\n"
        + "echo '    - --advertise-address=10.250.0.10' >>/etc/kubernetes/manifests/kube-apiserver.yaml\n"
        + sandbox.file("/mnt/metrics", METRICS)
        + "stub kubectl 'cat /mnt/metrics'\n"
    )
    told = found(before, "upgrade").upgrade
    assert told.asked_told
    assert told.copies == ("kubeadm-backup-etcd-1",)
    assert told.deprecated == (facts.Deprecated("x.k8s.io/v1beta3", "things", "1.38"),)
    assert told.room_mib > 0
    assert told.torn == ()


@sandbox.needed
def test_what_kubeadms_copies_take_up_is_told_without_what_is_not_taken_away() -> None:
    fill = "mkdir -p {0} && head -c 2M /dev/zero >{0}/db\n"
    copies = (f"{TMP}/kubeadm-backup-etcd-1", f"{TMP}/kubeadm-backup-etcd-2", f"{TMP}/kubeadm-init-dryrun1")
    assert found(ADMIN + MANIFESTS + "".join(map(fill.format, copies)), "upgrade").upgrade.copies_mib in (4, 5)
    assert found(ADMIN + MANIFESTS, "upgrade").upgrade.copies_mib == 0


@sandbox.needed
@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ("--advertise-address=10.250.0.10", "https://10.250.0.10:6443"),
        ("--advertise-address=fd00::10 --secure-port=6444", "https://[fd00::10]:6444"),
    ],
)
def test_each_master_asks_its_own_api_server_what_it_was_asked(flags: str, asked: str) -> None:
    """admin.conf leads to the endpoint, behind which another one may answer."""
    manifest = "".join(f"    - {flag}\n" for flag in flags.split())
    files = sandbox.file("/etc/kubernetes/manifests/kube-apiserver.yaml", manifest) + sandbox.file("/mnt/m", METRICS)
    stub = f'stub kubectl \'case "$*" in *" --server {asked} "*) cat /mnt/m ;; *) exit 1 ;; esac\'\n'
    told = found(ADMIN + files + stub, "upgrade").upgrade
    assert (told.asked_told, len(told.deprecated)) == (True, 1)
    assert not found(ADMIN + files + "stub kubectl 'exit 1'\n", "upgrade").upgrade.asked_told


TMP = "/etc/kubernetes/tmp"


@sandbox.needed
@pytest.mark.parametrize(
    ("left", "torn"),
    [
        (f"{TMP}/kubeadm-upgraded-manifests1/etcd.yaml {TMP}/kubeadm-backup-manifests-1/etcd.yaml", ("etcd.yaml",)),
        (f"{TMP}/kubeadm-backup-manifests-1/etcd.yaml", ()),
        (f"{TMP}/kubeadm-upgraded-manifests1/etcd.yaml", ()),
        (f"/etc/kubernetes/manifests/etcd.yaml {TMP}/kubeadm-backup-manifests-1/etcd.yaml", ("etcd.yaml",)),
    ],
    ids=["between the two", "somebody took it away", "no copy", "empty"],
)
def test_a_manifest_is_missing_for_an_upgrade_alone(left: str, torn: tuple[str, ...]) -> None:
    files = f"for file in {left}; do mkdir -p ${{file%/*}}; >$file; done\n"
    assert found(ADMIN + files, "upgrade").upgrade.torn == torn


@sandbox.needed
@pytest.mark.parametrize(
    "there",
    [
        f"mkdir -p {TMP}; mount -t tmpfs -o size=7m disk {TMP}\n",
        f"mkdir /mnt/disk; mount -t tmpfs -o size=7m disk /mnt/disk; ln -s /mnt/disk {TMP}\n",
        "mount -t tmpfs -o size=7m disk /etc/kubernetes; >/etc/kubernetes/admin.conf\n",
    ],
    ids=["a disk of its own", "a link to another disk", "not made yet"],
)
def test_room_is_told_of_the_disk_where_kubeadms_copies_go(there: str) -> None:
    assert found(ADMIN + MANIFESTS + there, "upgrade").upgrade.room_mib == 7


# Ubuntu's df, of uutils, since 25.10: of GNU's it has what is documented, and -m is not.
UUTILS = "stub df 'case $* in -m* | -Pm* | *\\ -m*) echo no -m >&2; exit 1 ;; esac; command -p df \"$@\"'\n"


@sandbox.needed
def test_room_is_told_where_df_is_ubuntus_too() -> None:
    disks = f"mkdir -p {TMP} /srv/etcd; mount -t tmpfs -o size=7m disk {TMP}\n"
    disks += "mount -t tmpfs -o size=5m disk /srv/etcd\n"
    told = found(ADMIN + MANIFESTS + data_in("/srv/etcd") + disks + UUTILS, "upgrade", "restore")
    assert (told.upgrade.room_mib, told.restore.free_mib) == (7, 5)


@sandbox.needed
def test_etcds_data_on_another_disk_by_a_link_are_measured() -> None:
    """An upgrade wants room for copies of them."""
    data = "mkdir -p /mnt/disk; head -c 3000000 /dev/zero >/mnt/disk/db; ln -s /mnt/disk /var/lib/etcd\n"
    assert found(ADMIN + data_in("/var/lib/etcd") + data, "upgrade").upgrade.etcd_mib == 3


@sandbox.needed
def test_etcds_data_are_measured_where_its_manifest_has_them() -> None:
    data = "mkdir -p /srv/etcd /var/lib/etcd; head -c 3000000 /dev/zero >/srv/etcd/db\n"
    assert found(ADMIN + data_in("/srv/etcd") + data, "upgrade").upgrade.etcd_mib == 3


@sandbox.needed
def test_where_somebody_has_edited_etcds_manifest_its_former_data_are_measured_too() -> None:
    """kubeadm copies the folder that its own configuration names."""
    data = "mkdir -p /srv/etcd /var/lib/etcd; head -c 3000000 /dev/zero >/var/lib/etcd/db\n"
    assert found(ADMIN + data_in("/srv/etcd") + data, "upgrade").upgrade.etcd_mib == 3


@sandbox.needed
@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (data_in("/srv/etcd"), "there is no folder /srv/etcd"),
        (sandbox.file("/etc/kubernetes/manifests/etcd.yaml", "    - --name=m1\n"), "etcd's manifest has no --data-dir"),
        ("", "there is no manifest of etcd's"),
    ],
    ids=["no folder", "no flag", "no manifest"],
)
def test_where_nobody_knows_etcds_folder_its_size_is_not_told_as_none(manifest: str, why: str) -> None:
    told = found(ADMIN + manifest + "mkdir -p /var/lib/etcd\n", "upgrade").upgrade
    assert (told.etcd_mib, told.etcd_unmeasured) == (0, why)
