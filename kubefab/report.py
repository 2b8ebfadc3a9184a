"""What happened -> lines for a pipe, a live view for a terminal, a table at the end, JSON."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.live import Live


class Report:
    """Tells what is being done on every host. In a terminal the running steps are shown live."""

    def __init__(self, names: Iterable[str]) -> None:
        self.width = max((len(name) for name in names), default=0)
        self.changes: Counter[str] = Counter()
        self.began = time.monotonic()
        self._running: dict[str, tuple[str, str, float]] = {}
        self._writing = threading.Lock()
        self._live: Live | None = None
        self._terminal = sys.stdout.isatty()

    def say(self, host: str, sign: str, text: str) -> None:
        """One line, for good."""
        with self._writing:
            line = f"{host:<{self.width}}  {sign} {text}"
            if self._live:
                self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                print(line, flush=True)

    def running(self, host: str, title: str, detail: str) -> None:
        """This host is now at this step."""
        _, _, began = self._running.get(host, ("", "", time.monotonic()))
        if title != self._running.get(host, ("",))[0]:
            began = time.monotonic()
        self._running[host] = (title, detail, began)
        if self._terminal and self._live is None:
            self._start()

    def came_true(self, host: str, title: str, sign: str) -> None:
        """The step at which this host was holds now."""
        _, _, began = self._running.pop(host, ("", "", time.monotonic()))
        self.changes[host] += sign != "·"
        self.say(host, sign, f"{title}  {time.monotonic() - began:.1f} s")

    def stopped(self, host: str, title: str) -> None:
        """The step at which this host was will not come true in this run."""
        self._running.pop(host, None)
        self.say(host, "!", title)

    def close(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _start(self) -> None:
        from rich.live import Live  # only where somebody watches

        self._live = Live(get_renderable=self._view, refresh_per_second=8, transient=True)
        self._live.start()

    def _view(self) -> Any:
        from rich.spinner import Spinner
        from rich.table import Table

        table = Table.grid(padding=(0, 1))
        for host, (title, detail, began) in sorted(self._running.items()):
            table.add_row(
                Spinner("dots"), host, title, f"[dim]{time.monotonic() - began:.0f} s  {_first_line(detail)}"
            )
        return table


def _first_line(text: str) -> str:
    from rich.markup import escape

    return escape(text.partition("\n")[0][:100])
