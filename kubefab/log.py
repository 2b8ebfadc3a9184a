"""The log of a run: all that was sent to the hosts and what they said."""

import os
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from kubefab.errors import KubefabError
from kubefab.ssh import Answer

KEPT = 50  # runs whose logs stay


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

    @property
    def written(self) -> bool:
        """Whether there was anything to tell: a run that only looks leaves no log."""
        return os.path.exists(self.path)

    def write_line(self, line: str) -> None:
        """KubefabError where it cannot be written."""
        try:
            with self._writing:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not self.written:
                    self._forget()
                with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                    file.write(f"{line}\n".encode(errors="backslashreplace"))  # a file's name may be no UTF-8
        except OSError as error:
            raise KubefabError(f"the log cannot be written: {error}; XDG_STATE_HOME may name another folder") from error

    def _forget(self) -> None:
        """The oldest logs go; each begins with its time."""
        for old in sorted(self.path.parent.glob("*.log"))[: -KEPT + 1]:
            with suppress(OSError):
                old.unlink()
