"""inv lab.*: machines on this computer."""

import os
from typing import Any

from invoke import Collection, Context, Exit, task

from lab.settings import LabError

AS_ROOT = "become it (su -, or sudo -i), and type this again in the same folder"


def do(command: str, *args: Any) -> None:
    """One of lab/commands.py, imported only now: the product's own tasks shall not wait for it."""
    from lab import commands

    # What is built is for all users of machines to read, and dpkg-deb packs nothing that is not.
    os.umask(0o022)
    # lab.up says it among all else that the computer lacks.
    if command != "up" and os.geteuid():
        raise Exit(f"lab.{command} wants root, whose machines nobody else sees: {AS_ROOT}", code=1)
    try:
        getattr(commands, command)(*args)
    except LabError as error:
        raise Exit(str(error), code=1) from error


STACK = "guide: machines of Debian 12, with Kubernetes 1.20.2 to install on them"


EVERYTHING = "also build what hosts.yml does not name: cri-dockerd for Docker, and the add-ons"
KERNELS = "how many machines with kernels of their own besides: vm1, vm2 ..."
UP = {
    "machines": "how many (default: 2): manager, client, client2 ...",
    "stack": STACK,
    "everything": EVERYTHING,
    "kernels": KERNELS,
    "kubernetes": "also build and serve this version, to upgrade from or to; repeat it for more",
}


@task(auto_shortflags=False, iterable=["kubernetes"], help=UP)
def up(
    c: Context,
    kubernetes: list[str],
    machines: int = 2,
    stack: str = "",
    everything: bool = False,
    kernels: int = 0,
) -> None:
    """Make machines on this computer: build what is missing, start what is not running."""
    do("up", machines, stack, everything, kernels, kubernetes)


WHICH = "a machine of the lab (required)"
ONE = "this one only; repeat it for more (default: all)"


@task(auto_shortflags=False, iterable=["host"], help={"host": ONE, "stack": STACK})
def fresh(c: Context, host: list[str], stack: str = "") -> None:
    """Make machines of the lab anew, without asking: nothing of what was on them is left."""
    do("fresh", host, stack)


@task(auto_shortflags=False, help={"host": WHICH})
def reboot(c: Context, host: str) -> None:
    """Shut a machine of the lab down and switch it on again; its disk stays."""
    do("reboot", host)


@task(auto_shortflags=False, help={"host": WHICH})
def cut(c: Context, host: str) -> None:
    """Cut a machine's power, at once; its disk stays, and a lab.up that asks for it switches it on again."""
    do("cut", host)


@task(auto_shortflags=False, help={"host": WHICH, "command": "what to run there (default: an interactive shell)"})
def ssh(c: Context, host: str, command: str | None = None) -> None:
    """Log in to a machine of the lab as root, or run a command there; its exit status is passed on."""
    do("ssh", host, command)


@task(auto_shortflags=False)
def down(c: Context) -> None:
    """Remove everything the lab made; what was built stays cached."""
    do("down")


@task(auto_shortflags=False, help={"json": "print one JSON object and nothing else"})
def status(c: Context, json: bool = False) -> None:
    """Show what of the lab runs, and where, and what is cached."""
    do("status", json)


ns = Collection("lab", up, fresh, reboot, cut, ssh, down, status)
