"""How long a host is waited for: as it suits who asks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """In seconds, but for `tries`."""

    tries: int = 3  # to open a connection
    connect: int = 8
    banner: float = 16  # a busy machine is not a lost one
    busy: float = 60  # until a busy sshd opens one more session
    silence: float = 60  # of a program that looks, or asks
    question: int = 60  # for any one of a look's; the look has its own limits below that
    readyz: float = 5
    silent_readyz: float = 5  # of an API server that had no answer for kubectl


USUAL = Patience()
# For who asks how things are: a host that is away, or an API server that hangs, says so by its silence. Of a machine
# that is there and busy more is known after some seconds than that it was not heard.
SHORT = Patience(tries=1, connect=3, banner=8, busy=8, silence=10, question=3, readyz=3, silent_readyz=1)
