"""What happened -> lines for a pipe, a live view for a terminal, a table at the end, JSON."""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, TextIO

from kubefab import etcd
from kubefab.errors import HostError, UnknownHostKey

if TYPE_CHECKING:
    from rich.live import Live

WORTH_TELLING = 0.5  # seconds of a wait
LONG = 2.0  # seconds after which a wait is told
AGAIN = 30.0  # seconds after which it is told once more, and who is not told has to wonder
TICK = 1.0  # seconds between looks at what has been told
ANSWERS = "it answers"  # the title of the failure of a host that does not
SIGNS = {"+": "green", "~": "yellow", "!": "bold red", "·": "dim"}
VERDICTS = {
    r"(?m)^\S+: FAILED: .*$": "bold red",
    r"(?m)^  what to do:": "bold",
    r"(?m)\A\S+: (not well|.*nothing can be written)$": "bold red",
    r"(?m)(?<=: )\S+ (is|are) not well:$": "bold red",
    r"(?m)^what to do next:": "bold",
    r"(?m)(?<=: )all is well$": "green",
    r"(?m)(?<=: )not known whether all is well$": "yellow",
}
TAIL = 8  # lines of a command's output that the closing error shows; the log has all


@dataclass(frozen=True)
class Failure:
    """Why a host was set aside for the rest of this run."""

    host: str
    title: str
    error: HostError

    @property
    def elsewhere(self) -> bool:
        """Whether it was another host that failed it: the master, mostly."""
        return self.error.host not in ("", self.host)

    @property
    def what(self) -> str:
        """What happened, with the name of the host where it did."""
        return f"{self.error.host}: {self.error.what}" if self.elsewhere else self.error.what

    def __str__(self) -> str:
        return f"{self.host}: {self.what}"


@dataclass(frozen=True)
class Running:
    """The step at which a host is; times by time.monotonic."""

    title: str
    detail: str
    began: float
    told: float | None = None
    again: float | None = None  # seconds after which it is told once more; None: AGAIN


class Report:
    """Tells what is being done on every host. In a terminal the running steps are shown live."""

    def __init__(self, names: Iterable[str]) -> None:
        self.width = max((len(name) for name in names), default=0)
        self.quiet = False
        self.changes: Counter[str] = Counter()
        self.began = time.monotonic()
        self._slowest: dict[str, tuple[str, float]] = {}
        self._running: dict[str, Running] = {}
        self._writing = threading.Lock()
        self._telling = threading.Lock()
        self._reminder: threading.Thread | None = None
        self._over = threading.Event()
        self._live: Live | None = None
        self._terminal = sys.stdout.isatty()

    def say(self, host: str, sign: str, text: str) -> None:
        """One line, for good."""
        if self.quiet:
            return
        line = plain(f"{host:<{self.width}}  {sign} {text}")
        with self._writing:
            if self._terminal:
                self._show(line)
            else:
                print(line, flush=True)

    def _show(self, line: str) -> None:
        """A line above what is live, its sign in colour."""
        from rich.console import Console
        from rich.text import Text

        told = Text(line)
        told.stylize(SIGNS.get(line[self.width + 2], ""), self.width + 2, self.width + 3)
        (self._live.console if self._live else Console()).print(told, soft_wrap=True)

    def running(self, host: str, title: str, detail: str, again: float | None = None) -> None:
        """This host is now at this step. Where nobody watches live, a wait is told when it grows long."""
        same = self._running.get(host)
        if same is None or same.title != title:
            same = Running(title, detail, time.monotonic(), again=again)
        self._running[host] = replace(same, detail=detail)
        if self._terminal and not self.quiet and self._live is None:
            self._start()
        if not self._terminal:
            self._remind()
            self._tell_wait(host, LONG)

    def _tell_wait(self, host: str, after: float) -> None:
        """Tells a wait that is `after` seconds old, and then again and again."""
        with self._telling:
            now = self._running.get(host)
            if now is None or _since(now.told or now.began) < ((now.again or AGAIN) if now.told else after):
                return
            self._running[host] = replace(now, told=time.monotonic())
        waited = f" for {_since(now.began):.0f} s" if now.told else ""
        self.say(host, "·", ": ".join(filter(None, (f"waiting{waited}", now.title, _first_line(now.detail)))))

    def _remind(self) -> None:
        """Tells of what says nothing itself: a change that hangs, say."""
        with self._telling:
            if self._reminder is None:
                self._over.clear()
                self._reminder = threading.Thread(target=self._reminding, daemon=True)
                self._reminder.start()

    def _reminding(self) -> None:
        with suppress(OSError):  # nobody reads on: who changes something will be told
            while self._goes_on():
                for host in list(self._running):
                    self._tell_wait(host, AGAIN)

    def _goes_on(self) -> bool:
        over = self._over.wait(TICK)
        with self._telling:
            if over or not self._running:
                self._reminder = None
            return self._reminder is not None

    def came_true(self, host: str, title: str, sign: str) -> None:
        """The step at which this host was holds now."""
        done = self._running.pop(host, None)
        seconds = time.monotonic() - done.began if done else 0.0
        self.changes[host] += sign != "·"
        self._slowest[host] = max(self._slowest.get(host, (title, 0.0)), (title, seconds), key=lambda one: one[1])
        if sign != "·" or seconds >= WORTH_TELLING:
            self.say(host, sign, f"{title}  {seconds:.1f} s")

    def waited(self, host: str) -> None:
        """What this host waited for is over, and was no step of its own."""
        self._running.pop(host, None)

    def stopped(self, host: str, title: str) -> None:
        """The step at which this host was will not come true in this run."""
        self._running.pop(host, None)
        self.say(host, "!", title)

    def summary(self, planned: int, unknown: int = 0) -> str:
        """The closing words: what was changed, or in a dry run what would be; in a terminal a table.

        `unknown`: how many changes a dry run could not know to be needed or not.
        """
        seconds = f"{time.monotonic() - self.began:.1f} s"
        if planned or unknown:
            changes = [f"{_changes(planned)} to make"] if planned else []
            doubts = [f"not known whether to make {_changes(unknown)}"] if unknown else []
            return "; ".join(changes + doubts)
        if not self.changes.total():
            return f"nothing to do ({seconds})"
        if self._terminal:
            slowest = {host: f"{title}, {taken:.1f} s" for host, (title, taken) in self._slowest.items()}
            rows = [(host, str(count), slowest[host]) for host, count in sorted(self.changes.items())]
            return f"\n{table(('host', 'changes', 'the slowest'), rows)}done in {seconds}"
        counts = ", ".join(f"{host} {count}" for host, count in sorted(self.changes.items()) if count)
        return f"done in {seconds}; changes: {counts}"

    def close(self) -> None:
        self._over.set()
        if self._live:
            self._live.stop()
            self._live = None

    def _start(self) -> None:
        from rich.live import Live  # only where somebody watches

        with self._writing:
            if self._live is None:  # all hosts begin at about the same time
                self._live = Live(get_renderable=self._view, refresh_per_second=8, transient=True)
                self._live.start()

    def _view(self) -> Any:
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        view = Table.grid(padding=(0, 1))
        for host, now in sorted(dict(self._running).items()):  # others go on meanwhile
            title = Text(plain(now.title), no_wrap=True, overflow="ellipsis")
            detail = Text(plain(_first_line(now.detail)), style="dim", no_wrap=True, overflow="ellipsis")
            view.add_row(Spinner("dots"), host, title, f"{_since(now.began):3.0f} s", detail)
        return view


def failures(found: Sequence[Failure], log: Path) -> str:
    """The one error at the end: host by host which state failed, what is there instead, and what to do."""
    strangers = [failure for failure in found if isinstance(failure.error, UnknownHostKey)]
    away = {failure.host for failure in found if failure.title == ANSWERS}
    waiting = [failure for failure in found if failure.elsewhere and failure.error.host in away]
    blocks = [_unknown_keys(strangers)] if strangers else []
    blocks += [_block(failure, waiting) for failure in found if failure not in (*strangers, *waiting)]
    return plain("\n".join((*blocks, *([f"full log: {_from_home(log)}"] if os.path.exists(log) else []))))


def _changes(count: int) -> str:
    return f"{count} change{'s' if count > 1 else ''}"


def _from_home(path: Path) -> str:
    with suppress(RuntimeError, ValueError):  # there is no home, or the path leads elsewhere
        return f"~/{path.relative_to(Path.home())}"
    return str(path)


def _block(failure: Failure, waiting: Sequence[Failure]) -> str:
    error = failure.error
    tail = "".join(f"\n    {line}" for line in _lines(error.lines)[-TAIL:])
    hint = f"\n  what to do: {error.hint}" if error.hint else ""
    hosts = [f"{one.host} ({one.title})" for one in waiting if one.error.host == failure.host]
    needed = f"\n  what waits for it: {', '.join(hosts)}" if hosts and failure.title == ANSWERS else ""
    return f"\n{failure.host}: FAILED: {failure.title}\n  {failure.what}{tail}{hint}{needed}"


def _unknown_keys(found: Sequence[Failure]) -> str:
    """One error for all hosts, and one command that accepts just the keys that were seen."""
    seen = "\n".join(f"  {failure}" for failure in found)
    errors = [failure.error for failure in found if isinstance(failure.error, UnknownHostKey)]
    lines: dict[str, dict[str, None]] = {}  # by known_hosts file; a jump host's key is seen by many
    for error in errors:
        lines.setdefault(error.file, {})[error.accepting] = None
    accept = "\n".join(_accepting(Path(file), keys) for file, keys in lines.items())
    return f"\nunknown SSH keys:\n{seen}\nIf the machines' own consoles show the same, accept them:\n\n{accept}\n"


def _accepting(file: Path, keys: Iterable[str]) -> str:
    folder = "" if os.path.exists(file.parent) else f"mkdir -p -m 700 {quote(str(file.parent))}\n"
    return "\n".join((f"{folder}cat >>{quote(str(file))} <<END", *keys, "END"))


def as_json(data: Mapping[str, Any]) -> str:
    """For programs, what a table or a tree shows to people."""
    return json.dumps(data, indent=2)


def status(data: Mapping[str, Any]) -> str:
    """A cluster's status for people (see status.as_data): the verdict first, and last what to do."""
    lines = [
        f"{data['cluster']}: {data['verdict']}",
        *(_nodes(data["nodes"]) if data["nodes"] else _hosts(data["hosts"])),
        *(table(etcd.HEAD, etcd.rows(data["etcd"])).splitlines() if data["etcd"] else ()),
        *map(_addon, data["addons"] or ()),
        *data["notes"],
        *(f"  {problem}" for problem in data["problems"]),
        *([f"what to do next: {data['next']}"] if data["next"] else []),
    ]
    return plain("\n".join(lines))


def _nodes(nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = [
        (one["name"], ", ".join(one["roles"]) or "worker", _ready(one), one["version"], one["address"]) for one in nodes
    ]
    return table(("node", "role", "ready", "version", "address"), rows).splitlines()


def _ready(node: Mapping[str, Any]) -> str:
    return f"{'yes' if node['ready'] else 'no'}{', cordoned' if node['cordoned'] else ''}"


def _hosts(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is known where no API server tells of nodes; `?` for what was not heard."""
    head = ("host", "role", "SSH", "kubelet", "API server", "etcd")
    return table(head, map(_host, hosts)).splitlines()


def _host(one: Mapping[str, Any]) -> tuple[str, ...]:
    of_master = (one["api_server"] or "?", one["etcd"] or "?") if one["role"] == "master" else ("", "")
    return (one["name"], one["role"], "answers" if one["ssh"] else "no answer", one["kubelet"] or "?", *of_master)


def _addon(one: Mapping[str, Any]) -> str:
    told = "" if one["wanted"] else f", not in hosts.yml; to remove it: inv addon.remove --name {one['name']}"
    return f"add-on {one['name']} {one['version']}{told}"


def judged(data: Mapping[str, Any], head: Sequence[str], rows: Sequence[Sequence[str]], well: str, unwell: str) -> str:
    """The members of etcd, or certificates, as a table for people; below it the verdict, and what is wrong."""
    verdict = f"{data['cluster']}: {unwell if data['problems'] else well}"
    problems = [plain(f"  {problem}") for problem in data["problems"]]
    return painted("\n".join((f"{table(head, rows) if rows else ''}{verdict}", *problems)), sys.stdout)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as text."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*head, box=None)
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    console = Console(width=120, force_terminal=False)  # who prints it paints it
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


def painted(text: str, stream: TextIO) -> str:
    """The text with its verdicts in colour where a terminal shows it, and as it is for anybody else."""
    if not stream.isatty():
        return text
    from rich.console import Console
    from rich.text import Text

    told = Text(text)
    for words, style in VERDICTS.items():
        told.highlight_regex(words, style)
    console = Console(file=stream)
    with console.capture() as captured:
        console.print(told, soft_wrap=True, end="")
    return captured.get()


def plain(text: str) -> str:
    """Text from anywhere, fit for a terminal: what would move its cursor, or hide a word, is a `?`."""
    return "".join(one if one.isprintable() or one in "\n\t" else "?" for one in text)


def _lines(text: str) -> list[str]:
    """Lines as a terminal would leave them: of what was written over, a progress bar say, the last."""
    return [line.rstrip("\r").rpartition("\r")[2] for line in text.strip().split("\n")] if text.strip() else []


def _since(moment: float) -> float:
    return time.monotonic() - moment


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:100]
