"""What backs etcd up by itself on a master, in a sandbox: who acts, what is kept, what is told of a failure."""

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import pytest

from kubefab.programs import script_text
from kubefab.schedule import SERVICE, TIMER
from tests import sandbox
from tests.members import CLUSTER, IDS, status
from tests.test_etcd_scripts import CHECKED, MANIFEST, etcd
from tests.test_look import found, look

pytestmark = sandbox.needed

PLACE = "/var/lib/kubefab-backups"
LEADS = sandbox.file("/mnt/leads", status("m1", leader=IDS["m1"]))
# The etcd of the sandbox sleeps, too.
QUIET = "stub sleep '[ $1 = 4 ] || exec /bin/sleep $1'\nstub dpkg-query 'echo 1.37.2-1.1'\n"
AUTHORITY = sandbox.file("/etc/kubernetes/pki/ca.crt", "ours")
KEYS = sandbox.file("/etc/kubernetes/pki/ca.key", "key") + sandbox.file("/etc/enc.yaml", "x")
THERE = QUIET + LEADS + MANIFEST + AUTHORITY + KEYS
UID, OTHER_UID = "5f0b7f2e-9a3c-4d7e-8f10-2b6c1d0e9a47", "00000000-9a3c-4d7e-8f10-2b6c1d0e9a47"
NAMESPACE = sandbox.file("/mnt/answer", f"k8s\n...kube-system...*${UID}2")  # of protobuf, what is text
LEADER = etcd(status_="cat /mnt/leads") + NAMESPACE


def run(how: str = LEADER, keep: str = "8", then: str = "") -> list[str]:
    """What a backup says, how it ended where it failed, and what is said then; by the program as it lies on a host."""
    program = sandbox.file("/mnt/program", script_text("backup-etcd.sh"))
    tried = f"sh /mnt/program {keep} 2>&1 || echo ended with $?"
    return sandbox.run(f"{THERE}{how}{program}{tried}\n{then}").splitlines()


def old(*names: str, ca: str = "ours", of: str = f"identity {UID}\n") -> str:
    """Backups of before, of a cluster with this CA, and with this UID."""
    keys = f"pki/ca.crt {b64encode(ca.encode()).decode()}\n"
    files = {"snapshot.db": "x", "keys": keys, "about": of}
    return "".join(sandbox.file(f"{PLACE}/{name}/{file}", text) for name in names for file, text in files.items())


KEPT = f"ls {PLACE} | grep Z$ || true"
LEFT = f"ls -A {PLACE}; ls -d /run/kubefab* 2>/dev/null || true"


def test_where_its_member_leads_a_checked_snapshot_is_kept_by_its_time_for_root_alone() -> None:
    now = datetime.now(UTC)
    said = run(then=f"cd {PLACE}; {KEPT}; stat -c '%a %n' . */*; cmp */snapshot.db /mnt/snapshot")
    assert said[0].endswith(': {"hash":1,"revision":9,"totalKey":3}')
    assert abs(datetime.strptime(said[1], "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC) - now) < timedelta(minutes=1)
    assert said[2:] == ["700 .", *(f"600 {said[1]}/{name}" for name in ("about", "keys", "snapshot.db"))]


def test_what_is_beside_it_tells_what_it_is_and_has_what_no_snapshot_brings_back() -> None:
    key = sandbox.file("/etc/kubernetes/pki/ca.key", "secret")
    image = "echo '    image: registry.k8s.io/kube-apiserver:v1.37.2' >>/etc/kubernetes/manifests/kube-apiserver.yaml\n"
    said = run(LEADER + key + image, then=f"cat {PLACE}/*/about; cat {PLACE}/*/keys")[1:]
    told = dict(line.split(" ", 1) for line in said)
    assert json.loads(told["checked"])["revision"] == 9
    assert json.loads(told["member"])[0]["Status"]["header"]["member_id"] == IDS["m1"]
    assert len(json.loads(told["membership"])["members"]) == 2
    assert (told["kubernetes"], told["kubeadm"]) == ("1.37.2", "1.37.2-1.1")
    assert b64decode(told["pki/ca.key"]) == b"secret"


def test_what_a_backup_is_without_is_in_the_journal() -> None:
    gone = "rm /etc/kubernetes/pki/ca.key /etc/enc.yaml\n"
    said = run(LEADER + gone, then=KEPT)
    assert (
        said[1] == "it is without pki/ca.key encryption-provider-config, which are not on this host: keep them with it"
    )
    assert (
        run(
            LEADER + "rm /etc/enc.yaml; sed -i '/encryption/d' /etc/kubernetes/manifests/kube-apiserver.yaml\n",
            then="true",
        )[1:]
        == []
    )


def test_where_another_member_leads_nothing_is_done_and_nothing_failed() -> None:
    assert run(etcd(status_="cat /mnt/status"), then=LEFT) == []


def test_while_etcd_goes_back_to_a_snapshot_nothing_is_done() -> None:
    said = run(LEADER + sandbox.file("/var/lib/kubefab/restore", "x"), then=LEFT)
    assert said == ["a restore of etcd is under way: no backup before its end"]


def test_after_a_boot_its_etcd_is_waited_for() -> None:
    once = "[ -e /mnt/asked ] && exec cat /mnt/leads; touch /mnt/asked; echo refused >&2; exit 1"
    assert len(run(etcd(status_=once), then=KEPT)) == 3  # etcd's first word, its tool's, and what is kept


NAMES = [f"2026-11-2{n}T00-00-00Z" for n in range(1, 6)]


@pytest.mark.parametrize(("keep", "stays"), [("8", NAMES), ("3", NAMES[3:]), ("1", [])])
def test_the_oldest_ones_go_once_a_new_one_is_checked(keep: str, stays: list[str]) -> None:
    *left, new = run(LEADER + old(*NAMES), keep, KEPT)[1:]
    assert left == stays
    assert new not in NAMES


def test_however_wrong_a_clock_was_the_new_one_stays() -> None:
    later = [f"2999-11-2{n}T00-00-00Z" for n in range(1, 4)]
    new, *left = run(LEADER + old(*later), "2", KEPT)[1:]
    assert (new[:2], left) == ("20", later[2:])
    assert new not in later


def test_what_a_wrong_clock_made_goes_first() -> None:
    later = [f"2999-11-2{n}T00-00-00Z" for n in range(1, 4)]
    said = run(LEADER + old(*NAMES, *later), "4", KEPT)[1:]
    assert (said[:3], said[3][:2], len(said)) == (NAMES[2:], "20", 4)


def test_those_of_a_former_cluster_are_never_let_go() -> None:
    """A reset leaves them for whoever made it by mistake."""
    said = run(LEADER + old(*NAMES[:3], ca="theirs") + old(*NAMES[3:]), "1", KEPT)[1:]
    assert (said[:-1], len(said)) == (NAMES[:3], 4)


@pytest.mark.parametrize(
    "of", [f"identity {OTHER_UID}\n", "identity etcd 9\n", ""], ids=["another", "etcd", "not told"]
)
def test_those_that_an_emptied_etcd_has_had_are_never_let_go(of: str) -> None:
    """Its folder was emptied, and it began anew with the same CA and the same ids: they are all there is."""
    said = run(LEADER + old(*NAMES[:3], of=of) + old(*NAMES[3:]), "1", KEPT)[1:]
    assert (said[:-1], len(said)) == (NAMES[:3], 4)


def test_an_etcd_in_which_namespaces_are_encrypted_is_known_by_its_own_id() -> None:
    encrypted = LEADER + sandbox.file("/mnt/answer", "k8s:enc:aescbc:v1:key1:\003")
    assert run(encrypted + old(*NAMES, of=f"identity etcd {CLUSTER}\n"), "1", KEPT)[1:-1] == []


def test_where_etcd_does_not_say_whose_it_is_the_backup_fails_and_none_goes() -> None:
    silent = etcd(status_="cat /mnt/leads", get="echo refused >&2; exit 1")
    said = run(silent + old(*NAMES), "1", KEPT)
    assert said == ["refused", "etcd does not say whose it is: refused", "ended with 1", *NAMES]


def test_where_its_own_cluster_is_not_known_none_goes() -> None:
    assert run(LEADER + old(*NAMES) + "rm /etc/kubernetes/pki/ca.crt\n", "1", KEPT)[1:-1] == NAMES


def test_what_nobody_checked_does_not_count_and_goes() -> None:
    begun = sandbox.file(f"{PLACE}/.part.x/snapshot.db", "half")
    assert run(LEADER + begun + old(*NAMES[:2]), "3", KEPT)[1:-1] == NAMES[:2]
    assert not [name for name in run(LEADER + begun, then=LEFT) if name.startswith(".part")]


def test_what_has_another_name_is_somebody_elses() -> None:
    assert "mine" in run(LEADER + sandbox.file(f"{PLACE}/mine/snapshot.db", "x"), "1", f"ls {PLACE}")


DAMAGED = "head -c 100 /mnt/snapshot >$last; tail -c +102 /mnt/snapshot >>$last; echo >>$last"
FULL = "stub df 'printf \"Filesystem 1024-blocks Used Available\\n/dev/x 9 9 0\\n\"'\n"
WHY = "base64: read error: Input/output error"
UNREAD = f"stub base64 '[ \"$1\" != -w ] || {{ echo {WHY} >&2; exit 1; }}; exec /bin/base64 $*'\n"
BIG = sandbox.file("/mnt/leads", status("m1", leader=IDS["m1"], dbSize=3_000_000))


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (etcd(status_="cat /mnt/leads", save="echo no space left >&2; exit 1"), "no space left"),
        (etcd(status_="cat /mnt/leads", utl="echo integrity check failed >&2; exit 1"), "integrity check failed"),
        (
            etcd(status_="cat /mnt/leads", save=DAMAGED, utl=CHECKED),
            "the snapshot is not what etcd has sent: its checksum is another one",
        ),
        (LEADER + BIG + FULL, f"{PLACE} has 0 MB free; wanted: 6 MB, twice the database"),
        (
            etcd(status_="echo '[]'; echo context deadline exceeded >&2; exit 1"),
            "etcd gives no answer: context deadline exceeded",
        ),
        (LEADER + sandbox.file("/mnt/leads", status("m1", leader=0)), "etcd has no leader"),
        ("stub ss ''\n", "no etcd of a control plane runs here"),
        (LEADER + UNREAD, WHY),
    ],
)
def test_a_backup_that_fails_is_told_lets_go_of_nothing_and_leaves_nothing(how: str, why: str) -> None:
    said = run(how + old(*NAMES), "1", f"{KEPT}; cat {PLACE}/failed; {LEFT}")
    assert said[: said.index(NAMES[0])][-2:] == [why, "ended with 1"]
    at, _, told = said[said.index(NAMES[-1]) + 1].partition(" ")
    assert (told, abs(int(at) - datetime.now().timestamp()) < 60) == (why, True)
    assert [name for name in said[said.index(NAMES[-1]) + 2 :] if name not in NAMES] in (["failed", "lock"], ["failed"])


def test_a_disk_that_a_snapshot_has_filled_is_free_again_and_the_journal_has_why() -> None:
    full = f"mkdir -p {PLACE}; mount -t tmpfs -o size=1m sandbox {PLACE}\n"
    save = "head -c 2000000 /dev/zero >$last"
    said = run(full + etcd(status_="cat /mnt/leads", save=save), then=f"{LEFT}; cut -d ' ' -f 2- {PLACE}/failed")
    why = said[0]
    assert "No space left" in why
    assert said[1:] == ["ended with 1", "failed", "lock", why]


def test_a_failure_is_of_when_it_began() -> None:
    """A backup that another master has made meanwhile comes after it."""
    began = datetime.now().timestamp()
    slow = etcd(status_="cat /mnt/leads", save="/bin/sleep 2; exit 1")
    at = run(slow, then=f"cut -d ' ' -f 1 {PLACE}/failed; date +%s")[-2:]
    assert int(at[1]) - int(at[0]) >= 2
    assert int(at[0]) >= int(began)


def test_a_later_success_leaves_word_of_the_last_failure() -> None:
    failed = sandbox.file(f"{PLACE}/failed", "1795378816 no space left\n")
    assert run(LEADER + failed, then=f"cat {PLACE}/failed")[-1] == "1795378816 no space left"


def test_one_that_is_ended_says_so() -> None:
    program = sandbox.file("/mnt/program", script_text("backup-etcd.sh"))
    slow = etcd(status_="cat /mnt/leads", save="touch /mnt/saving; exec sleep 2")
    text = (
        f"{LEADS}{MANIFEST}{slow}{program}sh /mnt/program 8 2>/dev/null &\nprogram=$!\n"
        f"until [ -e /mnt/saving ]; do :; done; kill $program; wait $program || true; cut -d ' ' -f 2- {PLACE}/failed"
    )
    assert sandbox.run(text).splitlines()[-1] == "it was ended before it was done"


@pytest.mark.parametrize("keep", ["", "0", "-1", "all"])
def test_it_wants_to_know_how_many_are_kept(keep: str) -> None:
    assert run(keep=keep)[-1] == "ended with 1"


# --- what a look tells of it, and what is printed of it

FILES = {
    f"/etc/systemd/system/{TIMER}": "# Written by kubefab.\n",
    f"/etc/systemd/system/{SERVICE}.service": "# Written by kubefab.\n",
    "/usr/local/lib/kubefab/backup-etcd.sh": "#!/bin/sh\n# Written by kubefab: x\n",
}
OURS = "mount -t tmpfs sandbox /usr/local\n" + "".join(sandbox.file(path, text) for path, text in FILES.items())


def test_a_look_tells_of_the_backups_the_last_failure_and_the_timer() -> None:
    failed = sandbox.file(f"{PLACE}/failed", "1795378816 no space left\n")
    this = found(old(*NAMES[:2]) + failed + OURS, "backups").backups
    assert this.backups == {datetime(2026, 11, 21, tzinfo=UTC): 1, datetime(2026, 11, 22, tzinfo=UTC): 1}
    assert (this.backup_failed, this.backup_failed_at) == ("no space left", 1795378816)
    assert this.timer_files == tuple(FILES)


def test_a_look_tells_which_are_of_a_former_cluster() -> None:
    both = AUTHORITY + old(NAMES[0]) + old(NAMES[1], ca="theirs")
    this = found(both, "backups").backups
    assert len(this.backups) == 2
    assert this.former_backups == (datetime(2026, 11, 22, tzinfo=UTC),)


def test_where_this_cluster_is_not_known_none_is_called_a_former_ones() -> None:
    assert found(old(NAMES[0]), "backups").backups.former_backups == ()


@pytest.mark.parametrize(
    "mine",
    [
        f"mkdir -p {PLACE}/2026-11-24T00-00-00Z\n",
        f"mkdir -p {PLACE}/2026-11-24T00-00-00Z; : >{PLACE}/2026-11-24T00-00-00Z/snapshot.db\n",
        sandbox.file(f"{PLACE}/2026-11-31T00-00-00Z/snapshot.db", "x"),
        sandbox.file(f"{PLACE}/2026-xx-24T00-00-00Z/snapshot.db", "x"),
        sandbox.file(f"{PLACE}/0000-01-01T00-00-00Z/snapshot.db", "x"),
    ],
)
def test_a_folder_that_is_no_backup_does_not_count(mine: str) -> None:
    assert list(found(mine + old(NAMES[0]), "backups").backups.backups) == [datetime(2026, 11, 21, tzinfo=UTC)]


def test_a_failure_for_no_reason_is_one() -> None:
    this = found(sandbox.file(f"{PLACE}/failed", "1795378816 \n"), "backups").backups
    assert this.backup_failed == "for no reason that was told"


def test_where_nothing_was_ever_made_a_look_tells_nothing() -> None:
    assert look("", "backups")["backups"] == ""


def printed(*words: str) -> str:
    return sandbox.run(f"{old(*NAMES)}{sandbox.script('print-backup.sh', *words)} 2>&1 || echo ended with $?")


def test_a_backup_is_printed_file_by_file() -> None:
    assert printed(NAMES[0], "snapshot.db") == "x"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("2026-01-01T00-00-00Z", "keys"), "there is no backup 2026-01-01T00-00-00Z here"),
        ((f"../kubefab-backups/{NAMES[0]}", "keys"), f"there is no backup ../kubefab-backups/{NAMES[0]} here"),
        ((NAMES[0], "../failed"), "found ../failed; allowed: snapshot.db, keys, about"),
    ],
)
def test_nothing_else_is_printed(words: tuple[str, str], why: str) -> None:
    assert printed(*words) == f"{why}\nended with 1\n"


def test_a_backup_that_is_being_fetched_does_not_go() -> None:
    """The next one waits for it."""
    fetches = f"until [ -e /mnt/asked ]; do :; done; /bin/sleep 0.3; ls {PLACE} | grep Z$ >/mnt/there"
    held = f"flock -s {PLACE}/lock sh -c '{fetches}' &\nuntil ! flock -n {PLACE}/lock true; do :; done\n"
    asked = etcd(status_="touch /mnt/asked; cat /mnt/leads") + NAMESPACE
    *there, stays = run(asked + old(*NAMES) + held, "1", f"cat /mnt/there; {KEPT}")[1:]
    assert (there, stays in NAMES) == (NAMES, False)


LINKED = f"mkdir -p /mnt/disk/backups /var/lib; ln -s /mnt/disk/backups {PLACE}\n"


def test_on_another_disk_by_a_link_they_are_let_go_of_too() -> None:
    *left, new = run(LINKED + LEADER + old(*NAMES), "3", f"ls {PLACE}/ | grep Z$")[1:]
    assert left == NAMES[3:]
    assert new not in NAMES


def test_on_another_disk_by_a_link_they_are_told_and_printed() -> None:
    assert len(found(LINKED + old(*NAMES[:2]), "backups").backups.backups) == 2
    said = sandbox.run(f"{LINKED}{old(*NAMES)}{sandbox.script('print-backup.sh', NAMES[0], 'snapshot.db')}")
    assert said == "x"


# --- the way back

AWAY = sandbox.script("unschedule-backups.sh")


def test_kubefabs_timer_goes_and_the_backups_stay() -> None:
    left = f"ls {' '.join(FILES)} /usr/local/lib/kubefab 2>/dev/null || true; ls {PLACE}; grep systemctl /mnt/calls"
    said = sandbox.run(f"{OURS}{old(NAMES[0])}{AWAY}\n{left}").splitlines()
    assert said == [
        NAMES[0],
        f"systemctl disable --now {TIMER}",
        f"systemctl stop {SERVICE}.service",
        "systemctl daemon-reload",
        f"systemctl reset-failed {SERVICE}.service",
    ]


def test_a_timer_of_somebody_elses_is_left_alone() -> None:
    theirs = sandbox.file(f"/etc/systemd/system/{TIMER}", "[Timer]\n")
    said = sandbox.run(f"{theirs}{AWAY}\nls /etc/systemd/system; grep systemctl /mnt/calls || true")
    assert said == f"{TIMER}\n"


def test_a_timer_of_somebody_elses_runs_on_where_the_program_is_kubefabs() -> None:
    theirs = sandbox.file(f"/etc/systemd/system/{TIMER}", "[Timer]\n")
    said = sandbox.run(f"{OURS}{theirs}{AWAY}\nls /etc/systemd/system; grep systemctl /mnt/calls").splitlines()
    assert said[0] == TIMER
    assert not [line for line in said[1:] if TIMER in line]


def test_a_timer_that_cannot_be_stopped_is_not_taken_away() -> None:
    stuck = "stub systemctl 'case $* in *disable*) exit 1 ;; *is-active*) exit 0 ;; esac'\n"
    said = sandbox.run(f"{OURS}{stuck}{AWAY} || echo ended with $?\nls {' '.join(FILES)}").splitlines()
    assert said == ["ended with 1", *sorted(FILES)]


def test_a_reset_lists_the_timer_and_tells_that_the_backups_stay() -> None:
    this = found(OURS + old(*NAMES), "leftovers").leftovers
    assert set(FILES) <= set(this.directories)
    assert this.foreign == (f"{PLACE} (backups of etcd)",)
