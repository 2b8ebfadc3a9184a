"""The masters back etcd up by themselves, what they make comes here and goes back, and a full etcd gets room again."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubefab import backup
from kubefab.programs import script_text
from kubefab.schedule import SERVICE, TIMER
from tests.e2e.harness import (
    FRONT,
    MACHINES,
    MASTER,
    WORKER,
    Done,
    Kubefab,
    all_is_well,
    at_once,
    attempt,
    eventually,
    fresh,
    hosts_file,
    kubectl,
    mended,
    mode,
    on,
    power_on,
    true_on,
    wait_on,
)
from tests.e2e.test_restore import make, members, uids, went_back

COVERS = (
    "kubefab/schedule.py",
    "kubefab/steps/backups.py",
    "kubefab/steps/defragment.py",
    "files/etc/systemd/system/kubefab-backup.*",
    "scripts/*backup*.sh",
    "scripts/shared/backups.sh",
    "scripts/shared/keys.sh",
    "scripts/shared/pki.sh",
    "scripts/shared/snapshot.sh",
    "scripts/look/backups.sh",
    "scripts/compact-etcd.sh",
    "scripts/defragment-etcd.sh",
    "scripts/disarm-etcd.sh",
)

PLACE = "/var/lib/kubefab-backups"
KEEP = 2
THEIRS = {"role": "master", "schedulable": True}
READY = "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz"
# In front of Debian's: a snapshot fails, with these last words.
TIMEOUT = "/usr/local/bin/timeout"
FAILING = """\
#!/bin/sh
case "$*" in *"snapshot save"*) echo "Error: it shall fail" >&2; exit 1 ;; esac
exec /usr/bin/timeout "$@"
"""
OFTEN = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/5\n"


def scheduled(path: Path, *names: str, **how: Any) -> Path:
    """A hosts.yml that wants backups."""
    hosts = hosts_file(path, *names, **how)
    document = yaml.safe_load(hosts.read_text()) | {"etcd": {"backup": {"every": "24h", "keep": KEEP}}}
    hosts.write_text(yaml.safe_dump(document, sort_keys=False))
    return hosts


def kept(host: str) -> list[str]:
    return on(host, f"ls {PLACE} 2>/dev/null | grep Z$; true").split()


def act(host: str) -> bool:
    """What the timer begins, in a second of its own; whether it ended well."""
    second = "now=$(date +%s); while [ $(date +%s) = $now ]; do sleep 0.1; done"
    return attempt(host, f"{second}; systemctl start {SERVICE}").returncode == 0


def status(inv: Kubefab) -> tuple[int, dict[str, Any]]:
    done = inv("cluster.status", "--json")
    return done.status, json.loads(done.stdout)


def has_a_timer(host: str) -> bool:
    return true_on(host, f"systemctl is-active {TIMER} && systemctl is-enabled {TIMER}")


@pytest.fixture(scope="module")
def one(inv: Kubefab) -> Iterator[Kubefab]:
    """A master and a worker, and a hosts.yml that wants backups."""
    mended(inv)
    made = Kubefab(scheduled(inv.state / "scheduled.yml", MASTER, WORKER), inv.state)
    made("cluster.up").well()
    yield made
    attempt(MASTER, f"rm -rf {PLACE}")


def test_up_puts_the_timer_on_the_master_alone_and_once(one: Kubefab) -> None:
    assert (has_a_timer(MASTER), has_a_timer(WORKER)) == (True, False)
    assert "*-*-* 00:00:00 UTC" in on(MASTER, f"systemctl show -p TimersCalendar {TIMER}")
    assert not one("cluster.up").well().changed


def test_the_timer_makes_backups_and_keeps_as_many_as_hosts_yml_says(one: Kubefab) -> None:
    folder = f"/etc/systemd/system/{TIMER}.d"
    on(MASTER, f"mkdir -p {folder}; cat >{folder}/often.conf", stdin=OFTEN)
    on(MASTER, f"systemctl daemon-reload; systemctl restart {TIMER}")
    try:
        first = eventually(lambda: kept(MASTER))[0]
        eventually(lambda: first not in kept(MASTER))
    finally:
        on(MASTER, f"rm -r {folder}; systemctl daemon-reload; systemctl restart {TIMER}")
    wait_on(MASTER, f'[ "$(systemctl is-active {SERVICE})" != activating ]')
    assert len(kept(MASTER)) == KEEP
    assert on(MASTER, f"find {PLACE} -type f -perm /077; find {PLACE} -name '.part*'") == ""


def test_the_last_success_is_told(one: Kubefab) -> None:
    last = json.loads(all_is_well(one, "--json").stdout)["backups"]["last_success"]
    assert last["host"] == MASTER
    assert last["time"].replace(":", "-").startswith(kept(MASTER)[-1].removesuffix("Z"))


def test_a_backup_that_fails_is_told_and_lets_go_of_none(one: Kubefab) -> None:
    before = kept(MASTER)
    on(MASTER, f"cat >{TIMEOUT}; chmod +x {TIMEOUT}", stdin=FAILING)
    try:
        assert not act(MASTER)
    finally:
        on(MASTER, f"rm {TIMEOUT}")
    ended, told = status(one)
    assert (ended, kept(MASTER)) == (1, before)
    assert told["backups"]["last_failure"]["why"] == "Error: it shall fail"
    assert told["next"] == f"inv node.shell --host {MASTER} -- journalctl -u {SERVICE}"
    assert act(MASTER)
    told = json.loads(all_is_well(one, "--json").stdout)
    assert told["backups"]["last_failure"]["why"] == "Error: it shall fail"


def test_what_it_makes_comes_here_once_and_etcd_goes_back_to_it(one: Kubefab, tmp_path: Path) -> None:
    make("was-there")
    assert act(MASTER)
    make("came-later")
    one("etcd.fetch", "--output", str(tmp_path)).well()
    assert not one("etcd.fetch", "--output", str(tmp_path)).well().changed
    *_, newest = sorted(tmp_path.iterdir())
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"lab-{name}" for name in kept(MASTER)]
    modes = {path: mode(path) for path in (newest, *newest.rglob("*"))}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}
    assert (newest / "pki/ca.key").read_text() == on(MASTER, "cat /etc/kubernetes/pki/ca.key")
    assert backup.opened(newest).host == MASTER
    went_back(one, newest).well()
    now = uids("configmaps")
    assert ("was-there" in now, "came-later" in now) == (True, False)
    kubectl("delete", "configmap", "was-there", "-n", "default")
    on(MASTER, "rm -rf /var/lib/etcd/before-restore-*")
    assert act(MASTER)  # of another etcd by now


def test_where_hosts_yml_wants_none_the_timer_goes_and_the_backups_stay(one: Kubefab, inv: Kubefab) -> None:
    before = kept(MASTER)
    inv("cluster.up").well()
    assert not true_on(MASTER, f"systemctl cat {TIMER}")
    assert kept(MASTER) == before
    assert not inv("cluster.up").well().changed
    one("cluster.up").well()
    assert has_a_timer(MASTER)


# --- room

MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"
QUOTA = 16 << 20
BIG = "head -c 675000 /dev/urandom | base64 -w 0 >/run/e2e-big"
MAKE = "kubectl --kubeconfig /etc/kubernetes/admin.conf -n default create configmap big-{} --from-file=/run/e2e-big"


def fill(most: int) -> str:
    """Objects of a megabyte each, until etcd takes no more; its last word."""
    on(MASTER, BIG)
    for n in range(most):
        made = attempt(MASTER, MAKE.format(n))
        if made.returncode:
            return made.stderr
    return ""


def empty() -> None:
    names = [name for name in uids("configmaps") if name.startswith("big-")]
    kubectl("delete", "configmap", "-n", "default", *names)


def forget(inv: Kubefab) -> None:
    """As an API server has etcd do every five minutes."""
    revision = max(one["revision"] for one in members(inv))
    on(MASTER, f"sh -s {revision}", stdin=script_text("compact-etcd.sh"))


def sizes(inv: Kubefab) -> dict[str, int]:
    return {one["host"]: one["size"] for one in members(inv)}


def changed_in_order(done: Done) -> list[str]:
    """The hosts whose database gave room back."""
    lines = [line.split() for line in done.stdout.splitlines() if "its database has no room" in line]
    return list(dict.fromkeys(words[0] for words in lines))


def with_quota(line: str) -> None:
    """This master's etcd with another quota, or with etcd's own; by hand, and begun anew by its kubelet."""
    edit = f"grep -v -e --quota-backend-bytes {MANIFEST} | sed 's|^\\( *\\)- --data-dir=.*|&{line}|' >/root/etcd.yaml"
    running = (
        "for one in $(pgrep -x etcd); do tr '\\0' '\\n' </proc/$one/cmdline; done | grep -c -e --quota-backend-bytes"
    )
    wanted = "1" if line else "0"
    on(MASTER, f"{edit}; mv /root/etcd.yaml {MANIFEST}")
    wait_on(MASTER, f'pgrep -x etcd && [ "$({running})" = {wanted} ] && {READY}', 180)


@pytest.fixture
def small(one: Kubefab) -> Iterator[Kubefab]:
    try:
        with_quota(f"\\n\\1- --quota-backend-bytes={QUOTA}")
        yield one
    finally:
        with_quota("")


def test_room_that_nobody_uses_is_given_back_and_a_second_run_changes_nothing(one: Kubefab) -> None:
    assert fill(30) == ""
    empty()
    forget(one)
    before = sizes(one)[MASTER]
    assert "its database has no room that nobody uses" in one("--dry", "etcd.defragment").well().stdout
    one("etcd.defragment").well()
    assert sizes(one)[MASTER] < before - (20 << 20)
    assert not one("etcd.defragment").well().changed


def test_a_full_etcd_takes_writes_again(small: Kubefab) -> None:
    assert "database space exceeded" in fill(60)
    told = json.loads(small("etcd.status", "--json").badly().stdout)
    (full,) = told["members"]
    assert full["alarms"] == ["NOSPACE"]
    empty()
    assert attempt(MASTER, MAKE.format("none")).returncode  # what was deleted is history, and takes as much room
    small("etcd.defragment").well()
    make("fits-again")
    kubectl("delete", "configmap", "fits-again", "-n", "default")
    (member,) = members(small)
    assert member["alarms"] == []
    assert member["size"] < full["size"] - (4 << 20)


# --- three masters


@pytest.fixture(scope="module")
def masters(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubefab]:
    folder = tmp_path_factory.mktemp("three")
    hosts = scheduled(folder / "hosts.yml", *MACHINES, FRONT, hosts=dict.fromkeys(MACHINES, THEIRS))
    inv = Kubefab(hosts, folder)
    power_on(machines=(*MACHINES, FRONT))
    fresh(*MACHINES, FRONT)
    inv("cluster.up").well()
    yield inv
    inv("cluster.reset", "--yes")
    on_all(f"rm -rf {PLACE}")


def on_all(command: str) -> None:
    at_once(*(partial(on, name, command) for name in MACHINES))


def leader(inv: Kubefab) -> str:
    """On a busy computer an election may be under way."""
    (one,) = eventually(lambda: leaders(inv))
    return str(one["host"])


def leaders(inv: Kubefab) -> list[dict[str, Any]]:
    """While one etcd stands still there may be no answer yet."""
    done = inv("etcd.status", "--json")
    assert done.stdout.startswith("{"), done
    return [one for one in json.loads(done.stdout)["members"] if one["leader"]]


def all_act() -> None:
    """As the clock has them do: those who do not lead have nothing to do, and that is well."""
    with ThreadPoolExecutor() as pool:
        assert all(pool.map(act, MACHINES))


def test_whoever_leads_makes_the_backup_and_nobody_else(masters: Kubefab) -> None:
    assert all(map(has_a_timer, MACHINES))
    on_all(f"systemctl stop {TIMER}")
    on_all(f"rm -rf {PLACE}")
    first = leader(masters)
    all_act()
    assert {name: len(kept(name)) for name in MACHINES} == {name: int(name == first) for name in MACHINES}


def test_where_another_one_leads_that_one_does_it(masters: Kubefab) -> None:
    first = leader(masters)
    others = [name for name in MACHINES if name != first]
    on(first, "pkill -STOP -x etcd")
    try:
        asked = eventually(lambda: leaders(masters))
    finally:
        on(first, "pkill -CONT -x etcd")
    assert asked[0]["host"] in others
    eventually(lambda: members(masters))
    second = leader(masters)
    before = {name: kept(name) for name in MACHINES}
    all_act()
    assert [name for name in MACHINES if kept(name) != before[name]] == [second]


def test_the_backups_of_all_masters_come_here(masters: Kubefab, tmp_path: Path) -> None:
    masters("etcd.fetch", "--output", str(tmp_path)).well()
    made = {f"lab-{name}" for host in MACHINES for name in kept(host)}
    assert {path.name for path in tmp_path.iterdir()} == made
    assert len({backup.opened(path).host for path in tmp_path.iterdir()}) == 2


def test_a_timer_that_was_stopped_is_told_and_begun_anew(masters: Kubefab) -> None:
    _, told = status(masters)
    assert f"{MASTER}: expected: {TIMER} runs; found: inactive" in told["problems"]
    masters("cluster.up").well()
    assert all(map(has_a_timer, MACHINES))


def test_members_give_room_back_one_by_one_and_the_leader_last(masters: Kubefab) -> None:
    assert fill(30) == ""
    empty()
    forget(masters)
    eventually(lambda: all(one["size"] - one["used"] > 20 << 20 for one in members(masters)))
    last, before = leader(masters), sizes(masters)
    done = masters("etcd.defragment").well()
    order = changed_in_order(done)
    assert (set(order), order[-1]) == (set(MACHINES), last)
    assert all(size < before[name] - (20 << 20) for name, size in sizes(masters).items())
    assert not masters("etcd.defragment").well().changed


def test_a_reset_takes_the_timer_away_and_tells_that_the_backups_stay(masters: Kubefab) -> None:
    before = {name: kept(name) for name in MACHINES}
    done = masters("cluster.reset", "--yes").well()
    assert f"{PLACE} (backups of etcd)" in done.stdout
    for name in MACHINES:
        assert not true_on(name, f"systemctl cat {TIMER}")
        assert not true_on(name, "ls /usr/local/lib/kubefab")
        assert kept(name) == before[name]
