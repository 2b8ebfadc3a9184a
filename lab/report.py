"""What the lab says while it works."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Report:
    """Plain lines for everyone, and in a terminal what is going on right now below them."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        quiet = not self.console.is_terminal
        self.live = Progress(*columns, console=self.console, transient=True, disable=quiet)

    def say(self, line: str) -> None:
        self.console.print(line)

    @contextmanager
    def making(self, about: str, usually: float) -> Iterator[None]:
        """A line when it begins, how long it usually takes, a line when it is done."""
        began = time.monotonic()
        self.say(f"{about}: usually {duration(usually)}")
        task = self.live.add_task(f"{about} (usually {duration(usually)})", total=None)
        try:
            yield
            self.say(f"{about}: done in {duration(time.monotonic() - began)}")
        finally:
            self.live.remove_task(task)
