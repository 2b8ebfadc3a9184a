"""What machines change on the computer whose kernel they share, put back in the end."""

import json
import re
from pathlib import Path
from typing import Any

from lab import files
from lab.settings import STATE
from lab.shell import attempt

PROC = Path("/proc/sys")
SWAPS = Path("/proc/swaps")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BEFORE = STATE / "computer-before.json"
# The lab wants these: a way out for machines, and enough inotify instances for many systemds and kubelets.
WANTED = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 1024}
# A kubelet sets these, and its machine's kernel is the computer's.
KUBELETS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
# Debian's own sysctl.d sets these in each machine that boots; Ubuntu's core_pattern leads to its apport.
DEBIANS = ("kernel/core_pattern", "kernel/pid_max")


def value(name: str) -> str:
    return (PROC / name).read_text().strip()


def swaps(table: str) -> dict[str, int]:
    """The devices and files of /proc/swaps, and their priorities."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), row[0]): int(row[-1]) for row in rows}


def known() -> dict[str, Any] | None:
    """As it was before the first machine since this computer was booted: what a kernel was told goes with it."""
    noted = json.loads(BEFORE.read_text()) if BEFORE.exists() else {}
    return noted if noted and noted.get("boot", boot()) == boot() else None


def boot() -> str:
    return BOOT_ID.read_text().strip()


def remember() -> None:
    if known():
        return
    every = (*WANTED, *KUBELETS, *DEBIANS)
    sysctls = {name: value(name) for name in every if (PROC / name).exists()}
    files.write(BEFORE, json.dumps({"boot": boot(), "sysctls": sysctls, "swaps": swaps(SWAPS.read_text())}))


def prepare() -> None:
    remember()
    for name, wanted in WANTED.items():
        if int(value(name)) < wanted:
            (PROC / name).write_text(str(wanted))


def restore() -> list[str]:
    """What could not be put back. Swap too: swapoff in a machine is swapoff on the computer."""
    before = known()
    if not before:
        return []
    for name, was in before["sysctls"].items():
        if value(name) != str(was):
            (PROC / name).write_text(str(was))
    there = swaps(SWAPS.read_text())
    priorities = dict.fromkeys(before["swaps"], -1) | (before["swaps"] if isinstance(before["swaps"], dict) else {})
    said = [swap_on(each, priority) for each, priority in priorities.items() if each not in there]
    return [f"swap that was on before the first machine is off: {why}" for why in said if why]


def swap_on(each: str, priority: int) -> str:
    """Why it is not; the kernel gives negative priorities itself, in the order in which they come."""
    done = attempt("swapon", *(["--priority", str(priority)] if priority >= 0 else []), each)
    return done.stderr.strip() if done.returncode else ""
