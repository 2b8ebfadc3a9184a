"""What machines change on the computer whose kernel they share, put back in the end."""

import json
from pathlib import Path

from lab.settings import STATE
from lab.shell import attempt

PROC = Path("/proc/sys")
BEFORE = STATE / "computer-before.json"
# The lab wants these: a way out for machines, and enough inotify instances for many systemds and kubelets.
WANTED = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 1024}
# A kubelet sets these, and its machine's kernel is the computer's.
KUBELETS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")


def value(name: str) -> int:
    return int((PROC / name).read_text())


def swaps(table: str) -> list[str]:
    """The devices and files of /proc/swaps."""
    return [line.split()[0] for line in table.splitlines()[1:]]


def remember() -> None:
    """As it was before the first machine."""
    if BEFORE.exists():
        return
    known = {name: value(name) for name in (*WANTED, *KUBELETS)}
    BEFORE.parent.mkdir(parents=True, exist_ok=True)
    BEFORE.write_text(json.dumps({"sysctls": known, "swaps": swaps(Path("/proc/swaps").read_text())}))


def prepare() -> None:
    remember()
    for name, wanted in WANTED.items():
        if value(name) < wanted:
            (PROC / name).write_text(str(wanted))


def restore() -> None:
    """Swap too: swapoff in a machine is swapoff on the computer."""
    if not BEFORE.exists():
        return
    before = json.loads(BEFORE.read_text())
    for name, was in before["sysctls"].items():
        if value(name) != was:
            (PROC / name).write_text(str(was))
    for lost in set(before["swaps"]) - set(swaps(Path("/proc/swaps").read_text())):
        attempt("swapon", lost)
