"""Hosts over SSH: connect, look, change, ask; whom to believe, and how to become root."""

import logging
import os
import re
import shlex
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from getpass import getpass
from pathlib import Path
from typing import Any

import paramiko
import tenacity
from fabric import Config, Connection
from paramiko.hostkeys import HostKeys
from paramiko.ssh_exception import NoValidConnectionsError

from kubefab import facts, inventory
from kubefab.errors import HostError, KubefabError, UnknownHostKey

# Its threads would print what goes wrong beside the error that we raise from it.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

SCRIPTS = Path(__file__).parent.parent / "scripts"
SUDO_PASSWORD = "KUBEFAB_SUDO_PASSWORD"  # noqa: S105  the name of an environment variable
CONNECT_SECONDS = 8
LOOK_SECONDS = 60
LET_GO_SECONDS = 3
COLOUR = re.compile("\x1b\\[[0-9;]*m")
ASKS = re.compile("password|authentication is required")  # what sudo says, and what sudo-rs does
CHANNELS = 6  # sshd's MaxSessions is ten, and somebody may be logged in by hand


@cache
def script_text(name: str) -> str:
    return (SCRIPTS / name).read_text()


@cache
def look_program() -> str:
    """All of scripts/look as one program: each file a function, so that nothing in it leaks into the next."""
    parts = [path for path in sorted((SCRIPTS / "look").glob("*.sh")) if path.stem != "look"]
    functions = [f"look_{path.stem}() (\n{path.read_text()})\n" for path in parts]
    return "".join(functions) + script_text("look/look.sh")


def fed(script: str, payload: str = "") -> str:
    """A program that is scripts/SCRIPT with this standard input, though it travels over standard input itself."""
    body = f"main() {{\n{script_text(script)}\n}}\n"
    return body + f'printf %s {b64encode(payload.encode()).decode()} | base64 -d | main "$@"\n'


@dataclass(frozen=True)
class Answer:
    """What a program on a host said, and its exit status."""

    status: int
    output: str
    errors: str
    began: float  # seconds of the epoch


class Link:
    """One SSH connection, opened when first needed and shared by all threads."""

    def __init__(self, wanted: inventory.Host, sudo: "Sudo") -> None:
        self.wanted = wanted
        self.sudo = sudo
        self.trips = 0
        self._over = False
        self._opening = threading.Lock()
        self._channels = threading.Semaphore(CHANNELS)

    @cached_property
    def connection(self) -> Connection:
        """Not opened yet. HostError where what ssh is told in files cannot be read."""
        try:
            return self._connection()
        except (OSError, ValueError, paramiko.SSHException) as error:
            hint = "paramiko reads them, and does not know all that ssh knows: leave that out"
            raise HostError(f"the files in ~/.ssh cannot be used: {error}", hint=hint) from error

    def _connection(self) -> Connection:
        ssh = self.wanted.ssh
        if ssh.key and not ssh.key.exists():
            raise HostError(f"`ssh.key` in hosts.yml names a file that is not there: {ssh.key}")
        arguments: dict[str, Any] = {"banner_timeout": CONNECT_SECONDS, "auth_timeout": 2 * CONNECT_SECONDS}
        if ssh.key:
            arguments |= {"key_filename": [str(ssh.key)], "look_for_keys": False}
        gateway = Connection(ssh.jump, config=Config(), connect_kwargs=dict(arguments)) if ssh.jump else None
        connection = Connection(
            str(self.wanted.address),
            user=ssh.user,
            port=ssh.port,
            gateway=gateway,
            connect_timeout=CONNECT_SECONDS,
            connect_kwargs=arguments,
            config=Config(),
        )
        _believe_only_known_keys(connection, ssh.known_hosts)
        return connection

    def transport(self) -> paramiko.Transport:
        """The open transport. HostError, in words for the user, where there is none to be had."""
        with self._opening:
            if not (self._over or self.connection.is_connected):
                _open(self.connection, self.wanted.ssh)
                try:
                    self.sudo.prepare(self)
                except HostError:
                    self.connection.close()  # so that the next caller is told the same
                    raise
            if self._over:
                raise KubefabError("the run was broken off")  # which is no fault of this host
        transport: paramiko.Transport = self.connection.transport
        return transport

    def execute(self, command: str, stdin: bytes, seconds: float | None = None) -> Answer:
        """Runs a command on a bare channel. `seconds` without a word from it are too many; None: never."""
        transport = self.transport()
        with self._channels:
            return self.converse(transport, command, stdin, seconds)

    def converse(self, transport: paramiko.Transport, command: str, stdin: bytes, seconds: float | None) -> Answer:
        self.trips += 1
        began = time.time()
        try:
            channel = transport.open_session(timeout=CONNECT_SECONDS)
            channel.settimeout(seconds)
            channel.exec_command(command)
            channel.sendall(stdin)
            channel.shutdown_write()
            output = channel.makefile("rb").read()
            errors = channel.makefile_stderr("rb").read()
            status = channel.recv_exit_status()
        except TimeoutError as error:
            raise HostError(f"said nothing for {seconds:.0f} s", hint="is the host overloaded?") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            status, output, errors = -1, b"", str(error).encode()
        if status == -1:
            raise HostError(
                "the connection was lost",
                errors.decode(errors="replace"),
                "what was begun there goes on by itself; run the same command again to go on from there",
            )
        return Answer(status, output.decode(errors="replace"), errors.decode(errors="replace"), began)

    @contextmanager
    def channel(self, command: str) -> Iterator[paramiko.Channel]:
        """A command's bare channel, for what is too big for memory. HostError where the connection is lost."""
        transport = self.transport()
        with self._channels, ExitStack() as stack:
            self.trips += 1
            try:
                channel = transport.open_session(timeout=CONNECT_SECONDS)
                stack.callback(channel.close)
                channel.exec_command(command)
                yield channel
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise HostError("the connection was lost", str(error), "run the same command again") from error

    @contextmanager
    def forward(self, port: int, remote_port: int) -> Iterator[None]:
        """localhost:port here is localhost:remote_port there, as long as the context lasts."""
        self.transport()
        self.trips += 1
        with self.connection.forward_local(port, remote_port=remote_port, remote_host="localhost"):
            yield

    def close(self) -> None:
        """For good: a thread that still works with this host goes no further."""
        self._over = True
        if "connection" in self.__dict__:
            self.connection.close()


class Sudo:
    """How every host's programs become root: asked for at most once for all of them."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._password: str | None = os.environ.get(SUDO_PASSWORD)
        self._with_password: set[str] = set()

    def prepare(self, link: Link) -> None:
        """Finds out whether this host's sudo wants a password, and whether ours is right."""
        name, transport = link.wanted.name, link.connection.transport
        assert transport is not None
        if link.connection.user == "root":
            return
        answer = link.converse(transport, "env LC_ALL=C sudo -n true", b"", LOOK_SECONDS)
        if answer.status == 0:
            return
        if not ASKS.search(answer.errors):
            raise HostError("sudo does not work", answer.errors, f"let {link.connection.user} use sudo there")
        answer = link.converse(transport, "sudo -k -S -p '' true", f"{self.password()}\n".encode(), LOOK_SECONDS)
        if answer.status != 0:
            hint = f"give the right one in {SUDO_PASSWORD}, or when asked for it"
            raise HostError(f"sudo does not take this password for {link.connection.user}", hint=hint)
        self._with_password.add(name)

    def password(self) -> str:
        with self._asking:
            if self._password is None:
                if not os.isatty(0):
                    raise HostError("sudo wants a password", hint=f"give it in {SUDO_PASSWORD}")
                try:
                    self._password = getpass("sudo password: ")
                except EOFError:
                    raise KubefabError("sudo wants a password, and none was given") from None
            return self._password

    def wrap(self, link: Link, command: str, stdin: bytes) -> tuple[str, bytes]:
        """The command as root. Its program comes over stdin: in argv, sudo would log all of it."""
        link.transport()
        if link.connection.user == "root":
            return command, stdin
        if link.wanted.name not in self._with_password:
            return f"sudo -n -- {command}", stdin
        # -k: a password sudo still remembers would leave ours to be read as the program's first line.
        return f"sudo -k -S -p '' -- {command}", f"{self.password()}\n".encode() + stdin


@dataclass(frozen=True)
class Host:
    """One machine of hosts.yml."""

    wanted: inventory.Host
    link: Link
    log: "Log"
    title: str = ""  # of the step whose change is being made
    tell: Callable[[str], None] = lambda _: None  # hears how far a long change is

    @property
    def name(self) -> str:
        return self.wanted.name

    def during(self, title: str, tell: Callable[[str], None] = lambda _: None) -> "Host":
        """The same host, for the change that this step makes; `tell` hears how far it is."""
        return replace(self, title=title, tell=tell)

    def look(self, parts: tuple[str, ...], paths: list[str]) -> dict[str, str]:
        """The parts of a look, in one round trip."""
        asked = time.time()
        answer = self._run(look_program(), (*parts, "--", *paths), LOOK_SECONDS)
        found = facts.sections(answer.output)
        if missing := [part for part in parts if part not in found]:
            said = answer.errors or answer.output
            raise HostError(f"the look broke off before {missing[0]!r}", said, "is /bin/sh a POSIX shell there?")
        if "system" in found:
            found["system"] += f"\nasked {(asked + time.time()) / 2}"
        return found

    def change(self, script: str, *args: str, payload: str = "", secret: bool = False) -> str:
        """Makes a change that outlives the caller; HostError with its last lines where it fails."""
        carried = "".join(
            f"{name}={shlex.quote(value)}\n"
            for name, value in (
                ("program", script_text(script)),
                ("payload", b64encode(payload.encode()).decode()),
            )
        )
        answer = self._run(carried + script_text("change.sh"), (self.title, *args), None)
        return self._checked(answer, script, args, secret)

    def ask(
        self, script: str, *args: str, payload: str = "", secret: bool = False, seconds: float = LOOK_SECONDS
    ) -> str:
        """What a short program prints; for what is no change of a host's state. HostError where it fails."""
        return self._checked(self._run(fed(script, payload), args, seconds), script, args, secret)

    @contextmanager
    def lock(self, holder: str) -> Iterator[None]:
        """The one lock on a run, held as long as this process lives. KubefabError where another has it."""
        command, stdin = self.link.sudo.wrap(self.link, shlex.join(["sh", "-s", "--", holder]), b"")
        try:
            channel = self.link.transport().open_session(timeout=CONNECT_SECONDS)
            channel.settimeout(LOOK_SECONDS)
            channel.exec_command(command)
            channel.sendall(stdin + script_text("lock.sh").encode())
            said = channel.makefile("r").readline().split(maxsplit=2)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise HostError(f"the lock cannot be taken: {error}") from error
        if said[:1] != ["held"]:
            channel.close()
            raise KubefabError(_busy(said, self.name))
        done = threading.Event()
        threading.Thread(target=_beat, args=(channel, done), daemon=True).start()
        try:
            yield
        finally:
            done.set()
            # The next run, right after this one, shall find it free.
            with suppress(OSError):
                channel.shutdown_write()
            channel.status_event.wait(LET_GO_SECONDS)
            channel.close()

    def _run(self, program: str, args: tuple[str, ...], seconds: float | None) -> Answer:
        command, stdin = self.link.sudo.wrap(self.link, shlex.join(["sh", "-s", "--", *args]), program.encode())
        return self.link.execute(command, stdin, seconds)

    def _checked(self, answer: Answer, script: str, args: tuple[str, ...], secret: bool) -> str:
        said = "(not shown: it may hold secrets)" if secret else COLOUR.sub("", answer.output + answer.errors)
        command = shlex.join([f"scripts/{script}", *args])
        self.log.write(self.name, self.title, command, answer, said)
        if answer.status != 0:
            raise HostError(f"{command} ended with exit status {answer.status}", said)
        return answer.output


class Log:
    """The whole story of one run, for its owner's eyes only."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{os.getpid()}.log"
        self._writing = threading.Lock()

    def write(self, host: str, title: str, command: str, answer: Answer, said: str) -> None:
        """What a program did on a host; `said` is its output, or that it is not to be told."""
        began = datetime.fromtimestamp(answer.began).isoformat(" ", "milliseconds")
        status = f"exit status {answer.status} after {time.time() - answer.began:.2f} s"
        self.write_line(f"{began} {host}: {title}\n$ {command}\n{said.rstrip()}\n{status}\n")

    def write_line(self, line: str) -> None:
        try:
            with self._writing:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
                    file.write(f"{line}\n")
        except OSError as error:
            raise KubefabError(f"the log cannot be written: {error}; XDG_STATE_HOME may name another folder") from error


def _beat(channel: paramiko.Channel, done: threading.Event) -> None:
    """Tells scripts/lock.sh every 15 s that we are alive."""
    while not done.wait(15):
        try:
            channel.sendall(b".")
        except OSError:
            return


def _busy(said: list[str], name: str) -> str:
    if said[:1] != ["busy"] or len(said) < 3:
        return f"{name}: cannot take the lock: {' '.join(said) or 'no answer'}"
    return busy(said[2].strip(), float(said[1]), name)


def busy(holder: str, since: float, name: str) -> str:
    """Who has the lock on this host, and since when (seconds of the epoch)."""
    clock = facts.clock_time(since)
    return f"another run is under way: {holder}, since {clock} (its lock is on {name}); wait for its end"


def _believe_only_known_keys(connection: Connection, known_hosts: Path | None) -> None:
    """fabric trusts new keys by default, a jump host's too."""
    hops = [connection]
    while isinstance(hops[-1].gateway, Connection):
        hops.append(hops[-1].gateway)
    for hop in hops:
        paths = _known_hosts(hop, known_hosts)
        for path in paths:
            if path.exists():
                hop.client.load_system_host_keys(str(path))
        hop.client.set_missing_host_key_policy(_Refuse(paths[0]))


def _known_hosts(hop: Connection, chosen: Path | None) -> list[Path]:
    if chosen:
        return [chosen]
    configured = hop.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts").split()
    return [*(Path(path).expanduser() for path in configured), Path("/etc/ssh/ssh_known_hosts")]


class _Refuse(paramiko.MissingHostKeyPolicy):
    def __init__(self, file: Path) -> None:
        self.file = file

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise UnknownHostKey(
            f"its SSH key is not known: {key.get_name()} {key.fingerprint}",
            lines=f"{hostname} {key.get_name()} {key.get_base64()}",
            hint=str(self.file),
        )


_FAILED = (OSError, EOFError, paramiko.SSHException)


def _open(connection: Connection, ssh: inventory.Ssh) -> None:

    def passing(error: BaseException) -> bool:
        """A host that is just starting, say. Keys and passwords stay wrong."""
        return isinstance(error, _FAILED) and not isinstance(error, socket.gaierror) and not _reached(connection)

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(passing),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_fixed(1),
        reraise=True,
    )
    try:
        attempts(connection.open)
    except paramiko.BadHostKeyException as error:
        raise _changed_key(error, connection, ssh.known_hosts) from error
    except (*_FAILED, ValueError) as error:
        if _reached(connection):
            hint = _to_be_let_in(error, connection, ssh)
            raise HostError(f"does not let {connection.user} in: {error}", hint=hint) from error
        hint = "is it on, and is sshd there? `absent: true` in hosts.yml leaves it out"
        what = f"cannot be reached at {connection.host}:{connection.port}: {_reason(error)}"
        raise HostError(what, hint=hint) from error
    transport = connection.transport
    assert transport is not None
    transport.set_keepalive(15)
    if isinstance(transport.sock, socket.socket):
        # paramiko leaves Nagle on, which costs every exec 40 ms; and a pulled cable shall end a wait.
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)


def _to_be_let_in(error: Exception, connection: Connection, ssh: inventory.Ssh) -> str:
    port, who = str(connection.port), f"{connection.user}@{connection.host}"
    if isinstance(error, paramiko.PasswordRequiredException):
        return "unlock it for all of them: " + shlex.join(["ssh-add", *([str(ssh.key)] if ssh.key else [])])
    if str(error) == "No authentication methods available":
        return f"there is no key here: ssh-keygen -t ed25519, then ssh-copy-id -p {port} {who}"
    known_hosts = f"UserKnownHostsFile={ssh.known_hosts}" if ssh.known_hosts else None
    told = [("-J", ssh.jump), ("-i", ssh.key), ("-o", known_hosts)]
    words = [word for option, value in told if value for word in (option, str(value))]
    return "try the same by hand: " + shlex.join(["ssh", "-o", "BatchMode=yes", "-p", port, *words, who])


def _reached(connection: Connection) -> bool:
    """Whether there was a key exchange: what fails after it is a matter of being let in.

    paramiko does not always say so itself: a key of another kind than the last it tries is an SSHException.
    """
    transport = connection.client.get_transport()
    return bool(transport and transport.initial_kex_done)


def _reason(error: Exception) -> str:
    """paramiko gathers what went wrong for each address, and tells none of it."""
    reasons = error.errors.values() if isinstance(error, NoValidConnectionsError) else [error]
    return "; ".join(getattr(reason, "strerror", None) or str(reason) for reason in reasons)


def _changed_key(error: paramiko.BadHostKeyException, connection: Connection, known_hosts: Path | None) -> HostError:
    host, port = error.hostname, connection.port
    name = host if port == 22 else f"[{host}]:{port}"
    where = _where(name, _known_hosts(connection, known_hosts))
    return HostError(
        f"its SSH key has changed: now {error.key.get_name()} {error.key.fingerprint}; known from {where}",
        hint="somebody may be in between; if the machine was made anew: "
        f"ssh-keygen -R '{name}' -f {where.rpartition(':')[0]}",
    )


def _where(name: str, files: list[Path]) -> str:
    """FILE:LINE of the key that is known under this name."""
    for path in files:
        for number, line in enumerate(path.read_text().splitlines() if path.exists() else (), start=1):
            if any(_is(name, known) for known in line.partition(" ")[0].split(",")):
                return f"{path}:{number}"
    return f"{files[0]}:?"


def _is(name: str, known: str) -> bool:
    """Whether an entry of known_hosts, which may be hashed, is this name."""
    return known == name or (known.startswith("|1|") and HostKeys.hash_host(name, known) == known)
