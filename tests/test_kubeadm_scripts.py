"""The scripts around kubeadm: init, join, tear-down, images. kubeadm and its like are stubs."""

import json
import shlex
import sys
from base64 import b64encode

import pytest

from kubefab.programs import script_text
from tests import sandbox
from tests.test_look import IPVS, found

pytestmark = sandbox.program_needed("pgrep")  # which preflight asks of every host
SOCKET_URL = "unix:///run/containerd/containerd.sock"

# --- tear-down.sh

FIREWALL = """*nat
:KUBE-SERVICES - [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
COMMIT
*filter
:INPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:FLANNEL-FWD - [0:0]
:MY-KUBE-CHAIN - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:DOCKER - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m comment --comment "not what leads -j KUBE-X" -j MY-KUBE-CHAIN
-A INPUT -m comment --comment "kubernetes health check" -j KUBE-NODEPORTS
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j KUBE-NODEPORTS
-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A DOCKER -d 172.17.0.2/32 -p tcp -j ACCEPT
COMMIT
"""
THEIRS = [
    "*filter",
    ":DOCKER - [0:0]",
    ":MY-KUBE-CHAIN - [0:0]",
    "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    '-A INPUT -m comment --comment "not what leads -j KUBE-X" -j MY-KUBE-CHAIN',
    "-A DOCKER -d 172.17.0.2/32 -p tcp -j ACCEPT",
    "*nat",
    "-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE",
]
REAL = "rm /mnt/bin/ip*tables*\n"
SOCKET = f"""mkdir -p /run/containerd
{sys.executable} -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/containerd/containerd.sock")'
"""


def tear_down(before: str, then: str) -> str:
    return sandbox.run(f"{before}\n{sandbox.script('tear-down.sh', SOCKET_URL)} >/mnt/said\n{then}")


def rules(family: str = "") -> str:
    """Shell text that prints those there are, and no comments, built-in chains or counters."""
    return f"ip{family}tables-save | grep -vE '^(#|COMMIT|:[A-Z]+ (ACCEPT|DROP))'"


@sandbox.program_needed("iptables-restore")
@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_only_kubernetes_own_chains_and_what_leads_to_them_go(kind: str) -> None:
    link = f"{REAL}for one in save restore; do ln -s $(command -v iptables-{kind}-$one) /mnt/bin/iptables-$one; done\n"
    firewall = sandbox.file("/mnt/rules", FIREWALL) + "iptables-restore </mnt/rules\n"
    there = tear_down(link + firewall, rules()).splitlines()
    assert sorted(there) == sorted(THEIRS)


# What the plugins portmap, bridge (ipMasq) and firewall make: of one network, and for all of them.
def cni(network: str, tag: str, address: str) -> list[str]:
    named = f'name: \\"{network}\\" id: \\"{tag}\\"'
    return [
        f":CNI-DN-{tag} - [0:0]",
        f":CNI-{tag} - [0:0]",
        f'-A POSTROUTING -s {address}/32 -m comment --comment "{named}" -j CNI-{tag}',
        f'-A CNI-{tag} ! -d 224.0.0.0/4 -m comment --comment "{named}" -j MASQUERADE',
        f'-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat {named}" -m multiport --dports 80 -j CNI-DN-{tag}',
        f"-A CNI-DN-{tag} -s {address}/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK",
        f"-A CNI-DN-{tag} -p tcp -m tcp --dport 80 -j DNAT --to-destination {address}:80",
    ]


FOR_ALL = [
    *(f":CNI-HOSTPORT-{name} - [0:0]" for name in ("DNAT", "MASQ", "SETMARK")),
    "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
    '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
]
FIREWALL_OF_PODMAN = [
    ":CNI-FORWARD - [0:0]",
    '-A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD',
    "-A CNI-FORWARD -s 10.88.0.2/32 -j ACCEPT",
]


@sandbox.program_needed("iptables-restore")
@pytest.mark.parametrize(
    ("there", "left"),
    [
        (
            [*cni("cbr0", "a1", "10.244.0.2"), *cni("podman", "b2", "10.88.0.2"), *FOR_ALL],
            cni("podman", "b2", "10.88.0.2"),
        ),
        ([*cni("cbr0", "a1", "10.244.0.2"), *FOR_ALL], []),
        ([*cni("podman", "b2", "10.88.0.2"), *FOR_ALL], cni("podman", "b2", "10.88.0.2")),
    ],
    ids=["both", "pods alone", "podman alone"],
)
def test_podmans_containers_keep_their_ports_and_their_way_out(there: list[str], left: list[str]) -> None:
    nat = sorted(there, key=lambda line: line[0] == "-")
    text = "\n".join(("*nat", *nat, "COMMIT", "*filter", *FIREWALL_OF_PODMAN, "COMMIT", ""))
    stays = [*left, *(FOR_ALL if left else []), *FIREWALL_OF_PODMAN]
    then = f"{rules()} | grep CNI"
    said = tear_down(f"{REAL}{sandbox.file('/mnt/rules', text)}iptables-restore </mnt/rules\n", then)
    assert sorted(said.splitlines()) == sorted(stays)


@sandbox.program_needed("iptables-restore")
def test_rules_that_others_add_meanwhile_stay() -> None:
    """fail2ban bans somebody between the look at the rules and the change of them."""
    firewall = f"{REAL}{sandbox.file('/mnt/rules', FIREWALL)}iptables-restore </mnt/rules\n"
    meanwhile = """real=$(command -v iptables-restore)
stub iptables-restore "iptables -A INPUT -s 192.0.2.1 -j DROP; exec $real \\"\\$@\\""
"""
    there = tear_down(firewall + meanwhile, rules()).splitlines()
    assert sorted(there) == sorted([*THEIRS, "-A INPUT -s 192.0.2.1/32 -j DROP"])


@sandbox.needed
def test_rules_that_cannot_be_read_end_a_tear_down_and_are_not_none() -> None:
    broken = "stub iptables-save 'echo Permission denied >&2; exit 4'\n"
    ended = sandbox.run(f"{broken}{sandbox.script('tear-down.sh', SOCKET_URL)} 2>&1 && echo well || true")
    assert ended.endswith("iptables-save: Permission denied\n")


@sandbox.needed
def test_a_kubelet_that_nobody_says_is_stopped_ends_a_tear_down() -> None:
    silent = "stub systemctl '[ \"$1\" = list-units ] || { echo Failed to connect to bus >&2; exit 1; }'\n"
    files = sandbox.file("/etc/kubernetes/kubelet.conf", "x")
    command = sandbox.script("tear-down.sh", SOCKET_URL)
    ended = sandbox.run(f"{files}{silent}{command} 2>&1 && echo well || ls /etc/kubernetes")
    assert ended.splitlines() == ["the kubelet cannot be stopped: it would make again what goes", "kubelet.conf"]


@sandbox.needed
def test_the_timer_of_backups_goes_before_etcd_does_and_the_backups_stay() -> None:
    timer, kept = (
        "/etc/systemd/system/kubefab-backup.timer",
        "/var/lib/kubefab-backups/2026-11-26T06-00-00Z/snapshot.db",
    )
    there = sandbox.file(timer, "# Written by kubefab.\n") + sandbox.file(kept, "x")
    left = f"ls {timer} {kept} 2>/dev/null || true; grep -nE 'kubeadm reset|kubefab-backup.timer' /mnt/calls"
    said = tear_down(there, left).splitlines()
    assert [line.partition(":")[2].split()[0] for line in said[1:]] == ["systemctl", "kubeadm"]
    assert said[0] == kept


@sandbox.needed
def test_what_cleans_up_after_a_join_leaves_the_timer_alone() -> None:
    timer = "/etc/systemd/system/kubefab-backup.timer"
    there = sandbox.file(timer, "# Written by kubefab.\n") + sandbox.file("/var/lib/kubefab/join", "1")
    assert sandbox.run(f"{there}{sandbox.script('tear-down.sh', SOCKET_URL, 'unasked')} >/mnt/said; ls {timer}")


OURS = (
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/ca.key",
    "/etc/kubernetes/pki/etcd/server.key",
    "/etc/kubernetes/tmp/kubeadm-backup-etcd-1/member/wal",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/pods/1/etc-hosts",
    "/var/lib/etcd/member/wal",
    "/var/lib/cni/networks/cbr0/10.244.0.2",
    "/var/lib/cni/results/cni-loopback-1-lo",
    "/var/lib/rook/mon-a/data",
    "/run/flannel/subnet.env",
    "/var/lib/kubefab/init",
    "/etc/cni/net.d/10-flannel.conflist",
    "/run/kubefab/discovery.conf",
    "/run/kubefab/discovery.conf.yaml",
)
THEIR_FILES = (
    "/etc/cni/net.d/10-flannel.conflist.mine",
    "/etc/cni/net.d/20-multus-flannel.conf",
    "/etc/cni/net.d/87-podman.conflist",
    "/etc/cni/net.d/flannel-of-before/10-flannel.conflist",
    "/etc/kubernetes/audit-policy.yaml",
    "/etc/kubernetes/enc/enc.yaml",
    "/etc/kubernetes/pki/sso-ca.crt",
    "/etc/kubernetes/tmp/snapshot-of-monday.db",
    "/var/lib/cni/networks/podman/10.88.0.2",
    "/var/lib/cnix/y",
    "/var/opt/z",
)
SET_ASIDE = (  # kubeadm empties these folders, and wants them empty
    "/etc/kubernetes/manifests/my-pod.yaml",
    "/var/lib/etcd/backup/of-monday",
    "/var/lib/kubelet/config.json",
    "/var/lib/kubelet/seccomp/mine.json",
)
A_MASTER = "".join(sandbox.file(path, "text") for path in (*OURS, *THEIR_FILES, *SET_ASIDE))
PLACES = (
    "/etc/kubernetes /var/lib/kubelet /var/lib/kubefab /var/lib/kubefab-kept /var/lib/etcd /var/lib/rook /run/flannel"
)
FILES = f"find -H {PLACES} /etc/cni /var/lib/cni* /var/opt/z /run/kubefab -type f 2>/dev/null | sort"
KEPT = sorted((*THEIR_FILES, *(f"/var/lib/kubefab-kept{path}" for path in SET_ASIDE)))
# What kubeadm reset does to files; to those of all CNI plugins until 1.24.
RESET = "rm -rf /etc/kubernetes/manifests/* /var/lib/kubelet/* /etc/kubernetes/*.conf /var/lib/cni/*\n"


@sandbox.needed
def test_what_kubernetes_made_goes_and_what_others_made_stays() -> None:
    assert tear_down(f"{A_MASTER}stub kubeadm '{RESET}'\n", FILES).splitlines() == KEPT


@sandbox.needed
def test_a_second_file_that_is_set_aside_does_not_replace_the_first() -> None:
    first, second = (sandbox.file("/etc/kubernetes/manifests/my-pod.yaml", text) for text in ("one", "two"))
    command = sandbox.script("tear-down.sh", SOCKET_URL)
    kept = "cat /var/lib/kubefab-kept/etc/kubernetes/manifests/*"
    assert sandbox.run(f"{first}{command}\n{second}{command}\n{kept}").endswith("twoone")


@sandbox.needed
def test_what_is_set_aside_is_read_by_no_more_than_before() -> None:
    """etcd's folder is root's alone: what lies in it, as a copy with all Secrets, need not be."""
    there = sandbox.file("/var/lib/etcd/copy.tar", "secrets") + "chmod 700 /var/lib/etcd\n"
    read = "setpriv --reuid 65534 --clear-groups cat /var/lib/kubefab-kept/var/lib/etcd/copy.tar 2>/dev/null || echo no"
    assert tear_down(there, f"ls /var/lib/kubefab-kept/var/lib/etcd; {read}") == "copy.tar\nno\n"


@sandbox.needed
@pytest.mark.parametrize("name", ["mine ", " mine", "of mine", "-mine", "back\\slash"])
def test_a_file_is_set_aside_whatever_it_is_called(name: str) -> None:
    there = sandbox.file(f"/var/lib/kubelet/{name}", "text")
    kept = "find /var/lib -type f"
    assert tear_down(there, kept) == f"/var/lib/kubefab-kept/var/lib/kubelet/{name}\n"


@sandbox.needed
@pytest.mark.parametrize("folder", ["/var/lib/rook", "/run/flannel", "/etc/kubernetes/tmp/kubeadm-upgraded"])
def test_a_name_of_several_lines_takes_nothing_away_where_the_script_was_begun(folder: str) -> None:
    there = sandbox.file(f"{folder}/x\nmine", "theirs") + sandbox.file("/srv/mine", "text")
    assert tear_down(f"{there}cd /srv\n", "cat /srv/mine") == "text"


@sandbox.needed
def test_keys_that_somebody_copied_to_a_worker_are_kept() -> None:
    """For a later join as a master, say; perhaps there is no other copy."""
    copied = "".join(sandbox.file(f"/etc/kubernetes/pki/{name}", name) for name in ("ca.crt", "ca.key", "sa.key"))
    conf = sandbox.file("/etc/kubernetes/kubelet.conf", "x")
    kept = [f"/var/lib/kubefab-kept/etc/kubernetes/pki/{name}" for name in ("ca.crt", "ca.key", "sa.key")]
    assert tear_down(copied + conf, FILES).splitlines() == kept


@sandbox.needed
@pytest.mark.parametrize(
    "place", ["/var/lib/etcd/backup", "/etc/kubernetes/enc", "/var/lib/rook/x", "/var/lib/kubelet/y"]
)
def test_a_mount_below_what_is_to_go_is_refused_by_name_before_anything_is_touched(place: str) -> None:
    """A bind mount is on the same file system: find's -xdev would not see it."""
    nas = f"mkdir -p /mnt/nas {place}\ntouch /mnt/nas/precious\nmount --bind /mnt/nas {place}\n"
    said = refused(f"{A_MASTER}{nas}{FILES} >/mnt/before\n")
    assert f"{place} is a mount" in said


def elsewhere(folder: str) -> str:
    """Shell text that makes this a link to a folder of another disk."""
    return f"mkdir -p /srv/disk{folder} {folder.rpartition('/')[0]}\nln -s /srv/disk{folder} {folder}\n"


@sandbox.needed
@pytest.mark.parametrize(
    ("link", "place"),
    [
        ("/var/lib/etcd", "/var/lib/etcd/backup"),
        ("/etc/kubernetes", "/etc/kubernetes/enc"),
        ("/etc/kubernetes/pki", "/etc/kubernetes/pki/x"),
        ("/var/lib/rook", "/var/lib/rook/x"),
        ("/var/lib/kubelet", "/var/lib/kubelet/y z"),
        ("/var/lib", "/var/lib/rook/x"),
    ],
)
def test_a_mount_is_refused_as_well_where_the_folder_is_a_link(link: str, place: str) -> None:
    """The kernel tells of a mount by its real path."""
    moved = elsewhere(link) if link != "/var/lib" else "mv /var/lib /srv/lib\nln -s /srv/lib /var/lib\n"
    nas = f"mkdir -p /srv/nas '{place}'\ntouch /srv/nas/precious\nmount --bind /srv/nas '{place}'\n"
    said = refused(f"{moved}{A_MASTER}{nas}{FILES} >/mnt/before\n")
    assert said.count(f"{place} is a mount") == 1


K3S_SHIM = (
    "exec -a '/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id 1 -address /run/k3s/containerd.sock' sleep 60"
)
SHIMS = "^/usr/bin/containerd-shim"


@sandbox.needed
@pytest.mark.parametrize("place", ["/run/k3s", "/run/k0s", "/var/snap/microk8s/common/run"])
def test_where_pods_of_k3s_or_its_like_run_on_nothing_is_taken_away(place: str) -> None:
    """It was stopped, and its pods are where they were."""
    began = sandbox.running(1, "-f", SHIMS)
    said = refused(f'{A_MASTER}bash -c "{K3S_SHIM.replace("/run/k3s", place)}" &\n{began}{FILES} >/mnt/before\n')
    assert "containers of k3s, RKE2, k0s or MicroK8s run" in said


@sandbox.needed
def test_where_the_kubelets_folder_is_that_of_microk8s_nothing_is_taken_away() -> None:
    """Its snap makes this link, and its pods' data are behind it, whether it runs or not."""
    theirs = "mkdir -p /var/snap/microk8s/common/var/lib/kubelet\n"
    link = "ln -s /var/snap/microk8s/common/var/lib/kubelet /var/lib/kubelet\n"
    said = refused(f"{theirs}{link}{A_MASTER}{FILES} >/mnt/before\n")
    assert "/var/lib/kubelet is a link to /var/snap/microk8s/common/var/lib/kubelet, which is MicroK8s'" in said


@sandbox.needed
def test_the_change_itself_is_no_pod_of_k3s() -> None:
    """All of its text is in its command line."""
    change = shlex.join(["sh", "-c", script_text("tear-down.sh"), "kubefab", SOCKET_URL])
    assert sandbox.run(f"{A_MASTER}{change}\n{FILES}").splitlines()[-len(KEPT) :] == KEPT


@sandbox.needed
@pytest.mark.parametrize("unit", ["k3s-agent", "k0sworker", "snap.microk8s.daemon-kubelite"])
def test_where_k3s_runs_nothing_is_taken_away(unit: str) -> None:
    """systemd itself tells of the units that fit a pattern; so does this."""
    units = f"""for one; do case {unit}.service in $one) echo {unit}.service loaded active running It ;; esac; done"""
    k3s = f"stub systemctl 'case $1 in list-units) {units} ;; esac'\n"
    assert f"{unit}.service runs" in refused(f"{A_MASTER}{k3s}{FILES} >/mnt/before\n")


def refused(before: str) -> str:
    """What a tear-down says that refuses, and has changed nothing."""
    command = sandbox.script("tear-down.sh", SOCKET_URL)
    after = f"{FILES} | diff /mnt/before -; grep -vE 'list-units' /mnt/calls || true"
    said, _, calls = sandbox.run(f"{before}! {command} 2>&1\necho ==\n{after}").partition("==\n")
    assert calls == ""
    return said


CUT_OFF = """
cut_off() { # cut_off N COMMAND…: kills it, and all that it started, right after its Nth change
    echo "$1" >/mnt/left
    shift
    setsid -w sh -c 'echo $$ >/mnt/group; exec "$@"' sh "$@" >/mnt/said 2>&1 || true
}
mkdir /mnt/real /mnt/machine
for command in rm find mv rmdir mkdir date kubeadm ctr; do
    cp "$(command -v $command)" /mnt/real/$command
    cat >/mnt/bin/$command <<'END'
#!/bin/sh
/mnt/real/${0##*/} "$@"
status=$?
[ -e /mnt/left ] || exit $status
read -r left </mnt/left
case "${0##*/} $*" in find*-delete | [!f]*) left=$((left - 1)); echo $left >/mnt/left ;; esac
[ $left != 0 ] || kill -KILL -$(cat /mnt/group)
exit $status
END
    chmod +x /mnt/bin/$command
done
"""


NOT_OF_INIT = (OURS[3], *OURS[10:14], "/etc/cni/net.d/10-flannel.conflist")
LEFT_UNASKED = sorted((*THEIR_FILES, *SET_ASIDE, *NOT_OF_INIT))


@sandbox.needed
@pytest.mark.parametrize(
    ("words", "marker", "left"),
    [([], "tear-down", KEPT), (["unasked"], "init", LEFT_UNASKED)],
    ids=["asked", "unasked"],
)
def test_a_tear_down_that_is_killed_anywhere_is_taken_up_where_it_was(
    words: list[str], marker: str, left: list[str]
) -> None:
    """Its marker tells of it until all is gone; every second of its changes is the last one in turn."""
    command = sandbox.script("tear-down.sh", SOCKET_URL, *words)
    again = f"""
{FILES} >/mnt/before
n=1
while :; do
    rm -f /mnt/left
    rm -rf {PLACES} /var/lib/cni
    cp -a /mnt/machine/* /
    cut_off $n {command}
    [ "$(cat /mnt/left)" -le 0 ] || break
    rm -f /mnt/left
    {FILES} >/mnt/then
    if [ -e /var/lib/kubefab/{marker} ] || cmp -s /mnt/before /mnt/then; then
        {command} >/mnt/said 2>&1 || cat /mnt/said
    fi
    {FILES} | diff - /mnt/kept || echo "killed after $n"
    n=$((n + 2))
done
[ $n -gt 20 ] || echo "$n changes only"
"""
    machine = f"tar -cP {' '.join((*OURS, *THEIR_FILES, *SET_ASIDE))} | tar -x -C /mnt/machine\n"
    kept = sandbox.file("/mnt/kept", "".join(f"{path}\n" for path in left))
    assert sandbox.run(f"{A_MASTER}stub kubeadm '{RESET}'\n{kept}{CUT_OFF}{machine}{again}") == ""


@sandbox.needed
def test_a_kubelet_that_does_not_stop_is_an_error_and_nothing_is_taken_away() -> None:
    stub = "stub systemctl '[ $1 != stop ]'\n"
    said = sandbox.run(f"{A_MASTER}{stub}! {sandbox.script('tear-down.sh', SOCKET_URL)} 2>&1\n{FILES}").splitlines()
    assert said[0] == "the kubelet cannot be stopped: it would make again what goes"
    assert set(said[1:]) >= {*OURS, *SET_ASIDE}


# --- tear-down.sh, unasked: only what an init or a join of ours has begun


UNASKED = sandbox.script("tear-down.sh", SOCKET_URL, "unasked")


@sandbox.needed
def test_unasked_nothing_goes_where_no_marker_tells_of_it() -> None:
    left = A_MASTER + "rm /var/lib/kubefab/init\n"
    ended = sandbox.run(f"{left}{FILES} >/mnt/before\n! {UNASKED} 2>&1\n{FILES} | diff /mnt/before -")
    assert ended == "no init and no join of kubefab's is left unfinished here: nothing was changed\n"


@sandbox.needed
def test_unasked_only_goes_what_kubeadm_made_and_all_else_stays_where_it_is() -> None:
    ended = sandbox.run(f"{A_MASTER}{UNASKED} >/mnt/said\n{FILES}; grep kubeadm /mnt/calls || true")
    assert ended.splitlines() == LEFT_UNASKED


@sandbox.needed
def test_unasked_a_join_takes_back_what_makes_a_worker_and_nobodys_etcd() -> None:
    """Its machine may have an etcd, an admin.conf, keys and static pods of somebody's own."""
    joined = "rm /var/lib/kubefab/init\ndate +%s >/var/lib/kubefab/join\n"
    gone = {
        *(path for path in OURS if path.startswith(("/var/lib/kubelet/", "/var/lib/kubefab/", "/run/kubefab/"))),
        "/etc/kubernetes/kubelet.conf",
    }
    left = sorted({*OURS, *THEIR_FILES, *SET_ASIDE} - gone)
    assert sandbox.run(f"{A_MASTER}{joined}{UNASKED} >/mnt/said\n{FILES}").splitlines() == left


@sandbox.needed
def test_unasked_a_join_of_a_master_takes_back_all_that_makes_one() -> None:
    joined = "rm /var/lib/kubefab/init\ndate +%s >/var/lib/kubefab/join-master\n"
    assert sandbox.run(f"{A_MASTER}{joined}{UNASKED} >/mnt/said\n{FILES}").splitlines() == LEFT_UNASKED


GIVEN = [f"/etc/kubernetes/pki/{name}" for name in ("ca.crt", "ca.key", "etcd/ca.key")]


def after_a_half_made_init_over_given_keys(*words: str) -> list[str]:
    """The files below pki after a tear-down; kubeadm has made others beside those given."""
    made = "for one in sa.key apiserver.key; do echo new >/etc/kubernetes/pki/$one; done"
    stub = f"""stub kubeadm 'case "$*" in *--skip-token-print) {made}; exit 1 ;; esac'\nmkdir -p /run/kubefab\n"""
    there = "".join(sandbox.file(path, "mine") for path in GIVEN)
    init = f"! {sandbox.script('init.sh', 'config validate', '1')} </dev/null\n"
    undo = f"{sandbox.script('tear-down.sh', SOCKET_URL, *words)} >/mnt/said\n"
    return sandbox.run(f"{there}{stub}{init}{undo}find /etc/kubernetes /var/lib -type f | sort").splitlines()


@sandbox.needed
def test_unasked_an_authority_that_was_there_before_init_stays_where_it_is() -> None:
    """kubeadm takes it for its own, as its guide to certificates offers; perhaps there is no other copy of its key."""
    assert after_a_half_made_init_over_given_keys("unasked") == GIVEN


@sandbox.needed
def test_an_authority_that_was_there_before_init_is_set_aside_where_all_is_to_go() -> None:
    """Whoever joins there as a master next would not bear it."""
    assert after_a_half_made_init_over_given_keys() == [f"/var/lib/kubefab-kept{path}" for path in GIVEN]


# --- tear-down.sh: containers, links, tables


@sandbox.needed
def test_kubeadm_is_kept_from_asking_an_api_server_that_may_be_gone() -> None:
    made = sandbox.file("/etc/kubernetes/kubelet.conf", "x") + "stub kubeadm 'ls /etc/kubernetes >>/mnt/calls'\n"
    calls = tear_down(made, "cat /mnt/calls").splitlines()
    (at,) = [n for n, call in enumerate(calls) if call.startswith("kubeadm reset --force --cri-socket unix:///run/con")]
    assert "systemctl stop kubelet" in calls[:at]
    assert "kubelet.conf" not in calls[at:]


@sandbox.needed
def test_kubeadm_removes_no_containers_of_docker_by_their_names() -> None:
    """An older one with dockershim's socket takes all that have k8s_ in them, somebody's database, and its volume."""
    kubeadm = 'case "$*" in *dockershim*) docker rm --volumes $(docker ps -a --filter name=k8s_ -q) ;; esac'
    docker = 'case "$*" in *name=k8s_*) echo k8s_db_1 ;; *label=*) echo ours ;; esac'
    socket = f"""{sys.executable} -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/docker.sock")'\n"""
    stubs = f"{socket}stub kubeadm {shlex.quote(kubeadm)}\nstub docker {shlex.quote(docker)}\n"
    reset = f"{sandbox.script('tear-down.sh', '/var/run/dockershim.sock')} >/mnt/said"
    calls = sandbox.run(f"{stubs}{reset}\nsed -n '/^docker rm/p' /mnt/calls").splitlines()
    assert set(calls) == {"docker rm --force --volumes ours"}


@sandbox.needed
def test_containers_of_the_cri_that_are_left_go_too() -> None:
    """Others in the same namespace, run by hand, have no label of the CRI's: ctr is asked for those that do."""
    ctr = 'case "$*" in *"containers ls -q labels.\\"io.cri-containerd.kind\\"") echo box1; echo box2 ;; esac'
    calls = tear_down(f"{SOCKET}stub ctr '{ctr}'\n", "grep -E 'kill|delete' /mnt/calls").splitlines()
    assert calls == [
        f"ctr -n k8s.io {does} box{n}" for n in (1, 2) for does in ("tasks delete --force", "containers delete")
    ]


@sandbox.needed
def test_a_containerd_that_does_not_tell_its_containers_is_an_error() -> None:
    command = sandbox.script("tear-down.sh", SOCKET_URL)
    stub = f"{SOCKET}stub ctr 'echo no answer >&2; exit 1'\n"
    assert sandbox.run(f"{stub}! {command} 2>&1\nls /var/lib/kubefab") == "no answer\ntear-down\n"


@sandbox.needed
def test_only_the_shims_of_this_machines_own_containerd_are_killed() -> None:
    """A second one has another address; those in kind's nodes have ours, in a pid namespace of their own."""
    shim = "exec -a '/usr/bin/containerd-shim-runc-v2 -namespace k8s.io -id 1 -address {}' sleep 60"
    ours, other = (shim.format(f"/run/{name}containerd/containerd.sock") for name in ("", "other/"))
    start = f'bash -c "{ours}" &\nbash -c "{other}" &\nunshare --pid --fork --mount-proc bash -c "{ours}" &\n'
    left = f"{sandbox.running(2, '-f', SHIMS)}pgrep -fc '{SHIMS}'; pkill -KILL -f '{SHIMS}' || true"
    assert tear_down(f"{start}{sandbox.running(3, '-f', SHIMS)}", left) == "2\n"


SHIM_OF = K3S_SHIM.replace("-id 1", "-id {}").replace("k3s", "containerd")


@sandbox.needed
def test_what_others_run_in_the_cris_namespace_by_hand_is_not_killed() -> None:
    """Not so what containerd has lost sight of: that is the CRI's."""
    start = "".join(f'bash -c "{SHIM_OF.format(name)}" &\n' for name in ("box", "mine", "lost"))
    ctr = 'case "$*" in *"ls -q labels."*) echo box ;; *"ls -q") echo box; echo mine ;; esac'
    left = (
        f"{sandbox.running(1, '-f', SHIMS)}pgrep -fa '{SHIMS}' | grep -o 'id [a-z]*'; pkill -KILL -f '{SHIMS}' || true"
    )
    began = f"{SOCKET}stub ctr '{ctr}'\n{start}{sandbox.running(3, '-f', SHIMS)}"
    assert tear_down(began, left) == "id mine\n"


@sandbox.needed
def test_where_nobody_says_whose_a_shim_is_it_is_not_killed() -> None:
    silent = f'{SOCKET}stub ctr "echo no answer >&2; exit 1"\n'
    began = f'{silent}bash -c "{SHIM_OF.format(1)}" &\n{sandbox.running(1, "-f", SHIMS)}'
    left = f"pgrep -fc '{SHIMS}'; pkill -KILL -f '{SHIMS}' || true"
    assert sandbox.run(f"{began}! {sandbox.script('tear-down.sh', SOCKET_URL)} 2>&1\n{left}") == "no answer\n1\n"


@sandbox.needed
def test_containers_of_docker_go_by_their_label_and_not_by_their_name() -> None:
    docker = (
        'case "$*" in "ps --all --quiet --filter label=io.kubernetes.docker.type") echo pod ;; ps*) echo all ;; esac'
    )
    there = f"{SOCKET.replace('containerd/containerd', 'docker')}stub docker '{docker}'\n"
    assert tear_down(there, "grep rm /mnt/calls") == "docker rm --force --volumes pod\n"


@sandbox.needed
def test_kube_proxys_nftables_and_ipvs_link_go_and_others_stay() -> None:
    nft = "echo table ip kube-proxy; echo table ip6 kube-proxy; echo table inet mine"
    links = "mount -t tmpfs links /sys/class/net\nmkdir /sys/class/net/kube-ipvs0 /sys/class/net/cilium_vxlan\n"
    stubs = f'stub nft \'[ "$*" != "list tables" ] || {{ {nft}; }}\'\n{links}'
    calls = tear_down(stubs, "grep -E 'delete' /mnt/calls").splitlines()
    assert calls == ["ip link delete kube-ipvs0", "nft delete table ip kube-proxy", "nft delete table ip6 kube-proxy"]


@sandbox.needed
def test_links_of_flannel_go_by_whichever_backend() -> None:
    links = "cni0 flannel.1 flannel.7 flannel.ipip flannel-wg flannel-wg-v6"
    there = f"mount -t tmpfs links /sys/class/net\ncd /sys/class/net\nmkdir {links} eth0 flannels wg0\ncd /\n"
    assert found(there, "node").local.links == tuple(sorted(links.split()))
    calls = tear_down(there, "grep delete /mnt/calls").splitlines()
    assert sorted(calls) == sorted(f"ip link delete {link}" for link in links.split())


@sandbox.needed
def test_virtual_servers_of_kube_proxy_go_where_there_is_a_program_for_it() -> None:
    assert tear_down(f"{IPVS}stub ipvsadm :\n", "grep ^ipvsadm /mnt/calls").splitlines() == [
        "ipvsadm -D -t 10.96.0.1:443",
        "ipvsadm -D -u 10.96.0.10:53",
    ]


@sandbox.needed
def test_a_host_that_is_clean_already_stays_so() -> None:
    assert tear_down("", f"{FILES}; echo well") == "well\n"


VOLUMES = "".join(
    f"mkdir -p /var/lib/kubelet/pods/{n}/data\nmount -t tmpfs -o size=1m v{n} /var/lib/kubelet/pods/{n}/data\n"
    f"touch /var/lib/kubelet/pods/{n}/data/precious\n"
    for n in range(1, 13)
)


@sandbox.needed
def test_every_volume_is_unmounted_before_its_folder_goes() -> None:
    kept = "mkdir -p /mnt/kept\nmount --bind /mnt/kept /var/lib/kubelet/pods/1/data\ntouch /mnt/kept/precious\n"
    assert tear_down(VOLUMES + kept, "ls /mnt/kept; grep /var/lib/kubelet /proc/mounts || true") == "precious\n"


@sandbox.needed
@pytest.mark.parametrize("words", [[], ["unasked"]], ids=["asked", "unasked"])
def test_a_volume_is_unmounted_as_well_where_the_kubelets_folder_is_a_link(words: list[str]) -> None:
    kept = (
        "mkdir -p /srv/kept /var/lib/kubelet/pods/1/data\ntouch /srv/kept/precious\n"
        + "mount --bind /srv/kept /var/lib/kubelet/pods/1/data\n" * 2
        + sandbox.file("/var/lib/kubefab/init", "1")
    )
    command = sandbox.script("tear-down.sh", SOCKET_URL, *words)
    left = "ls /srv/kept /var/lib/kubelet/; grep /pods/ /proc/mounts || true"
    ended = sandbox.run(f"{elsewhere('/var/lib/kubelet')}{kept}{command} >/mnt/said\n{left}")
    assert ended.split() == ["/srv/kept:", "precious", "/var/lib/kubelet/:"]


@sandbox.needed
def test_what_cannot_be_unmounted_keeps_its_content() -> None:
    kept = (
        "mkdir -p /mnt/kept /var/lib/kubelet/pods/1/data\n"
        "mount --bind /mnt/kept /var/lib/kubelet/pods/1/data\ntouch /mnt/kept/precious\nstub umount 'exit 1'\n"
    )
    script = sandbox.script("tear-down.sh", SOCKET_URL)
    ended = sandbox.run(f"{kept}status=0\n{script} >/mnt/said 2>&1 || status=$?\necho status $status\nls /mnt/kept")
    assert ended.splitlines()[1:] == ["precious"]
    assert ended.splitlines()[0] != "status 0"


@sandbox.needed
@pytest.mark.parametrize("words", [[], ["unasked"]], ids=["asked", "unasked"])
@pytest.mark.parametrize("first", [0, 1], ids=["at first", "later"])
def test_where_nobody_tells_what_is_mounted_nothing_counts_as_unmounted(words: list[str], first: int) -> None:
    """As where the kernel kills awk for want of memory. A bind mount is on the same file system."""
    kept = "mkdir -p /var/kept\nmount --bind /var/kept /var/lib/kubelet/pods/1/data\ntouch /var/kept/precious\n"
    killed = f"[ -e /mnt/left ] || echo {first} >/mnt/left; read -r n </mnt/left; echo $((n - 1)) >/mnt/left"
    killed += '; [ $n -gt 0 ] || kill -KILL $$; exec /usr/bin/awk "$@"'
    begun = sandbox.file("/var/lib/kubefab/join", "1") + f"stub awk '{killed}'\n"
    script = sandbox.script("tear-down.sh", SOCKET_URL, *words)
    ended = sandbox.run(f"{VOLUMES}{kept}{begun}{script} >/mnt/said 2>&1 && echo done\nls /var/kept")
    assert ended == "precious\n"


# --- init.sh, join.sh: kubeadm is a stub that fails where it is told to

KUBEADM = """
case "$*" in *"$FAIL"*) [ -z "$FAIL" ] || { echo "no: $*" >&2; exit 1; } ;; esac
case "$*" in
    "init phase preflight"* | "join phase preflight"*) ;;
    init*|join*) ls /var/lib/kubefab >>/mnt/calls; while [ "$1" != --config ]; do shift; done; cat "$2" >>/mnt/calls ;;
esac
"""


def kubeadm(script: str, stdin: str, fail: str, then: str) -> list[str]:
    """What happened, call by call; `fail` is the call that fails."""
    stub = sandbox.file("/mnt/kubeadm", KUBEADM) + "stub kubeadm '. /mnt/kubeadm'\nmkdir -p /run/kubefab\n"
    run = f"{sandbox.file('/mnt/stdin', stdin)}export FAIL='{fail}'\n{script} </mnt/stdin >/mnt/said 2>&1 || true\n"
    return sandbox.run(f"{stub}{run}cat /mnt/calls; {then}").splitlines()


MARKER = "ls /var/lib/kubefab/init 2>/dev/null || true; ls /run/kubefab"


@sandbox.needed
def test_a_marker_is_there_from_before_init_until_right_after_its_success() -> None:
    lines = kubeadm(sandbox.script("init.sh", "config validate", "1"), "documents\n", "", MARKER)
    calls = [line.split(" --config")[0] for line in lines]
    assert calls == ["kubeadm config validate", "kubeadm init phase preflight", "kubeadm init", "init", "documents"]


@sandbox.needed
def test_an_init_that_did_not_finish_leaves_its_marker() -> None:
    assert (
        kubeadm(sandbox.script("init.sh", "config validate", "1"), "documents\n", "--skip-token-print", MARKER)[-1]
        == "/var/lib/kubefab/init"
    )


@sandbox.needed
@pytest.mark.parametrize("fail", ["config validate", "init phase preflight"])
def test_what_was_there_before_us_leaves_no_marker(fail: str) -> None:
    lines = kubeadm(sandbox.script("init.sh", "config validate", "1"), "documents\n", fail, MARKER)
    assert not any(line.startswith(("/var", "kubeadm init --config", "init.")) for line in lines)


@sandbox.needed
@pytest.mark.parametrize("name", ["init", "join"])
def test_a_marker_is_on_the_disk_before_anything_is_made(name: str) -> None:
    """As it was after a power cut: there, and empty, so that nobody knew when it had begun."""
    script = {"init": sandbox.script("init.sh", "config validate", "1"), "join": JOIN}[name]
    stub = "stub kubeadm true\nstub sync 'cat \"$1\" >>/mnt/calls'\nmkdir -p /run/kubefab\n"
    calls = sandbox.run(
        f"{stub}{sandbox.file('/mnt/stdin', join_text())}{script} </mnt/stdin\ncat /mnt/calls"
    ).splitlines()
    preflight, synced, since, made = calls[-4:]
    assert f"kubeadm {name} phase preflight" in preflight
    assert synced == f"sync /var/lib/kubefab/{name}"
    assert since.isdigit()
    assert made.startswith(f"kubeadm {name} --config")


def join_text(discovery: str = "kubeconfig text\n") -> str:
    return f"{b64encode(discovery.encode()).decode()}\nkind: JoinConfiguration\n"


@sandbox.needed
def test_a_join_finds_its_discovery_where_its_document_says_and_leaves_no_token_behind() -> None:
    path = "/run/kubefab/discovery.conf"
    seen = "stat -c '%a %n' /run/kubefab/* >>/mnt/calls; cat /run/kubefab/discovery.conf >>/mnt/calls"
    stub = f'mkdir -p /run/kubefab\nstub kubeadm "{seen}"\n{sandbox.file("/mnt/stdin", join_text())}'
    lines = sandbox.run(
        f"{stub}{sandbox.script('join.sh', path, 'config validate')} </mnt/stdin\ncat /mnt/calls; ls /run/kubefab"
    ).splitlines()
    assert lines == [
        f"kubeadm config validate --config {path}.yaml",
        f"600 {path}",
        f"600 {path}.yaml",
        "kubeconfig text",
        f"kubeadm join phase preflight --config {path}.yaml",
        f"600 {path}",
        f"600 {path}.yaml",
        "kubeconfig text",
        f"kubeadm join --config {path}.yaml --skip-phases preflight",
        f"600 {path}",
        f"600 {path}.yaml",
        "kubeconfig text",
    ]


@sandbox.needed
def test_an_api_server_that_cannot_be_reached_is_told_before_anything_is_made() -> None:
    text = join_text("clusters:\n- cluster:\n    server: https://127.0.0.1:1\n")
    joined = f"if {sandbox.script('join.sh', '/run/kubefab/d', 'config validate')} </mnt/stdin; then echo joined; fi"
    said = sandbox.run(f"mkdir -p /run/kubefab\n{sandbox.file('/mnt/stdin', text)}{joined}\ncat /mnt/calls")
    assert said.strip() == (
        "https://127.0.0.1:1 cannot be reached from here: does a firewall stand between, here or on the master?"
    )


SERVER = f"""rm /mnt/bin/ip
ip link set lo up
{sys.executable} - <<'END' &
import socket
server = socket.create_server(("127.0.0.1", 6443))
while True:
    server.accept()
END
until bash -c ': </dev/tcp/127.0.0.1/6443' 2>/dev/null; do sleep 0.05; done
"""


@sandbox.program_needed("ip")
@pytest.mark.parametrize(
    ("status", "joins"), [("401 Unauthorized", False), ("403 Forbidden", True), ("200 OK", True), ("", True)]
)
def test_an_api_server_that_would_refuse_kubeadm_an_answer_is_told_before_anything_is_made(
    status: str, joins: bool
) -> None:
    text = join_text("clusters:\n- cluster:\n    server: https://127.0.0.1:6443\n")
    answers = f"cat >/mnt/asked; echo 'HTTP/1.0 {status}'; echo 'Content-Length: 0'"
    before = f"{SERVER}mkdir -p /run/kubefab\nstub openssl {shlex.quote(answers)}\n{sandbox.file('/mnt/stdin', text)}"
    joined = f"if {sandbox.script('join.sh', '/run/kubefab/d', 'config validate')} </mnt/stdin; then echo joined; fi"
    asked, *said = (
        sandbox.run(f"{before}{joined} >/mnt/said\ncat /mnt/asked /mnt/said; kill $!").replace("\r", "").split("\n")
    )
    assert asked == "GET /api/v1/namespaces/kube-public/configmaps/cluster-info HTTP/1.0"
    assert ("joined" in said) is joins
    assert any("answers nobody without credentials" in line for line in said) is not joins


JOIN = sandbox.script("join.sh", "/run/kubefab/d", "config validate")
JOIN_MARKER = "ls /var/lib/kubefab/join 2>/dev/null || true"


@sandbox.needed
def test_a_marker_is_there_from_before_a_join_until_right_after_its_success() -> None:
    lines = kubeadm(JOIN, join_text(), "", JOIN_MARKER)
    calls = [line.split(" --config")[0] for line in lines]
    assert calls[:4] == ["kubeadm config validate", "kubeadm join phase preflight", "kubeadm join", "join"]
    assert lines[-1] == "kind: JoinConfiguration"


@sandbox.needed
def test_a_join_that_did_not_finish_leaves_its_marker() -> None:
    assert kubeadm(JOIN, join_text(), "--skip-phases", JOIN_MARKER)[-1] == "/var/lib/kubefab/join"


@sandbox.needed
@pytest.mark.parametrize("fail", ["config validate", "join phase preflight"])
def test_a_join_that_kubeadm_does_not_begin_leaves_no_marker(fail: str) -> None:
    lines = kubeadm(JOIN, join_text(), fail, JOIN_MARKER)
    assert not any(line.startswith(("/var", "kubeadm join --config")) for line in lines)


@sandbox.needed
def test_a_document_that_kubeadm_does_not_read_joins_nothing() -> None:
    lines = kubeadm(
        sandbox.script("join.sh", "/run/kubefab/d", "config validate"),
        join_text(),
        "config validate",
        "ls /run/kubefab",
    )
    assert lines == ["kubeadm config validate --config /run/kubefab/d.yaml"]


@sandbox.needed
@pytest.mark.parametrize("name", ["init.sh", "join.sh"])
def test_a_warning_of_an_unknown_field_is_an_error(name: str) -> None:
    """kubeadm before 1.26 warns, and goes on with the default."""
    words = ["/run/kubefab/d"] if name == "join.sh" else []
    stub = """stub kubeadm 'echo "json: unknown field \\"podSubnets\\"" >&2'\n"""
    text = sandbox.file("/mnt/stdin", join_text())
    command = sandbox.script(name, *words, "config images list", "1")
    lines = sandbox.run(f"mkdir -p /run/kubefab\n{stub}{text}! {command} </mnt/stdin\ncat /mnt/calls").splitlines()
    assert lines[0] == 'json: unknown field "podSubnets"'
    assert [line.partition(" --config")[0] for line in lines[1:]] == ["kubeadm config images list"]


# --- join-master.sh

JOIN_MASTER = sandbox.script("join-master.sh", "/run/kubefab/d", "config validate", "0")
PUT = "find /etc/kubernetes /var/lib/kubefab -type f -printf '%m %p\\n' 2>/dev/null | sort"


def master_text() -> str:
    document, key = (b64encode(text).decode() for text in (b"kind: JoinConfiguration\n", b"secret"))
    return f"{join_text().splitlines()[0]}\n{document}\npki/ca.key {key}\npki/etcd/ca.key {key}\n"


@sandbox.needed
def test_a_masters_keys_are_there_after_its_marker_and_for_root_alone() -> None:
    lines = kubeadm(JOIN_MASTER, master_text(), "", PUT)
    calls = [line.split(" --config")[0] for line in lines]
    assert calls[:4] == ["kubeadm config validate", "kubeadm join phase preflight", "kubeadm join", "join-master"]
    assert lines[-2:] == ["600 /etc/kubernetes/pki/ca.key", "600 /etc/kubernetes/pki/etcd/ca.key"]


@sandbox.needed
def test_a_masters_join_leaves_word_of_its_token_and_not_the_token() -> None:
    assert kubeadm(JOIN_MASTER, master_text(), "", "ls /run/kubefab")[-1] == "d"


@sandbox.needed
def test_a_masters_join_that_did_not_finish_leaves_its_marker() -> None:
    assert kubeadm(JOIN_MASTER, master_text(), "--skip-phases", PUT)[-1] == "600 /var/lib/kubefab/join-master"


@sandbox.needed
@pytest.mark.parametrize("fail", ["config validate", "join phase preflight"])
def test_a_masters_join_that_kubeadm_does_not_begin_leaves_nothing(fail: str) -> None:
    lines = kubeadm(JOIN_MASTER, master_text(), fail, PUT)
    assert [line for line in lines if not line.startswith("kubeadm ")] == []


@sandbox.needed
@pytest.mark.parametrize(
    "there", ["/etc/kubernetes/pki/ca.key", "/var/lib/etcd/member/snap", "/etc/kubernetes/admin.conf"]
)
def test_beside_what_is_there_already_no_masters_join_is_begun(there: str) -> None:
    """A marker would say that the join has made it, and the next run would take it away."""
    made = f"{sandbox.file(there, 'theirs')}{JOIN_MASTER}"
    lines = kubeadm(made, master_text(), "", f"cat /mnt/said; {PUT}; cat {there}")
    assert any("this is there already" in line for line in lines)
    assert [line for line in lines if "kubefab/join-master" in line or line.startswith("kubeadm join")] == []
    assert lines[-1] == "theirs"


@sandbox.needed
def test_static_pods_and_keys_of_the_users_own_are_in_nobodys_way() -> None:
    theirs = sandbox.file("/etc/kubernetes/manifests/web.yaml", "x") + sandbox.file("/etc/kubernetes/pki/mine.key", "x")
    assert any(
        line.startswith("kubeadm join --config") for line in kubeadm(theirs + JOIN_MASTER, master_text(), "", "true")
    )


# --- settle-etcd.sh

MANIFEST = """\
spec:
  containers:
  - command:
    - etcd
    - --initial-advertise-peer-urls=https://10.0.0.3:2380
    - --initial-cluster=m1=https://10.0.0.1:2380,m3=https://10.0.0.3:2380
    - --initial-cluster-state=existing
    - --name=m3
    - --quota-backend-bytes=8589934592
"""


@sandbox.needed
@pytest.mark.parametrize("before", [MANIFEST, MANIFEST.replace("    - --initial-cluster-state=existing\n", "")])
def test_an_etcd_is_told_of_itself_alone_and_that_its_cluster_exists(before: str) -> None:
    path = "/etc/kubernetes/manifests/etcd.yaml"
    settled = sandbox.run(
        f"{sandbox.file(path, before)}{sandbox.script('settle-etcd.sh')}\ncat {path}; ls /etc/kubernetes"
    )
    assert settled == MANIFEST.replace("m1=https://10.0.0.1:2380,", "") + "manifests\n"


@sandbox.needed
@pytest.mark.parametrize("image", ["near:5000/etcd:3.6.8-0", "near:5000/etcd:3.6.16-0"])
def test_an_etcd_has_another_image_and_nothing_else(image: str) -> None:
    path = "/etc/kubernetes/manifests/etcd.yaml"
    text = MANIFEST + "    image: {}\n    imagePullPolicy: IfNotPresent\n"
    change = sandbox.script("set-etcd-image.sh", "near:5000/etcd:3.6.16-0")
    changed = sandbox.run(f"{sandbox.file(path, text.format(image))}{change}\ncat {path}; ls /etc/kubernetes")
    assert changed == text.format("near:5000/etcd:3.6.16-0") + "manifests\n"


@sandbox.needed
@pytest.mark.parametrize("script", ["set-etcd-image.sh", "settle-etcd.sh"])
def test_a_manifest_that_is_none_of_etcds_is_left_alone(script: str) -> None:
    path = "/etc/kubernetes/manifests/etcd.yaml"
    run = f"{sandbox.file(path, 'spec: other')}! {sandbox.script(script, 'x/etcd:1')} 2>/dev/null\ncat {path}"
    assert sandbox.run(run) == "spec: other"


# --- finish-join.sh, restart-flannel.sh, remake-bridge.sh

BEGUN = "".join(
    sandbox.file(path, "x")
    for path in (
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/run/kubefab/discovery.conf",
        "/run/kubefab/discovery.conf.yaml",
        "/var/lib/kubefab/join",
    )
)
CONFIGURED = sandbox.file("/var/lib/kubelet/config.yaml", "x")
JOINS = 'stub systemctl \'[ "$*" != "restart kubelet" ] || touch /etc/kubernetes/kubelet.conf\'\n'


@sandbox.needed
@pytest.mark.parametrize(
    ("before", "calls"),
    [
        (CONFIGURED + JOINS, ["systemctl restart kubelet"]),
        (CONFIGURED, ["systemctl restart kubelet", *["sleep 1"] * 60]),
        ("", []),  # kubeadm had not come so far
    ],
)
def test_a_kubelet_has_a_minute_to_end_a_join_and_then_its_token_goes(before: str, calls: list[str]) -> None:
    ended = sandbox.run(
        f"stub sleep ''\n{BEGUN}{before}{sandbox.script('finish-join.sh')}\ncat /mnt/calls\n"
        "find /etc/kubernetes /run/kubefab /var/lib/kubefab -type f ! -name kubelet.conf"
    )
    assert ended.splitlines() == [*calls, "/var/lib/kubefab/join"]


SHIM = "exec -a '/usr/bin/containerd-shim-runc-v2 -id 1 -address /run/{}containerd/containerd.sock' bash -c '{}'"


@sandbox.needed
def test_the_pods_flannel_is_restarted_and_nobody_elses() -> None:
    """It counts as one that has not come up. Another's runs in Docker, say, in k3s, or without a container."""
    groups = (
        'stub grep \'case "$*" in *kubepods*) exec tr "\\\\0" " " <${3%/cgroup}/cmdline | /bin/grep -q 61 ;; esac\'\n'
    )
    start = "cp $(command -v sleep) /mnt/bin/flanneld\n" + "".join(
        f'bash -c "{one}" &\n'
        for one in (SHIM.format("", "flanneld 61 & flanneld 62 & wait"), SHIM.format("k3s/", "flanneld 61.0 & wait"))
    )
    others = f"flanneld 61.1 &\n{sandbox.running(4, '-x', 'flanneld')}"
    subnet = sandbox.file("/run/flannel/subnet.env", "x")
    left = f"{sandbox.running(3, '-x', 'flanneld')}pgrep -xa flanneld | sort -k 3; pkill -x flanneld; ls /run/flannel"
    ended = sandbox.run(f"{groups}{start}{others}{subnet}{sandbox.script('restart-flannel.sh')}\n{left}")
    assert [line.split()[-1] for line in ended.splitlines()] == ["61.0", "61.1", "62"]


@sandbox.needed
def test_with_the_bridge_go_the_pods_that_are_on_it_and_no_others() -> None:
    """The sandbox of a pod with a network of its own; not one that has the host's, nor anybody else's program.

    Somebody may have Docker run one, by which containers share a network.
    """
    groups = (
        'stub grep \'case "$*" in *kubepods*) tr "\\\\0" " " <${3%/cgroup}/cmdline | /bin/grep -q "6[124]" ;; esac\'\n'
    )
    ours = SHIM.format("", "unshare --net pause 61 & pause 62 & wait")
    k3s = SHIM.format("k3s/", "unshare --net pause 64 & wait")
    docker = SHIM.format("docker/", "unshare --net pause 65 & wait")
    start = "cp $(command -v sleep) /mnt/bin/pause\n" + "".join(f'bash -c "{one}" &\n' for one in (ours, k3s, docker))
    left = "pgrep -xa pause | sort -k 3; pkill -x pause; sed -n '/^ip /p' /mnt/calls"
    others = f"unshare --net pause 63 &\n{sandbox.running(5, '-x', 'pause')}"
    gone = sandbox.running(4, "-x", "pause")
    ended = sandbox.run(f"{groups}{start}{others}{sandbox.script('remake-bridge.sh')}\n{gone}{left}")
    assert [line.split()[-1] for line in ended.splitlines()] == ["62", "63", "64", "65", "cni0"]


# --- tokens

TOKENS = """\
aaaaaa.0123456789abcdef   14m   2026-11-22T20:00:00Z   authentication,signing   kubefab:client    <none>   sys
bbbbbb.0123456789abcdef   14m   2026-11-22T20:00:00Z   authentication,signing   kubefab:client2   <none>   sys
cccccc.0123456789abcdef   14m   2026-11-22T20:00:00Z   authentication,signing   <none>            <none>   sys
dddddd.0123456789abcdef   14m   2026-11-22T20:00:00Z   authentication,signing   kubefab:client    <none>   sys
"""


@sandbox.needed
def test_a_token_is_minted_for_one_node_and_comes_with_whom_to_trust() -> None:
    before = "stub kubeadm 'echo abcdef.0123456789abcdef'\n" + sandbox.file("/etc/kubernetes/pki/ca.crt", "CERT")
    ended = sandbox.run(f"{before}{sandbox.script('mint-token.sh', 'client')}\necho; cat /mnt/calls")
    token, authority, call = ended.splitlines()
    assert (token, authority) == ("abcdef.0123456789abcdef", "Q0VSVA==")
    assert "--ttl 15m --description kubefab:client --kubeconfig /etc/kubernetes/admin.conf" in call


MINTED = (
    '{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"name":"admin","namespace":"ui"},'
    '"spec":{"audiences":["https://kubernetes.default.svc"],"expirationSeconds":3600,"boundObjectRef":null},'
    '"status":{"token":"eyJ.a-b.c_d","expirationTimestamp":"2026-11-23T04:00:00Z"}}\n'
)


@sandbox.needed
def test_a_login_is_a_token_of_an_hour_asked_for_as_every_kubectl_can() -> None:
    stub = sandbox.file("/mnt/minted", MINTED) + "stub kubectl 'cat >/mnt/asked; cat /mnt/minted'\n"
    ended = sandbox.run(f"{stub}{sandbox.script('mint-login.sh', 'ui', 'admin')}\ncat /mnt/asked; echo; cat /mnt/calls")
    token, asked, call = ended.splitlines()
    assert token == "eyJ.a-b.c_d"
    assert json.loads(asked)["spec"] == {"expirationSeconds": 3600}
    assert call.endswith(" create --raw /api/v1/namespaces/ui/serviceaccounts/admin/token -f -")


@sandbox.needed
def test_a_login_that_is_refused_is_an_error() -> None:
    stub = "stub kubectl 'echo forbidden >&2; exit 1'\n"
    assert sandbox.run(f"{stub}{sandbox.script('mint-login.sh', 'ui', 'admin')} 2>&1 || echo $?") == "forbidden\n1\n"


@sandbox.needed
def test_only_the_tokens_of_one_node_are_deleted() -> None:
    stub = sandbox.file("/mnt/tokens", TOKENS) + "stub kubeadm '[ \"$2\" != list ] || cat /mnt/tokens'\n"
    calls = sandbox.run(f"{stub}{sandbox.script('delete-tokens.sh', 'client')}\ngrep delete /mnt/calls")
    assert [call.split()[3] for call in calls.splitlines()] == ["aaaaaa", "dddddd"]


@sandbox.needed
@pytest.mark.parametrize("fails", ["list", "delete"])
def test_tokens_that_could_not_be_deleted_are_an_error(fails: str) -> None:
    stub = sandbox.file("/mnt/tokens", TOKENS)
    stub += f"stub kubeadm '[ \"$2\" != {fails} ] || {{ echo refused >&2; exit 1; }}; cat /mnt/tokens'\n"
    said = sandbox.run(f"{stub}! {sandbox.script('delete-tokens.sh', 'client')} 2>&1")
    assert said == "refused\n"


@sandbox.needed
def test_a_host_forgets_the_token_of_its_join_and_nothing_else() -> None:
    token = (
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/run/kubefab/discovery.conf",
        "/run/kubefab/discovery.conf.yaml",
        "/var/lib/kubefab/join",
    )
    made = "".join(sandbox.file(path, "x") for path in (*token, "/etc/kubernetes/kubelet.conf"))
    ended = sandbox.run(f"{made}{sandbox.script('forget-token.sh')}\nls /etc/kubernetes /run/kubefab /var/lib/kubefab")
    assert ended.split() == ["/etc/kubernetes:", "kubelet.conf", "/run/kubefab:", "/var/lib/kubefab:"]


# --- fetch-images.sh

PULLS = {"containerd": "ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d ", "docker": "docker pull "}


@sandbox.needed
@pytest.mark.parametrize("runtime", PULLS)
def test_a_host_fetches_what_it_will_run_and_does_not_have(runtime: str) -> None:
    assert fetched(runtime, "kube-proxy|pause") == ["r/kube-proxy:v1", "r/flannel:v0"]


@sandbox.needed
@pytest.mark.parametrize("runtime", PULLS)
def test_without_a_pattern_only_what_is_named_is_fetched(runtime: str) -> None:
    assert fetched(runtime, "") == ["r/flannel:v0"]


@sandbox.needed
@pytest.mark.parametrize(("runtime", "store"), [("containerd", "/var/lib/containerd"), ("docker", "/mnt/elsewhere")])
def test_each_image_is_on_the_disk_before_the_next_is_pulled(runtime: str, store: str) -> None:
    wanted = [
        f"{PULLS[runtime]}r/kube-proxy:v1",
        f"sync -f {store}",
        f"{PULLS[runtime]}r/flannel:v0",
        f"sync -f {store}",
    ]
    assert [call for call in calls_of(runtime, "kube-proxy|pause") if call in wanted] == wanted


def fetched(runtime: str, pattern: str) -> list[str]:
    """What is pulled."""
    calls = calls_of(runtime, pattern)
    return [call.removeprefix(PULLS[runtime]) for call in calls if call.startswith(PULLS[runtime])]


def calls_of(runtime: str, pattern: str) -> list[str]:
    """What the program calls that systemd would run in the background; pause is there already."""
    stubs = (
        "stub systemd-run 'while [ $1 != /bin/sh ]; do shift; done; exec \"$@\"'\n"
        "stub kubeadm 'printf \"%s\\n\" $5/kube-proxy:v1 $5/etcd:3 $5/pause:3'\n"
        "stub ctr 'case \"$*\" in *ls*pause*) echo there ;; esac'\n"
        "stub docker 'case \"$*\" in info*) echo /mnt/elsewhere ;; *inspect*pause*) ;; *inspect*) exit 1 ;; esac'\n"
        "stub sync :\n"
    )
    script = sandbox.script("fetch-images.sh", runtime, "r", "1.37.2", pattern, "r/flannel:v0")
    return sandbox.run(f"{stubs}{script}\ncat /mnt/calls").splitlines()


# --- the proxy

STRAY = "export HTTP_PROXY=http://stray https_proxy=http://stray no_proxy=stray\n"
TELL = "env | grep -i _proxy= | sort >>/mnt/seen"


@sandbox.needed
@pytest.mark.parametrize("name", ["init.sh", "join.sh"])
def test_kubeadm_gets_the_proxy_of_hosts_yml_and_not_that_of_the_login(name: str) -> None:
    ours = sandbox.file(
        "/etc/default/kubefab-proxy", '# Written by kubefab\nHTTP_PROXY="http://ours"\nNO_PROXY="a,b"\n'
    )
    command = sandbox.script(name, "/run/kubefab/x", "config validate")
    run = f"mkdir -p /run/kubefab\nstub kubeadm {TELL!r}\necho eA== | {command} || true\n"
    read = "sort -u /mnt/seen"
    assert sandbox.run(f"{STRAY}{run}echo >>/mnt/seen\n{read}").split() == []
    assert sandbox.run(f"{STRAY}{ours}{run}{read}").split() == ["HTTP_PROXY=http://ours", "NO_PROXY=a,b"]


@sandbox.needed
@pytest.mark.parametrize(("name", "more"), [("upgrade.sh", ["apply", "--yes"]), ("upgrade-kubelet.sh", [])])
def test_what_apt_is_told_of_domains_does_not_reach_the_control_plane(name: str, more: list[str]) -> None:
    """kubeadm hands on each variable of a proxy that it has, in small letters too."""
    ours = sandbox.file("/etc/default/kubefab-proxy", '# Written by kubefab\nNO_PROXY="a,.b"\n')
    command = sandbox.script(name, "1.37.2", "", *more)
    run = f"mkdir -p /run/kubefab\nstub kubeadm {TELL!r}\necho x | {command} >/dev/null || true\n"
    assert "no_proxy" not in sandbox.run(f"{ours}{run}touch /mnt/seen; echo ran >>/mnt/seen; cat /mnt/seen")


@sandbox.needed
@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("kubectl.sh", "kubectl"),
        ("mint-token.sh", "kubeadm"),
        ("mint-login.sh", "kubectl"),
        ("sign-user.sh", "kubectl"),
        ("delete-tokens.sh", "kubeadm"),
        ("apply-dns.sh", "kubeadm"),
    ],
)
def test_what_asks_the_api_server_goes_by_no_proxy(name: str, program: str) -> None:
    answers = f"{TELL}; echo eA=="  # as a certificate does, which is waited for
    asked = f"{sandbox.script(name, 'x', 'y')} </dev/null >/dev/null || true"
    run = f"mkdir -p /run/kubefab\nstub {program} {answers!r}\n{asked}\n"
    assert sandbox.run(f"{STRAY}{run}cat /mnt/seen") == ""
