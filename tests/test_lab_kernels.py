"""What of the lab's machines with kernels of their own needs no machine."""

import io
import json
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from lab import commands, network, qemu, requirements, settings, vm
from lab import lab as whole
from lab.origin import SOURCE, Origin
from lab.report import Report
from tests import sandbox

HARDWARE = qemu.Hardware(
    name="vm1",
    uuid="6f1c",
    mac="02:00:0a:fa:00:3c",
    tap="kubefab-vm1",
    kernel=Path("/k/vmlinuz"),
    initrd=Path("/k/initrd.img"),
    disks=[Path("/k/disk.img"), Path("/k/swap.img")],
    console=Path("/k/console.log"),
    monitor=Path("/k/monitor"),
)


def test_they_have_names_and_addresses_of_their_own() -> None:
    assert settings.kernel_names(2) == ["vm1", "vm2"]
    assert [settings.address(name) for name in ("vm1", "vm2")] == ["10.250.0.60", "10.250.0.61"]
    assert settings.has_a_kernel("vm9")
    assert not settings.has_a_kernel("client")
    names = [*settings.machine_names(settings.MOST_MACHINES), *settings.kernel_names(settings.MOST_KERNELS)]
    assert len({settings.address(name) for name in names}) == len(names)


def test_a_tap_has_a_name_that_the_kernel_takes() -> None:
    assert all(len(vm.VM(name).tap) < 16 for name in settings.kernel_names(settings.MOST_KERNELS))


# QEMU's command line


@pytest.mark.parametrize(("accelerator", "says"), [("kvm", "kvm"), ("emulation", "tcg,thread=multi")])
def test_qemu_is_told_how_to_run_a_processors_instructions(accelerator: str, says: str) -> None:
    words = qemu.command(HARDWARE, accelerator)
    assert words[words.index("-accel") + 1] == says


def test_a_power_cut_means_something_the_disks_keep_what_was_synced_and_no_more() -> None:
    drives = [word for word in qemu.command(HARDWARE, "kvm") if word.startswith("file=")]
    assert [drive.partition(",")[0] for drive in drives] == ["file=/k/disk.img", "file=/k/swap.img"]
    assert all("cache=writeback" in drive and "format=raw" in drive for drive in drives)


def test_the_first_disk_is_the_one_it_boots_from() -> None:
    words = qemu.command(HARDWARE, "kvm")
    assert "root=/dev/vda" in words[words.index("-append") + 1]
    assert next(word for word in words if "serial=" in word) == "virtio-blk-pci,drive=disk0,serial=disk"
    assert next(iter(vm.DISKS)) == "disk"


def test_it_is_known_by_its_command_line_and_by_nothing_that_another_process_could_have() -> None:
    ours = qemu.command(HARDWARE, "emulation")
    assert qemu.is_ours(ours, "vm1", HARDWARE.monitor)
    assert not qemu.is_ours(ours, "vm2", HARDWARE.monitor)
    assert not qemu.is_ours(ours, "vm1", Path("/elsewhere/monitor"))
    assert not qemu.is_ours(["vim", *ours[1:]], "vm1", HARDWARE.monitor)
    assert not qemu.is_ours([], "vm1", HARDWARE.monitor)


def test_a_process_id_that_somebody_else_has_by_now_is_no_sign_of_life() -> None:
    machine = vm.VM("vm1")
    ours = [qemu.PROGRAM, "-name", qemu.process_name("vm1"), "-monitor", f"unix:{machine.monitor},server,nowait"]
    assert machine.pid({7: ["sleep", "1000"], 9: ours}) == 9
    assert machine.pid({7: ["sleep", "1000"]}) is None


def test_the_power_button_is_held_until_it_is_heard(tmp_path: Path) -> None:
    """QEMU greets, and forgets a command that it has not begun when its panel is let go of."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as panel:
        panel.bind(str(tmp_path / "monitor"))
        panel.listen()

        def answer() -> None:
            connection, _ = panel.accept()
            with connection:
                connection.sendall(b"QEMU 7.2.22 monitor\r\n")
                let_go, *_ = select.select([connection], [], [], 0.2)
                assert not let_go, connection.recv(100)
                connection.sendall(b"(qemu) ")
                heard.append(connection.recv(100))
                let_go, *_ = select.select([connection], [], [], 0.2)
                heard.extend(connection.recv(100) for _ in let_go)
                connection.sendall(b"system_powerdown\r\n(qemu) ")

        listening = threading.Thread(target=answer)
        listening.start()
        qemu.press(tmp_path / "monitor", "system_powerdown")
        listening.join(5)
    assert heard == [b"system_powerdown\n"]


# KVM


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with KVM, whose QEMU is a program in this folder."""
    for name, value in {"KVM": "kvm", "BOOT_ID": "boot", "REMEMBERED": "vm/kvm.json", "PROGRAM": "qemu"}.items():
        monkeypatch.setattr(qemu, name, tmp_path / value)
    (tmp_path / "kvm").touch()
    (tmp_path / "boot").write_text("first\n")
    return tmp_path


def a_qemu(folder: Path, program: str) -> None:
    (folder / "qemu").write_text(f'#!/bin/sh\necho "$@" >>"{folder}/asked"\n{program}\n')
    (folder / "qemu").chmod(0o755)


RUNS = "echo 'Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)'"


@pytest.mark.parametrize(
    ("program", "accelerator"),
    [(RUNS, "kvm"), ("echo 'failed to set MSR 0x10a' >&2; exit 134", "emulation"), ("exit 0", "emulation")],
)
def test_kvm_is_taken_where_a_kernel_really_runs(computer: Path, program: str, accelerator: str) -> None:
    a_qemu(computer, program)
    assert qemu.accelerator(computer / "vmlinuz") == accelerator
    assert "-accel kvm" in (computer / "asked").read_text()


def test_a_kernel_that_hangs_is_none_that_runs(computer: Path) -> None:
    a_qemu(computer, "exec sleep 60")
    assert not qemu.kvm_runs(computer / "vmlinuz", seconds=0.2)


def test_without_kvm_nothing_is_tried(computer: Path) -> None:
    a_qemu(computer, RUNS)
    (computer / "kvm").unlink()
    assert qemu.accelerator(computer / "vmlinuz") == "emulation"
    assert not (computer / "asked").exists()


def test_what_was_tried_is_remembered_until_the_computer_boots(computer: Path) -> None:
    a_qemu(computer, RUNS)
    assert [qemu.accelerator(computer / "vmlinuz") for _ in range(2)] == ["kvm", "kvm"]
    assert len((computer / "asked").read_text().splitlines()) == 1
    (computer / "boot").write_text("second\n")
    a_qemu(computer, "exit 1")
    assert qemu.accelerator(computer / "vmlinuz") == "emulation"
    assert json.loads(qemu.REMEMBERED.read_text()) == {"boot": "second", "accelerator": "emulation"}


# What is set up for them on this computer


def test_lab_down_knows_the_rules_of_their_addresses() -> None:
    for _, _, chain, *rule in network.exits("10.250.0.60"):
        assert network.is_ours(f"-A {chain} {' '.join(rule)}")
    assert not any("10.250.0.61/32" in rule for rule in network.exits("10.250.0.60"))


def test_what_leaves_the_machines_network_is_masqueraded_and_nothing_else() -> None:
    (masquerade,) = [rule for rule in network.exits("10.250.0.60") if "MASQUERADE" in rule]
    assert masquerade[masquerade.index("!") + 1 :][:2] == ["-d", settings.SUBNET]


def test_only_a_computer_with_room_for_them_gets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "architecture", lambda: "amd64")
    monkeypatch.setattr(requirements, "memory_gib", lambda: 7.5)
    assert vm.lacking(0) == []
    assert vm.lacking(1) == []
    assert vm.lacking(2) == ["9 GiB of memory: there are 7.5"]
    monkeypatch.setattr(vm, "architecture", lambda: "arm64")
    assert "x86-64" in vm.lacking(1)[0]
    assert vm.lacking(0) == []


def test_nothing_of_theirs_is_installed_for_those_who_want_none() -> None:
    assert not set(vm.PROGRAMS) & set(requirements.PROGRAMS)


# What each has of its own

e2fsprogs = pytest.mark.skipif(
    not (shutil.which("mkfs.ext4", path=sandbox.PATH) and shutil.which("debugfs", path=sandbox.PATH)),
    reason="NOT TRIED: there are no e2fsprogs here",
)


def test_it_asks_nameservers_that_it_can_reach(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("# made by hand\nnameserver 10.0.0.2\nnameserver 127.0.0.1\nnameserver fe80::1%eth0\n")
    assert vm.resolvers((tmp_path / "none", stub, real)) == ["10.0.0.2"]
    assert vm.resolvers((stub,)) == []


def test_its_network_file_takes_over_no_link_of_the_pods() -> None:
    text = vm.lan("vm1", ["10.0.0.2"])
    assert "[Match]\nName=en*\n" in text
    assert "Address=10.250.0.60/24\nGateway=10.250.0.1\nDNS=10.0.0.2\n" in text


@e2fsprogs
def test_files_are_written_into_a_disk_that_nobody_has_mounted(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    (tmp_path / "root/etc").mkdir(parents=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", tmp_path / "root", disk, "4M"], check=True)
    vm.write_into(disk, tmp_path / "files", iter([vm.Own("/etc/hostname", "vm1\n", 0o600, 1000)]))
    read = subprocess.run(["debugfs", "-R", "cat /etc/hostname", disk], capture_output=True, text=True, check=True)
    assert read.stdout == "vm1\n"
    shown = subprocess.run(["debugfs", "-R", "stat /etc/hostname", disk], capture_output=True, text=True, check=True)
    assert "Mode:  0600" in shown.stdout
    assert "User:  1000" in shown.stdout
    assert not (tmp_path / "files").exists()


@e2fsprogs
def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    subprocess.run(["mkfs.ext4", "-q", disk, "4M"], check=True)
    with pytest.raises(settings.LabError, match="File not found"):
        vm.write_into(disk, tmp_path / "files", iter([vm.Own("/nowhere/hostname", "vm1\n")]))


# The same commands for both kinds


class Fake:
    """A machine that notes what is done to it."""

    kind, image, patience, log = "emulation", "", 1, ""

    def __init__(self, name: str, runs: bool = True) -> None:
        self.name = name
        self.runs = runs
        self.done: list[str] = []

    def cut(self) -> None:
        self.done.append("cut")

    def reboot(self) -> None:
        self.done.append("reboot")

    def destroy(self) -> None:
        self.done.append("destroy")

    def revive(self) -> bool:
        self.runs = True
        return True

    def lets_in(self) -> bool:
        return self.runs

    def host_keys(self) -> list[str]:
        return []


class Lab:
    """Machines, of which some are dead; what is said, and which of them are written into hosts.yml."""

    def __init__(self, dead: tuple[str, ...]) -> None:
        self.found = {name: Fake(name, name not in dead) for name in ("manager", "client", "client2", "vm1")}
        self.written: list[str] = []
        self.output = io.StringIO()
        self.report = Report(Console(file=self.output, width=200))

    def existing(self) -> dict[str, Fake]:
        return self.found

    def create(self, name: str, stack: str) -> None:
        self.found[name] = Fake(name)

    def write(self, stack: str, names: Iterable[str], internet: bool) -> None:
        self.written = list(names)


@pytest.fixture
def fakes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The lab, of which these are dead; nothing is asked of this computer."""
    lab = Lab(getattr(request, "param", ()))
    monkeypatch.setattr(whole, "prepare", lambda *_, **__: Origin(SOURCE, "for the test"))
    monkeypatch.setattr(whole, "serve", lambda *_: None)
    for name in ("existing", "create"):
        monkeypatch.setattr(whole.machines, name, getattr(lab, name))
    monkeypatch.setattr(whole.containers, "forget_images", lambda: None)
    monkeypatch.setattr(whole.machines, "write_known_hosts", lambda *_: None)
    monkeypatch.setattr(whole.machines, "image", lambda *_: "")
    monkeypatch.setattr(whole.hosts, "write", lab.write)
    return lab


dead = partial(pytest.mark.parametrize, "fakes", indirect=True)


@dead([("client2", "vm1")])
def test_a_machine_that_is_switched_off_is_not_in_hosts_yml_and_what_switches_it_on_is_told(fakes: Lab) -> None:
    whole.up(fakes.report, 2, "", False, 0)
    assert fakes.written == ["manager", "client"]
    said = fakes.output.getvalue()
    assert "switched off, and so not in hosts.yml: client2, vm1" in said
    assert "inv lab.up --machines N --kernels N" in said


@dead([("client", "vm1")])
def test_what_was_asked_for_is_switched_on_again_and_is_in_hosts_yml(fakes: Lab) -> None:
    whole.up(fakes.report, 2, "", False, 1)
    assert fakes.written == ["manager", "client", "client2", "vm1"]
    assert "switched off" not in fakes.output.getvalue()


@dead([("manager", "vm1")])
def test_a_master_that_is_switched_off_makes_no_master_of_another(fakes: Lab) -> None:
    whole.fresh(fakes.report, ["client"], "")
    assert fakes.written == ["manager", "client", "client2"]
    assert fakes.found["manager"].done == []


def test_a_machine_that_is_made_anew_is_destroyed_first_and_no_other_is(fakes: Lab) -> None:
    before = dict(fakes.found)
    whole.fresh(fakes.report, ["vm1"], "")
    assert [one.done for one in before.values()] == [[], [], [], ["destroy"]]
    assert fakes.found["vm1"] is not before["vm1"]


@pytest.mark.parametrize(("command", "done"), [(whole.cut, "cut"), (whole.reboot, "reboot")])
def test_what_is_done_is_done_to_the_machine_that_was_named(
    fakes: Lab, command: Callable[[str], None], done: str
) -> None:
    command("vm1")
    assert [one.done for one in fakes.found.values()] == [[], [], [], [done]]
    with pytest.raises(settings.LabError, match=r"no machine vm2\. There are: manager, client, client2, vm1"):
        command("vm2")


@pytest.mark.parametrize(
    ("kind", "runs", "says"),
    [
        ("container", True, "runs"),
        ("container", False, "does not run"),
        ("kvm", True, "runs, its own kernel, by KVM"),
        ("emulation", False, "does not run, its own kernel, emulated"),
    ],
)
def test_a_machine_is_told_with_what_its_kernel_runs_by(kind: str, runs: bool, says: str) -> None:
    assert commands.said({"kind": kind, "running": runs}) == says


def test_every_kind_of_machine_has_its_words() -> None:
    assert {*commands.KINDS} == {*vm.PATIENCE}
