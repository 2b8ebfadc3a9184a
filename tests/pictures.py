"""The pictures of the README, of real runs on the lab: a cluster that is being made, a status, an error.

`make pictures` makes them anew. Each run has a terminal of its own. What it writes there goes to a terminal emulator,
whose screen at one moment becomes an SVG.
"""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import tempfile
import termios
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.e2e import harness
from tests.e2e.harness import INV, MACHINES, ROOT, SPARE, WORKER

PICTURES = ROOT / "docs/pictures"
WIDTH, HEIGHT = 100, 24
FAINT, GREY = b"\x1b[2m", b"\x1b[38;5;245m"  # pyte does not know the first
SPINNING = re.compile("[⠀-⣿] ")  # a line of the live view
HALFWAY = ("the host is a node", "flannel answers")  # a moment at which the hosts are at different steps


def screens(said: Sequence[bytes]) -> Iterator[pyte.Screen]:
    """The screen after each piece of what was said; the same object each time."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.ByteStream(screen)
    for piece in said:
        stream.feed(piece.replace(FAINT, GREY))
        yield screen


def text_of(screen: pyte.Screen) -> Text:
    """Its lines down to the last that has something on it, in their colours."""
    lines = [line_of([screen.buffer[row][column] for column in range(screen.columns)]) for row in range(screen.lines)]
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return Text("\n").join(lines)


def line_of(cells: Sequence[pyte.screens.Char]) -> Text:
    alike = ((style, "".join(cell.data for cell in some)) for style, some in groupby(cells, style_of))
    return Text.assemble(*((data, style) for style, data in alike))


def style_of(cell: pyte.screens.Char) -> Style:
    return Style(color=colour(cell.fg), bold=cell.bold)


def colour(name: str) -> str | None:
    """pyte's word for it -> rich's; None for the terminal's own."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    words = name.replace("brown", "yellow").replace("bright", "bright_")
    return None if words == "default" else words


def svg(text: Text, name: str, title: str) -> str:
    """A picture that asks nobody for its font."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(text)
    drawn = console.export_svg(title=title, theme=MONOKAI, unique_id=name)
    return re.sub(r"\s+@font-face \{.*?\}", "", drawn, flags=re.DOTALL)


def halfway(screen: pyte.Screen) -> bool:
    """Whether all machines are shown at work, at the steps of that moment."""
    live = [line for line in screen.display if SPINNING.match(line)]
    return len(live) == len(MACHINES) and all(any(step in line for line in live) for step in HALFWAY)


def record(task: str, hosts: Path, home: Path) -> list[bytes]:
    """All that `inv` writes to its terminal in a home of its own, piece by piece."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", "INV_HOSTS": str(hosts)}
    process = subprocess.Popen(
        [INV, task], cwd=ROOT, env=surroundings, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    said = list(pieces(ours))
    process.wait()
    return [f"$ inv {task}\r\n".encode(), *said]


def pieces(terminal: int) -> Iterator[bytes]:
    """What comes from a terminal until nobody has it open any more."""
    with os.fdopen(terminal, "rb", buffering=0) as output:
        while True:
            try:
                yield output.read(65536)
            except OSError:
                return


def draw(name: str, task: str, text: Text) -> None:
    (PICTURES / f"{name}.svg").write_text(svg(text, name, f"inv {task}"), encoding="utf-8")


def draw_last(name: str, task: str, hosts: Path, home: Path) -> None:
    """The screen as a run leaves it."""
    *_, screen = screens(record(task, hosts, home))
    draw(name, task, text_of(screen))


def draw_all(home: Path) -> None:
    hosts = harness.hosts_file(home / "home.yml", *MACHINES)
    harness.power_on()
    harness.fresh(*MACHINES)
    harness.on(WORKER, "systemd-run --quiet --collect --unit=pictures socat TCP-LISTEN:10250,fork -")
    harness.cut_power(SPARE)
    draw_last("error", "preflight", hosts, home)
    harness.power_on()
    harness.on(WORKER, "systemctl stop pictures")
    shown = [text_of(screen) for screen in screens(record("cluster.up", hosts, home)) if halfway(screen)]
    draw("live", "cluster.up", shown[len(shown) // 2])
    harness.on(WORKER, "systemctl stop kubelet")
    harness.kubectl("wait", "--for=condition=Ready=unknown", f"node/{WORKER}", "--timeout=120s")
    draw_last("status", "cluster.status", hosts, home)
    harness.on(WORKER, "systemctl start kubelet")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="kubefab-pictures-") as folder:
        draw_all(Path(folder))
