"""The scripts around certificates, in a sandbox. kubeadm is a stub; openssl makes what it would."""

import pytest

from tests import sandbox

PKI = "/etc/kubernetes/pki"
FILES = (
    "".join(
        sandbox.file(f"/etc/kubernetes/{name}", f"old {name}\n")
        for name in (
            "admin.conf",
            "controller-manager.conf",
            "pki/ca.crt",
            "pki/ca.key",
            "pki/apiserver.crt",
            "pki/apiserver.key",
            "pki/etcd/server.crt",
            "pki/etcd/server.key",
        )
    )
    + f"chmod 600 {PKI}/*.key\nmkdir -p /run/kubefab\n"
)
KEPT = "/var/lib/kubefab/renewal"
RENEW = f"echo documents | {sandbox.script('renew-certificates.sh', 'certs renew all')}"
# It writes a key before its certificate, and may be ended between the two.
KUBEADM = """stub kubeadm '
echo kubeadm $1 $2 $3 $(cat $5) >>/mnt/told
[ "$(cat /etc/kubernetes/pki/apiserver.crt)" != half ] || { echo cannot read apiserver.crt; exit 1; }
echo new >/etc/kubernetes/pki/apiserver.key
[ ! -e /mnt/broken ] || { echo half >/etc/kubernetes/pki/apiserver.crt; exit 1; }
echo new >/etc/kubernetes/pki/apiserver.crt'
"""


# --- renew-certificates.sh


@sandbox.needed
def test_kubeadm_renews_by_its_documents_and_nothing_is_left_behind() -> None:
    run = f"{FILES}{KUBEADM}{RENEW}\ncat /mnt/told {PKI}/apiserver.*; ls -A /run/kubefab; ls /var/lib/kubefab 2>&1"
    assert sandbox.run(f"{run} || true").splitlines() == [
        "kubeadm certs renew all documents",
        "new",
        "new",
        "ls: cannot access '/var/lib/kubefab': No such file or directory",
    ]


@sandbox.needed
def test_what_was_there_before_is_kept_until_the_new_ones_are_there_and_no_authoritys_key() -> None:
    broken = f"{FILES}{KUBEADM}touch /mnt/broken\n! {RENEW} >/dev/null\n"
    said = sandbox.run(
        f"{broken}cd {KEPT}; find . -type f | sort; cat pki/apiserver.key; stat -c %a . pki/apiserver.key"
    )
    assert said.splitlines() == [
        "./admin.conf",
        "./controller-manager.conf",
        "./pki/apiserver.crt",
        "./pki/apiserver.key",
        "./pki/ca.crt",
        "./pki/etcd/server.crt",
        "./pki/etcd/server.key",
        "old pki/apiserver.key",
        "700",
        "600",
    ]


@sandbox.needed
def test_a_renewal_that_was_broken_off_begins_with_what_was_there_before() -> None:
    broken = f"{FILES}{KUBEADM}touch /mnt/broken\n! {RENEW} >/dev/null\nrm /mnt/broken\n"
    assert sandbox.run(
        f"{broken}{RENEW}\ncat {PKI}/apiserver.crt; ls -A /var/lib; stat -c %a /etc/kubernetes"
    ).endswith("755\n")


@sandbox.needed
def test_what_is_kept_of_another_cluster_is_no_begin() -> None:
    kept = sandbox.file(f"{KEPT}/pki/ca.crt", "another\n") + sandbox.file(f"{KEPT}/pki/etcd/server.crt", "another\n")
    assert sandbox.run(f"{FILES}{kept}{KUBEADM}{RENEW}\ncat {PKI}/etcd/server.crt") == "old pki/etcd/server.crt\n"


@sandbox.needed
def test_a_tear_down_leaves_no_certificates_for_the_next_cluster() -> None:
    run = sandbox.file(f"{KEPT}/pki/ca.crt", "x") + sandbox.script(
        "tear-down.sh", "unix:///run/containerd/containerd.sock"
    )
    assert sandbox.run(f"{run} >/dev/null\nls -A /var/lib/kubefab 2>/dev/null || true") == ""


# --- remake-server-certificate.sh

REMADE = f"{PKI}-remade"
PHASE = f"""stub kubeadm '
echo kubeadm $1 $2 $3 $4 >>/mnt/told
[ ! -e /mnt/broken ] || exit 1
cat {REMADE}/ca.key >>/mnt/told
echo new >{REMADE}/apiserver.key; chmod 600 {REMADE}/apiserver.key; echo new >{REMADE}/apiserver.crt'
"""
REMAKE = f"echo documents | {sandbox.script('remake-server-certificate.sh', REMADE)}"


@sandbox.needed
def test_the_api_servers_certificate_is_made_beside_the_one_that_is_there() -> None:
    run = f"{FILES}{PHASE}{REMAKE}\ncat /mnt/told {PKI}/apiserver.*; stat -c %a {PKI}/apiserver.*; ls -A /run/kubefab"
    assert sandbox.run(f"{run}; ls /etc/kubernetes").splitlines() == [
        "kubeadm init phase certs apiserver",
        "old pki/ca.key",
        "new",
        "new",
        "644",
        "600",
        "admin.conf",
        "controller-manager.conf",
        "pki",
    ]


@sandbox.needed
def test_where_kubeadm_makes_none_the_one_that_is_there_stays() -> None:
    run = f"{FILES}{PHASE}touch /mnt/broken\n! {REMAKE}\ncat {PKI}/apiserver.crt {PKI}/apiserver.key; ls -d {PKI}*"
    assert sandbox.run(run).splitlines() == ["old pki/apiserver.crt", "old pki/apiserver.key", PKI]


# --- restart-static-pod.sh

MANIFEST = "apiVersion: v1\nkind: Pod\nmetadata:\n{}  labels:\n    component: x # mine\nspec:\n  annotations: no\n"
THEIRS = "  annotations:\n    theirs: x\n"
POD = "/etc/kubernetes/manifests/kube-scheduler.yaml"
NOW = "stub date 'echo 42'\n"


def restarted(manifest: str, before: str = "") -> str:
    command = sandbox.script("restart-static-pod.sh", "kube-scheduler", "/etc/kubernetes/scheduler.conf")
    return sandbox.run(f"{NOW}{sandbox.file(POD, manifest)}{before}{command}\ncat {POD}; ls /etc/kubernetes")


@sandbox.needed
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '  annotations:\n    kubefab.internal/restarted: "42"\n'),
        (THEIRS, '  annotations:\n    kubefab.internal/restarted: "42"\n    theirs: x\n'),
        (
            '  annotations:\n    kubefab.internal/restarted: "1"\n    theirs: x\n',
            '  annotations:\n    kubefab.internal/restarted: "42"\n    theirs: x\n',
        ),
    ],
)
def test_a_static_pod_becomes_another_by_one_annotation_and_all_else_stays(before: str, after: str) -> None:
    assert restarted(MANIFEST.format(before)) == MANIFEST.format(after) + "manifests\n"


@sandbox.needed
def test_a_file_of_a_clock_that_was_set_back_is_no_reason_for_ever() -> None:
    conf = sandbox.file("/etc/kubernetes/scheduler.conf", "x")
    future = f"{conf}touch -d 2100-01-01 /etc/kubernetes/scheduler.conf\n"
    restart = sandbox.script("restart-static-pod.sh", "kube-scheduler", "/etc/kubernetes/scheduler.conf")
    run = f"{sandbox.file(POD, MANIFEST.format(''))}{future}{restart}\nfind /etc/kubernetes -newermt tomorrow"
    assert sandbox.run(run) == ""


@sandbox.needed
@pytest.mark.parametrize("first", ["  annotations: {}\n", "    annotations:\n      a: b\n", '  {"a": "b"}\n'])
def test_a_manifest_that_is_written_otherwise_is_left_alone(first: str) -> None:
    text = MANIFEST.format(first)
    run = f"{sandbox.file(POD, text)}! {sandbox.script('restart-static-pod.sh', 'kube-scheduler')} 2>/mnt/said\n"
    assert sandbox.run(f"{run}cat {POD} /mnt/said") == f"{text}{POD} is not written as kubeadm writes it\n"


# --- kubelets

KUBELETS = "/var/lib/kubelet/pki"
CONF = "users:\n- name: x\n  user:\n    client-certificate-data: Y2VydAo=\n    client-key-data: a2V5Cg==\n"
OWN = "users:\n- user:\n    client-certificate: {0}\n    client-key: {0}\n".format(
    f"{KUBELETS}/kubelet-client-current.pem"
)
ADMIT = f"stub systemctl 'echo systemctl $*'\nmkdir -p {KUBELETS}\n"


def admitted(conf: str, given: str = CONF) -> list[str]:
    run = f"{ADMIT}{sandbox.file('/etc/kubernetes/kubelet.conf', conf)}{sandbox.file('/mnt/given', given)}"
    run += f"{sandbox.script('admit-kubelet.sh')} </mnt/given\ncat {KUBELETS}/kubelet-client-current.pem\n"
    return sandbox.run(
        f"{run}stat -Lc %a {KUBELETS}/kubelet-client-current.pem; cat /etc/kubernetes/kubelet.conf"
    ).splitlines()


@sandbox.needed
@pytest.mark.parametrize("conf", [OWN, CONF.replace("  name: x\n", "")])
def test_a_kubelet_finds_a_new_certificate_with_its_key_where_it_looks_for_its_own(conf: str) -> None:
    said = admitted(conf)
    assert said[:4] == ["systemctl restart kubelet", "cert", "key", "600"]
    pem = f"{KUBELETS}/kubelet-client-current.pem"
    assert said[-2:] == [f"    client-certificate: {pem}", f"    client-key: {pem}"]


@sandbox.program_needed("strace")
def test_it_is_on_the_disk_before_the_kubelet_is_led_to_it() -> None:
    watched = "strace -f -y -qq -e trace=fsync,/^rename -o /mnt/trace"
    files = sandbox.file("/etc/kubernetes/kubelet.conf", OWN) + sandbox.file("/mnt/given", CONF)
    run = f"{ADMIT}{files}{watched} {sandbox.script('admit-kubelet.sh')} </mnt/given >/mnt/said\n"
    calls = sandbox.run(f"{run}grep -o 'fsync.*[^>]*>\\|rename' /mnt/trace").splitlines()
    assert ["pem.new" in calls[0], calls[1:3], f"<{KUBELETS}>" in calls[3]] == [True, ["rename", "rename"], True]


@sandbox.needed
def test_where_nothing_was_signed_its_own_stays() -> None:
    run = f"{ADMIT}echo old >{KUBELETS}/kubelet-client-current.pem\n"
    run += f"! echo nothing | {sandbox.script('admit-kubelet.sh')} 2>/mnt/said\n"
    assert sandbox.run(f"{run} cat {KUBELETS}/kubelet-client-current.pem") == "old\n"


@sandbox.needed
def test_a_kubelets_certificate_is_signed_for_the_group_of_nodes_by_documents_that_come_in() -> None:
    stub = "stub kubeadm 'echo kubeadm $1 $2 $3 $5 $6 $7 $8 $(cat $4)'\n"
    run = sandbox.script("sign-kubelet.sh", "kubeconfig user", "system:node:client")
    assert sandbox.run(f"{stub}echo documents | {run}") == (
        "kubeadm kubeconfig user --config --client-name system:node:client --org system:nodes documents\n"
    )


@sandbox.needed
def test_a_kubelet_makes_its_own_anew_at_its_start() -> None:
    files = sandbox.file(f"{KUBELETS}/kubelet.crt", "x") + sandbox.file(f"{KUBELETS}/kubelet.key", "x")
    run = sandbox.script("remake-kubelet-certificate.sh")
    assert sandbox.run(f"{ADMIT}{files}{run}\nls {KUBELETS}") == "systemctl restart kubelet\n"


# --- put-kubeconfig.sh


@sandbox.needed
def test_the_admins_kubeconfig_of_before_is_replaced_and_no_copy_of_it_stays() -> None:
    conf = "clusters: ours\nusers:\n- user:\n    client-certificate-data: {0}\n    client-key-data: {0}\n"
    before = sandbox.file("/etc/kubernetes/admin.conf", conf.format("bmV3")) + sandbox.file(
        "/root/.kube/config", conf.format("b2xk")
    )
    after = "ls /root/.kube; cmp /etc/kubernetes/admin.conf /root/.kube/config"
    assert sandbox.run(f"{before}{sandbox.script('put-kubeconfig.sh')}\n{after}") == "config\n"
