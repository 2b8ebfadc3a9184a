"""The scripts around kubeadm: init, join, tear-down, images. kubeadm and its like are stubs."""

import json
import sys
from base64 import b64encode

import pytest

from tests import sandbox

SOCKET_URL = "unix:///run/containerd/containerd.sock"

# --- tear-down.sh

FIREWALL = """*filter
:INPUT ACCEPT [0:0]
:KUBE-FORWARD - [0:0]
:FLANNEL-FWD - [0:0]
:MY-KUBE-CHAIN - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:DOCKER - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m comment --comment "no KUBE- here" -j MY-KUBE-CHAIN
-A INPUT -m comment --comment "kubernetes health check" -j KUBE-NODEPORTS
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A DOCKER -d 172.17.0.2/32 -p tcp -j ACCEPT
COMMIT
"""
THEIRS = """*filter
:INPUT ACCEPT [0:0]
:MY-KUBE-CHAIN - [0:0]
:DOCKER - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m comment --comment "no KUBE- here" -j MY-KUBE-CHAIN
-A DOCKER -d 172.17.0.2/32 -p tcp -j ACCEPT
COMMIT
"""
SOCKET = f"""mkdir -p /run/containerd
{sys.executable} -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/containerd/containerd.sock")'
"""


def tear_down(before: str, then: str) -> str:
    return sandbox.run(f"{before}\n{sandbox.script('tear-down.sh', SOCKET_URL)} >/mnt/said\n{then}")


@sandbox.needed
def test_only_kubernetes_own_chains_and_what_leads_to_them_go() -> None:
    stubs = (
        sandbox.file("/mnt/rules", FIREWALL)
        + "stub iptables-save 'cat /mnt/rules'\nstub iptables-restore 'cat >/mnt/restored'\n"
    )
    assert tear_down(stubs, "cat /mnt/restored") == THEIRS


@sandbox.needed
def test_what_kubernetes_made_goes_and_what_others_made_stays() -> None:
    ours = (
        "/etc/kubernetes/manifests/etcd.yaml",
        "/etc/kubernetes/kubelet.conf",
        "/var/lib/kubelet/config.yaml",
        "/var/lib/etcd/member/wal",
        "/var/lib/cni/networks/x",
        "/run/flannel/subnet.env",
        "/var/lib/kubefab/init",
        "/etc/cni/net.d/10-flannel.conflist",
        "/run/kubefab/discovery.conf",
        "/run/kubefab/discovery.conf.yaml",
    )
    theirs = ("/etc/cni/net.d/87-podman.conflist", "/var/lib/cnix/y", "/var/opt/z")
    made = "".join(sandbox.file(path, "text") for path in (*ours, *theirs))
    ended = tear_down(made, f"ls -d {' '.join((*ours, *theirs))} 2>/dev/null || true")
    assert ended.splitlines() == sorted(theirs)


@sandbox.needed
def test_kubeadm_is_kept_from_asking_an_api_server_that_may_be_gone() -> None:
    made = sandbox.file("/etc/kubernetes/kubelet.conf", "x") + "stub kubeadm 'ls /etc/kubernetes >>/mnt/calls'\n"
    calls = tear_down(made, "cat /mnt/calls").splitlines()
    at = calls.index("kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock")
    assert calls[:1] == ["systemctl stop kubelet"]
    assert "kubelet.conf" not in calls[at:]


@sandbox.needed
def test_containers_that_are_left_go_too() -> None:
    ctr = 'case "$*" in *"tasks ls -q") echo task1 ;; *"containers ls -q") echo box1; echo box2 ;; esac'
    calls = tear_down(f"{SOCKET}stub ctr '{ctr}'\n", "grep -E 'kill|delete' /mnt/calls").splitlines()
    assert calls == [
        "ctr -n k8s.io tasks kill --signal SIGKILL --all task1",
        "ctr -n k8s.io tasks delete --force task1",
        "ctr -n k8s.io containers delete box1",
        "ctr -n k8s.io containers delete box2",
    ]


@sandbox.needed
def test_a_host_that_is_clean_already_stays_so() -> None:
    assert tear_down("", "echo well") == "well\n"


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
def test_what_cannot_be_unmounted_keeps_its_content() -> None:
    kept = (
        "mkdir -p /mnt/kept /var/lib/kubelet/pods/1/data\n"
        "mount --bind /mnt/kept /var/lib/kubelet/pods/1/data\ntouch /mnt/kept/precious\nstub umount 'exit 1'\n"
    )
    script = sandbox.script("tear-down.sh", SOCKET_URL)
    ended = sandbox.run(f"{kept}status=0\n{script} >/mnt/said 2>&1 || status=$?\necho status $status\nls /mnt/kept")
    assert ended.splitlines()[1:] == ["precious"]
    assert ended.splitlines()[0] != "status 0"


# --- init.sh, join.sh: kubeadm is a stub that fails where it is told to

KUBEADM = """
case "$*" in *"$FAIL"*) [ -z "$FAIL" ] || { echo "no: $*" >&2; exit 1; } ;; esac
case "$*" in
    "init phase preflight"*) ;;
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
    lines = kubeadm(sandbox.script("init.sh", "config validate"), "documents\n", "", MARKER)
    calls = [line.split(" --config")[0] for line in lines]
    assert calls == ["kubeadm config validate", "kubeadm init phase preflight", "kubeadm init", "init", "documents"]


@sandbox.needed
def test_an_init_that_did_not_finish_leaves_its_marker() -> None:
    assert (
        kubeadm(sandbox.script("init.sh", "config validate"), "documents\n", "--skip-token-print", MARKER)[-1]
        == "/var/lib/kubefab/init"
    )


@sandbox.needed
@pytest.mark.parametrize("fail", ["config validate", "init phase preflight"])
def test_what_was_there_before_us_leaves_no_marker(fail: str) -> None:
    lines = kubeadm(sandbox.script("init.sh", "config validate"), "documents\n", fail, MARKER)
    assert not any(line.startswith(("/var", "kubeadm init --config", "init.")) for line in lines)


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
        f"kubeadm join --config {path}.yaml",
        f"600 {path}",
        f"600 {path}.yaml",
        "kubeconfig text",
    ]


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
    command = sandbox.script(name, *words, "config images list")
    lines = sandbox.run(f"mkdir -p /run/kubefab\n{stub}{text}! {command} </mnt/stdin\ncat /mnt/calls").splitlines()
    assert lines[0] == 'json: unknown field "podSubnets"'
    assert [line.partition(" --config")[0] for line in lines[1:]] == ["kubeadm config images list"]


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
def test_a_host_forgets_the_token_of_its_join_and_nothing_else() -> None:
    token = (
        "/etc/kubernetes/bootstrap-kubelet.conf",
        "/run/kubefab/discovery.conf",
        "/run/kubefab/discovery.conf.yaml",
    )
    made = "".join(sandbox.file(path, "x") for path in (*token, "/etc/kubernetes/kubelet.conf"))
    ended = sandbox.run(f"{made}{sandbox.script('forget-token.sh')}\nls /etc/kubernetes /run/kubefab")
    assert ended.split() == ["/etc/kubernetes:", "kubelet.conf", "/run/kubefab:"]


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


def fetched(runtime: str, pattern: str) -> list[str]:
    """What is pulled, by the program that systemd would run in the background; pause is there already."""
    stubs = (
        "stub systemd-run 'while [ $1 != /bin/sh ]; do shift; done; exec \"$@\"'\n"
        "stub kubeadm 'printf \"%s\\n\" $5/kube-proxy:v1 $5/etcd:3 $5/pause:3'\n"
        "stub ctr 'case \"$*\" in *ls*pause*) echo there ;; esac'\n"
        "stub docker 'case \"$*\" in *inspect*pause*) ;; *inspect*) exit 1 ;; esac'\n"
    )
    script = sandbox.script("fetch-images.sh", runtime, "r", "1.37.2", pattern, "r/flannel:v0")
    calls = sandbox.run(f"{stubs}{script}\ncat /mnt/calls").splitlines()
    return [call.removeprefix(PULLS[runtime]) for call in calls if call.startswith(PULLS[runtime])]


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
@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("kubectl.sh", "kubectl"),
        ("mint-token.sh", "kubeadm"),
        ("mint-login.sh", "kubectl"),
        ("delete-tokens.sh", "kubeadm"),
        ("apply-dns.sh", "kubeadm"),
    ],
)
def test_what_asks_the_api_server_goes_by_no_proxy(name: str, program: str) -> None:
    run = f"mkdir -p /run/kubefab\nstub {program} {TELL!r}\n{sandbox.script(name, 'x', 'y')} </dev/null || true\n"
    assert sandbox.run(f"{STRAY}{run}cat /mnt/seen") == ""
