"""What can go wrong for a user, each as one message; never a traceback."""

from dataclasses import dataclass


class KubefabError(Exception):
    """str() is the whole message."""


class InventoryError(KubefabError):
    """What is wrong with hosts.yml: one line a problem, each with file and line, ready to print."""


class Busy(KubefabError):
    """Another run holds a host's lock: who, and since when."""


def reason(error: BaseException) -> str:
    """Why a library failed, in the words of what lies at the bottom of it: a library's own exception is no message."""
    while below := error.__cause__ or error.__context__:
        error = below
    said = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    return said or type(error).__name__


@dataclass
class HostError(KubefabError):
    """Something on one host: what happened, the last lines it said, and what the user can do.

    `host` is the name of the host that was talked to, where it is another than the one whose step failed: the
    master's failure is no worker's. `on_the_way`: a jump host failed, and of the host behind it nothing is known.
    """

    what: str
    lines: str = ""
    hint: str = ""
    host: str = ""
    on_the_way: bool = False

    def __str__(self) -> str:
        return self.what

    @property
    def may_be_on(self) -> bool:
        """Whether the host's machine may run: a machine that is off answers with nothing at all."""
        return self.on_the_way or not isinstance(self, Unreachable) or isinstance(self, Refused)


class Unreachable(HostError):
    """Nobody answers at a host's address."""


class Refused(Unreachable):
    """A machine is on at a host's address, and takes no connection there."""


class Unheard(HostError):
    """The connection to a host was lost, or nothing came over it for too long: what had begun there may go on."""


@dataclass
class Silent(HostError):
    """The cluster's API server, or etcd, gives no answer: nothing may be concluded from what it does not say.

    A step's own hint is for what it finds, and may be the very thing not to do where nobody knows.
    """

    hint: str = "see what does not run: inv cluster.status; after a reboot: inv fix-reboot"


@dataclass
class UnknownHostKey(HostError):
    """A host whose SSH key is in no known_hosts file."""

    accepting: str = ""  # the line that would accept it
    file: str = ""  # where that line belongs


class NotAsked(HostError):
    """A part of a host's look that was not asked for, or could not look: nothing may be concluded from it."""
