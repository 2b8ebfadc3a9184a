"""inv lab.*: machines on this computer."""

import json
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from invoke import Collection, Context, Exit, task
from rich.table import Table

from lab import lab, lock
from lab.report import Report
from lab.settings import MOST_MACHINES, LabError


def told(work: Callable[..., None]) -> Callable[..., None]:
    """What went wrong is said in words, not as a traceback."""

    @wraps(work)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            work(*args, **kwargs)
        except LabError as error:
            raise Exit(str(error), code=1) from error

    return wrapper


@task(auto_shortflags=False, help={"machines": "how many: manager, client, client2 …"})
@told
def up(c: Context, machines: int = 2) -> None:
    """Machines on this computer: build what is missing, start what is not running."""
    if not 1 <= machines <= MOST_MACHINES:
        raise LabError(f"--machines must be from 1 to {MOST_MACHINES}")
    report = Report()
    with lock.held(report.say):
        lab.up(report, machines)
    show(report, lab.status(), ("machines", "services"))


@task(auto_shortflags=False, help={"host": "this one only"})
@told
def fresh(c: Context, host: str | None = None) -> None:
    """The same machines as new."""
    report = Report()
    with lock.held(report.say):
        lab.fresh(report, host)
    report.say("as new")


@task(auto_shortflags=False)
@told
def reboot(c: Context, host: str) -> None:
    """Shut a machine down and switch it on again; its disk stays."""
    with lock.held(Report().say):
        lab.reboot(host)


@task(auto_shortflags=False, help={"command": "to run; none: an interactive shell"})
@told
def ssh(c: Context, host: str, command: str | None = None) -> None:
    """Open a machine as root; the exit status is passed on."""
    if code := lab.ssh(host, command):
        raise Exit(code=code)


@task(auto_shortflags=False)
@told
def down(c: Context) -> None:
    """Remove everything the lab made; what was built stays cached."""
    with lock.held(Report().say):
        lab.down()


@task(auto_shortflags=False, help={"json": "one object, for programs"})
@told
def status(c: Context, json: bool = False) -> None:
    """What runs, where, and what is cached."""
    found = lab.status()
    if json:
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
        return "built" if each["cached"] else "not yet built"
    return "runs" if each["running"] else "does not run"


ns = Collection("lab", up, fresh, reboot, ssh, down, status)
