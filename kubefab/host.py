"""One machine of hosts.yml: it is looked at, changed, asked and locked by programs sent over SSH."""

import re
import shlex
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from kubefab import facts, framing, inventory
from kubefab.errors import Busy, HostError, KubefabError
from kubefab.framing import Frame
from kubefab.lock import Held, Lock, first_line
from kubefab.log import Log
from kubefab.patience import USUAL
from kubefab.programs import fed, look_program, script_text
from kubefab.questions import Questions
from kubefab.ssh import Answer, Link, taken, talking

LOOK_SECONDS = USUAL.silence
CHANGE_SECONDS = 300  # without a word of it; a change that goes on says so every half minute
BEAT = 30.0  # seconds between two words of a change that goes on
COLOUR = re.compile("\x1b\\[[0-9;]*m")
TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|\beyJ[\w-]+\.[\w-]+\.[\w-]+")  # kubeadm's, and a ServiceAccount's
SECRET = "(not shown: it may hold secrets)"  # noqa: S105


@dataclass(frozen=True)
class Host:
    """One machine of hosts.yml."""

    wanted: inventory.Host
    link: Link
    log: Log
    title: str = ""  # of the step whose change is being made
    tell: Callable[[str], None] = lambda _: None  # hears how far a long change is
    beat: float = BEAT

    @property
    def name(self) -> str:
        return self.wanted.name

    def during(self, title: str, tell: Callable[[str], None] = lambda _: None, beat: float | None = None) -> "Host":
        """The same host, for the change that this step makes; `tell` hears every `beat` seconds how far it is."""
        return replace(self, title=title, tell=tell, beat=beat or BEAT)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Whatever goes wrong within has gone wrong on this host."""
        try:
            yield
        except HostError as error:
            error.host = error.host or self.name
            raise

    def look(self, parts: tuple[str, ...], questions: Questions) -> dict[str, str]:
        """The parts of a look, in one round trip."""
        asked = time.time()
        frame = Frame()
        patience = self.link.network.patience
        answer = self._run(look_program(questions, patience.question), parts, patience.silence, frame)
        found = framing.parts(answer.output, frame.mark)
        if missing := [part for part in parts if part not in found]:
            said = self.shown(answer.errors or answer.output)
            hint = "is there room for more processes there?"
            raise HostError(f"the look broke off in {missing[0]!r}", said, hint, self.name)
        if "system" in found:
            half = (time.time() - asked) / 2
            found["system"] += f"\nasked {asked + half}\nasked_within {half}"
        return found

    def change(self, script: str, *args: str, payload: str = "", secret: bool = False, about: str = "") -> str:
        """Makes a change that outlives the caller; HostError with its last lines where it fails.

        Of this machine there is one change at a time. A change of the cluster that is made by way of a master says
        what it is `about` ("drain client"): it excludes another of the same subject, and nothing else. However
        long it takes, `tell` hears of it every half minute.
        """
        carried = "".join(
            f"{name}={shlex.quote(value)}\n"
            for name, value in (
                ("program", script_text(script)),
                ("payload", b64encode(payload.encode()).decode()),
                ("beat", str(self.beat)),
            )
        )
        frame = Frame()
        words = (self.title, about, *args)
        answer = self._run(carried + script_text("change.sh"), words, CHANGE_SECONDS, frame, self._news(frame, secret))
        return self._checked(answer, script, args, secret)

    def _news(self, frame: Frame, secret: bool) -> Callable[[bytes], None]:
        """Tells what change.sh says of a change that goes on."""
        began = time.monotonic()

        def told(line: str) -> None:
            last = f", last said: {self.shown(line)}" if line and not secret else ""
            self.tell(f"goes on for {time.monotonic() - began:.0f} s{last}")

        return frame.news(told)

    def ask(
        self, script: str, *args: str, payload: str = "", secret: bool = False, seconds: float = LOOK_SECONDS
    ) -> str:
        """What a short program prints; for what is no change of a host's state. HostError where it fails."""
        return self._checked(self._run(fed(script, payload), args, seconds), script, args, secret)

    @contextmanager
    def lock(self, holder: str) -> Iterator[Lock]:
        """The one lock on a run, held as long as this process is heard of there.

        Busy where another has it, KubefabError where nobody can.
        """
        with self.named():
            held = self._lock(holder)
        try:
            yield held
        finally:
            held.let_go()

    def _lock(self, holder: str) -> Held:
        frame = Frame()
        command, stdin = self.link.sudo.wrap(
            self.link, frame.command((holder,)), frame.program(script_text("lock.sh")), frame
        )
        channel = self.link.begin(command, LOOK_SECONDS)
        with talking(LOOK_SECONDS):
            taken(channel, stdin)
            said = first_line(channel, frame).split(maxsplit=2)
        if said[:1] == ["held"]:
            return Held(channel)
        channel.close()
        raise _busy(said, self.name)

    def _run(
        self,
        program: str,
        args: tuple[str, ...],
        seconds: float | None,
        frame: Frame | None = None,
        hear: Callable[[bytes], None] = lambda _: None,
    ) -> Answer:
        frame = frame or Frame()
        with self.named(), frame.unmarked():
            command, stdin = self.link.sudo.wrap(self.link, frame.command(args), frame.program(program), frame)
            return frame.answer(self.link.execute(command, stdin, seconds, hear))

    def shown(self, text: str) -> str:
        """What a program said, for people: no colour and no secret of ours in it."""
        return self.link.sudo.scrub(TOKEN.sub("(a token)", COLOUR.sub("", text)))

    def _checked(self, answer: Answer, script: str, args: tuple[str, ...], secret: bool) -> str:
        said = self.shown(f"{SECRET}\n{answer.errors}" if secret else answer.output + answer.errors)
        command = shlex.join([f"scripts/{script}", *args])
        self.log.write(self.name, self.title, command, answer, said)
        if answer.status != 0:
            raise HostError(f"{command} ended with exit status {answer.status}", said, host=self.name)
        return answer.output


def _busy(said: list[str], name: str) -> KubefabError:
    """Busy only where another run has the lock: nobody is to wait for one that is none."""
    if said[:1] != ["busy"] or len(said) < 3:
        return KubefabError(f"{name}: cannot take the lock: {' '.join(said) or 'no answer'}")
    return Busy(busy(said[2].strip(), float(said[1]), name))


def busy(holder: str, since: float, name: str) -> str:
    """Who has the lock on this host, and since when (seconds of the epoch)."""
    clock = facts.clock_time(since)
    return f"another run is under way: {holder}, since {clock} (its lock is on {name}); wait for its end"
