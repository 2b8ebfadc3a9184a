"""The second half of docs/first-hour.md: machines of one's own, from nothing to nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.machines import existing
from tests.e2e.first_hour import Block, Shell, blocks, moved_in, shell
from tests.e2e.harness import MASTER, ROOT, SPARE, WORKER, address, eventually, fresh, on, power_on

COVERS = ("docs/first-hour.md", "tests/e2e/first_hour.py", "kubefab/hostkeys.py", "kubefab/kubeconfig.py")

OURS = {f"192.168.1.{10 + place}": address(name) for place, name in enumerate((MASTER, WORKER, SPARE))}
PASSWORD = "first-hour"
ASKED = f'#!/bin/sh\ncase "$1" in *yes/no*) echo yes ;; *) echo {PASSWORD} ;; esac\n'


@pytest.fixture
def own(machines: None, tmp_path: Path) -> Iterator[Shell]:
    """Three machines as new, which let root in by a password; and a user who has never used ssh."""
    fresh(MASTER, WORKER, SPARE)
    for host in (MASTER, WORKER, SPARE):
        on(host, "chpasswd", stdin=f"root:{PASSWORD}\n")
        on(host, "echo PermitRootLogin yes >/etc/ssh/sshd_config.d/first-hour.conf && systemctl reload ssh")
    answer = tmp_path / "answer"
    answer.write_text(ASKED)
    answer.chmod(0o700)
    with shell(tmp_path, *moved_in(tmp_path), SSH_ASKPASS=str(answer), SSH_ASKPASS_REQUIRE="force") as typed:
        yield typed
    for host in (MASTER, WORKER, SPARE):
        on(host, "rm /etc/ssh/sshd_config.d/first-hour.conf && systemctl reload ssh && passwd --quiet --lock root")


def at_our_addresses(block: Block) -> Block:
    commands = block.commands
    for theirs, ours in OURS.items():
        commands = commands.replace(theirs, ours)
    return Block(commands, block.fails, block.told)


def with_what_the_lab_needs(hosts: Path) -> None:
    """What the page says of the file: mirrors, and what containers take of kubeadm."""
    said, lab = yaml.safe_load(hosts.read_text()), yaml.safe_load((ROOT / "hosts.yml").read_text())
    said["cluster"]["kubeadm"] = lab["cluster"]["kubeadm"]
    said = {"mirrors": lab["mirrors"], **said}
    hosts.write_text(yaml.safe_dump(said, sort_keys=False))


def switched_on_again(host: str, key: str) -> None:
    """A container that reboots stays off, and at each start the lab lets its own key in alone.

    So the page's next block finds it back with an empty /run; tests/test_first_hour.py has it wait for that.
    """
    eventually(lambda: not existing()[host].runs)
    power_on()
    on(host, "cat >>/root/.ssh/authorized_keys", stdin=key)


def test_on_machines_of_ones_own_every_command_does_what_the_page_says(own: Shell) -> None:
    for block in blocks("On machines of your own"):
        own.does(at_our_addresses(block))
        if ">~/home.yml <<" in block.commands:
            with_what_the_lab_needs(own.folder / "home.yml")
        if " reboot " in block.commands:
            switched_on_again(WORKER, (own.folder / ".ssh/id_ed25519.pub").read_text())
