"""The answer is only what our program said: what a login prints before it is cut off."""

import re
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from kubefab.errors import HostError
from kubefab.ssh import Answer

LONGEST_GREETING = 1 << 20  # bytes; who says more than that before our program begins says something else


@dataclass(frozen=True)
class Frame:
    """One program and its answer, told from all else by a word that nobody there can know beforehand."""

    mark: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def _line(self) -> bytes:
        return f"\n{self.mark}\n".encode()

    @staticmethod
    def command(args: tuple[str, ...] = ()) -> str:
        """What runs a program that comes over standard input; any shell understands it, fish and csh too."""
        return shlex.join(["sh", "-s", "--", *args])

    def program(self, text: str) -> bytes:
        """The program, which says $mark first of all: on a line of its own, whatever half a line precedes it."""
        said = f"mark={self.mark}; printf '\\n%s\\n' $mark; printf '\\n%s\\n' $mark >&2\n"
        return said.encode() + text.encode(errors="surrogateescape")  # a word that somebody types may be no UTF-8

    def began(self, said: bytes | str) -> bool:
        return self._line in (said.encode() if isinstance(said, str) else said)

    def answer(self, answer: Answer) -> Answer:
        """Without what was said before the program. HostError where it never began."""
        if not self.began(answer.output):
            raise never_began(answer.output + answer.errors)
        output = re.sub(f"^{self.mark} .*\n", "", self.after(answer.output), flags=re.MULTILINE)
        return replace(answer, output=output, errors=self.after(answer.errors))

    def news(self, told: Callable[[str], None]) -> Callable[[bytes], None]:
        """Hears an answer as it comes, and tells the lines in it that are no part of it (see scripts/change.sh)."""
        rest = b""

        def hear(part: bytes) -> None:
            nonlocal rest
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.startswith(f"{self.mark} ".encode()):
                    told(line.decode(errors="replace").removeprefix(self.mark).strip())

        return hear

    @contextmanager
    def unmarked(self) -> Iterator[None]:
        """A program that was cut off had said the mark as well: people are told what came after it."""
        try:
            yield
        except HostError as error:
            error.lines = self.after(error.lines)
            raise

    def after(self, said: str) -> str:
        """What was said from the mark on; all of it where there is none."""
        before, line, after = said.partition(self._line.decode())
        return after if line else before

    def stream(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same for what is too big for memory."""
        said = b""
        for chunk in chunks:
            said += chunk
            before, line, after = said.partition(self._line)
            if line:
                yield after
                yield from chunks
                return
            if len(before) > LONGEST_GREETING:
                break
        raise never_began(said.decode(errors="replace"))


def never_began(said: str) -> HostError:
    """For a login that runs nothing of ours: a forced command, /sbin/nologin, no room for a process."""
    hint = "does `ssh HOST uname` print a word there? The login may be for another user, or its shell run no command"
    return HostError("its login does not run what it is told to", said, hint)


def parts(text: str, mark: str = "") -> dict[str, str]:
    """A look's output by its parts; those alone that came to their own end. `mark` is the frame's.

    Lines end at "\\n" only: whatever else may end a line for Python is a character like any other there.
    """
    found: dict[str, str] = {}
    name, lines = "", list[str]()
    begins, ends = (f"{word} {mark} " if mark else f"{word} " for word in ("==", "end"))
    for line in text.split("\n"):
        if line.startswith(begins):
            name, lines = line.removeprefix(begins), []
        elif name and line == ends + name:
            found[name] = "\n".join(lines)
            name = ""
        else:
            lines.append(line)
    return found
