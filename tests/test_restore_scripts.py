"""What restores etcd on a master, in a sandbox: what is stopped, what takes which place, and what is kept."""

from base64 import b64encode
from hashlib import sha256

import pytest

from kubefab.programs import look_program
from kubefab.questions import Questions
from tests import sandbox
from tests.test_etcd_scripts import etcd
from tests.test_look import found

pytestmark = sandbox.needed

ID = "kubefab-2"
IMAGE = "registry.k8s.io/etcd:3.6.16-0"
PEERS = "m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380"
MANIFEST = f"""\
    - etcd
    - --data-dir=/var/lib/etcd
    - --initial-advertise-peer-urls=https://10.0.0.1:2380
    - --name=m1
    image: {IMAGE}
"""
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
MANIFESTS = "".join(
    sandbox.file(f"/etc/kubernetes/manifests/{name}.yaml", f"    image: {name}\n") for name in PARTS[1:]
)
MASTER = (
    sandbox.file("/etc/kubernetes/manifests/etcd.yaml", MANIFEST)
    + MANIFESTS
    + sandbox.file("/etc/kubernetes/manifests/of-others.yaml", "x")
    + "mkdir -p /var/lib/etcd/member/wal\necho former >/var/lib/etcd/member/wal/1\n"
)
NOBODY = "stub pgrep 'exit 1'\nstub sleep ''\n"
# In the image: it makes what etcdutl does.
ETCDUTL = """\
#!/bin/sh
echo "etcdutl $*" >>/mnt/calls
for word; do
    [ "${before-}" != --data-dir ] || folder=$word
    before=$word
done
mkdir -p "$folder/member/snap" "$folder/member/wal"
cat "$3" >"$folder/member/snap/db"
"""
MOUNT = 'for at; do :; done; mkdir -p "$at/usr/local/bin"; cp /mnt/etcdutl "$at/usr/local/bin"'
CTR = f'case "$*" in *" mount "*) {MOUNT} ;; esac\n'
SNAPSHOT = "/var/lib/kubefab-etcd.restore/snapshot.db"
SENT = sandbox.file(SNAPSHOT, "snapshot\n")
TOOL = sandbox.file("/mnt/etcdutl", ETCDUTL) + "chmod +x /mnt/etcdutl\n" + f"stub ctr '{CTR}'\n"
STAGE = sandbox.script("stage-restore.sh", ID, SNAPSHOT, "containerd", PEERS, "1000000011")
STOP = sandbox.script("stop-control-plane.sh", ID, "abc")
SWAP = sandbox.script("swap-etcd.sh", ID)
START = sandbox.script("start-control-plane.sh", ID)
STAGED = (
    f"mkdir -p /var/lib/etcd/kubefab-restore/member\necho {ID} >/var/lib/etcd/kubefab-restore/member/kubefab-restored\n"
)


def told(text: str) -> list[str]:
    return sandbox.run(text).splitlines()


# --- the snapshot's data


def test_the_data_are_made_by_the_etcdutl_of_the_image_that_will_run_for_a_new_cluster_of_all_members() -> None:
    (called,) = [line for line in told(f"{MASTER}{TOOL}{SENT}{STAGE}\ncat /mnt/calls") if line.startswith("etcdutl ")]
    assert called == (
        f"etcdutl snapshot restore {SNAPSHOT} --data-dir /var/lib/etcd/kubefab-restore.part --name m1 "
        f"--initial-cluster {PEERS} --initial-cluster-token {ID} "
        "--initial-advertise-peer-urls https://10.0.0.1:2380 --bump-revision 1000000011 --mark-compacted"
    )


def test_they_lie_ready_beside_what_etcd_has_which_stays_and_nothing_else_does() -> None:
    shown = "cat /var/lib/etcd/kubefab-restore/member/kubefab-restored /var/lib/etcd/member/wal/1; ls /var/lib/etcd"
    said = told(f"{MASTER}{TOOL}{SENT}{STAGE}\n{shown}; stat -c %a /var/lib/etcd/kubefab-restore/member; ls /var/lib")
    assert said == [ID, "former", "kubefab-restore", "member", "700", "etcd"]


def test_the_image_is_let_go_of_and_so_is_that_of_one_that_was_killed() -> None:
    calls = told(f"{MASTER}{TOOL}{SENT}{STAGE}\ngrep ^ctr /mnt/calls")
    at = "/run/kubefab/etcd-image"
    go = f"ctr -n k8s.io images unmount --rm {at}"
    assert calls == [go, f"ctr -n k8s.io images mount {IMAGE} {at}", go]


def test_what_an_earlier_one_left_half_made_is_no_part_of_it() -> None:
    left = "mkdir -p /var/lib/etcd/kubefab-restore.part/member/old /var/lib/etcd/kubefab-restore/member/old\n"
    assert told(f"{MASTER}{left}{TOOL}{SENT}{STAGE}\nls /var/lib/etcd/kubefab-restore/member") == [
        "kubefab-restored",
        "snap",
        "wal",
    ]


def test_where_etcd_has_lost_its_folder_they_are_whose_that_is() -> None:
    lost = "rm -r /var/lib/etcd/member\nchown 7:7 /var/lib/etcd\n"
    shown = "stat -c %u:%g /var/lib/etcd/kubefab-restore/member/snap/db"
    assert told(f"{MASTER}{lost}{TOOL}{SENT}{STAGE}\n{shown}") == ["7:7"]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_manifest_that_somebody_has_quoted_says_the_same(quote: str) -> None:
    quoted = (
        MANIFEST.replace("- --", f"- {quote}--").replace("\n    -", f"{quote}\n    -").replace("m1\n", f"m1{quote}\n")
    )
    quoted = quoted.replace(f"etcd{quote}\n", "etcd\n", 1).replace(IMAGE, f"{quote}{IMAGE}{quote}")
    this = found(f"{MASTER}{sandbox.file('/etc/kubernetes/manifests/etcd.yaml', quoted)}{NOBODY}", "restore").restore
    assert (this.folder, this.peer, this.image) == ("/var/lib/etcd", "m1=https://10.0.0.1:2380", IMAGE)


FOLDERLESS = sandbox.file(
    "/etc/kubernetes/manifests/etcd.yaml", MANIFEST.replace("    - --data-dir=/var/lib/etcd\n", "")
)


def test_a_manifest_without_a_folder_names_none_of_the_roots() -> None:
    this = found(f"{MASTER}{FOLDERLESS}{NOBODY}", "restore").restore
    assert (this.folder, this.peer) == ("", "m1=https://10.0.0.1:2380")
    for script in (STAGE, SWAP, START):
        shown = "ls -d /kubefab* /member 2>/dev/null || true"
        said = told(f"{MASTER}{FOLDERLESS}{NOBODY}{TOOL}{SENT}{script} 2>&1 || echo ended with $?\n{shown}")
        assert said == ["etcd's manifest has no --data-dir", "ended with 1"]


MOUNTED = (
    MANIFEST.replace("--data-dir=/var/lib/etcd", "--data-dir=/data/etcd")
    + """\
    volumeMounts:
    - mountPath: /data
      name: etcd-data
  volumes:
  - hostPath:
      path: /var/lib
    name: etcd-data
"""
)


def test_data_that_etcd_has_under_another_path_are_made_where_the_host_has_them() -> None:
    mounted = f"{MASTER}{sandbox.file('/etc/kubernetes/manifests/etcd.yaml', MOUNTED)}{NOBODY}"
    assert found(mounted, "restore").restore.folder == "/var/lib/etcd"
    shown = "cat /var/lib/etcd/member/kubefab-restored; ls /data 2>&1 | grep -c etcd"
    assert told(f"{mounted}{STAGED}{SWAP}\n{shown} || true") == [ID, "0"]


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        ("stub ctr ''\n", f"the image {IMAGE} has no etcdutl"),
        ("echo 'echo expected sha256 >&2; exit 1' >>/mnt/etcdutl\n", "expected sha256"),
        ("rm /etc/kubernetes/manifests/etcd.yaml\n", "there is no manifest of etcd's"),
    ],
)
def test_where_it_cannot_be_made_it_says_why_and_leaves_nothing_that_looks_ready(spoilt: str, why: str) -> None:
    said = told(f"{MASTER}{TOOL}{spoilt}{SENT}{STAGE} 2>&1 || echo ended with $?\nls /var/lib /var/lib/etcd")
    assert said[0] == why
    assert "ended with 1" in said
    assert "kubefab-restore" not in said
    assert "kubefab-etcd.restore" not in said


# Docker makes no container of an image without a command unless it is given one, nor two of one name.
DOCKER = """stub docker 'case "$1" in
    create) [ $# = 7 ] && [ ! -e /mnt/made ] || { echo Error response from daemon >&2; exit 1; }
        touch /mnt/made && echo c1 ;;
    cp) cp /mnt/etcdutl "$3" ;;
    rm) rm /mnt/made ;;
esac'
"""


@pytest.mark.parametrize("left", ["", "touch /mnt/made\n"])
def test_docker_hands_the_tool_out_of_the_image_that_is_there_and_what_was_left_of_one_that_was_killed_goes(
    left: str,
) -> None:
    stage = sandbox.script("stage-restore.sh", ID, SNAPSHOT, "docker", PEERS, "1000000011")
    calls = told(f"{MASTER}{TOOL}{DOCKER}{left}{SENT}{stage}\ngrep -E '^(docker|ctr)' /mnt/calls")
    tool = "/usr/local/bin/etcdutl /var/lib/kubefab-etcd.restore/etcdutl"
    name = "kubefab-restore"
    create = f"docker create --pull never --name {name} {IMAGE} etcdutl"
    assert calls == [f"docker rm {name}", create, f"docker cp {name}:{tool}", f"docker rm {name}"]


# --- what runs


def test_the_control_plane_is_put_aside_and_pods_of_others_stay() -> None:
    shown = "ls /etc/kubernetes/manifests /etc/kubernetes/kubefab-restore; tail -n 2 /var/lib/kubefab/restore"
    names = [f"{name}.yaml" for name in PARTS]
    assert told(f"{MASTER}{NOBODY}{STOP}\n{shown}") == [
        "/etc/kubernetes/kubefab-restore:",
        *names,
        "",
        "/etc/kubernetes/manifests:",
        "of-others.yaml",
        ID,
        "abc",
    ]


def test_it_has_stopped_once_none_of_it_runs() -> None:
    """The kubelet, here a shell, ends etcd when its manifest has gone."""
    kubelet = (
        "{ while [ -e /etc/kubernetes/manifests/etcd.yaml ]; do /bin/sleep 0.1; done; /bin/sleep 0.3; "
        "touch /mnt/ended; kill $process; } >/dev/null 2>&1 &\n"
    )
    text = f"{etcd()}process=$!\n{MASTER}{kubelet}{STOP} | sort -u; ls /mnt/ended"
    assert told(text) == ["still run: etcd", "/mnt/ended"]


def clock(step: int) -> str:
    """Each look at it is so many seconds later."""
    return f"stub date 'n=$(cat /mnt/now 2>/dev/null || echo 1000); echo $((n + {step})) >/mnt/now; echo $n'\n"


def test_what_no_kubelet_ends_is_ended_after_twenty_seconds() -> None:
    """It has begun while no API server answered, and knows of no pod that it has not started."""
    later = f"{clock(9)}stub sleep '/bin/sleep 0.1'\n"
    shown = "kill -0 $process || echo it is gone"
    counted, gone = told(f"{etcd()}process=$!\n{MASTER}{later}{STOP} | uniq -c; {shown} 2>/dev/null")
    assert counted.split()[1:] == ["still", "run:", "etcd"]
    assert 3 <= int(counted.split()[0]) <= 5
    assert gone == "it is gone"


def test_an_api_server_that_waits_for_watches_is_not_waited_for() -> None:
    does = "trap : TERM; while :; do /bin/sleep 1; done"
    deaf = f"cp /bin/sh /mnt/kube-apiserver\n/mnt/kube-apiserver -c '{does}' >/dev/null 2>&1 &\nserver=$!\n"
    ours = "echo 0::/kubepods.slice/x >/mnt/cgroup\nmount --bind /mnt/cgroup /proc/$server/cgroup\n"
    later = f"{clock(3)}stub sleep '/bin/sleep 0.1'\n"
    shown = "kill -0 $server || echo it is gone"
    said = told(f"{deaf}{ours}{MASTER}{later}{STOP} | uniq -c; {shown} 2>/dev/null")
    assert said[0].split()[1:] == ["still", "run:", "kube-apiserver"]
    assert (int(said[0].split()[0]), said[1]) == (2, "it is gone")


def test_what_ends_by_nothing_is_told_after_three_minutes() -> None:
    said = told(f"{etcd()}{MASTER}{clock(200)}{STOP} 2>&1 || echo ended with $?")
    assert said == ["it runs still, after three minutes: etcd", "ended with 1"]


def test_an_etcd_in_a_machine_within_this_one_is_none_of_ours() -> None:
    """As in a node of kind's: its parent is in a pid namespace of its own."""
    start = '/mnt/image/etcd -c "while sleep 9; do :; done" etcd >/dev/null 2>&1 & sleep 9'
    within = (
        f"kill $process\nwait $process || true\nunshare --pid --fork sh -c '{start}' &\n"
        "until inner=$(pgrep -xo etcd); do /bin/sleep 0.1; done\nmount --bind /mnt/cgroup /proc/$inner/cgroup\n"
    )
    said = told(f"{etcd()}process=$!\n{MASTER}{within}{STOP}; kill -0 $inner && echo it lives")
    assert said == ["it lives"]


# Somebody's own, beside or in place of ours: each in a pod, too.
OTHER = (
    "mount --bind /mnt/cgroup /proc/$!/cgroup\nother=$!\n"
    'until [ "$(cat /proc/$other/comm)" = {} ]; do /bin/sleep 0.1; done\n'
)


@pytest.mark.parametrize(
    ("command", "comm"),
    [
        ("unshare --net /mnt/image/etcd", "etcd"),  # a network of its own, as etcd has in most clusters within one
        ("/mnt/image/kube-controllers", "kube-controller"),  # Calico's, by 15 letters
    ],
)
def test_a_program_in_a_pod_of_somebodys_lives_on(command: str, comm: str) -> None:
    begun = f"cp /bin/sh /mnt/image/kube-controllers\n{command} -c 'while :; do /bin/sleep 1; done' >/dev/null 2>&1 &\n"
    stop = f"{OTHER.format(comm)}{clock(9)}stub sleep '/bin/sleep 0.1'\n{STOP}\n{STAGED}{SWAP}\n"
    text = f"{etcd()}kill $!\nwait $! || true\n{MASTER}{begun}{stop}"
    assert told(f"{text}kill -0 $other && echo it lives; ls /var/lib/etcd | wc -l") == ["it lives", "2"]


@pytest.mark.parametrize(("flag", "says"), [("/var/etcd/calico-data", []), ("/var/lib/etcd", ["it runs: etcd"])])
def test_an_etcd_with_other_data_is_not_ours_in_whatever_network(flag: str, says: list[str]) -> None:
    begun = f"/mnt/image/etcd -c 'while :; do /bin/sleep 1; done' etcd --data-dir={flag} >/dev/null 2>&1 &\n"
    text = f"{etcd()}kill $!\nwait $! || true\n{MASTER}{STAGED}{begun}{OTHER.format('etcd')}"
    assert told(f"{text}{SWAP} 2>&1 || true") == says


def test_where_nobody_says_what_runs_nothing_has_stopped() -> None:
    said = told(f"{MASTER}stub pgrep 'exit 3'\n{STOP} 2>&1 || echo ended with $?")
    assert said == ["pgrep does not say what runs", "ended with 1"]
    said = told(
        f"{MASTER}{STAGED}stub pgrep 'exit 3'\n{SWAP} 2>&1 || echo ended with $?\ncat /var/lib/etcd/member/wal/1"
    )
    assert said == ["pgrep does not say what runs", "ended with 1", "former"]


def test_a_kubelet_that_is_down_is_started_since_it_alone_can_end_them() -> None:
    assert "systemctl start kubelet" in told(f"{MASTER}{NOBODY}{STOP}\ncat /mnt/calls")


def test_it_is_back_as_it_was_and_nothing_is_left_aside() -> None:
    before = f"{MASTER}{NOBODY}sha256sum /etc/kubernetes/manifests/* >/mnt/sums\n{STOP}\n{STAGED}{SWAP}\n{START}\n"
    assert told(f"{before}sha256sum --check --quiet /mnt/sums; ls /etc/kubernetes") == ["manifests"]


@pytest.mark.parametrize("moved", range(5))
def test_a_start_that_was_broken_off_goes_on(moved: int) -> None:
    some = "".join(
        f"mv /etc/kubernetes/kubefab-restore/{name}.yaml /etc/kubernetes/manifests/\n" for name in PARTS[:moved]
    )
    text = f"{MASTER}{NOBODY}{STOP}\n{STAGED}{SWAP}\n{some}{START}\nls /etc/kubernetes/manifests"
    assert told(text) == [*(f"{name}.yaml" for name in PARTS), "of-others.yaml"]


def test_over_former_data_nothing_is_started() -> None:
    said = told(f"{MASTER}{NOBODY}{STOP}\n{START} 2>&1 || echo ended with $?\nls /etc/kubernetes/manifests")
    assert said == [f"/var/lib/etcd/member has no data of the restore {ID}", "ended with 1", "of-others.yaml"]


# --- the way back

GIVE_UP = sandbox.script("give-up-restore.sh")


def test_what_was_stopped_and_made_ready_is_given_up() -> None:
    before = f"{MASTER}{NOBODY}sha256sum /etc/kubernetes/manifests/* >/mnt/sums\n{STAGED}{STOP}\n{GIVE_UP}\n"
    shown = (
        "sha256sum --check --quiet /mnt/sums; ls /etc/kubernetes /var/lib /var/lib/etcd; cat /var/lib/etcd/member/wal/1"
    )
    said = told(f"{before}{shown}")
    assert said == ["/etc/kubernetes:", "manifests", "", "/var/lib:", "etcd", "", "/var/lib/etcd:", "member", "former"]


def test_the_new_data_are_not_given_up() -> None:
    said = told(
        f"{MASTER}{NOBODY}{STOP}\n{STAGED}{SWAP}\n{GIVE_UP} 2>&1 || echo ended with $?\nls /etc/kubernetes/manifests"
    )
    assert said == ["etcd has the snapshot's data already", "ended with 1", "of-others.yaml"]


# As a power cut leaves a swap between its two renames.
MOVED = "mv /var/lib/etcd/member /var/lib/etcd/before-restore-$(date -u +%Y-%m-%dT%H-%M-%SZ)\n"
CUT = f"{MASTER}{NOBODY}{STOP}\n{STAGED}{MOVED}"


def test_what_a_swap_that_was_cut_off_had_moved_aside_is_there_again_before_any_etcd_begins() -> None:
    """Over an empty folder a master alone would make a new, empty cluster."""
    older = "mkdir -p /var/lib/etcd/before-restore-2020-01-01T00-00-00Z\n"
    shown = "cat /var/lib/etcd/member/wal/1; ls /var/lib/etcd /etc/kubernetes"
    said = told(f"{older}{CUT}{GIVE_UP}\n{shown}")
    assert said[:4] == ["former", "/etc/kubernetes:", "manifests", ""]
    assert said[4:] == ["/var/lib/etcd:", "before-restore-2020-01-01T00-00-00Z", "member"]


@pytest.mark.parametrize("kept", ["", "mkdir /var/lib/etcd/before-restore-2020-01-01T00-00-00Z\n"])
def test_no_etcd_begins_over_nothing_where_nobody_knows_what_it_had(kept: str) -> None:
    """What an earlier restore has kept is not what was there before this one."""
    lost = f"{MASTER}{NOBODY}rm -r /var/lib/etcd/member\n{kept}{STOP}\n{STAGED}"
    (why, ended, left) = told(f"{lost}{GIVE_UP} 2>&1 || echo ended with $?\nls /etc/kubernetes/manifests")
    assert why.startswith("etcd has no data in /var/lib/etcd, and would begin anew without: ")
    assert (ended, left) == ("ended with 1", "of-others.yaml")


def test_an_etcd_that_begins_over_its_data_alone_is_as_before_without_any() -> None:
    existing = "'s/    - --name=m1/&\\n    - --initial-cluster-state=existing/' /etc/kubernetes/manifests/etcd.yaml"
    lost = f"{MASTER}{NOBODY}sed -i {existing}\nrm -r /var/lib/etcd/member\n"
    there = told(f"{lost}{STOP}\n{GIVE_UP}\nls /etc/kubernetes/manifests")
    assert there == [*(f"{name}.yaml" for name in PARTS), "of-others.yaml"]


# --- what takes which place


def test_what_etcd_had_is_kept_beside_by_its_time() -> None:
    shown = "cd /var/lib/etcd; cat before-restore-20*Z/wal/1; ls -d *; cat member/*"
    former, kept, *rest = told(f"{MASTER}{NOBODY}{STOP}\n{STAGED}{SWAP}\n{shown}")
    assert former == "former"
    assert kept.startswith("before-restore-20")
    assert rest == ["member", ID]


def test_a_swap_that_was_broken_off_between_the_two_goes_on() -> None:
    between = f"{STAGED}mv /var/lib/etcd/member /var/lib/etcd/before-restore-x\n"
    text = f"{MASTER}{NOBODY}{STOP}\n{between}{SWAP}\nls /var/lib/etcd; cat /var/lib/etcd/member/kubefab-restored"
    assert told(text) == ["before-restore-x", "member", ID]


def test_what_a_swap_that_was_killed_left_empty_goes() -> None:
    text = f"{MASTER}{NOBODY}{STOP}\n{STAGED}{SWAP}\nmkdir /var/lib/etcd/kubefab-restore\n{SWAP}\n{START}\n"
    kept, *rest = told(f"{text}ls /var/lib/etcd")
    assert (kept.startswith("before-restore-"), rest) == (True, ["member"])


def test_a_second_swap_changes_nothing() -> None:
    shown = "ls /var/lib/etcd | wc -l"
    assert told(f"{MASTER}{NOBODY}{STOP}\n{STAGED}{SWAP}\n{SWAP}\n{shown}") == ["2"]


def test_an_etcd_whose_data_were_lost_gets_them_too() -> None:
    text = f"{MASTER}{NOBODY}rm -r /var/lib/etcd/member\n{STOP}\n{STAGED}{SWAP}\nls /var/lib/etcd"
    assert told(text) == ["member"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (f"{etcd()}{STAGED}", "it runs: etcd"),
        (NOBODY, f"/var/lib/etcd/kubefab-restore/member has no data of the restore {ID}"),
        (
            f"{NOBODY}{STAGED}echo other >/var/lib/etcd/kubefab-restore/member/kubefab-restored\n",
            "/var/lib/etcd/kubefab",
        ),
    ],
)
def test_nothing_takes_the_place_of_what_is_used_nor_of_another_restore(how: str, why: str) -> None:
    said = told(f"{MASTER}{how}{SWAP} 2>&1 || echo ended with $?\ncat /var/lib/etcd/member/wal/1")
    assert said[0].startswith(why)
    assert said[1:] == ["ended with 1", "former"]


def test_data_that_somebody_has_open_are_not_moved_whatever_is_told_of_processes() -> None:
    """As where no pod is in a control group that tells of it."""
    db = "/var/lib/etcd/member/snap/db"
    held = f"mkdir -p {db.rpartition('/')[0]}\ntouch {db}\nflock {db} /bin/sleep 60 >/dev/null 2>&1 &\n"
    locked = sandbox.until(f"! flock --nonblock {db} true")
    said = told(
        f"{MASTER}{NOBODY}{STAGED}{held}{locked}"
        f"{SWAP} 2>&1 || echo ended with $?\ncat /var/lib/etcd/member/wal/1; ls /var/lib/etcd"
    )
    assert said == [f"an etcd may have {db} open: it is locked", "ended with 1", "former", "kubefab-restore", "member"]


def test_data_that_nobody_has_open_any_more_are_moved() -> None:
    db = "/var/lib/etcd/member/snap/db"
    text = f"{MASTER}{NOBODY}{STAGED}mkdir -p {db.rpartition('/')[0]}\ntouch {db}\n{SWAP}\n"
    assert told(f"{text}ls /var/lib/etcd | wc -l") == ["2"]


# --- the look, at each point


def test_the_look_tells_how_far_it_has_come() -> None:
    none = found(MASTER + NOBODY, "restore", "node")
    assert (none.restore.peer, none.restore.image) == ("m1=https://10.0.0.1:2380", IMAGE)
    assert (none.restore.under_way, none.restore.restored, none.local.restore_begun) == ("", "", 0)
    stopped = found(f"{MASTER}{NOBODY}{STOP}\n{STAGED}", "restore", "node")
    assert (stopped.restore.under_way, stopped.restore.snapshot, stopped.restore.staged) == (ID, "abc", ID)
    assert (len(stopped.restore.aside), stopped.restore.peer) == (4, none.restore.peer)
    assert stopped.local.restore_begun > 1e9
    swapped = found(f"{MASTER}{NOBODY}{STOP}\n{STAGED}{SWAP}\n", "restore", "node").restore
    assert (swapped.staged, swapped.restored) == ("", ID)
    assert swapped.restored_at > 1e9
    end = sandbox.script("end-restore.sh")
    ended = found(f"{MASTER}{NOBODY}{STOP}\n{STAGED}{SWAP}\n{START}\n{end}\n", "restore", "node")
    assert (ended.restore.under_way, ended.restore.restored, ended.restore.aside) == ("", ID, ())
    assert ended.local.restore_begun == 0


@pytest.mark.parametrize("mounted", ["member", "member/wal", "member/snap", "member/of others"])
def test_a_mount_in_the_data_is_told_since_it_would_go_with_them(mounted: str) -> None:
    """A rename takes it along, and the next boot mounts the former log over the new one."""
    mount = f"mkdir -p '/var/lib/etcd/{mounted}'\nmount -t tmpfs disk '/var/lib/etcd/{mounted}'\n"
    assert found(MASTER + NOBODY + mount, "restore").restore.mounted == f"/var/lib/etcd/{mounted}"


def test_a_mount_is_told_by_whatever_link_leads_to_the_data() -> None:
    mount = "mv /var/lib/etcd /srv/\nln -s /srv/etcd /var/lib/etcd\nmount -t tmpfs disk /srv/etcd/member/wal\n"
    assert found(MASTER + NOBODY + mount, "restore").restore.mounted == "/srv/etcd/member/wal"


def test_a_mount_that_a_link_leads_to_or_that_has_the_folder_stays_where_it_is() -> None:
    disk = "mkdir -p /srv/fast /var/lib/etcd\nmount -t tmpfs disk /srv/fast\nmount -t tmpfs disk /var/lib/etcd\n"
    link = "rm -rf /var/lib/etcd/member\nln -s /srv/fast /var/lib/etcd/member\n"
    beside = "mkdir /var/lib/etcd/member-of-old\nmount -t tmpfs disk /var/lib/etcd/member-of-old\n"
    assert found(f"{disk}{MASTER}{NOBODY}{beside}", "restore").restore.mounted == ""
    assert found(f"{disk}{MASTER}{NOBODY}{link}", "restore").restore.mounted == ""


def test_what_runs_is_told() -> None:
    assert found(etcd() + MASTER, "restore").restore.runs == ("etcd",)
    assert found(etcd(cgroup="0::/system.slice/etcd.service") + MASTER, "restore").restore.runs == ()


@pytest.mark.parametrize(("utl", "lacks"), [("exit 0", False), (None, True)])
def test_an_image_that_cannot_restore_is_known_before_anybody_is_asked(utl: str | None, lacks: bool) -> None:
    assert found(etcd(utl=utl) + MASTER, "restore").restore.lacks_etcdutl is lacks


def test_of_an_etcd_that_does_not_run_it_is_known_only_later() -> None:
    assert found(f"{MASTER}{NOBODY}", "restore").restore.lacks_etcdutl is False


def test_a_worker_has_nothing_to_tell() -> None:
    text = sandbox.file("/mnt/look", look_program(Questions())) + "sh /mnt/look restore"
    assert [line for line in told(text) if not line.startswith(("==", "end "))] == []


# --- keys that were there before a cluster

KEYS = [("pki/ca.key", "secret"), ("pki/ca.crt", "open"), ("pki/etcd/ca.key", "secret"), ("pki/sa.pub", "open")]
PUT = sandbox.file("/mnt/keys", "".join(f"{name} {b64encode(text.encode()).decode()}\n" for name, text in KEYS))
PUT += f"umask 000\n{sandbox.script('put-keys.sh')} </mnt/keys\n"


def test_keys_are_roots_alone_and_certificates_everybodys() -> None:
    assert told(f"{PUT}cd /etc/kubernetes; stat -c '%a %n' pki/ca.* pki/etcd/* pki/sa.pub; cat pki/etcd/ca.key") == [
        "644 pki/ca.crt",
        "600 pki/ca.key",
        "600 pki/etcd/ca.key",
        "644 pki/sa.pub",
        "secret",
    ]


def test_a_key_that_is_there_stays() -> None:
    there = sandbox.file("/etc/kubernetes/pki/ca.key", "mine\n")
    assert told(f"{there}{PUT}cat /etc/kubernetes/pki/ca.key") == ["mine"]


def test_the_look_knows_keys_by_their_hash() -> None:
    keys = found(PUT, "restore").restore.keys
    assert set(keys) == {name for name, _ in KEYS}
    assert keys["pki/ca.key"] == sha256(b"secret").hexdigest()


# --- what was written since

WRITTEN = """\
"ClusterID" : 1
"Revision" : 20
"Key" : "/registry/configmaps/default/before"
"CreateRevision" : 5
"ModRevision" : 5
"Key" : "/registry/configmaps/default/changed"
"CreateRevision" : 5
"ModRevision" : 12
"Key" : "/registry/configmaps/default/made"
"CreateRevision" : 11
"ModRevision" : 12
"Key" : "/registry/events/default/x"
"CreateRevision" : 13
"ModRevision" : 13
"Key" : "/registry/leases/kube-node-lease/m1"
"CreateRevision" : 2
"ModRevision" : 19
"More" : false
"""


def since(keys: str) -> list[str]:
    listed = sandbox.file("/mnt/answer", keys)
    return told(f"{etcd()}{listed}{sandbox.script('list-since.sh', '10')}")


def test_what_was_made_and_changed_since_is_told_by_its_keys_without_what_comes_and_goes() -> None:
    assert since(WRITTEN) == ["made configmaps/default/made", "changed 1"]


def test_much_of_it_is_told_by_its_kinds() -> None:
    many = "".join(
        f'"Key" : "/registry/{kind}/default/{n}"\n"CreateRevision" : 11\n"ModRevision" : 11\n'
        for kind in ("pods", "apps.example.org/things")
        for n in range(6)
    )
    assert sorted(since(many)) == ["made 6 pods", "made 6 things"]


def test_whose_this_etcd_is_is_told_by_the_uid_of_kube_system() -> None:
    uid = "5f0b7f2e-9a3c-4d7e-8f10-2b6c1d0e9a47"
    assert since(f"k8s\n...kube-system...*${uid}2") == [f"uid {uid}"]


def test_nothing_since_is_nothing_to_tell() -> None:
    assert since(WRITTEN.replace(" 11\n", " 9\n").replace(" 12\n", " 9\n")) == []
