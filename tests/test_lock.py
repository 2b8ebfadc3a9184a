"""The lock on runs, against a channel in memory: it is lost before it is let go of there."""

import threading
from collections.abc import Callable
from typing import cast

import paramiko
import pytest

from kubefab.lock import Held


class Channel:
    """Hears every beat, until it is deaf."""

    def __init__(self) -> None:
        self.closed = self.eof_received = self.deaf = False
        self.status_event = threading.Event()
        self.beats = 0
        self.saved_exception: Exception | None = None

    def get_transport(self) -> "Channel":
        return self

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, said: bytes) -> None:
        self.beats += 1

    def recv(self, size: int) -> bytes:
        if self.deaf:
            raise TimeoutError
        return b"heard\n"

    def shutdown_write(self) -> None:
        self.status_event.set()

    def close(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def held(channel: Channel, clock: Callable[[], float], beat: float = 0.01) -> Held:
    return Held(cast(paramiko.Channel, channel), beat, clock)


def beaten(channel: Channel, times: int = 3) -> None:
    """Waits until so many more beats were sent."""
    enough = channel.beats + times
    while channel.beats < enough:
        threading.Event().wait(0.001)


def test_a_lock_is_ours_as_long_as_we_are_heard() -> None:
    channel, clock = Channel(), Clock()
    lock = held(channel, clock)
    for now in (80, 160, 240):
        clock.now = now
        beaten(channel)
        assert not lock.lost
    lock.let_go()
    assert channel.closed


def test_a_lock_is_lost_when_nobody_says_that_we_were_heard() -> None:
    channel, clock = Channel(), Clock()
    lock = held(channel, clock)
    channel.deaf = True
    beaten(channel)
    lost = []
    for clock.now in (89, 91):
        lost.append(lock.lost)
    assert lost == ["", "it was not heard of for 91 s"]


@pytest.mark.parametrize("sign", ["closed", "eof_received"])
def test_a_lock_is_lost_with_its_connection_and_stays_so(sign: str) -> None:
    channel, clock = Channel(), Clock()
    lock = held(channel, clock)
    setattr(channel, sign, True)
    assert lock.lost == "the connection that held it was lost"
    setattr(channel, sign, False)
    assert lock.lost


@pytest.mark.parametrize(("error", "why"), [(OSError("reset by peer"), "reset by peer"), (EOFError(), "EOFError")])
def test_it_is_told_what_ended_the_connection(error: Exception, why: str) -> None:
    channel = Channel()
    lock = held(channel, Clock())
    channel.closed, channel.saved_exception = True, error
    assert lock.lost == f"the connection that held it was lost ({why})"


def test_a_computer_that_slept_has_lost_its_lock() -> None:
    """Its first look at the clock tells, before the network has told anything."""
    channel, clock = Channel(), Clock()
    lock = held(channel, clock, beat=15)
    clock.now = 76
    assert lock.lost == "it was not heard of for 76 s"
