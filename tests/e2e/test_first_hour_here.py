"""The first half of docs/first-hour.md: the machines of `make up`, and a cluster that is used. Half a minute."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.machines import existing
from lab.settings import has_a_kernel

from .first_hour import Shell, blocks, shell
from .harness import MASTER, WORKER, Kubefab, hang_up, power_on


@pytest.fixture
def here(cluster: Kubefab, tmp_path: Path) -> Iterator[Shell]:
    """The two machines that `make up` makes, with a cluster on them, as after it; others at most switched off."""
    for name, machine in existing().items():
        hang_up(name)
        if has_a_kernel(name):
            machine.cut()
        elif name not in (MASTER, WORKER):
            machine.destroy()
    with shell(tmp_path) as typed:
        yield typed
    power_on()


def test_on_this_computer_every_command_does_what_the_page_says(here: Shell) -> None:
    for block in blocks("On this computer"):
        here.does(block)
