"""What the lab's tasks do."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from lab import lab, lock, versions
from lab.containers import STACKS
from lab.report import Report
from lab.settings import MOST_KERNELS, MOST_MACHINES, SUITE, LabError


def up(machines: int, stack: str, everything: bool, kernels: int, kubernetes: Sequence[str]) -> None:
    known_stack(stack)
    known_versions(kubernetes)
    if not 1 <= machines <= MOST_MACHINES:
        raise LabError(f"--machines must be from 1 to {MOST_MACHINES}")
    if not 0 <= kernels <= MOST_KERNELS:
        raise LabError(f"--kernels must be from 0 to {MOST_KERNELS}")
    report = Report()
    with lock.held(report.say):
        lab.up(report, machines, stack, everything, kernels, kubernetes)
    show(report, lab.status(), ("machines", "services"))


def fresh(hosts: Sequence[str], stack: str) -> None:
    known_stack(stack)
    report = Report()
    with lock.held(report.say):
        lab.fresh(report, hosts, stack)
    report.say("as new")


def known_stack(stack: str) -> None:
    if stack not in STACKS:
        raise LabError(f"--stack may be guide, not {stack}; without it machines are of Debian {SUITE}")


def known_versions(kubernetes: Sequence[str]) -> None:
    if unknown := sorted({*kubernetes} - {*versions.VERSIONS}):
        raise LabError(f"--kubernetes may be {' or '.join(versions.VERSIONS)}, not {', '.join(unknown)}")


def reboot(host: str) -> None:
    with lock.held(Report().say):
        lab.reboot(host)


def cut(host: str) -> None:
    with lock.held(Report().say):
        lab.cut(host)


def ssh(host: str, command: str | None) -> None:
    if code := lab.ssh(host, command):
        sys.exit(code)


def down() -> None:
    report = Report()
    with lock.held(report.say):
        lab.down(report)


def status(as_json: bool) -> None:
    found = lab.status()
    if as_json:
        print(dump(found))
    else:
        show(Report(), found)


def dump(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2)


def show(report: Report, found: dict[str, Any], kinds: Sequence[str] = ("machines", "services", "parts")) -> None:
    table = Table("", "name", "address", "")
    for kind in kinds:
        for each in found[kind]:
            table.add_row(kind[:-1], each["name"], each.get("address"), said(each))
    report.console.print(table)


def said(each: dict[str, Any]) -> str:
    if "cached" in each:
        built = "built" if each["cached"] else "not yet built"
        return f"{built}; served {each['served']}" if each["served"] else built
    kind = each.get("kind", "container")
    return ("runs" if each["running"] else "does not run") + ("" if kind == "container" else f", {KINDS[kind]}")


KINDS = {"kvm": "its own kernel, by KVM", "emulation": "its own kernel, emulated"}
