"""An SSH server in a thread, on this computer: it runs what it is told to with `sh -c`."""

import fcntl
import os
import pty
import select
import shutil
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIG_DFL, SIGINT, signal
from subprocess import PIPE
from typing import Any, ClassVar

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_REQUEST

from kubefab import inventory
from kubefab.host import Host
from kubefab.log import Log
from kubefab.ssh import Link
from kubefab.sudo import Sudo

ADDRESS = "127.0.0.1"
ssh_needed = pytest.mark.skipif(not shutil.which("ssh"), reason="NOT TRIED: there is no ssh here")
HOST_KEY, OTHER_KEY, USER_KEY = (paramiko.ECDSAKey.generate() for _ in range(3))


@dataclass
class Sshd:
    """What the server saw, and how to reach it."""

    port: int
    folder: Path
    commands: list[str] = field(default_factory=list)
    stdin: list[bytes] = field(default_factory=list)
    drop: bool = False  # hang up in the middle of a command
    greeting: str = ""  # what the login shell runs before each command
    keys: list[paramiko.PKey] = field(default_factory=lambda: [USER_KEY])  # who may log in
    forwards: bool = True  # AllowTcpForwarding
    ciphers: tuple[str, ...] = ()
    startups: int = 100  # MaxStartups: those at one time that have not logged in yet
    logins: int = 0
    connections: int = 0
    offered: int = 0  # keys
    besides: bool = False  # whether a password is wanted besides a key
    terminals: list[tuple[str, int, int]] = field(default_factory=list)  # that were asked for: kind, columns, lines
    sizes: list[tuple[int, int]] = field(default_factory=list)  # that they were given later on

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def know(self, key: paramiko.PKey | None, names: str = "") -> None:
        """Lets clients know this host key, or none."""
        line = f"{names or f'[{ADDRESS}]:{self.port}'} {key.get_name()} {key.get_base64()}\n" if key else ""
        self.known_hosts.write_text(line)

    def stub(self, name: str, text: str) -> None:
        """A command that stands before the real one."""
        file = self.folder / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def host(self, user: str = "root") -> inventory.Host:
        """This server as a machine of hosts.yml. (Its address is none that an inventory may have.)"""
        text = (
            "cluster: {name: lab, kubernetes: 1.37.2}\n"
            f"ssh: {{user: {user}, port: {self.port}, key: {self.folder}/key, known_hosts: {self.known_hosts}}}\n"
            "hosts: {manager: {address: 10.0.0.1, role: master}}\n"
        )
        return inventory.parse(text, Path("hosts.yml")).hosts[0].model_copy(update={"address": ADDRESS})


class _Server(paramiko.ServerInterface):
    def __init__(self, sshd: Sshd, transport: paramiko.Transport) -> None:
        self.sshd = sshd
        self.transport = transport
        self.far: dict[int, socket.socket] = {}
        self.asked: dict[int, threading.Thread] = {}
        self.terminals: dict[int, tuple[int, int]] = {}  # columns, lines

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.sshd.offered += 1
        if self.sshd.besides:
            return paramiko.common.AUTH_PARTIALLY_SUCCESSFUL
        if key not in self.sshd.keys:
            return paramiko.common.AUTH_FAILED
        self.sshd.logins += 1
        self.sshd.startups += 1
        return paramiko.common.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        return "password" if self.sshd.besides else "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(self, chanid: int, origin: tuple[str, int], to: tuple[str, int]) -> int:
        if not self.sshd.forwards:
            return paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        try:
            far = socket.create_connection(to)
        except OSError:
            return paramiko.common.OPEN_FAILED_CONNECT_FAILED
        self.far[chanid] = far
        threading.Thread(target=self.relay, daemon=True).start()
        return paramiko.common.OPEN_SUCCEEDED

    def relay(self) -> None:
        """Whichever channel is the next that leads somewhere: several are being opened at one time."""
        channel = None
        while channel is None or channel.get_id() not in self.far:
            channel = self.transport.accept()
        far = self.far.pop(channel.get_id())
        ends: list[Any] = [far, channel]
        with far, channel, suppress(OSError):
            while True:
                for one in select.select(ends, [], [])[0]:
                    said = one.recv(65536)
                    if not said:
                        return
                    (channel if one is far else far).sendall(said)

    def check_channel_pty_request(
        self, channel: paramiko.Channel, term: bytes, width: int, height: int, *pixels: Any
    ) -> bool:
        self.sshd.terminals.append((term.decode(), width, height))
        self.terminals[channel.get_id()] = (width, height)
        return True

    def check_channel_window_change_request(
        self, channel: paramiko.Channel, width: int, height: int, *pixels: int
    ) -> bool:
        self.sshd.sizes.append((width, height))
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        return self.check_channel_exec_request(channel, b"sh")

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.sshd.commands.append(command.decode())
        self.asked[channel.get_id()] = threading.Thread(target=self.run, args=(channel, command.decode()), daemon=True)
        return True

    def begin(self, channel: paramiko.Channel) -> None:
        """What was asked for begins once that has been granted: what ends at once would seem refused."""
        if program := self.asked.pop(channel.get_id(), None):
            program.start()

    def run(self, channel: paramiko.Channel, command: str) -> None:
        if self.sshd.drop:
            self.sshd.stdin.append(channel.makefile("rb").read())
            channel.get_transport().close()
            return
        environment = {**os.environ, "PATH": f"{self.sshd.folder}:{os.environ['PATH']}"}
        if size := self.terminals.get(channel.get_id()):
            self.run_at_terminal(channel, command, environment, size)
            return
        pipes = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, "bufsize": 0}
        with subprocess.Popen(["sh", "-c", f"{self.sshd.greeting}\n{command}"], env=environment, **pipes) as program:  # type: ignore[call-overload]
            feeding = threading.Thread(target=self.feed, args=(channel, program), daemon=True)
            feeding.start()
            assert program.stdout
            assert program.stderr
            with suppress(OSError, EOFError, paramiko.SSHException):  # a client that went away
                while part := program.stdout.read(4096):
                    channel.sendall(part)
                channel.sendall_stderr(program.stderr.read())
                channel.send_exit_status(program.wait())
                channel.close()
            feeding.join()

    def run_at_terminal(
        self, channel: paramiko.Channel, command: str, environment: dict[str, str], size: tuple[int, int]
    ) -> None:
        program, terminal = pty.fork()
        if program == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            signal(SIGINT, SIG_DFL)  # whoever began the tests in the background ignores it
            os.execve("/bin/sh", ["sh", "-c", f"{self.sshd.greeting}\n{command}"], environment)
        threading.Thread(target=self.feed_terminal, args=(channel, terminal), daemon=True).start()
        with suppress(OSError, EOFError, paramiko.SSHException):  # the end of a terminal is an error
            while part := os.read(terminal, 4096):
                channel.sendall(part)
        channel.send_exit_status(os.waitstatus_to_exitcode(os.waitpid(program, 0)[1]))
        channel.close()

    def feed_terminal(self, channel: paramiko.Channel, terminal: int) -> None:
        with suppress(OSError):
            while part := channel.recv(4096):
                os.write(terminal, part)

    def feed(self, channel: paramiko.Channel, program: subprocess.Popen[bytes]) -> None:
        """Carries standard input on as it comes, and its end with it."""
        seen = b""
        assert program.stdin
        with suppress(OSError):
            while part := channel.recv(4096):
                seen += part
                program.stdin.write(part)
                program.stdin.flush()
        with suppress(OSError):
            program.stdin.close()
        self.sshd.stdin.append(seen)


@contextmanager
def running(folder: Path) -> Iterator[Sshd]:
    """A server that knows one user key, and whose host key is in its known_hosts file."""
    USER_KEY.write_private_key_file(str(folder / "key"))
    with socket.create_server((ADDRESS, 0)) as listening:
        sshd = Sshd(listening.getsockname()[1], folder)
        sshd.know(HOST_KEY)
        threading.Thread(target=_serve, args=(listening, sshd), daemon=True).start()
        yield sshd
        listening.shutdown(socket.SHUT_RDWR)  # which ends the thread: accept would never hear of close


def _serve(listening: socket.socket, sshd: Sshd) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        sshd.connections += 1
        if not sshd.startups:
            connection.close()
            continue
        sshd.startups -= 1
        threading.Thread(target=_talk, args=(connection, sshd), daemon=True).start()


def _requested(channel: Any, message: paramiko.Message) -> None:
    channel._handle_request(message)
    channel.transport.server_object.begin(channel)


class _Transport(paramiko.Transport):
    _channel_handler_table: ClassVar = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_REQUEST: _requested,
    }


def _talk(connection: socket.socket, sshd: Sshd) -> None:
    transport = _Transport(connection)
    transport.add_server_key(HOST_KEY)
    if sshd.ciphers:
        transport.get_security_options().ciphers = sshd.ciphers
    with suppress(paramiko.SSHException, EOFError):  # a client that does not like our key
        transport.start_server(server=_Server(sshd, transport))


@contextmanager
def connected(server: Sshd, user: str = "root") -> Iterator[Host]:
    """The server as a host of a cluster, whose log is below the server's folder."""
    wanted = server.host(user)
    link = Link(wanted, Sudo())
    yield Host(wanted, link, Log(server.folder / "state" / "logs"), "swap is off")
    link.close()
