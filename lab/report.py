"""What the lab says while it works."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table

from lab.forecast import Work, left, pace


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Report:
    """Plain lines for everyone, and in a terminal what is going on right now below them."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.clock = clock
        self.expected: dict[str, Work] = {}
        self.began: dict[str, float] = {}
        self.took: dict[str, float] = {}
        self.spinner = Spinner("dots")
        self.live = Live(get_renderable=self.view, console=self.console, transient=True)

    def say(self, line: str) -> None:
        self.console.print(line)

    @property
    def works(self) -> list[Work]:
        return list(self.expected.values())

    def expect(self, works: Iterable[Work]) -> None:
        """Something that is going to be made, after what it needs: the time left is told by it."""
        if not self.expected:
            self.since = self.clock()
        self.expected |= {work.name: work for work in works}

    @contextmanager
    def making(self, work: Work) -> Iterator[None]:
        """A line when it is done; where nothing is shown live one when it begins, too, and the time left."""
        self.expect([work])
        self.plainly(f"{work.about}: usually {duration(work.seconds)}")
        self.began[work.name] = self.clock()
        try:
            yield
            self.took[work.name] = self.clock() - self.began[work.name]
        finally:
            del self.began[work.name]
        shown = self.console.is_terminal or len(self.took) == len(self.works)
        self.say(f"{work.about}: done in {duration(self.took[work.name])}" + ("" if shown else f"; {self.left()}"))

    def plainly(self, line: str) -> None:
        """What is shown live in a terminal anyway."""
        if not self.console.is_terminal:
            self.say(line)

    def remind(self) -> None:
        """That it goes on, and for how long."""
        running = self.running()
        self.plainly(f"{self.left()}: {', '.join(work.about for work in self.works if work.name in running)}")

    def running(self) -> dict[str, float]:
        """Seconds since each began that is being made; others begin and end while this is read."""
        return {name: self.clock() - began for name, began in dict(self.began).items()}

    def seconds_left(self) -> float:
        return left(self.works, self.running(), dict(self.took))

    def left(self) -> str:
        return f"about {max(1, round(self.seconds_left() / 60))} min left in all"

    def view(self) -> RenderableType:
        """One bar for all of it, and below it each part that is being made."""
        if not self.works:
            return ""
        return Group(self.bar(), self.rows())

    def bar(self) -> Table:
        spent = self.clock() - self.since
        bar = ProgressBar(total=spent + self.seconds_left() or 1, completed=spent, width=30)
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, f"{len(self.took)} of {len(self.works)} parts made, {self.left()}")
        return row

    def rows(self) -> Table:
        running = self.running()
        slowness = pace(self.works, running, dict(self.took))
        table = Table.grid(padding=(0, 1))
        table.add_column()
        table.add_column(no_wrap=True, overflow="ellipsis")
        for work in self.works:
            if work.name in running:
                times = f"{duration(running[work.name])} of about {duration(work.seconds * slowness)}"
                table.add_row(self.spinner, f"{work.about}: {times}")
        return table
