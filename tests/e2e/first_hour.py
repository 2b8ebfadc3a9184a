"""docs/first-hour.md, read as a person does who types its commands and compares what comes."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from .harness import ROOT, eventually, no_secrets, surroundings

DOCUMENT = ROOT / "docs/first-hour.md"
STATUS = "inv cluster.status\n"
# A block of commands, one that ends with 1 (`sh fails`), or what has to come of the block before it.
FENCE = re.compile(r"^```(sh fails|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Commands that are typed at once, and the lines that have to come of them, in this order, among others."""

    commands: str
    fails: bool
    told: tuple[str, ...] = ()


def blocks(heading: str, document: str | None = None) -> list[Block]:
    """Those of a chapter."""
    text = DOCUMENT.read_text(encoding="utf-8") if document is None else document
    _, _, chapter = text.partition(f"\n## {heading}\n")
    found: list[Block] = []
    for kind, content in FENCE.findall(re.split(r"^## ", chapter, flags=re.MULTILINE)[0]):
        if kind == "text":
            found[-1] = Block(found[-1].commands, found[-1].fails, tuple(content.splitlines()))
        else:
            found.append(Block(content, kind == "sh fails"))
    return found


def missing(told: tuple[str, ...], said: str) -> str | None:
    """The first line that does not come where it should; `…` stands for anything, blanks for any number of them."""
    lines = iter([" ".join(line.split()) for line in said.splitlines()])
    for line in told:
        words = ".*".join(re.escape(part) for part in " ".join(line.split()).split("…"))
        if not any(re.fullmatch(words, one) for one in lines):
            return line
    return None


@dataclass
class Shell:
    """The one shell in which all of it is typed: what a block exports, the next one has."""

    process: "subprocess.Popen[str]"
    folder: Path

    def does(self, block: Block) -> None:
        """What the block says comes of it; of a status at its end in time, as harness.all_is_well has it."""
        if block.commands.endswith(STATUS):
            self._does(Block(block.commands.removesuffix(STATUS), False))
            eventually(lambda: self._does(Block(STATUS, block.fails, block.told)))
        else:
            self._does(block)

    def _does(self, block: Block) -> bool:
        """What it asks on a terminal nobody answers."""
        script, said = self.folder / "block", self.folder / "said"
        script.write_text(block.commands, encoding="utf-8")
        status = self._type(f". {shlex.quote(str(script))} </dev/null >{shlex.quote(str(said))} 2>&1")
        heard = said.read_text(encoding="utf-8", errors="replace")
        no_secrets(heard)
        assert status == ("1" if block.fails else "0"), f"ended with {status}:\n{block.commands}\n{heard}"
        line = missing(block.told, heard)
        assert line is None, f"not said: {line}\n{block.commands}\n{heard}"
        return True

    def _type(self, command: str) -> str:
        """The exit status of the last of its commands that failed, or 0."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"failed=0; trap 'failed=$?' ERR; {command}; trap - ERR; echo $failed\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@contextmanager
def shell(home: Path, *words: str, **besides: str) -> Iterator[Shell]:
    """A shell in the checkout, started by these words."""
    process = subprocess.Popen(
        [*words, "bash", "--norc"],
        cwd=ROOT,
        env=surroundings(home) | {"LAB_FROM": "source"} | besides,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Shell(process, home)
        assert process.stdin
        process.stdin.close()


def moved_in(home: Path) -> tuple[str, ...]:
    """Words before a command that runs with this as its user's home, for ssh too, which asks /etc/passwd alone."""
    users = home / "passwd"
    users.write_text(re.sub(r"^(root(:[^:]*){4}):[^:]*:", rf"\1:{home}:", Path("/etc/passwd").read_text(), flags=re.M))
    return ("unshare", "--mount", "sh", "-c", f'mount --bind {quote(str(users))} /etc/passwd && exec "$@"', "sh")
