"""One machine of hosts.yml: it is looked at, changed, asked and locked by programs sent over SSH."""

import re
import shlex
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import paramiko

from kubefab import facts, inventory
from kubefab.errors import Busy, HostError
from kubefab.log import Log
from kubefab.programs import fed, look_program, script_text
from kubefab.ssh import CONNECT_SECONDS, Answer, Link

LOOK_SECONDS = 60
LET_GO_SECONDS = 3
COLOUR = re.compile("\x1b\\[[0-9;]*m")


@dataclass
class Lock:
    """A host's lock that is ours, until it is lost: nothing may be changed from then on."""

    lost: bool = False


@dataclass(frozen=True)
class Host:
    """One machine of hosts.yml."""

    wanted: inventory.Host
    link: Link
    log: Log
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
    def lock(self, holder: str) -> Iterator["Lock"]:
        """The one lock on a run, held as long as this process lives. Busy where another has it."""
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
            raise Busy(_busy(said, self.name))
        held, done = Lock(), threading.Event()
        threading.Thread(target=_beat, args=(channel, done, held), daemon=True).start()
        try:
            yield held
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


def _beat(channel: paramiko.Channel, done: threading.Event, held: Lock) -> None:
    """Tells scripts/lock.sh every 15 s that we are alive."""
    while not done.wait(15):
        try:
            channel.sendall(b".")
        except OSError:
            held.lost = True
            return


def _busy(said: list[str], name: str) -> str:
    if said[:1] != ["busy"] or len(said) < 3:
        return f"{name}: cannot take the lock: {' '.join(said) or 'no answer'}"
    return busy(said[2].strip(), float(said[1]), name)


def busy(holder: str, since: float, name: str) -> str:
    """Who has the lock on this host, and since when (seconds of the epoch)."""
    clock = facts.clock_time(since)
    return f"another run is under way: {holder}, since {clock} (its lock is on {name}); wait for its end"
