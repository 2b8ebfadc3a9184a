"""The scripts around certificates, in a sandbox. kubeadm is a stub; openssl makes what it would."""

import pytest

from tests import sandbox

PKI = "/etc/kubernetes/pki"
FILES = (
    "umask 022\n"
    + "".join(
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


def renew(*names: str) -> str:
    return f"echo documents | {sandbox.script('renew-certificates.sh', 'certs renew', *names)}"


BOTH = renew("pki/apiserver.crt", "admin.conf")
# It writes a key before its certificate, and may be ended between the two; kubefab itself may be, too.
KUBEADM = """stub kubeadm '
echo kubeadm $1 $2 $3 $4 $(cat $5) >>/mnt/told
[ "$(cat /etc/kubernetes/pki/apiserver.crt)" != half ] || { echo cannot read apiserver.crt; exit 1; }
case $3 in
    apiserver)
        echo new >/etc/kubernetes/pki/apiserver.key
        [ ! -e /mnt/broken ] || { echo half >/etc/kubernetes/pki/apiserver.crt; $(cat /mnt/broken) $PPID; exit 1; }
        echo new >/etc/kubernetes/pki/apiserver.crt ;;
    *) echo new >/etc/kubernetes/$3 ;;
esac'
"""
FAILS = "echo true >/mnt/broken\n"
DIES = "echo kill -KILL >/mnt/broken\n"


# --- renew-certificates.sh


@sandbox.needed
def test_kubeadm_renews_what_is_named_by_its_documents_and_nothing_is_left_behind() -> None:
    run = f"{FILES}{KUBEADM}{renew('pki/etcd/server.crt', 'admin.conf')} >/dev/null\n"
    assert sandbox.run(f"{run}cat /mnt/told; ls -A /run/kubefab; ls /var/lib/kubefab 2>&1 || true").splitlines() == [
        "kubeadm certs renew admin.conf --config documents",
        "kubeadm certs renew etcd-server --config documents",
        "ls: cannot access '/var/lib/kubefab': No such file or directory",
    ]


@sandbox.needed
def test_where_kubeadm_fails_all_is_as_before_at_once() -> None:
    run = f"{FILES}{KUBEADM}{FAILS}! {BOTH} >/dev/null\ncd /etc/kubernetes; cat admin.conf pki/apiserver.*\n"
    said = sandbox.run(f"{run}stat -c %a pki/apiserver.key .; ls pki; ls {KEPT} 2>/dev/null || true")
    assert said.splitlines() == [
        *("old admin.conf", "old pki/apiserver.crt", "old pki/apiserver.key", "600", "755"),
        *("apiserver.crt", "apiserver.key", "ca.crt", "ca.key", "etcd"),
    ]


@sandbox.needed
def test_what_was_there_before_outlives_a_kill_and_no_authoritys_key_is_among_it() -> None:
    run = f"{FILES}{KUBEADM}{DIES}! {BOTH} >/dev/null\n"
    said = sandbox.run(f"{run}cd {KEPT}; find . -type f | sort; cat pki/apiserver.key; stat -c %a . pki/apiserver.key")
    assert said.splitlines() == [
        *("./admin.conf", "./ca.crt", "./names", "./pki/apiserver.crt", "./pki/apiserver.key"),
        *("old pki/apiserver.key", "700", "600"),
    ]


@sandbox.needed
def test_after_a_kill_it_begins_with_what_was_there_before_and_with_what_was_to_be_renewed() -> None:
    killed = f"{FILES}{KUBEADM}{DIES}! {BOTH} >/dev/null\nrm /mnt/broken /mnt/told\n"
    run = f"{killed}{renew('controller-manager.conf')} >/dev/null\ncut -d ' ' -f 4 /mnt/told; cat {PKI}/apiserver.crt\n"
    assert sandbox.run(f"{run}ls -A /var/lib/kubefab 2>/dev/null || true").splitlines() == [
        *("admin.conf", "controller-manager.conf", "apiserver"),
        "new",
    ]


@sandbox.needed
@pytest.mark.parametrize(("ca", "begins"), [("another", "old"), ("", "mine")])
def test_what_is_kept_of_another_cluster_is_no_begin(ca: str, begins: str) -> None:
    """A file that is empty is no other cluster's: it has gone with the power."""
    kept = sandbox.file(f"{KEPT}/ca.crt", ca) + sandbox.file(f"{KEPT}/pki/etcd/server.crt", "mine\n")
    names = sandbox.file(f"{KEPT}/names", "pki/etcd/server.crt\n")
    stub = f"stub kubeadm 'cat {PKI}/etcd/server.crt'\n"
    assert sandbox.run(f"{FILES}{kept}{names}{stub}{renew('pki/etcd/server.crt')}").startswith(begins)


@sandbox.needed
def test_a_tear_down_leaves_no_certificates_for_the_next_cluster() -> None:
    run = sandbox.file(f"{KEPT}/ca.crt", "x") + sandbox.file(f"{PKI}-remade/ca.crt", "x")
    run += sandbox.script("tear-down.sh", "unix:///run/containerd/containerd.sock")
    assert sandbox.run(f"{run} >/dev/null\nls -A /var/lib/kubefab /etc/kubernetes 2>/dev/null || true") == ""


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
    assert sandbox.run(f"{run}; ls /etc/kubernetes; cat {PKI}/ca.key").splitlines() == [
        *("kubeadm init phase certs apiserver", "old pki/ca.key", "new", "new", "644", "600"),
        *("admin.conf", "controller-manager.conf", "pki", "old pki/ca.key"),
    ]


@sandbox.needed
def test_where_kubeadm_makes_none_the_one_that_is_there_stays() -> None:
    run = f"{FILES}{PHASE}touch /mnt/broken\n! {REMAKE}\ncat {PKI}/apiserver.crt {PKI}/apiserver.key; ls -d {PKI}*"
    assert sandbox.run(run).splitlines() == ["old pki/apiserver.crt", "old pki/apiserver.key", PKI]


@sandbox.needed
@pytest.mark.parametrize("moved", ["apiserver.key", ""])
def test_one_that_was_cut_off_between_the_old_and_the_new_has_its_names_still(moved: str) -> None:
    there = "".join(sandbox.file(f"{REMADE}/apiserver.{end}", f"made {end}\n") for end in ("key", "crt"))
    cut = f"rm {PKI}/apiserver.crt\n" + (f"mv {REMADE}/{moved} {PKI}/\n" if moved else "")
    run = f"{FILES}{PHASE}{there}{cut}{REMAKE}\ncat {PKI}/apiserver.*; ls -d {PKI}* /mnt/told 2>/dev/null || true"
    assert sandbox.run(run).splitlines() == ["made crt", "made key", PKI]


# --- restart-static-pod.sh

MANIFEST = "apiVersion: v1\nkind: Pod\nmetadata:\n{}  labels:\n    component: x # mine\nspec:\n  annotations: no\n"
THEIRS = "  annotations:\n    theirs: x\n"
POD = "/etc/kubernetes/manifests/kube-scheduler.yaml"
NOW = "stub date 'echo 42'\n"


def restarted(manifest: str, before: str = "") -> str:
    command = sandbox.script("restart-static-pod.sh", "manifest", "kube-scheduler", "/etc/kubernetes/scheduler.conf")
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
    restart = sandbox.script("restart-static-pod.sh", "manifest", "kube-scheduler", "/etc/kubernetes/scheduler.conf")
    run = f"{sandbox.file(POD, MANIFEST.format(''))}{future}{restart}\nfind /etc/kubernetes -newermt tomorrow"
    assert sandbox.run(run) == ""


@sandbox.needed
@pytest.mark.parametrize("first", ["  annotations: {}\n", "    annotations:\n      a: b\n", '  {"a": "b"}\n'])
def test_a_manifest_that_is_written_otherwise_is_left_alone_and_a_person_told_what_to_do(first: str) -> None:
    text = MANIFEST.format(first)
    restart = sandbox.script("restart-static-pod.sh", "manifest", "kube-scheduler")
    run = f"{sandbox.file(POD, text)}! {restart} 2>/mnt/said\n"
    told = f"{POD} is not written as kubeadm writes it: change an annotation in it yourself, by which the kubelet"
    assert sandbox.run(f"{run}cat {POD} /mnt/said") == f"{text}{told} starts it anew, and run the same command again\n"


IN_GROUP = 'in_group() { echo "0::/$1" >/mnt/$2; mount --bind /mnt/$2 /proc/$2/cgroup; }\n'
MINE = """\
cp $(command -v sleep) /mnt/bin/{1}
{1} 60 >/dev/null &
mine=$!
in_group {0} $mine
until pgrep -x {1} >/dev/null; do sleep 0.05; done
"""


@sandbox.program_needed("pgrep")
@pytest.mark.parametrize(
    ("group", "ends", "calls"), [("kubepods/x", True, []), ("system.slice/x", False, ["systemctl restart kubelet"])]
)
def test_where_its_kubelet_can_end_no_pod_the_process_is_ended_and_nobody_elses(
    group: str, ends: bool, calls: list[str]
) -> None:
    """Without one the kubelet is started, which would wait with it."""
    etcd = "/etc/kubernetes/manifests/etcd.yaml"
    before = f"{IN_GROUP}{MINE.format(group, 'etcd')}{sandbox.file(etcd, MANIFEST.format(''))}"
    stub = "stub systemctl 'echo systemctl $*'\n"
    run = f"{before}{stub}{sandbox.script('restart-static-pod.sh', 'process', 'etcd')}\n"
    alive = "sleep 0.2; if kill -0 $mine 2>/dev/null; then echo lives; fi; grep -c restarted " + etcd + " || true"
    assert sandbox.run(f"{run}{alive}").splitlines() == [*calls, *([] if ends else ["lives"]), "0"]


@sandbox.program_needed("pgrep")
@pytest.mark.parametrize(("program", "ends"), [("kube-controllers", False), ("kube-controller-manager", True)])
def test_a_process_is_known_by_its_whole_name(program: str, ends: bool) -> None:
    """The kernel keeps 15 letters of it, and Calico's kube-controllers has the same."""
    mine = MINE.format("kubepods/x", program).replace(f"pgrep -x {program}", "pgrep -x kube-controller")
    restart = sandbox.script("restart-static-pod.sh", "process", "kube-controller-manager")
    alive = "sleep 0.2; if kill -0 $mine 2>/dev/null; then echo lives; fi"
    assert sandbox.run(f"{IN_GROUP}{mine}{restart}\n{alive}") == ("" if ends else "lives\n")


@sandbox.program_needed("pgrep")
@pytest.mark.parametrize(("name", "alive"), [("etcd", ""), ("kube-scheduler", "lives\n")])
def test_an_api_server_that_waits_for_its_etcd_is_ended_with_it(name: str, alive: str) -> None:
    before = f"{IN_GROUP}{MINE.format('kubepods/x', 'kube-apiserver')}stub systemctl :\n"
    run = f"{before}{sandbox.script('restart-static-pod.sh', 'process', name)}\n"
    assert sandbox.run(f"{run}sleep 0.2; if kill -0 $mine 2>/dev/null; then echo lives; fi\n") == alive


# --- kubelets

KUBELETS = "/var/lib/kubelet/pki"
CONF = "users:\n- name: x\n  user:\n    client-certificate-data: Y2VydAo=\n    client-key-data: a2V5Cg==\n"
OWN = "users:\n- user:\n    client-certificate: {0}\n    client-key: {0}\n".format(
    f"{KUBELETS}/kubelet-client-current.pem"
)
ADMITS = f"{sandbox.script('admit-kubelet.sh')} </mnt/given >/mnt/said\n"
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
    assert said[:4] == ["systemctl stop kubelet", "systemctl start kubelet", "cert", "key"]
    pem = f"{KUBELETS}/kubelet-client-current.pem"
    assert said[-2:] == [f"    client-certificate: {pem}", f"    client-key: {pem}"]


@sandbox.needed
def test_what_one_that_was_killed_left_goes_and_nothing_of_others() -> None:
    """A key may be in it."""
    left = f"touch {KUBELETS}/kubelet-client-2026-01-02-03-04-05.pem.kubefab "
    left += f"{KUBELETS}/kubelet-client-current.pem.kubefab {KUBELETS}/kubelet-client-current.pem.new "
    left += "/etc/kubernetes/kubelet.backup\n"
    files = sandbox.file("/etc/kubernetes/kubelet.conf", CONF) + sandbox.file("/mnt/given", CONF)
    killed = f'stub mv \'case "$*" in *kubelet.conf) exit 1 ;; esac; exec /bin/mv "$@"\'\n! {ADMITS}rm /mnt/bin/mv\n'
    run = f"{ADMIT}{files}{left}{killed}{ADMITS}"
    shown = f"ls {KUBELETS} | sed s/20.*pem/TIME.pem/ | sort -u; ls /etc/kubernetes"
    assert sandbox.run(f"{run}{shown}").splitlines() == [
        *("kubelet-client-TIME.pem", "kubelet-client-current.pem", "kubelet-client-current.pem.new"),
        *("kubelet.backup", "kubelet.conf"),
    ]


@sandbox.program_needed("strace")
def test_it_is_on_the_disk_before_the_kubelet_is_led_to_it() -> None:
    watched = "strace -f -y -qq -e trace=fsync,/^rename -o /mnt/trace"
    files = sandbox.file("/etc/kubernetes/kubelet.conf", OWN) + sandbox.file("/mnt/given", CONF)
    run = f"{ADMIT}{files}{watched} {sandbox.script('admit-kubelet.sh')} </mnt/given >/mnt/said\n"
    calls = sandbox.run(f"{run}grep -o 'fsync.*[^>]*>\\|rename' /mnt/trace").splitlines()
    assert ["pem.kubefab" in calls[0], calls[1:3], f"<{KUBELETS}>" in calls[3]] == [True, ["rename", "rename"], True]


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
    said = sandbox.run(f"{ADMIT}{files}{run}\nls {KUBELETS}")
    assert said == "systemctl stop kubelet\nsystemctl start kubelet\n"


# --- renew-kubeconfig.sh

CONF = """clusters: ours
contexts: {4}
users:
- name: admin
  user:
    client-certificate-data: {0}
    client-key-data: {1}
- name: other
  user:
    client-certificate-data: {2}
    client-key-data: {3}
"""
NEW = "users:\n- name: kubernetes-admin\n  user:\n    client-certificate-data: bmV3\n    client-key-data: bmV3a2V5\n"


def followed(before: str, *former: str) -> str:
    """~/.kube/config, once what of it is former is the admin's of now."""
    files = sandbox.file("/etc/kubernetes/admin.conf", NEW) + sandbox.file("/root/.kube/config", before)
    run = sandbox.script("renew-kubeconfig.sh", *former)
    return sandbox.run(f"{files}chmod 640 /root/.kube/config\n{run}\ncat /root/.kube/config; ls /root/.kube")


@sandbox.needed
def test_in_a_logins_kubeconfig_the_admins_certificate_and_key_become_those_of_now_and_all_else_stays() -> None:
    before = CONF.format("b2xk", "b2xka2V5", "bWluZQ==", "bWluZWtleQ==", "[mine]")
    after = CONF.format("bmV3", "bmV3a2V5", "bWluZQ==", "bWluZWtleQ==", "[mine]")
    assert followed(before, "b2xk") == f"{after}config\n"
    assert followed(before, "b2xk", "bWluZQ==") == (
        CONF.format("bmV3", "bmV3a2V5", "bmV3", "bmV3a2V5", "[mine]") + "config\n"
    )


@sandbox.needed
def test_a_logins_certificate_and_key_may_be_in_quotes() -> None:
    before = CONF.format('"b2xk"', "'a'", *"bcd")
    assert followed(before, "b2xk") == CONF.format("bmV3", "bmV3a2V5", *"bcd") + "config\n"


@sandbox.needed
@pytest.mark.parametrize(
    ("certificate", "key"),
    [("b2xk # lab", "a"), ("b2xk", "a # mine"), ("b2xk  ", "a  # of b2xk, a"), ("   b2xk", "   a\t# b")],
)
def test_a_comment_beside_the_admins_certificate_or_key_stays_one(certificate: str, key: str) -> None:
    pair = "    client-certificate-data: {}\n    client-key-data: {}\n"
    now = (certificate.replace("b2xk", "bmV3", 1), key.replace("a", "bmV3a2V5", 1))
    assert followed(pair.format(certificate, key), "b2xk") == f"{pair.format(*now)}config\n"


@sandbox.needed
@pytest.mark.parametrize(
    "before",
    [
        "    client-certificate-data: b2xk\n",
        "    client-certificate-data: b2xk\nx: y\n    client-key-data: a\n",
        "    client-certificate-data: b2xk\n    client-key-data: |\n      a\n",
    ],
)
def test_a_certificate_whose_key_does_not_follow_it_stays(before: str) -> None:
    assert followed(before, "b2xk") == f"{before}config\n"


@sandbox.needed
def test_a_logins_kubeconfig_keeps_its_owner_its_mode_and_its_place() -> None:
    files = sandbox.file("/etc/kubernetes/admin.conf", NEW) + sandbox.file("/root/mine", CONF.format(*"aabbc"))
    place = (
        "mkdir -p /root/.kube; ln -s ../mine /root/.kube/config; chmod 640 /root/mine; echo theirs >/root/mine.new\n"
    )
    run = f"{files}{place}{sandbox.script('renew-kubeconfig.sh', 'a')}\n"
    assert sandbox.run(
        f"{run}stat -c '%a' /root/mine; readlink /root/.kube/config; grep -c bmV3 /root/mine; cat /root/mine.new"
    ) == ("640\n../mine\n2\ntheirs\n")


@sandbox.needed
def test_without_a_key_in_the_admins_kubeconfig_a_logins_stays() -> None:
    files = sandbox.file("/etc/kubernetes/admin.conf", "    client-certificate-data: bmV3\n")
    before = CONF.format(*"aabbc")
    run = f"{files}{sandbox.file('/root/.kube/config', before)}! {sandbox.script('renew-kubeconfig.sh', 'a')}\n"
    assert sandbox.run(f"{run}cat /root/.kube/config") == before


@sandbox.needed
def test_a_kubelet_does_not_run_by_what_has_gone() -> None:
    """One that is cut off in between is started by the next run, and makes one."""
    files = sandbox.file(f"{KUBELETS}/kubelet.crt", "x") + sandbox.file(f"{KUBELETS}/kubelet.key", "x")
    cut = f"stub sync 'exit 1'\n! {sandbox.script('remake-kubelet-certificate.sh')}"
    assert sandbox.run(f"{ADMIT}{files}{cut}") == "systemctl stop kubelet\n"


@sandbox.needed
def test_of_what_a_kubelet_has_made_the_key_goes_first() -> None:
    """By a key alone no kubelet would start, and nobody would see it."""
    files = sandbox.file(f"{KUBELETS}/kubelet.crt", "x") + sandbox.file(f"{KUBELETS}/kubelet.key", "x")
    cut = f"stub sync 'ls {KUBELETS}; exit 1'\n"
    said = sandbox.run(f"{ADMIT}{files}{cut}! {sandbox.script('remake-kubelet-certificate.sh')}")
    assert said == "systemctl stop kubelet\nkubelet.crt\n"


@sandbox.needed
def test_a_kubelet_does_not_run_until_it_is_led_to_the_new_one() -> None:
    """One that was cut off in between is started by the next run, and reads it."""
    files = sandbox.file("/etc/kubernetes/kubelet.conf", OWN) + sandbox.file("/mnt/given", CONF)
    cut = "stub mv 'exit 1'\n"
    assert (
        sandbox.run(f"{ADMIT}{files}{cut}! {sandbox.script('admit-kubelet.sh')} </mnt/given")
        == "systemctl stop kubelet\n"
    )
