"""The lab as a whole: what `inv lab.*` does."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from lab import (
    cgroups,
    components,
    computer,
    containers,
    hosts,
    internet,
    machines,
    network,
    parts,
    powercut,
    requirements,
    services,
    stacks,
    versions,
    vm,
    vm_image,
    ways_in,
)
from lab.origin import INTERNET, Origin, answered, settled, told
from lab.report import Report
from lab.settings import LOGS, STATE, LabError, address, has_a_kernel, kernel_names, machine_names

STILL_WORKS = (
    "What still works here: every other task, on machines of your own (hosts.yml), and `make test` without the lab."
)


def origin(stack: str, everything: bool, kubernetes: Sequence[str] = ()) -> Origin:
    """Where Kubernetes comes from. LabError for a LAB_FROM that says what cannot be."""
    option = f"--stack {stack}" if stack else "--everything" if everything else "--kubernetes" if kubernetes else ""
    built = all(part.cached for part in stacks.parts(stack, everything, kubernetes))
    found = settled(told(), hosts.origin(), option, built)
    return found or answered(internet.ask(internet.questions(hosts.wanted())))


def prepare(
    report: Report, stack: str, everything: bool = False, kernels: int = 0, kubernetes: Sequence[str] = ()
) -> Origin:
    """The packages, the parts, the key: all that machines need of this computer; and where Kubernetes comes from."""
    chosen = origin(stack, everything, kubernetes)
    wanted = [
        *([containers.STACKS[stack]] if chosen.internet else stacks.parts(stack, everything, kubernetes)),
        *([vm_image.PART] if kernels else []),
    ]
    if lacking := [*requirements.missing(wanted), *vm.lacking(kernels)]:
        listed = "\n".join(f"  - {each}" for each in lacking)
        raise LabError(f"This computer cannot host the lab. It lacks:\n{listed}\n{STILL_WORKS}")
    powercut.tell_podman()
    report.say(str(chosen))
    programs = requirements.PROGRAMS | (vm.PROGRAMS if kernels else {})
    missing = map(parts.work, parts.missing_of(wanted))
    report.expect([*requirements.works(programs), *missing, *containers.works(stack)])
    with report.live:
        requirements.install(report, LOGS / "apt.log", programs)
        made = parts.make_missing(wanted, report)
        containers.ensure_image(report, stack)
    parts.touch(wanted)
    if made:
        parts.prune(wanted)
        components.forget_sources()
    ways_in.ensure_key()
    return chosen


def serve(report: Report, chosen: Origin) -> None:
    """The network, and what machines fetch by it where the internet has not to be asked."""
    computer.prepare()
    network.ensure()
    if not chosen.internet and (started := services.ensure()):
        report.say(f"serving: {', '.join(started)}")


def up(report: Report, count: int, stack: str, everything: bool, kernels: int, kubernetes: Sequence[str] = ()) -> None:
    """What runs stays as it is; what has died is switched on again; what is missing is made."""
    chosen = prepare(report, stack, everything, kernels, kubernetes)
    serve(report, chosen)
    names = [*machine_names(count), *kernel_names(kernels)]
    found = machines.existing()
    new = [name for name in names if name not in found]
    dead = [name for name in names if name in found and not found[name].runs]
    make(report, new, stack)
    revive(report, [found[name] for name in dead])
    machines.wait(names)
    write_hosts(report, stack, chosen)
    if old := [name for name in names if name in found and found[name].image != machines.image(name, stack)]:
        option = f" --stack {stack}" if stack else ""
        report.say(f"made from another image, as new with inv lab.fresh{option}: {', '.join(old)}")


def revive(report: Report, dead: Sequence[machines.Machine]) -> None:
    if not dead:
        return
    report.say(f"switching on again: {', '.join(machine.name for machine in dead)}")
    kept = machines.at_once(lambda machine: machine.revive(), dead)
    if new := [machine.name for machine, disk in zip(dead, kept, strict=True) if not disk]:
        report.say(f"could not be switched on, made anew: {', '.join(new)}")


def make(report: Report, names: Sequence[str], stack: str) -> None:
    if names:
        containers.forget_images()
        report.say(f"making {', '.join(names)}")
        machines.at_once(lambda name: machines.create(name, stack), names)


def fresh(report: Report, wanted: Sequence[str], stack: str) -> None:
    """The same machines, as new."""
    found = machines.existing()
    names = [known(found, host) for host in dict.fromkeys(wanted)] or list(found)
    if not names:
        raise LabError("There is no machine to make anew; inv lab.up makes some.")
    chosen = prepare(report, stack, kernels=sum(map(has_a_kernel, names)))
    serve(report, chosen)
    machines.at_once(lambda name: found[name].destroy(), names)
    make(report, names, stack)
    machines.wait(names)
    write_hosts(report, stack, chosen)


def write_hosts(report: Report, stack: str, chosen: Origin) -> None:
    """hosts.yml without what is switched off: no cluster would come up. The first machine stays: it is the master."""
    found = machines.existing()
    off = [name for name, machine in list(found.items())[1:] if not machine.runs]
    hosts.write(stack, [name for name in found if name not in off], chosen.internet)
    if off:
        cure = "inv lab.up --machines N --kernels N, which names as many, switches them on again"
        report.say(f"switched off, and so not in hosts.yml: {', '.join(off)}; {cure}")


def known(found: Mapping[str, machines.Machine], host: str) -> str:
    if host not in found:
        raise LabError(f"There is no machine {host}. There are: {', '.join(found) or 'none; inv lab.up makes them'}")
    return host


def reboot(host: str) -> None:
    found = machines.existing()
    found[known(found, host)].reboot()
    machines.wait([host])


def cut(host: str) -> None:
    """A loss of power: whatever it was doing, nothing is shut down; an `up` that asks for it switches it on again."""
    found = machines.existing()
    found[known(found, host)].cut()


def ssh(host: str, command: str | None) -> int:
    known(machines.existing(), host)
    return subprocess.run(ways_in.ssh(host, *([command] if command else [])), check=False).returncode


def down(report: Report) -> None:
    """Everything the lab made is gone; what was built stays cached."""
    if shutil.which("podman"):
        powercut.tell_podman()
    machines.at_once(lambda machine: machine.destroy(), list(machines.existing().values()))
    if shutil.which("podman"):
        services.stop_all()
        network.delete()
    cgroups.remove_parents()
    for lost in computer.restore():
        report.say(lost)
    shutil.rmtree(STATE, ignore_errors=True)


def status() -> dict[str, Any]:
    """What runs, where, and what is cached."""
    found = machines.existing()
    alive = services.processes()
    served = [] if hosts.origin() == INTERNET else services.services()
    listed = [*stacks.parts("guide", True), *versions.PARTS.values(), vm_image.PART]
    return {
        "machines": [
            {"name": name, "address": address(name), "running": machine.runs, "kind": machine.kind}
            for name, machine in found.items()
        ],
        "services": [
            {
                "name": service.name,
                "address": service.address,
                "running": services.pid_of(service, alive) is not None,
            }
            for service in served
        ],
        "parts": [
            {"name": part.name, "cached": part.cached, "served": versions.NOTES.get(part.name, "")}
            for part in parts.everything(listed)
        ],
    }
