"""Keys that are wrong, files that are garbage, and two people at once."""

import random
import re
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.settings import KNOWN_HOSTS

from .harness import (
    CHANGE,
    INV,
    LONGEST,
    MASTER,
    ROOT,
    SPARE,
    WORKER,
    Done,
    Kubefab,
    address,
    catch,
    eventually,
    freeze,
    hosts_file,
    in_time,
    mended,
    on,
    ready_nodes,
    thaw,
    true_on,
    untouched,
)

PAIR = (MASTER, WORKER)


# --- a firewall


@pytest.fixture
def walled_off(well: Kubefab) -> Iterator[None]:
    """No packet of another node's pods comes to the worker."""
    rule = "INPUT -p udp --dport 8472 -j DROP"
    on(WORKER, f"iptables -I {rule}")
    yield
    on(WORKER, f"iptables -D {rule}")


def test_a_firewall_between_the_pods_of_two_nodes_is_told_though_all_of_them_are_ready(
    well: Kubefab, walled_off: None
) -> None:
    said = well("cluster.status").badly().stdout
    assert "the cluster's DNS answers the host; found: 10.96.0.10 does not answer from here" in said
    assert ready_nodes() == set(PAIR)


# --- whom to believe


def known_hosts(path: Path, *names: str, instead: str = "") -> Path:
    """The lab's keys of these hosts; for `instead`, those of another."""
    lines = [line.split() for line in KNOWN_HOSTS.read_text().splitlines()]
    kept = [line for line in lines if line[0] in {address(name) for name in names} - {address(instead)}]
    wrong = [[address(instead), *line[1:]] for line in lines if line[0] == address(SPARE)] if instead else []
    path.write_text("".join(" ".join(line) + "\n" for line in ([*kept, *wrong])))
    return path


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    return hosts_file(tmp_path / "hosts.yml", *PAIR, ssh={"known_hosts": str(tmp_path / "known_hosts")})


def test_another_host_key_than_the_known_one_is_refused_and_its_place_named(
    well: Kubefab, hosts: Path, tmp_path: Path
) -> None:
    file = known_hosts(tmp_path / "known_hosts", *PAIR, instead=WORKER)
    done = well("cluster.up", hosts=hosts).badly()
    lines = [n for n, line in enumerate(file.read_text().splitlines(), 1) if line.startswith(address(WORKER))]
    assert any(f"{file}:{line}" in done.stderr for line in lines), done.stderr
    assert "SHA256:" in done.stderr
    (advice,) = re.findall("ssh-keygen -R .*", done.stderr)
    subprocess.run(["sh", "-c", advice], check=True, capture_output=True)
    assert address(WORKER) not in file.read_text()
    assert address(MASTER) in file.read_text()


@pytest.mark.parametrize("there", [True, False], ids=["an empty file", "no file"])
def test_unknown_keys_of_all_hosts_are_one_error_and_one_command_accepts_them(
    well: Kubefab, hosts: Path, tmp_path: Path, there: bool
) -> None:
    if there:
        (tmp_path / "known_hosts").write_text("")
    said = well("cluster.up", hosts=hosts).badly().stderr
    assert said.count("SHA256:") == 2, said
    assert all(address(host) in said for host in PAIR)
    command = said[said.index("cat >>") : said.index("END\n", said.index("<<END") + 5) + 4]
    subprocess.run(["sh", "-e"], input=command, text=True, check=True, capture_output=True, cwd=tmp_path)
    assert "nothing to do" in well("cluster.up", hosts=hosts).well().stdout
    seen = [line.split()[1:3] for line in (tmp_path / "known_hosts").read_text().splitlines()]
    assert seen
    assert all(any(key == line.split()[1:3] for line in KNOWN_HOSTS.read_text().splitlines()) for key in seen)


def test_a_key_that_opens_nothing_is_told(well: Kubefab, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh={"key": str(tmp_path / "key")})
    said = well("cluster.up", hosts=hosts).badly().stderr
    assert "does not let root in" in said
    assert address(MASTER) in said


def test_a_key_that_is_not_there_is_told(well: Kubefab, tmp_path: Path) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh={"key": str(tmp_path / "nowhere")})
    assert str(tmp_path / "nowhere") in well("cluster.up", hosts=hosts).badly().stderr


def test_a_port_that_nobody_listens_at_is_told(well: Kubefab, tmp_path: Path) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh={"port": 2222})
    done = well("cluster.up", hosts=hosts).badly()
    assert f"{address(MASTER)}:2222" in done.stderr
    in_time("a port that nobody listens at is told", 10, done)


# --- bad input


@pytest.mark.parametrize("task", ["cluster.up", "preflight", "cluster.status"])
def test_a_megabyte_of_garbage_on_stdin_disturbs_nobody(well: Kubefab, task: str) -> None:
    garbage = random.Random(1).randbytes(1_000_000)
    well(task, stdin=garbage).well()


@pytest.mark.parametrize("task", ["--dry cluster.reset", "cluster.status", "cluster.status --json"])
def test_a_reader_that_goes_away_is_no_reason_for_a_traceback(well: Kubefab, task: str) -> None:
    words = ["sh", "-c", f"{INV} {task} | true"]
    done = subprocess.run(
        words, cwd=ROOT, env=well.surroundings(), capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.stderr == ""


def test_garbage_is_no_yes(well: Kubefab) -> None:
    with untouched(*PAIR):
        done = well("cluster.reset", stdin=b"y\n" * 500_000).badly()
    assert "--yes" in done.stderr


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / "bad.yml"
    if kind == "a directory":
        path.mkdir()
    elif kind == "a megabyte of garbage":
        path.write_bytes(random.Random(2).randbytes(1_000_000))
    elif kind == "a megabyte of brackets":
        path.write_text("[" * 1_000_000)
    elif kind == "a megabyte of text":
        path.write_text("kubefab " * 125_000)
    elif kind == "an empty file":
        path.touch()
    elif kind == "one nobody may read":
        path.symlink_to("/proc/self/mem")
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "no file",
        "a directory",
        "a megabyte of garbage",
        "a megabyte of brackets",
        "a megabyte of text",
        "an empty file",
        "one nobody may read",
    ],
)
def test_a_bad_hosts_file_is_one_message(inv: Kubefab, tmp_path: Path, kind: str) -> None:
    path = bad_file(tmp_path, kind)
    done = inv("cluster.up", hosts=path).badly()
    assert str(path) in done.stderr
    assert len(done.stderr.splitlines()) < 12, done.stderr[:3000]
    assert len(done.stderr) < 3000
    assert done.stdout == ""
    in_time(f"{kind} for a hosts.yml is told", 10, done)


# --- interrupted


@pytest.fixture(scope="module")
def interrupted(inv: Kubefab) -> Done:
    """A run that takes the worker out, and is interrupted in the middle of it."""
    mended(inv)
    with inv.started("restart", "--host", WORKER, "--yes") as run:
        catch(run, WORKER, "pgrep -f '^kubeadm reset'")
        run.is_told(signal.SIGINT)
        return run.ends()


@pytest.fixture(scope="module")
def taken_out(inv: Kubefab, interrupted: Done) -> Done:
    """The same command once more, when what had begun on the worker has come to its end there."""
    on(WORKER, f"timeout 300 flock {CHANGE} true")
    return inv("restart", "--host", WORKER, "--yes")


def test_a_run_that_is_interrupted_by_its_user_says_what_happens_now(interrupted: Done, taken_out: Done) -> None:
    assert interrupted.status == 130
    assert "the same command" in interrupted.said
    taken_out.well()


# --- two at once


@dataclass(frozen=True)
class Busy:
    pid: int
    amid: Done
    second: Done
    reset: Done
    dry: Done
    after: Done


@pytest.fixture(scope="module")
def busy(inv: Kubefab, taken_out: Done) -> Busy:
    """A run that holds the lock: in the middle of a change, then still between two of them; then it dies."""
    taken_out.well()
    with inv.started("cluster.up") as first:
        freeze(first, WORKER, "kubeadm join")
        with inv.started("cluster.up") as run:
            amid = run.ends()
        first.is_told(signal.SIGSTOP)
        thaw(WORKER, "kubeadm join")
        on(WORKER, f"timeout 300 flock {CHANGE} true")
        eventually(lambda: ready_nodes() == set(PAIR))
        tasks = (("restart", "--host", WORKER, "--yes"), ("cluster.reset", "--yes"), ("--dry", "cluster.up"))
        # Side by side: its lock is lost 75 s after it was stopped, on a busy computer as on any other.
        with untouched(*PAIR), ThreadPoolExecutor() as pool:
            second, reset, dry = (asked.result() for asked in [pool.submit(inv, *words) for words in tasks])
        first.is_killed()
        return Busy(first.process.pid, amid, second, reset, dry, inv("cluster.up"))


def test_a_second_run_does_not_take_the_change_of_a_living_one_for_an_orphan(busy: Busy) -> None:
    said = busy.amid.badly().stderr
    assert f"process {busy.pid}" in said


def test_a_second_run_says_who_is_at_work_and_since_when(busy: Busy) -> None:
    said = busy.reset.badly().stderr
    assert "another run is under way" in said
    assert f"process {busy.pid}" in said
    assert re.search(r"since \d\d:\d\d:\d\d", said), said
    assert MASTER in said


def test_a_task_on_one_worker_does_not_cut_in_either(busy: Busy) -> None:
    assert f"process {busy.pid}" in busy.second.badly().stderr


def test_a_dry_run_needs_no_lock(busy: Busy) -> None:
    busy.dry.well()


def test_the_lock_dies_with_its_holder(busy: Busy) -> None:
    busy.after.well()
    assert ready_nodes() == set(PAIR)
    assert not true_on(WORKER, "test -e /etc/kubernetes/bootstrap-kubelet.conf")
