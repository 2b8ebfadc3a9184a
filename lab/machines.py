"""What the lab asks of any machine, whether it is a container or has a kernel of its own."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from lab import containers, vm, ways_in
from lab.settings import LabError, address, has_a_kernel
from lab.waiting import until

Each = TypeVar("Each")
Result = TypeVar("Result")


class Machine(Protocol):
    """One that there is, whether it runs or not."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def image(self) -> str:
        """What it was made of."""

    @property
    def runs(self) -> bool: ...
    @property
    def patience(self) -> int:
        """Seconds that it may take to let people in."""

    @property
    def log(self) -> str:
        """Where a person looks when it does not."""

    def lets_in(self) -> bool: ...
    def host_keys(self) -> list[str]:
        """Lines of known_hosts, by another way than the network: this is what makes them worth trusting."""

    def destroy(self) -> None: ...
    def revive(self) -> bool:
        """Switch it on again after its power was lost; whether its disk is as it was, not as new."""

    def reboot(self) -> None: ...
    def cut(self) -> None:
        """Its power, at once; its disk stays."""


def existing() -> dict[str, Machine]:
    return {**(containers.existing() if shutil.which("podman") else {}), **vm.existing()}


def image(name: str, stack: str) -> str:
    """What a machine of this name would be made of."""
    return vm.image() if has_a_kernel(name) else containers.image(stack)


def create(name: str, stack: str) -> None:
    """A machine as new."""
    maker = vm.create if has_a_kernel(name) else containers.create
    maker(name, image(name, stack))


def at_once(work: Callable[[Each], Result], subjects: Sequence[Each]) -> list[Result]:
    """For all machines side by side; the first failure is told when all have ended."""
    with ThreadPoolExecutor(max(1, len(subjects))) as pool:
        futures = [pool.submit(work, subject) for subject in subjects]
    return [future.result() for future in futures]


def wait(names: Sequence[str]) -> None:
    """Until every one lets people in; then who they are is written down."""
    found = existing()
    for name in names:
        if not until(found[name].lets_in, found[name].patience):
            seconds = found[name].patience
            raise LabError(f"{name} ({address(name)}) lets nobody in after {seconds} s: {found[name].log}")
    write_known_hosts(found)


def write_known_hosts(found: Mapping[str, Machine]) -> None:
    ways_in.write_known_hosts(line for machine in found.values() if machine.runs for line in machine.host_keys())
