"""The scripts that make a static pod's manifest anew, in a sandbox: kubeadm, kubectl and the kubelet are imitated."""

import hashlib
import shlex
from base64 import b64encode

import pytest

from tests import sandbox
from tests.test_look import ADMIN, found

pytestmark = sandbox.program_needed("pgrep")

MANIFEST = "/etc/kubernetes/manifests/kube-scheduler.yaml"
MARKS = "/var/lib/kubefab-manifests"
KEPT = "/var/lib/kubefab-kept/etc/kubernetes/manifests"


def pod(*flags: str) -> str:
    listed = "".join(f"    - --{flag}\n" for flag in flags)
    return f"spec:\n  containers:\n  - command:\n    - kube-scheduler\n{listed}    name: kube-scheduler\n"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


OLD, NEW, BAD = pod("v=1"), pod("v=2"), pod("bad=1")
# What /proc tells of a process's pod, which the kubelet names by what the manifest says.
PODS = """
mkdir -p /mnt/image /mnt/pods /run/kubefab
stub grep 'case "$*" in
    *kubepods*) exit 0 ;;
    "-os pod"*) process=${3#/proc/} && cat "/mnt/pods/${process%/cgroup}" 2>/dev/null ;;
    *) exec /bin/grep "$@" ;;
esac'
in_pod() { md5sum "$2" | sed 's/^/pod/; s/ .*//' >"/mnt/pods/$1"; }
"""
# A process by the manifest, begun anew when that changes; one with the flag --bad ends at once, again and again. Where
# there is /mnt/slow, the kubelet does not see a change yet.
KUBELET = f"""{PODS}
cp /bin/sh /mnt/image/kube-scheduler
kubelet() {{
    pid=
    while :; do
        if ! [ -e /mnt/slow ] && ! cmp -s {MANIFEST} /mnt/seen; then
            [ -z "$pid" ] || kill "$pid" || true
            cp {MANIFEST} /mnt/seen
            pid=
        fi
        if [ -z "$pid" ] || ! [ -e "/proc/$pid/stat" ] || /bin/grep -q ' Z ' "/proc/$pid/stat"; then
            if /bin/grep -q bad /mnt/seen; then
                /mnt/image/kube-scheduler -c 'sleep 0.3; exit' x &
            else
                /mnt/image/kube-scheduler -c 'while sleep 9; do :; done' x $(sed -n 's/^ *- --/--/p' /mnt/seen) &
            fi
            pid=$!
            in_pod "$pid" /mnt/seen
        fi
        sleep 0.1
    done >/dev/null 2>&1
}}
kubelet &
until pgrep -x kube-scheduler >/dev/null; do sleep 0.05; done
stub kubectl 'case "$*" in
    *annotate*) while [ "$1" != --filename ]; do shift; done; cat "$2" ;;
    *) grep -q bad /mnt/seen || printf ok ;;
esac'
stub kubeadm 'cp /mnt/rendered {MANIFEST}'
"""


def remake(*lines: str, phase: str = "control-plane scheduler", seconds: int = 30) -> str:
    """Shell text; what it said is in /mnt/said, and /mnt/status is how it ended."""
    script = sandbox.script("remake-manifest.sh", str(seconds), "kube-scheduler", phase, *lines)
    return f"echo documents | {script} >/mnt/said 2>&1 && echo well >/mnt/status || echo failed >/mnt/status\n"


def machine(now: str, rendered: str, marked: str = "") -> str:
    mark = sandbox.file(f"{MARKS}/kube-scheduler.mark", f"sha256 {sha256(marked)}\ngiven --v\n") if marked else ""
    left = sandbox.file(f"{MARKS}/kube-scheduler.yaml", marked) if marked else ""
    return f"{sandbox.file(MANIFEST, now)}{sandbox.file('/mnt/rendered', rendered)}{mark}{left}{KUBELET}"


LEFT = (
    f"cat /mnt/status {MANIFEST}; ls -A /etc/kubernetes /run/kubefab {MARKS}; cat {MARKS}/*.mark 2>/dev/null || true; "
)


def test_a_manifest_is_kubeadms_once_what_starts_by_it_is_well_and_is_marked() -> None:
    run = machine(OLD, NEW, marked=OLD) + remake("given --v", "stored --x")
    flags = "tr '\\0' ' ' </proc/$(pgrep -x kube-scheduler)/cmdline | grep -o 'x --.*'; grep ^kubeadm /mnt/calls"
    said = sandbox.run(f"{run}{LEFT}cat {MARKS}/*.yaml; {flags}; ls -d {KEPT} 2>/dev/null || true")
    assert said.splitlines()[:-2] == [
        "well",
        *NEW.splitlines(),
        *("/etc/kubernetes:", "manifests", "", "/run/kubefab:", ""),
        *(f"{MARKS}:", "kube-scheduler.mark", "kube-scheduler.yaml"),
        *(f"sha256 {sha256(NEW)}", "given --v", "stored --x"),
        *NEW.splitlines(),
    ]
    assert said.splitlines()[-2].strip() == "x --v=2"
    assert said.splitlines()[-1].startswith("kubeadm init phase control-plane scheduler --config /run/kubefab/")


@pytest.mark.parametrize("marked", [OLD, ""])
def test_the_former_manifest_is_there_again_where_the_new_one_is_not_borne(marked: str) -> None:
    run = machine(OLD, BAD, marked) + sandbox.file(
        "/var/log/pods/kube-system_kube-scheduler-m_1/kube-scheduler/0.log", "why\n"
    )
    run += "touch /var/log/pods/kube-system_kube-scheduler-m_1/kube-scheduler/1.log\n"  # it has begun once more
    said = sandbox.run(f"{run}{remake('given --bad')}{LEFT}cat /mnt/said").splitlines()
    assert said[: 1 + len(OLD.splitlines())] == ["failed", *OLD.splitlines()]
    assert said[-2:] == [
        "why",
        "kube-scheduler was not well within 30 s by its new manifest: the former one is there again, and well again",
    ]
    marks = [line for line in said if line.startswith(("sha256", "given"))]
    assert marks == ([f"sha256 {sha256(OLD)}", "given --v"] if marked else [])


def test_one_that_ends_again_and_again_is_not_waited_for_all_the_time() -> None:
    run = machine(OLD, BAD, OLD) + f"begun=$(date +%s)\n{remake(seconds=600)}"
    assert sandbox.run(f"{run}cat /mnt/status; [ $(($(date +%s) - begun)) -lt 300 ]") == "failed\n"


def test_what_was_cut_off_before_the_new_manifest_was_there_is_as_before() -> None:
    former = sandbox.file(f"{MARKS}/former/kube-scheduler.yaml", OLD) + sandbox.file(
        f"{MARKS}/former/kube-scheduler.mark", f"sha256 {sha256(OLD)}\n"
    )
    said = sandbox.run(machine(OLD, NEW, marked=NEW) + former + remake(phase="") + LEFT + "cat /mnt/said")
    assert said.splitlines()[0] == "well"
    assert f"sha256 {sha256(OLD)}" in said
    assert "former" not in said


# Right before the new manifest takes its place, where both are marked already.
CUT = 'stub cp \'case "$1" in -R) kill -KILL $PPID; sleep 1 ;; *) exec /bin/cp "$@" ;; esac\'\n'


@pytest.mark.parametrize("ends", ["is not borne", "is cut off"])
def test_what_somebody_has_changed_is_his_again_and_not_kubefabs_where_the_new_manifest(ends: str) -> None:
    """Else the next flag in hosts.yml would take it away, and nobody would have been told."""
    theirs = pod("v=3")
    run = machine(theirs, BAD, marked=OLD)
    run += remake() if ends == "is not borne" else f"{CUT}{remake()}rm /mnt/bin/cp\n{remake(phase='')}"
    said = sandbox.run(f"{run}cat {MANIFEST} {MARKS}/kube-scheduler.mark {MARKS}/kube-scheduler.yaml; ls {MARKS}")
    assert said.splitlines() == [
        *theirs.splitlines(),
        *(f"sha256 {sha256(OLD)}", "given --v"),
        *OLD.splitlines(),
        *("kube-scheduler.mark", "kube-scheduler.yaml"),
    ]


@pytest.mark.parametrize(("now", "ended", "then"), [(NEW, "well", NEW), (BAD, "failed", OLD)])
def test_what_was_cut_off_later_is_waited_for_or_taken_back(now: str, ended: str, then: str) -> None:
    former = sandbox.file(f"{MARKS}/former/kube-scheduler.yaml", OLD)
    said = sandbox.run(machine(now, NEW, marked=now) + former + remake(phase="", seconds=5) + LEFT)
    assert said.startswith(f"{ended}\n{then}")
    assert "former" not in said


def test_what_ran_before_is_no_proof_of_a_new_manifest() -> None:
    """Its kubelet may be slow, or down: the one that is there after a cut says nothing of what is to come."""
    was = f"pod{hashlib.md5(OLD.encode()).hexdigest()}\n"
    former = sandbox.file(f"{MARKS}/former/kube-scheduler.yaml", OLD)
    former += sandbox.file(f"{MARKS}/former/kube-scheduler.pods", was)
    down = f"touch /mnt/slow\ncp /mnt/rendered {MANIFEST}.new\nmv {MANIFEST}.new {MANIFEST}\n"
    run = machine(OLD, NEW, marked=NEW) + former + down + remake(phase="", seconds=3)
    said = sandbox.run(f"{run}{LEFT}tail -n 1 /mnt/said")
    assert said.startswith(f"failed\n{OLD}")
    assert said.endswith("the former one is there again, and well again\n")  # it has never been away


@pytest.mark.parametrize("cut", [False, True])
def test_what_begins_once_more_by_the_former_manifest_is_no_proof_of_the_new_one(cut: bool) -> None:
    """A controller ends that loses its lease, as an API server restarts, and its kubelet may see the new one late."""
    ends = f"until cmp -s /mnt/rendered {MANIFEST}; do sleep 0.05; done; pkill -x kube-scheduler"
    late = f"touch /mnt/slow\n{{ {ends}; sleep 5; rm /mnt/slow; }} >/dev/null 2>&1 &\n"
    killed = "stub sync 'case $1 in */manifests) kill -KILL $PPID; sleep 1 ;; *) exec /bin/sync \"$@\" ;; esac'\n"
    begun = f"{killed}{remake()}rm /mnt/bin/sync\nsleep 1\n" if cut else ""
    run = machine(OLD, BAD, marked=OLD) + late + begun + remake(phase="" if cut else "control-plane scheduler")
    said = sandbox.run(f"{run}{LEFT}tail -n 1 /mnt/said")
    assert said.startswith(f"failed\n{OLD}")
    assert said.endswith("the former one is there again, and well again\n")


def test_one_that_has_only_just_ended_is_waited_for_before_its_manifest_is_another() -> None:
    """Else nobody could tell what begins by the former manifest from what begins by the new one."""
    down = "touch /mnt/slow\nkill -STOP $!\npkill -x kube-scheduler\nkubelet=$!\n"
    waited = f"cmp -s /mnt/rendered {MANIFEST} || touch /mnt/waited"
    late = f"{{ sleep 3; {waited}; rm /mnt/slow; kill -CONT $kubelet; }} &\n"
    said = sandbox.run(f"{machine(OLD, NEW, marked=OLD)}{down}{late}{remake()}cat /mnt/status; ls /mnt/waited")
    assert said == "well\n/mnt/waited\n"


def test_where_nobody_can_say_what_runs_nothing_is_made_anew() -> None:
    blind = "stub pgrep 'echo it is broken >&2; exit 2'\n"
    said = sandbox.run(machine(OLD, NEW, marked=OLD) + blind + remake() + LEFT + "cat /mnt/said")
    assert said.startswith(f"failed\n{OLD}")
    assert f"sha256 {sha256(OLD)}" in said
    assert said.endswith("pgrep does not say what runs\n")


def test_where_nobody_can_say_in_which_pod_it_runs_nothing_is_made_anew() -> None:
    """Nothing would ever be a proof."""
    hurried = "stub date 'n=$(($(cat /mnt/n 2>/dev/null || echo 0) + 10)); echo $n | tee /mnt/n'\n"
    blind = f"rm /mnt/pods/*\n{hurried}"
    said = sandbox.run(machine(OLD, NEW, marked=OLD) + blind + remake() + LEFT + "cat /mnt/said")
    assert said.startswith(f"failed\n{OLD}")
    assert f"sha256 {sha256(OLD)}" in said
    assert said.endswith("nothing was changed: in which pod kube-scheduler runs, its /proc/PID/cgroup does not say\n")


def test_a_mark_that_a_cut_has_left_is_nobodys() -> None:
    stale = sandbox.file(f"{MARKS}/former/kube-scheduler.mark", f"sha256 {sha256('stale')}\n")
    said = sandbox.run(machine(OLD, BAD) + stale + remake() + LEFT)
    assert said.startswith(f"failed\n{OLD}")
    assert "sha256" not in said


@pytest.mark.parametrize(("address", "where"), [("10.250.0.10", "10.250.0.10"), ("fd00::10", "[fd00::10]")])
def test_an_api_server_is_asked_at_the_address_and_port_of_its_manifest(address: str, where: str) -> None:
    manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    former = sandbox.file(f"{MARKS}/former/kube-apiserver.yaml", OLD)
    words = f"    - --advertise-address={address}\n    - '--secure-port=7443'\n"
    now = f"spec:\n  containers:\n  - command:\n    - kube-apiserver\n{words}"
    begun = f"""{PODS}
cp /bin/sh /mnt/image/kube-apiserver
/mnt/image/kube-apiserver -c 'while sleep 9; do :; done' x >/dev/null 2>&1 &
in_pod $! {manifest}
until pgrep -x kube-apiserver >/dev/null; do sleep 0.05; done
stub kubectl 'printf ok'
"""
    script = sandbox.script("remake-manifest.sh", "30", "kube-apiserver", "")
    asked = "sed -n 's/^kubectl .*--server \\([^ ]*\\).*/\\1/p' /mnt/calls | sort -u"
    said = sandbox.run(f"{sandbox.file(manifest, now)}{former}{begun}{script} </dev/null\n{asked}")
    assert said == f"https://{where}:7443\n"


@pytest.mark.parametrize(
    ("kubectl", "said"),
    [
        ("printf ok", "ok"),
        ("echo warning; echo refused >&2; exit 1", "refused"),
        ("exit 124", "no answer within 3 s"),
    ],
)
def test_what_a_masters_own_api_server_says_to_the_clusters_admin_is_printed(kubectl: str, said: str) -> None:
    words = "    - --advertise-address=10.250.0.10\n"
    manifest = sandbox.file("/etc/kubernetes/manifests/kube-apiserver.yaml", words)
    asked = "sed -n 's/^kubectl .*--server \\([^ ]*\\).* get /\\1 /p' /mnt/calls"
    run = f"{manifest}stub kubectl {shlex.quote(kubectl)}\n{sandbox.script('ask-readyz.sh', '3')}\n{asked}"
    assert sandbox.run(run).splitlines() == [said, "https://10.250.0.10:6443 --raw /readyz"]


def test_nobody_is_asked_by_way_of_the_proxy_by_which_kubeadm_writes_manifests() -> None:
    """kubeadm hands it on into them. The address that an API server is asked at may be one that it has no way to."""
    proxy = sandbox.file("/etc/default/kubefab-proxy", "HTTPS_PROXY=http://proxy.example:3128\n")
    stubs = f"""stub kubectl 'echo "kubectl by ${{HTTPS_PROXY:-itself}}" >>/mnt/by
case "$*" in *annotate*) while [ "$1" != --filename ]; do shift; done; cat "$2" ;; *) printf ok ;; esac'
stub kubeadm 'echo "kubeadm by $HTTPS_PROXY" >>/mnt/by; cp /mnt/rendered {MANIFEST}'
"""
    run = f"{machine(OLD, NEW, marked=OLD)}{proxy}{stubs}{remake()}"
    assert sandbox.run(f"{run}cat /mnt/status; sort -u /mnt/by").splitlines() == [
        *("well", "kubeadm by http://proxy.example:3128", "kubectl by itself")
    ]


def test_what_somebody_else_has_written_is_kept() -> None:
    run = machine(OLD, NEW, marked=pod("v=0")) + remake()
    assert sandbox.run(f"{run}cat {KEPT}/kube-scheduler.yaml; tail -n 1 /mnt/said") == (
        f"{OLD}what was there is now /var/lib/kubefab-kept{MANIFEST}\n"
    )


def test_nobody_waits_for_a_pod_that_the_kubelet_takes_for_the_same() -> None:
    run = machine(OLD, NEW, marked=OLD) + "stub kubectl 'case \"$*\" in *annotate*) echo same ;; *) exit 1 ;; esac'\n"
    said = sandbox.run(f"{run}{remake()}cat /mnt/status {MANIFEST}; grep -c . {MARKS}/kube-scheduler.mark")
    assert said == f"well\n{NEW}1\n"


def test_where_nobody_can_say_whether_it_is_the_same_it_is_waited_for() -> None:
    stub = "stub kubectl 'case \"$*\" in *annotate*) exit 1 ;; *) touch /mnt/asked; printf ok ;; esac'\n"
    run = f"{machine(OLD, NEW, marked=OLD)}{stub}{remake()}"
    assert sandbox.run(f"{run}cat /mnt/status; ls /mnt/asked") == "well\n/mnt/asked\n"


@pytest.mark.parametrize("fails", ["exit 1", "true"])
def test_where_kubeadm_writes_nothing_nothing_is_changed(fails: str) -> None:
    run = machine(OLD, NEW, marked=OLD) + f"stub kubeadm '{fails}'\n{remake('given --other')}"
    assert sandbox.run(f"{run}{LEFT}").startswith(f"failed\n{OLD}")
    assert "given --other" not in sandbox.run(f"{run}{LEFT}")


# --- render-manifests.sh


def test_what_kubeadm_would_write_is_printed_and_nothing_is_changed() -> None:
    script = sandbox.script("render-manifests.sh", "kube-scheduler:control-plane scheduler")
    run = f"{machine(OLD, NEW)}echo documents | {script} 2>/dev/null | cut -d ' ' -f 2 | base64 -d\n"
    assert (
        sandbox.run(f"{run}cat {MANIFEST}; ls -A /run/kubefab {MARKS} 2>/dev/null || true")
        == f"{NEW}{OLD}/run/kubefab:\n"
    )


# --- upload-configuration.sh


def uploaded(kubeadm: str) -> list[str]:
    mark = sandbox.file(f"{MARKS}/etcd.mark", "sha256 a\ngiven --b\nstored --c\nstored --d\n")
    script = sandbox.script("upload-configuration.sh", "kubeadm", "etcd:", "etcd:--c", "etcd:--e", "kube-scheduler:")
    run = f"{mark}stub kubeadm {shlex.quote(kubeadm)}\necho documents | {script} || echo failed\n"
    return sandbox.run(f"{run}cat /mnt/calls {MARKS}/etcd.mark; ls {MARKS}").splitlines()


def test_what_the_cluster_keeps_of_hosts_yml_is_remembered_and_what_it_has_no_more_is_not() -> None:
    assert uploaded("cat >>/mnt/calls") == [
        "kubeadm init phase upload-config kubeadm --config /dev/stdin",
        *("documents", "sha256 a", "given --b", "stored --c", "stored --e", "taken --c", "taken --e", "etcd.mark"),
    ]


def test_where_kubeadm_fails_the_cluster_may_keep_the_one_or_the_other() -> None:
    told = uploaded("exit 1")
    assert not [line for line in told if line.startswith("taken")]
    assert [line for line in told if line.startswith("stored")] == ["stored --c", "stored --d", "stored --e"]


# --- remake-kubelet-config.sh

CONFIG = "/var/lib/kubelet/config.yaml"
COPIES = "/etc/kubernetes/tmp"


WELL = "MemoryPressure=False $(date +%s)\nDiskPressure=False $(date +%s)\nReady=True $(date +%s)"
SECONDS = "60"  # of a clock that only sleep moves on
# What an API server tells is of the configuration that the kubelet was started with last.
NODE = f"""
stub openssl 'echo "    commonName                = system:node:client"'
stub sleep 'echo $(($(cat /mnt/clock) + $1)) >/mnt/clock'
stub journalctl 'echo why'
stub date 'if [ "$1" = -d ]; then echo "$2"; else cat /mnt/clock; fi'
echo 1000 >/mnt/clock
mkdir -p {COPIES}/kubeadm-kubelet-config0
"""


def kubelet(
    runs: str = "true",
    phase: str = "",
    marked: bool = True,
    former: str = "",
    now: str = "old",
    says: str = WELL,
) -> str:
    """A node whose kubelet's configuration is `old`; kubeadm writes `new`. `runs`: whether the kubelet does by that;
    `says`: what an API server tells of the node by then, "" where none answers."""
    mark = sandbox.file(f"{MARKS}/kubelet.mark", f"sha256 {sha256('old')}\n") if marked else ""
    kubeadm = f"mkdir -p {COPIES}/kubeadm-kubelet-config1; printf new >{CONFIG}; {phase or 'true'}"
    systemctl = f"case $1 in show) echo 7 ;; is-active) [ $(cat {CONFIG}) = old ] || {runs} ;; esac"
    kubectl = f'[ "$(cat {CONFIG})" = new ] || exit 1; {f"""printf "{says}" """ if says else "exit 1"}'
    left = sandbox.file(f"{MARKS}/former/kubelet.yaml", former) if former else ""
    left += sandbox.file(f"{MARKS}/former/kubelet.lines", "given maxPods\n") if former else ""
    return (
        f"{sandbox.file(CONFIG, now)}{mark}{left}{NODE}stub kubeadm {shlex.quote(kubeadm)}\n"
        f"stub systemctl {shlex.quote(systemctl)}\nstub kubectl {shlex.quote(kubectl)}\n"
    )


def remade(before: str, *words: str) -> list[str]:
    script = sandbox.script("remake-kubelet-config.sh", SECONDS, *(words or ("", "given maxPods")))
    run = f"{before}{script} >/mnt/said 2>&1 && echo well || echo failed\ncat {CONFIG}; echo; tail -n 2 /mnt/said\n"
    kept = f"cat {MARKS}/kubelet.mark; ls -A {MARKS} {COPIES}; cat /var/lib/kubefab-kept{CONFIG} && echo"
    return sandbox.run(f"{run}{{ {kept}; grep systemctl.restart /mnt/calls; }} 2>/dev/null || true").splitlines()


def test_a_kubelets_configuration_is_kubeadms_once_the_node_is_well_by_it() -> None:
    told = remade(kubelet())
    assert told[:2] == ["well", "new"]
    assert told[2:] == [
        *(f"sha256 {sha256('new')}", "given maxPods", f"{COPIES}:", "kubeadm-kubelet-config0", ""),
        *(f"{MARKS}:", "kubelet.mark", "kubelet.yaml", "systemctl restart kubelet"),
    ]


def test_somebodys_patches_are_made_of_it_again() -> None:
    asked = f"printf '%s ' \"$@\" >>{CONFIG}"
    node = kubelet(phase=asked, says="").replace(" = new ] || exit 1", " ]")
    assert remade(node, "/etc/mine")[1] == "newupgrade node phase kubelet-config --patches /etc/mine "
    assert remade(node, "")[1] == "newupgrade node phase kubelet-config "


@pytest.mark.parametrize(("node", "said"), [(kubelet("false"), "why"), (kubelet(phase="exit 1"), "")])
def test_the_former_configuration_is_there_again_where_the_kubelet_does_not_run(node: str, said: str) -> None:
    told = remade(node)
    assert told[:2] == ["failed", "old"]
    assert f"sha256 {sha256('old')}" in told
    assert "former" not in told
    assert "kubeadm-kubelet-config1" not in told
    assert said in [*told, ""]


BY_IT = "the node is not well by the kubelet's new configuration"


@pytest.mark.parametrize(
    ("says", "what"),
    [
        (WELL.replace("DiskPressure=False", "DiskPressure=True"), "DiskPressure is True"),
        (WELL.replace("Ready=True", "Ready=False"), "Ready is False"),
        ("Ready=True 1", "the kubelet has not told of itself"),
    ],
)
def test_the_former_configuration_is_there_again_where_the_node_is_not_well_by_the_new_one(
    says: str, what: str
) -> None:
    """A process that runs is no proof: it may evict all pods, or have told nobody of itself since."""
    told = remade(kubelet(says=says))
    assert told[:2] == ["failed", "old"]
    assert f"{BY_IT} ({what}): the former one is there again" in told
    assert f"sha256 {sha256('old')}" in told


def test_a_node_that_is_well_at_first_is_looked_at_until_evictions_would_be_told() -> None:
    late = f'[ $(grep -c ^kubectl /mnt/calls) -lt 4 ] || {{ printf "DiskPressure=True 1"; exit; }}; printf "{WELL}"'
    node = f"{kubelet()}stub kubectl {shlex.quote(late)}\n"
    assert remade(node)[:2] == ["failed", "old"]


def test_where_no_api_server_answers_the_kubelets_process_is_the_proof() -> None:
    told = remade(kubelet(says=""))
    assert told[:2] == ["well", "new"]
    assert told[2].startswith("no API server has answered")
    assert remade(kubelet("false", says=""))[:2] == ["failed", "old"]


def test_the_node_is_asked_for_by_the_name_and_the_rights_of_its_kubelet() -> None:
    script = sandbox.script("remake-kubelet-config.sh", SECONDS, "")
    said = sandbox.run(f"{kubelet()}{script} >/dev/null\ngrep ^kubectl /mnt/calls | cut -d ' ' -f 1-10 | sort -u")
    whose = "kubectl --kubeconfig /etc/kubernetes/kubelet.conf --cache-dir /run/kubefab/kubectl"
    assert said == f"{whose} --request-timeout 5s get node client\n"


def test_a_configuration_that_was_cut_off_is_brought_to_its_end_before_another_is_made() -> None:
    told = remade(kubelet("false", now="bad", phase="exit 1", former="old"))
    assert told[:2] == ["failed", "old"]


@pytest.mark.parametrize(
    ("node", "then", "mark"),
    [
        (kubelet(former="old", now="new"), "new", "new"),
        (kubelet(former="old", now="new", says=""), "new", "new"),
        (kubelet("false", former="old", now="bad", says=""), "old", "old"),
        (kubelet(former="old", now="new", says="Ready=False 1"), "old", "old"),
        (kubelet(former="old", now="old", says=""), "old", "old"),
    ],
)
def test_what_was_cut_off_is_proven_or_taken_back_and_the_kubelet_runs_by_it(node: str, then: str, mark: str) -> None:
    """Without an API server, too: that of a single master waits for its kubelet."""
    script = sandbox.script("remake-kubelet-config.sh", SECONDS)
    run = f"{node}{script} >/dev/null 2>&1\ncat {CONFIG}; echo; cat {MARKS}/kubelet.mark; ls -A {MARKS}\n"
    run += "tail -n 1 /mnt/calls | grep -o restart.kubelet || true\ngrep -c kubeadm /mnt/calls || true"
    told = sandbox.run(run)
    assert told.startswith(f"{then}\nsha256 {sha256(mark)}\n")
    assert ("given maxPods" in told) is (mark == "new")
    assert "former" not in told
    assert told.endswith("\n0\n")  # kubeadm is not asked
    assert ("restart kubelet" in told) is (then == "old")


def test_a_configuration_that_somebody_else_has_written_is_kept() -> None:
    told = remade(kubelet(marked=False))
    assert told[:2] == ["well", "new"]
    assert "old" in told[2:]  # what is kept has no end of a line


# --- the marks that other scripts leave

MADE = "made\n"
WRITES = f"""mkdir -p /run/kubefab /etc/kubernetes/manifests
stub kubeadm 'case "$1 $2" in "init --config"|"join --config") echo made >{MANIFEST} ;; esac'
"""


def test_what_init_makes_is_marked_with_what_hosts_yml_has_given() -> None:
    script = sandbox.script("init.sh", "config validate", "1", "kube-scheduler:--v", "kube-apiserver:--x")
    told = f"ls /var/lib; cat {MARKS}/*; stat -c %a {MARKS} {MARKS}/*.yaml"
    assert sandbox.run(f"{WRITES}{script} </dev/null >/dev/null\n{told}").splitlines() == [
        *("kubefab", "kubefab-manifests", f"sha256 {sha256(MADE)}", "given --v", "made"),
        *("700", "600"),
    ]


GONE = {
    f"{MARKS}/former/kube-apiserver.yaml": OLD,
    f"{MARKS}/before/kube-apiserver.yaml": OLD,
    f"{MARKS}/before/whole": "",
    f"{MARKS}/kube-apiserver.mark": "sha256 a\nstored --x\n",
}


@pytest.mark.parametrize("name", ["init.sh", "join.sh", "join-master.sh"])
def test_nothing_is_left_of_the_marks_of_a_cluster_that_somebody_has_reset_by_hand(name: str) -> None:
    """Its manifest would be put into the new cluster, where that is found to be half made."""
    line = b64encode(b"x").decode() + "\n"
    told = f"{line}{line}ca.crt {line}" if name == "join-master.sh" else f"{line}x\n"
    words = ["/run/kubefab/discovery.conf"] if name != "init.sh" else []
    masters = ["1"] if name != "join.sh" else []
    script = sandbox.script(name, *words, "config validate", *masters, "kube-scheduler:--v")
    before = "".join(sandbox.file(path, text) for path, text in GONE.items())
    run = f"{before}{WRITES}{sandbox.file('/mnt/told', told)}{script} </mnt/told >/dev/null\n"
    assert sandbox.run(f"{run}find {MARKS} -type f | sort").splitlines() == [
        f"{MARKS}/kube-scheduler.mark",
        f"{MARKS}/kube-scheduler.yaml",
    ]


@pytest.mark.parametrize(("marked", "after"), [(True, True), (False, False)])
def test_a_change_of_kubefabs_leaves_a_mark_where_there_was_one_that_held(marked: bool, after: bool) -> None:
    etcd = "/etc/kubernetes/manifests/etcd.yaml"
    text, then = "    image: near/etcd:1\n", "    image: near/etcd:2\n"
    mark = sandbox.file(f"{MARKS}/etcd.mark", f"sha256 {sha256(text if marked else 'other')}\ngiven --b\n")
    run = f"{sandbox.file(etcd, text)}{mark}{sandbox.script('set-etcd-image.sh', 'near/etcd:2')}\ncat {MARKS}/etcd.mark"
    said = sandbox.run(run).splitlines()
    assert (f"sha256 {sha256(then)}" in said) is after
    assert "given --b" in said


def test_a_change_where_a_manifest_was_not_made_anew_to_its_end_leaves_a_mark_of_what_is_there() -> None:
    """It was cut off between the mark and the manifest: the mark is of what never came."""
    etcd, text, then = "/etc/kubernetes/manifests/etcd.yaml", "    image: near/etcd:1\n", "    image: near/etcd:2\n"
    former = f"{MARKS}/former/etcd"
    cut = "".join(
        sandbox.file(path, said)
        for path, said in {
            etcd: text,
            f"{MARKS}/etcd.mark": f"sha256 {sha256('never came')}\n",
            f"{former}.yaml": text,
            f"{former}.mark": f"sha256 {sha256(text)}\ngiven --b\n",
        }.items()
    )
    told = f"cat {MARKS}/etcd.mark; find {MARKS} -name '*former*'"
    said = sandbox.run(f"{cut}{sandbox.script('set-etcd-image.sh', 'near/etcd:2')}\n{told}")
    assert said.splitlines() == [f"sha256 {sha256(then)}", f"sha256 {sha256(text)}", "given --b"]


def test_a_change_where_such_a_manifest_was_somebodys_own_leaves_it_so() -> None:
    etcd, left = "/etc/kubernetes/manifests/etcd.yaml", "    image: near/etcd:1\n"
    theirs = f"{left}    mine\n"
    files = {
        etcd: theirs,
        f"{MARKS}/etcd.mark": f"sha256 {sha256('never came')}\n",
        f"{MARKS}/etcd.yaml": "never came",
        f"{MARKS}/former/etcd.yaml": theirs,
        f"{MARKS}/former/etcd.mark": f"sha256 {sha256(left)}\n",
        f"{MARKS}/former/etcd.left": left,
    }
    cut = "".join(sandbox.file(path, said) for path, said in files.items())
    run = f"{cut}{sandbox.script('set-etcd-image.sh', 'near/etcd:2')}\ncat {MARKS}/etcd.mark {MARKS}/etcd.yaml"
    assert sandbox.run(run) == f"sha256 {sha256(left)}\n{left}"


def test_what_an_upgrade_has_written_is_marked_and_nothing_else() -> None:
    other = "/etc/kubernetes/manifests/etcd.yaml"
    made = sandbox.file(MANIFEST, OLD) + sandbox.file(other, "x") + sandbox.file("/mnt/new", NEW)
    mark = sandbox.file(f"{MARKS}/kube-scheduler.mark", f"sha256 {sha256(OLD)}\ngiven --v\n")
    stub = f"stub kubeadm 'cp /mnt/new {MANIFEST}'\nmkdir -p /run/kubefab\n"
    script = sandbox.script("upgrade.sh", "1.37.2", "", "node")
    run = f"{made}{mark}{stub}{script} </dev/null >/dev/null\ncat {MARKS}/*.mark; ls {MARKS}"
    assert sandbox.run(run).splitlines() == [
        *(f"sha256 {sha256(NEW)}", "given --v"),
        *("kube-scheduler.mark", "kube-scheduler.yaml"),
    ]


@pytest.mark.parametrize("script", ["upgrade.sh", "upgrade-kubelet.sh"])
def test_what_an_upgrade_that_was_cut_off_has_written_is_marked_by_whoever_goes_on(script: str) -> None:
    """kubeadm leaves alone what is as it wants it: nobody could tell it from what somebody has changed by hand."""
    mark = sandbox.file(f"{MARKS}/kube-scheduler.mark", f"sha256 {sha256(OLD)}\ngiven --v\n")
    former = sandbox.file(f"{MARKS}/former/kube-scheduler.yaml", "older")
    made = f"{sandbox.file(MANIFEST, OLD)}{sandbox.file('/mnt/new', NEW)}{mark}{former}mkdir -p /run/kubefab\n"
    cut = f"stub kubeadm 'cp /mnt/new {MANIFEST}; kill -KILL $PPID; sleep 1'\n"
    first = sandbox.script("upgrade.sh", "1.37.2", "", "node") + " </dev/null >/dev/null 2>&1 || true\n"
    again = (
        sandbox.script(script, "1.37.2", "", *(["node"] if script == "upgrade.sh" else [])) + " </dev/null >/dev/null\n"
    )
    run = f"{made}{cut}{first}stub kubeadm ''\n{again}cat {MARKS}/*.mark; find {MARKS} | sort"
    assert sandbox.run(run).splitlines() == [
        *(f"sha256 {sha256(NEW)}", "given --v"),
        *(MARKS, f"{MARKS}/kube-scheduler.mark", f"{MARKS}/kube-scheduler.yaml"),
    ]


@pytest.mark.parametrize("script", ["upgrade.sh", "upgrade-kubelet.sh"])
def test_what_somebody_changes_after_an_upgrade_that_failed_is_his_own_and_what_that_has_written_is_not(
    script: str,
) -> None:
    """kubeadm leaves alone an etcd that is new enough, and every manifest where a kubelet alone is upgraded."""
    theirs = "/etc/kubernetes/manifests/etcd.yaml"
    mark = sandbox.file(f"{MARKS}/kube-scheduler.mark", f"sha256 {sha256(OLD)}\n")
    mark += sandbox.file(f"{MARKS}/etcd.mark", f"sha256 {sha256('x')}\n")
    made = f"{sandbox.file(MANIFEST, OLD)}{sandbox.file(theirs, 'x')}{sandbox.file('/mnt/new', NEW)}{mark}"
    run = sandbox.script(script, "1.37.2", "", *(["node"] if script == "upgrade.sh" else [])) + " </dev/null >/dev/null"
    fails = f"mkdir -p /run/kubefab\nstub kubeadm 'cp /mnt/new {MANIFEST}; exit 3'\n{run} 2>&1 || echo failed by $?\n"
    again = f"{sandbox.file(theirs, 'mine')}stub kubeadm ''\n{run}\n"
    told = f"cat {MARKS}/etcd.mark {MARKS}/kube-scheduler.mark; ls {MARKS}"
    assert sandbox.run(f"{made}{fails}{again}{told}").splitlines() == [
        *("failed by 3", f"sha256 {sha256('x')}", f"sha256 {sha256(NEW)}"),
        *("etcd.mark", "kube-scheduler.mark", "kube-scheduler.yaml"),
    ]


def test_a_tear_down_leaves_no_mark() -> None:
    run = sandbox.file(f"{MARKS}/etcd.mark", "x") + sandbox.script("tear-down.sh", "unix:///run/containerd/x.sock")
    assert sandbox.run(f"{run} >/dev/null\nls -A /var/lib/kubefab 2>/dev/null || true") == ""


# --- the look


def test_the_look_tells_what_is_there_what_was_left_and_what_runs() -> None:
    former = sandbox.file(f"{MARKS}/former/kube-scheduler.yaml", OLD)
    this = found(f"{ADMIN}{machine(NEW, NEW, marked=OLD)}{former}", "manifests").manifests
    assert (this.now["kube-scheduler"].settings["--v"], this.left["kube-scheduler"].settings["--v"]) == ("2", "1")
    assert this.now["kube-scheduler"].digest == sha256(NEW)
    assert this.marks == (f"kube-scheduler {sha256(OLD)}",)
    assert (this.given_to("kube-scheduler"), this.halfway) == (["--v"], ("kube-scheduler",))
    assert [(one.pod, one.flags) for one in this.running] == [("kube-scheduler", {"--v": "2"})]
    assert 0 <= this.written_ago["kube-scheduler"] < 60
    assert not this.is_kubefabs("kube-scheduler")


def test_a_worker_has_no_static_pods_to_tell_of() -> None:
    this = found(shlex.join(["mkdir", "-p", "/etc/kubernetes/manifests"]) + "\n", "manifests").manifests
    assert (this.now, this.marks) == ({}, ())


def test_the_look_tells_what_was_left_of_a_kubelets_configuration_that_is_gone() -> None:
    conf = sandbox.file("/etc/kubernetes/kubelet.conf", "x") + sandbox.file(f"{MARKS}/kubelet.yaml", "maxPods: 7\n")
    mark = sandbox.file(f"{MARKS}/kubelet.mark", f"sha256 {sha256('x')}\n")
    this = found(conf + mark, "manifests").manifests
    assert (this.now, list(this.left), this.is_marked("kubelet")) == ({}, ["kubelet"], True)


def test_the_look_tells_of_a_workers_kubelet_alone() -> None:
    conf = sandbox.file("/etc/kubernetes/kubelet.conf", "x") + sandbox.file(CONFIG, "maxPods: 7\n")
    mark = sandbox.file(f"{MARKS}/kubelet.mark", f"sha256 {sha256('x')}\ngiven maxPods\nsaid maxPods 7f\n")
    this = found(f"{conf}{mark}{sandbox.file(MANIFEST, OLD)}touch -d @1000.5 {CONFIG}\n", "manifests").manifests
    assert list(this.now) == ["kubelet"]
    assert this.now["kubelet"].settings == {"maxPods": "7"}
    assert (this.given_to("kubelet"), this.kubelet_written) == (["maxPods"], 1000.5)
    assert this.said == ("kubelet maxPods 7f",)
