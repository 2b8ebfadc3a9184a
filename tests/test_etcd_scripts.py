"""What asks etcd on a host, in a sandbox: which of the etcds there, by what, and what is left behind."""

import json
from base64 import b64decode

import pytest

from kubefab.programs import look_program
from kubefab.questions import Questions
from tests import sandbox
from tests.test_backup import SNAPSHOT, answer
from tests.test_etcd import membership, status
from tests.test_look import found, look

pytestmark = sandbox.needed

PKI = "/etc/kubernetes/pki/etcd"
FLAGS = (
    "--listen-client-urls={url},https://10.0.0.1:2379 --quota-backend-bytes=8589934592 "
    f"--trusted-ca-file={PKI}/ca.crt --cert-file={PKI}/server.crt --key-file={PKI}/server.key"
)
ETCDCTL = """\
echo "etcdctl $*, by way of ${{HTTPS_PROXY:-none}}, told ${{ETCDCTL_ENDPOINTS:-nothing}}" >>/mnt/calls
case " $* " in
    *" endpoint status "*) {status} ;;
    *" member list --consistency "*) {consistent} ;;
    *" member list "*simple*) {listed} ;;
    *" member remove "*) {removed} ;;
    *" member list "*) cat /mnt/membership ;;
    *" snapshot save "*) for last; do :; done; {save} ;;
    *" snapshot status "*) {checked} ;;
    *" get "*) {get} ;;
    *" compaction "*) {compact} ;;
    *" alarm list "*) cat /mnt/alarms ;;
    *" alarm disarm "*) >/mnt/alarms ;;
esac
"""
CHECKED = 'echo {\\"hash\\":1,\\"revision\\":9,\\"totalKey\\":3}'

MEMBERS = "".join(
    f"{id}, started, m{id[-1]}, https://m{id[-1]}:2380, https://m{id[-1]}:2379, false\n" for id in ("a1", "a2", "ba2")
)
REMOVED = 'for id; do :; done; sed -i "/^$id,/d" /mnt/members; echo "Member $id removed from cluster"'


def etcd(
    url: str = "https://127.0.0.1:2379",
    status_: str = "echo warning >&2; cat /mnt/status",
    consistent: str = "cat /mnt/membership",
    listed: str = "cat /mnt/members",
    removed: str = REMOVED,
    save: str = "cp /mnt/snapshot $last",
    utl: str | None = CHECKED,
    get: str = "cat /mnt/answer",
    compact: str = "echo compacted revision 9",
    alarms: str = "",
    cgroup: str = "0::/kubepods.slice/x",
) -> str:
    """Shell text that starts an etcd, as the kubelet would: a shell with its arguments, and tools beside it."""
    ctl = ETCDCTL.format(
        status=status_,
        consistent=consistent,
        listed=listed,
        removed=removed,
        save=save,
        checked="exit 9" if utl else CHECKED,
        get=get,
        compact=compact,
    )
    utls = f'#!/bin/sh\necho "etcdutl $*" >>/mnt/calls\n{utl}\n' if utl else ""
    return "".join(
        (
            sandbox.file("/mnt/status", status("m1")),
            sandbox.file("/mnt/membership", membership("m1", "m2")),
            sandbox.file("/mnt/members", MEMBERS),
            sandbox.file("/mnt/snapshot", SNAPSHOT),
            sandbox.file("/mnt/alarms", alarms),
            sandbox.file("/mnt/answer", answer(b"{}")),
            sandbox.file("/mnt/image/etcdctl", f"#!/bin/sh\n{ctl}"),
            sandbox.file("/mnt/image/etcdutl", utls) if utl else "",
            sandbox.file("/mnt/cgroup", f"{cgroup}\n"),
            "cp /bin/sh /mnt/image/etcd\nchmod +x /mnt/image/*\n",
            f"/mnt/image/etcd -c 'while sleep 9; do :; done' etcd {FLAGS.format(url=url)} >/dev/null 2>&1 &\n",
            "mount --bind /mnt/cgroup /proc/$!/cgroup\n",
            'stub ss "echo \'LISTEN 0 9 127.0.0.1:2379 0.0.0.0:* users:((\\"etcd\\",pid=$!,fd=9))\'"\n',
            "export HTTPS_PROXY=http://10.9.9.9 ETCDCTL_ENDPOINTS=10.9.9.9:2379\n",
        )
    )


MANIFEST = sandbox.file(
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "    - --etcd-servers=https://127.0.0.1:2379\n    - --encryption-provider-config=/etc/enc.yaml\n",
)


def calls(text: str) -> list[str]:
    return [line for line in sandbox.run(f"{text}\ncat /mnt/calls").splitlines() if line.startswith("etcd")]


# --- the look


def test_a_member_is_asked_by_the_tools_of_its_own_image_as_itself_and_by_nothing_of_the_logins() -> None:
    text = etcd() + sandbox.file("/mnt/look", look_program(Questions())) + "sh /mnt/look etcd >/dev/null"
    asked = calls(text)
    assert len(asked) == 2
    assert all(line.endswith(", by way of none, told nothing") for line in asked)
    assert "--endpoints https://127.0.0.1:2379 --dial-timeout 3s --cacert /proc/" in asked[0]
    for word in (f"/root{PKI}/ca.crt --cert ", f"/root{PKI}/server.crt --key ", f"/root{PKI}/server.key "):
        assert word in asked[0]


def test_what_it_says_is_understood() -> None:
    this = found(MANIFEST + etcd(), "etcd").etcd
    assert (this.servers, this.etcd_runs, this.quota) == ("https://127.0.0.1:2379", True, 8 << 30)
    assert this.member
    assert (this.member.id, this.member.leader, this.member.size) == (0xA1, 0xA2, 20480)
    assert [one.name for one in this.membership] == ["m1", "m2"]


@pytest.mark.parametrize("how", ['"{}"', "'{}'", "{}  ", "{} # mine", '"{}" # mine'])
def test_where_the_api_server_finds_etcd_is_understood_however_a_person_writes_it(how: str) -> None:
    flag = how.format("--etcd-servers=https://127.0.0.1:2379")
    manifest = sandbox.file("/etc/kubernetes/manifests/kube-apiserver.yaml", f"    - {flag}\n")
    assert found(manifest, "etcd").etcd.servers == "https://127.0.0.1:2379"


def test_an_older_etcd_does_not_know_how_its_list_is_wanted() -> None:
    assert [one.name for one in found(etcd(consistent="exit 1"), "etcd").etcd.membership] == ["m1", "m2"]


@pytest.mark.parametrize(
    ("url", "asked"),
    [("https://0.0.0.0:2379", "https://127.0.0.1:2379"), ("http://[::]:2379", "http://[::1]:2379")],
)
def test_one_that_listens_everywhere_is_asked_here(url: str, asked: str) -> None:
    text = etcd(url) + sandbox.file("/mnt/look", look_program(Questions())) + "sh /mnt/look etcd >/dev/null"
    assert f"--endpoints {asked} " in calls(text)[0]
    assert ("--cacert" in calls(text)[0]) == asked.startswith("https")


REFUSED = (  # as etcdctl 3.7.0 and 3.4.23 say it
    r'{"level":"warn","attempt":0,"error":"rpc error: code = DeadlineExceeded desc = latest balancer error: connection '
    r'error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:2379: connect: connection refused\""}'
)
FAILED = "Failed to get the status of endpoint https://127.0.0.1:2379 (context deadline exceeded)"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            f"{REFUSED}\n{FAILED}\n",
            "transport: Error while dialing: dial tcp 127.0.0.1:2379: connect: connection refused",
        ),
        (f"{FAILED}\n", FAILED),
    ],
)
@pytest.mark.parametrize("printed", ["null", "[]"])
def test_one_that_gives_no_answer_says_why(said: str, why: str, printed: str) -> None:
    fails = f"cat /mnt/failed >&2; echo '{printed}'; exit 1"
    this = found(sandbox.file("/mnt/failed", said) + etcd(status_=fails), "etcd").etcd
    assert (this.etcd_runs, this.etcd_silent, this.member) == (True, why, None)


def test_an_image_without_etcdctl_is_told() -> None:
    this = found(etcd() + "rm /mnt/image/etcdctl\n", "etcd").etcd
    assert this.etcd_silent == "the image of this etcd has no etcdctl"


def test_an_etcd_of_somebody_elses_is_not_the_clusters() -> None:
    assert look(etcd(cgroup="0::/system.slice/etcd.service"), "etcd")["etcd"] == ""


def test_where_nobody_says_what_listens_that_is_not_none() -> None:
    assert "untold ss: no netlink" in look("stub ss 'echo no netlink >&2; exit 1'\n", "etcd")["etcd"]


def test_a_host_without_etcd_has_nothing_to_tell() -> None:
    assert look("stub ss ''\n", "etcd")["etcd"] == ""


# --- the snapshot

PRINT = sandbox.script("print-snapshot.sh", "60")
LEFT = "ls -A /var/lib"


def test_a_snapshot_is_checked_by_etcds_own_tool_printed_whole_and_not_left_there() -> None:
    text = f"{etcd()}{PRINT} 2>/mnt/said | cmp - /mnt/snapshot; cat /mnt/said; {LEFT}; cat /mnt/calls"
    said = sandbox.run(text)
    assert 'checked {"hash":1,"revision":9,"totalKey":3}\n' in said
    assert "kubefab-etcd" not in said.split("checked")[1].split("ss ")[0]
    assert "etcdutl snapshot status /var/lib/kubefab-etcd." in said


def test_before_etcd_3_5_its_other_tool_checks_it() -> None:
    assert 'checked {"hash":1' in sandbox.run(f"{etcd(utl=None)}{PRINT} 2>&1 >/dev/null")


def test_while_it_lies_there_it_is_roots_alone() -> None:
    seen = "cp /mnt/snapshot $last; stat -c '%a %n' $last ${last%/*} >/mnt/modes"
    said = sandbox.run(f"umask 000; {etcd(save=seen)}{PRINT} >/dev/null 2>&1; cut -d. -f1,2 /mnt/modes")
    assert said == "600 /var/lib/kubefab-etcd.".rstrip(".") + said[len("600 /var/lib/kubefab-etcd") :]
    assert "\n700 /var/lib/kubefab-etcd" in said


@pytest.mark.parametrize(
    "how",
    [
        etcd(save="echo half >$last; echo no space left >&2; exit 1"),
        etcd(utl="echo integrity check failed >&2; exit 1"),
    ],
)
def test_what_fails_says_why_and_leaves_nothing(how: str) -> None:
    said = sandbox.run(f"{how}{PRINT} 2>&1 | tail -n 1; {LEFT}")
    assert said.startswith(("no space left\n", "integrity check failed\n"))
    assert "kubefab-etcd" not in said


def test_a_caller_that_goes_away_leaves_nothing() -> None:
    """Whoever read on the other end was killed: the snapshot is bigger than a pipe."""
    big = "head -c 1000000 /dev/zero >$last"
    assert "kubefab-etcd" not in sandbox.run(f"{etcd(save=big)}{PRINT} 2>/dev/null | true; {LEFT}")


def test_one_that_takes_too_long_is_given_up() -> None:
    text = (
        f"{etcd(save='exec sleep 60')}{sandbox.script('print-snapshot.sh', '0.2')} 2>&1 || echo ended with $?; {LEFT}"
    )
    assert sandbox.run(text).startswith("ended with 124\n")


def test_what_a_power_cut_left_goes_with_the_next() -> None:
    left = "mkdir /var/lib/kubefab-etcd.old; echo x >/var/lib/kubefab-etcd.old/snapshot.db\n"
    assert "kubefab-etcd" not in sandbox.run(f"{left}{etcd()}{PRINT} >/dev/null 2>&1; {LEFT}")


def test_where_no_etcd_runs_it_is_said() -> None:
    said = sandbox.run(f"stub ss ''\n{PRINT} 2>&1 || true; {LEFT}")
    assert said.startswith("no etcd of a control plane runs here\n")


# --- a member that goes


def removed(id: str, how: str) -> list[str]:
    """What was said and how it ended; then who is a member."""
    remove = f"{sandbox.script('remove-member.sh', id)} 2>&1 || echo ended with $?"
    return sandbox.run(f"stub sleep ''\n{how}{remove}; cut -d, -f1 /mnt/members").splitlines()


@pytest.mark.parametrize("id", ["a2", "A2", "0xa2", "00000000000000a2"])
def test_a_member_is_taken_out_by_its_id_and_no_other_that_ends_like_it(id: str) -> None:
    assert removed(id, etcd()) == ["a1", "ba2"]


def test_a_member_that_is_gone_already_is_no_failure() -> None:
    assert removed("ff", etcd(removed="echo member not found >&2; exit 1")) == ["a1", "a2", "ba2"]


def test_a_member_that_is_listed_still_is_a_failure_whatever_was_said() -> None:
    refused = etcd(removed="echo unhealthy cluster >&2; exit 1")
    members = ["a1", "a2", "ba2"]
    assert removed("a2", refused) == ["unhealthy cluster", "it is a member still: a2", "ended with 1", *members]
    said = ["Member a2 removed", "it is a member still: a2", "ended with 1", *members]
    assert removed("a2", etcd(removed="echo Member a2 removed")) == said


def test_while_the_others_choose_a_leader_their_list_is_waited_for() -> None:
    once = "[ -e /mnt/asked ] && exec cat /mnt/members; touch /mnt/asked; echo no leader >&2; exit 1"
    assert removed("a2", etcd(listed=once)) == ["a1", "ba2"]


def test_until_an_etcd_that_has_just_started_counts_as_well_it_is_asked_again() -> None:
    """For 5 s etcd lets no member go. A join that was killed while its etcd began anew could not be taken back."""
    once = '[ -e /mnt/once ] || { >/mnt/once; echo "Error: etcdserver: unhealthy cluster" >&2; exit 1; }; '
    assert removed("a2", etcd(removed=once + REMOVED)) == ["a1", "ba2"]


def test_where_nobody_says_who_is_a_member_it_is_not_gone() -> None:
    assert removed("a2", etcd(listed="echo no leader >&2; exit 1"))[:3] == [
        "Member a2 removed from cluster",
        "its etcd does not say who its members are: no leader",
        "ended with 1",
    ]


@pytest.mark.parametrize("id", ["", "0", "m1", "a 1"])
def test_what_is_no_id_is_refused_before_etcd_is_asked(id: str) -> None:
    assert removed(id, etcd())[0] == f"found {id}; allowed: a member's id in hexadecimal"


def test_without_an_etcd_here_no_member_is_taken_out() -> None:
    said = sandbox.run(f"stub ss ''\n{sandbox.script('remove-member.sh', 'a2')} 2>&1 || true")
    assert said == "no etcd of a control plane runs here\n"


# --- a member that is told its flags while kubeadm makes it

FIRST = """\
    - --initial-advertise-peer-urls=https://10.0.0.1:2380
    - --initial-cluster=m1=https://10.0.0.1:2380
    - --name=m1
"""
SETTLED = FIRST.replace("    - --name", "    - --initial-cluster-state=existing\n    - --name")
AT = "/etc/kubernetes/manifests/etcd.yaml"
MAKES = f"cat /mnt/first >{AT}; for _ in $(seq 100); do grep -q existing {AT} && break; sleep 0.1; done"


def made(masters: str, makes: str = MAKES, answers: str = "exit 0", ends: str = "stub pgrep 'exit 1'\n") -> list[str]:
    """What init.sh has called, its status, and then the manifest; `answers`: what this etcd says of its health."""
    kubeadm = f'case "$1 $2" in "init --config") {makes} ;; esac'
    stubs = sandbox.file("/mnt/kubeadm", kubeadm) + "stub kubeadm '. /mnt/kubeadm'\nstub systemctl :\n" + ends
    healthy = f"sed -i 's/^esac/*\" endpoint health \"*) {answers} ;;\\nesac/' /mnt/image/etcdctl\n"
    script = sandbox.script("init.sh", "config validate", masters)
    before = f"{sandbox.file('/mnt/first', FIRST)}mkdir -p /run/kubefab {AT.rpartition('/')[0]}\n"
    run = f"{script} </dev/null >/mnt/said 2>&1 && echo made || echo failed\n"
    told = f"grep -E '^(systemctl|kubeadm init --)' /mnt/calls | cut -d ' ' -f 1-3; cat {AT}; ls /etc/kubernetes"
    return sandbox.run(f"{etcd()}{healthy}{stubs}{before}{run}{told}").splitlines()


def test_with_more_masters_to_come_an_etcd_is_settled_as_soon_as_it_answers() -> None:
    """Later this takes half a minute. The kubelet is stopped for it, else it would wait for 10 s and more."""
    kubelet = ["kubeadm init --config", "systemctl stop kubelet", "systemctl start kubelet"]
    assert made("3") == ["made", *kubelet, *SETTLED.splitlines(), "manifests"]


def test_a_master_alone_has_its_etcd_as_kubeadm_made_it() -> None:
    assert made("1", f"cat /mnt/first >{AT}") == ["made", "kubeadm init --config", *FIRST.splitlines(), "manifests"]


@pytest.mark.parametrize("status", ["0", "1"], ids=["made", "failed"])
def test_an_etcd_that_never_answers_is_no_reason_for_an_init_to_fail_nor_to_go_on(status: str) -> None:
    """It is settled by a step of its own, and kubeadm itself says whether it has made a master."""
    told = made("3", f"cat /mnt/first >{AT}; sleep 1; exit {status}", answers="exit 1")
    assert told == ["made" if status == "0" else "failed", "kubeadm init --config", *FIRST.splitlines(), "manifests"]


def test_a_kubelet_that_was_stopped_for_it_runs_again_whatever_happens() -> None:
    never = """stub timeout 'case "$*" in *tail*) exit 1 ;; *) exec /usr/bin/timeout "$@" ;; esac'\n"""
    told = made("3", f"cat /mnt/first >{AT}; sleep 3", ends=f"stub pgrep 'exit 1'\n{never}")
    kubelet = ["kubeadm init --config", "systemctl stop kubelet", "systemctl start kubelet"]
    assert told == ["made", *kubelet, *FIRST.splitlines(), "manifests"]


# --- room that is given back


def last_call(name: str, *args: str) -> str:
    return calls(f"{etcd()}{sandbox.script(name, *args)} >/dev/null")[-1]


def test_the_member_here_alone_gives_room_back_and_may_take_long_for_it() -> None:
    called = last_call("defragment-etcd.sh")
    assert called.startswith("etcdctl --endpoints https://127.0.0.1:2379 ")
    assert " --command-timeout 1790s defrag, by way of none" in called


def test_it_waits_for_a_backup_that_is_being_made() -> None:
    """etcd would answer nobody until the snapshot is written."""
    lock = "/var/lib/kubefab-backups/lock"
    backup = f"flock {lock} sh -c 'touch /mnt/held; sleep 0.5; echo etcd is copied >>/mnt/calls' &\n"
    begun = f"mkdir -p {lock.rpartition('/')[0]}\n{backup}{sandbox.until('[ -e /mnt/held ]')}"
    called = calls(f"{etcd()}{begun}{sandbox.script('defragment-etcd.sh')} >/dev/null")
    assert called.index("etcd is copied") < next(n for n, line in enumerate(called) if " defrag" in line)


def test_history_is_forgotten_up_to_a_revision_and_from_the_disk_too() -> None:
    assert " compaction --physical 9, by way of none" in last_call("compact-etcd.sh", "9")


@pytest.mark.parametrize(
    ("says", "ends"),
    [
        ("echo Error: etcdserver: mvcc: required revision has been compacted >&2; exit 5", ""),
        ("echo Error: no leader >&2; exit 5", "Error: no leader\nended with 1\n"),
    ],
)
def test_history_that_is_forgotten_already_is_no_failure(says: str, ends: str) -> None:
    run = f"{etcd(compact=says)}{sandbox.script('compact-etcd.sh', '9')} 2>&1 || echo ended with $?"
    assert sandbox.run(run) == ends


@pytest.mark.parametrize("revision", ["", "-1", "all"])
def test_what_is_no_revision_is_refused_before_etcd_is_asked(revision: str) -> None:
    run = f"{etcd()}{sandbox.script('compact-etcd.sh', revision)} 2>&1 || true; grep -c compaction /mnt/calls || true"
    assert sandbox.run(run) == f"found {revision}; allowed: a revision, in digits\n0\n"


NOSPACE, CORRUPT = "memberID:161 alarm:NOSPACE \n", "memberID:162 alarm:CORRUPT \n"


def test_an_alarm_for_want_of_room_is_ended() -> None:
    run = f"{etcd(alarms=NOSPACE)}{sandbox.script('disarm-etcd.sh')} >/dev/null; cat /mnt/alarms"
    assert sandbox.run(run) == ""


def test_no_alarm_is_ended_where_there_is_one_that_nobody_should_silence() -> None:
    """etcdctl ends all of them at once."""
    run = f"{etcd(alarms=NOSPACE + CORRUPT)}{sandbox.script('disarm-etcd.sh')} 2>&1 || cat /mnt/alarms"
    said = "there is another alarm, which nobody should silence: "
    assert sandbox.run(run) == said + CORRUPT + NOSPACE + CORRUPT


@pytest.mark.parametrize("name", ["defragment-etcd.sh", "compact-etcd.sh", "disarm-etcd.sh"])
def test_without_an_etcd_here_there_is_nothing_to_do_it_to(name: str) -> None:
    said = sandbox.run(f"stub ss ''\n{sandbox.script(name, '9')} 2>&1 || true")
    assert said == "no etcd of a control plane runs here\n"


# --- what no snapshot has


def keys(before: str) -> dict[str, bytes]:
    lines = sandbox.run(f"{before}{sandbox.script('print-keys.sh')}").splitlines()
    return {name: b64decode(body) for name, body in (line.split(" ") for line in lines)}


FILES = ("pki/ca.key", "pki/ca.crt", "pki/etcd/ca.key", "pki/sa.pub", "pki/apiserver.key", "manifests/etcd.yaml")


def test_what_no_snapshot_brings_back_is_printed_and_what_kubeadm_makes_anew_is_not() -> None:
    there = "".join(sandbox.file(f"/etc/kubernetes/{name}", f"{name}\n") for name in FILES)
    printed = keys(MANIFEST + there + sandbox.file("/etc/enc.yaml", "kind: EncryptionConfiguration\n") + etcd())
    wanted = {name for name in FILES if "apiserver" not in name}
    wanted |= {"manifests/kube-apiserver.yaml", "encryption-provider-config", "kubeadm-config"}
    assert set(printed) == wanted
    assert printed["pki/etcd/ca.key"] == b"pki/etcd/ca.key\n"
    assert printed["encryption-provider-config"] == b"kind: EncryptionConfiguration\n"
    assert json.loads(printed["kubeadm-config"])["count"] == 1


def test_what_secrets_are_read_by_is_printed_where_its_flag_is_quoted_too() -> None:
    quoted = "    - '--encryption-provider-config=/etc/enc.yaml'\n"
    there = sandbox.file("/etc/kubernetes/manifests/kube-apiserver.yaml", quoted) + sandbox.file("/etc/enc.yaml", "x")
    assert keys(there + "stub ss ''\n")["encryption-provider-config"] == b"x"


MOUNTS = """
spec:
  containers:
  - command:
    - kube-apiserver
    - --encryption-provider-config=/enc/mine/x.yaml
    livenessProbe:
      httpGet:
        path: /livez
    name: kube-apiserver
    volumeMounts:
    - mountPath: /enc
      name: wide
    - {}
      readOnly: true
    - mountPath: /encrypted
      name: other
  hostNetwork: true
  volumes:
  - hostPath:
      path: /srv/wide
      type: Directory
    name: wide
  - {}
"""
NAME_LAST = ("mountPath: /enc/mine/\n      name: mine", "hostPath:\n      path: /srv/enc\n    name: mine")
NAME_FIRST = ("name: mine\n      mountPath: /enc/mine", "name: mine\n    hostPath:\n      path: /srv/enc/")


@pytest.mark.parametrize(
    ("mount", "volume", "file"),
    [
        (*NAME_LAST, "/srv/enc/x.yaml"),
        (*NAME_FIRST, "/srv/enc/x.yaml"),
        (
            "mountPath: /enc/mine/x.yaml\n      name: mine",
            "hostPath:\n      path: /srv/one\n    name: mine",
            "/srv/one",
        ),
        ("name: a\n      mountPath: /a", "name: a\n    emptyDir: {}", "/srv/wide/mine/x.yaml"),
        ("name: a\n      mountPath: /enc/mine", "name: a\n    emptyDir: {}", None),
    ],
)
def test_what_secrets_are_read_by_is_found_where_its_volume_is_on_the_host(
    mount: str, volume: str, file: str | None
) -> None:
    manifest = sandbox.file("/etc/kubernetes/manifests/kube-apiserver.yaml", MOUNTS.format(mount, volume))
    there = "".join(sandbox.file(one, one) for one in ("/srv/enc/x.yaml", "/srv/one", "/srv/wide/mine/x.yaml"))
    found = keys(f"{manifest}{there}stub ss ''\n").get("encryption-provider-config")
    assert found == (file.encode() if file else None)


def test_keys_that_are_kept_elsewhere_and_a_dead_etcd_are_no_failure() -> None:
    there = sandbox.file("/etc/kubernetes/pki/ca.crt", "x")
    assert keys(f"stub ss ''\nmkdir -p /etc/kubernetes/manifests\n{there}") == {"pki/ca.crt": b"x"}
