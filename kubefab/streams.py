"""A program on a host whose input, output, terminal and exit status are those of this process."""

import os
import shlex
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import chain
from typing import BinaryIO

import paramiko

from kubefab.errors import HostError
from kubefab.framing import Frame
from kubefab.host import Host
from kubefab.ssh import killed_there, lost, taken, talking

SIGNALLED = 255  # as ssh says it of a program that a signal has ended
_LOST = (OSError, EOFError, paramiko.SSHException)


def at_terminal() -> bool:
    """Whether a person types here, and sees what is said."""
    return bool(sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty())


def run(host: Host, program: str, hear_us: bool) -> int:
    """Runs a program as root; its exit status. HostError where it cannot be run, or the connection is lost.

    What is typed, or comes through a pipe, is its input where it is to `hear_us`; at a terminal it is that always.
    """
    frame, terminal = Frame(), at_terminal()
    with host.named():
        command, stdin = host.link.sudo.wrap(host.link, frame.command(), whole(frame, program, terminal), frame)
        if terminal:
            return _run_at_terminal(host, command, stdin, frame)
        with _begun(host, command) as channel:
            _send(channel, stdin, more=hear_us)
            return _joined(channel, _after(frame, _chunks(channel.recv)), frame.stream, hear_us)


def _run_at_terminal(host: Host, command: str, stdin: bytes, frame: Frame) -> int:
    """There output and errors are one stream, with the mark of each."""
    ready = Frame()
    with _begun(host, _unechoed(command, ready), _as_here) as channel, _raw():
        said = _after(ready, _chunks(channel.recv))
        _send(channel, stdin, more=True)
        return _joined(channel, _after(frame, _after(frame, said)))


def log_in(host: Host, words: Sequence[str]) -> int:
    """Runs a command as who logs in, or their shell; its exit status. HostError as for `run`."""
    terminal = at_terminal()
    with (
        host.named(),
        _begun(host, shlex.join(words), _as_here if terminal else _as_it_is) as channel,
        _raw() if terminal else nullcontext(),
    ):
        return _joined(channel, _chunks(channel.recv))


def whole(frame: Frame, program: str, terminal: bool) -> bytes:
    """The program as one command: the shell has read all of it before the mark is said, and what follows is input.

    A key that interrupts is for what it runs alone: a shell that dies by it has no exit status to tell.
    """
    before = "trap : INT QUIT\n" + ("stty sane\n" if terminal else "")
    return b"{\n" + frame.program(f"{before}{program}\nexit\n") + b"}\n"


def _unechoed(command: str, plain: Frame) -> str:
    """At a terminal what we send would be seen, and cut off after 4096 bytes, were it not switched off before."""
    return shlex.join(["sh", "-c", f"stty raw -echo; printf '\\n%s\\n' {plain.mark}; exec {command}"])


def _as_it_is(channel: paramiko.Channel) -> None:
    """No terminal there."""


@contextmanager
def _begun(
    host: Host, command: str, prepare: Callable[[paramiko.Channel], None] = _as_it_is
) -> Iterator[paramiko.Channel]:
    with host.link.begin(command, None, prepare) as channel:
        yield channel


def _send(channel: paramiko.Channel, data: bytes, more: bool) -> None:
    with talking(None):
        if taken(channel, data) and not more:
            channel.shutdown_write()


def _as_here(channel: paramiko.Channel) -> None:
    """A terminal there, of the kind and size of ours."""
    columns, lines = os.get_terminal_size(sys.stdout.fileno())
    channel.get_pty(os.environ.get("TERM", "dumb"), columns, lines)


@contextmanager
def _raw() -> Iterator[None]:
    """Each key goes there as it is; here nothing is made of it."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _chunks(receive: Callable[[int], bytes]) -> Iterator[bytes]:
    """What comes, until its end. Not a word of a reader of ours that hangs up: that is no fault of the connection."""
    while True:
        with talking(None):
            part = receive(1 << 16)
        if not part:
            return
        yield part


def _after(frame: Frame, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """What comes after the mark, which is waited for here and now. HostError where it never comes."""
    rest = frame.stream(chunks)
    return chain((next(rest),), rest)


def _joined(
    channel: paramiko.Channel,
    said: Iterable[bytes],
    errors: Callable[[Iterator[bytes]], Iterator[bytes]] = iter,
    hear_us: bool = True,
) -> int:
    besides = threading.Thread(target=_complain, args=(errors(_chunks(channel.recv_stderr)),), daemon=True)
    besides.start()
    if hear_us and sys.stdin:
        threading.Thread(target=_feed, args=(channel,), daemon=True).start()
    with _resized(channel):
        _tell(said, sys.stdout.buffer)
        besides.join()
        status = channel.recv_exit_status()
    if status == -1 and not killed_there(channel):
        raise lost("")
    return SIGNALLED if status == -1 else status


def _tell(chunks: Iterable[bytes], to: BinaryIO) -> None:
    for part in chunks:
        to.write(part)
        to.flush()


def _complain(chunks: Iterable[bytes]) -> None:
    with suppress(*_LOST, HostError):
        _tell(chunks, sys.stderr.buffer)


def _feed(channel: paramiko.Channel) -> None:
    with suppress(*_LOST):
        while part := os.read(sys.stdin.fileno(), 1 << 16):
            channel.sendall(part)
        channel.shutdown_write()


@contextmanager
def _resized(channel: paramiko.Channel) -> Iterator[None]:
    """The terminal there follows ours.

    A handler in Python waits until this thread goes on, which it may not do before the host says something: a pipe is
    written to at once.
    """
    if not at_terminal():
        yield
        return
    signalled, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    threading.Thread(target=_follow, args=(channel, signalled), daemon=True).start()
    before = signal.signal(signal.SIGWINCH, lambda *_: None)
    other = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(other)
        signal.signal(signal.SIGWINCH, before)
        os.close(wakeup)


def _follow(channel: paramiko.Channel, signalled: int) -> None:
    with open(signalled, "rb", buffering=0) as pipe:
        while pipe.read(64):
            with suppress(*_LOST):
                channel.resize_pty(*os.get_terminal_size(sys.stdout.fileno()))
