"""The run locks: whoever holds a host's lock, and those of the masters that answer, may change that host."""

import getpass
import os
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from kubefab.errors import KubefabError
from kubefab.host import Host
from kubefab.lock import Lock


@dataclass(frozen=True)
class Held:
    """A lock that this run has taken; `since` by the clock of the run."""

    lock: Lock
    since: float
    letting_go: ExitStack


class Locks:
    """The locks of one run. They are tried without waiting: two runs that want the same never wait for each other."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._gates: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def take(self, hosts: Iterable[Host]) -> float:
        """Takes those that are not ours yet: masters' first, by address. The moment since which all of them are.

        Busy where another run has one: then none is kept that this call has taken.
        """
        named = {host.name: host for host in hosts}
        ordered = sorted(named.values(), key=lambda host: (host.wanted.role != "master", host.wanted.address))
        with ExitStack() as gates, ExitStack() as taken:
            for host in ordered:
                gates.enter_context(self._gates[host.name])
            for host in ordered:
                if host.name not in self._held:
                    self._take(host)
                    taken.callback(self._let_go, host.name)
            taken.pop_all()
            return max((self._held[host.name].since for host in ordered), default=0.0)

    def check(self, hosts: Iterable[Host]) -> None:
        """KubefabError where one of these hosts' locks was ours, and is lost: another run may have begun."""
        held = {host.name: self._held[host.name].lock for host in hosts if self.holds(host)}
        lost = [f"the lock on {name} was lost: {lock.lost}" for name, lock in held.items() if lock.lost]
        if lost:
            raise KubefabError(
                f"{'; '.join(lost)}; another run may have begun, so that nothing more is changed: run the same "
                "command again, it looks at everything anew"
            )

    def holds(self, host: Host) -> bool:
        return host.name in self._held

    def let_go(self) -> None:
        """Of all of them: for a run that changes nothing more."""
        for name in list(self._held):
            self._let_go(name)

    def _take(self, host: Host) -> None:
        with ExitStack() as stack:
            lock = stack.enter_context(host.lock(_holder()))
            self._held[host.name] = Held(lock, self._clock(), stack.pop_all())

    def _let_go(self, name: str) -> None:
        self._held.pop(name).letting_go.close()


def _holder() -> str:
    """Who we are, for those who find a lock of ours."""
    return f"{_user()}@{socket.gethostname()}, process {os.getpid()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not be in /etc/passwd
        return str(os.getuid())
