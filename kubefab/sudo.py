"""How programs become root where nobody logs in as root."""

import os
import re
import select
import termios
import threading

import paramiko

from kubefab.errors import HostError, KubefabError
from kubefab.framing import Frame
from kubefab.ssh import Link

SUDO_PASSWORD = "KUBEFAB_SUDO_PASSWORD"  # noqa: S105  the name of an environment variable
ASKS = re.compile("password|authentication is required")  # what sudo says, and what sudo-rs does
UNREAD = 97  # exit status
# A sudo that reads no password would leave it to be run by the shell: what comes next has to be the mark.
_AFTER_PASSWORD = f'IFS= read -r word; [ "$word" = "$1" ] && shift && exec "$@"; exit {UNREAD}'


class Sudo:
    """How every host's programs become root: asked for at most once for all of them."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._given_up = threading.Event()
        given = os.environb.get(SUDO_PASSWORD.encode())
        self._password = None if given is None else given.decode(errors="surrogateescape")
        self._with_password: set[str] = set()

    def prepare(self, link: Link, transport: paramiko.Transport) -> None:
        """Finds out whether this host's sudo needs a password, and whether ours is right.

        It is asked about the very command that is used later: sudo's rules go by commands. HostError where
        there is no becoming root.
        """
        user = link.user
        if user == "root":
            return
        frame = Frame()
        # What the login says comes before the mark, what sudo says after it.
        first = f"sh -c 'exec 2>&1; echo; echo {frame.mark}; LC_ALL=C exec sudo -n -- {Frame.command()}'"
        answer = link.converse(transport, first, frame.program(""), link.network.patience.silence)
        said = answer.output.partition(f"\n{frame.mark}\n")[2]
        if frame.began(said):
            return
        if not ASKS.search(said):
            hint = f"let {user} use sudo there; as root: apt install sudo, adduser {user} sudo"
            raise HostError("sudo does not work", self.scrub(said), hint)
        self._try_password(link, transport)

    def _try_password(self, link: Link, transport: paramiko.Transport) -> None:
        frame = Frame()
        command, stdin = self._with(self.password(), Frame.command(), frame.program(""), frame)
        answer = link.converse(transport, command, stdin, link.network.patience.silence)
        if answer.status == UNREAD:
            hint = f"let sudo ask {link.user} for a password for every command there, or for none"
            raise HostError("sudo asks for a password, and does not read it", hint=hint)
        if not frame.began(answer.output):
            hint = f"give the right one in {SUDO_PASSWORD}, or when asked for it"
            raise HostError(f"sudo does not take this password for {link.user}", hint=hint)
        self._with_password.add(link.wanted.name)

    def password(self) -> str:
        """KubefabError or HostError where nobody gives one."""
        with self._asking:
            if self._password is None:
                if not os.isatty(0):
                    raise HostError("sudo needs a password", hint=f"give it in {SUDO_PASSWORD}")
                self._password = typed("sudo password: ", self._given_up)
            return self._password

    def wrap(self, link: Link, command: str, stdin: bytes, frame: Frame) -> tuple[str, bytes]:
        """The command as root. Its program comes over stdin: in argv, sudo would log all of it."""
        link.transport()
        if link.user == "root":
            return command, stdin
        if link.wanted.name not in self._with_password:
            return f"sudo -n -- {command}", stdin
        return self._with(self.password(), command, stdin, frame)

    def _with(self, password: str, command: str, stdin: bytes, frame: Frame) -> tuple[str, bytes]:
        # -k: a password sudo still remembers would leave ours unread.
        wrapped = f"sudo -k -S -p '' -- sh -c '{_AFTER_PASSWORD}' sh {frame.mark} {command}"
        typed_bytes = password.encode(errors="surrogateescape")  # not every terminal's are UTF-8
        return wrapped, typed_bytes + f"\n{frame.mark}\n".encode() + stdin

    def scrub(self, text: str) -> str:
        """The text without the password, for whoever is to see it."""
        return text.replace(self._password, "(the sudo password)") if self._password else text

    def give_up(self) -> None:
        """Whoever is asked for the password just now is not waited for any longer."""
        self._given_up.set()


def _terminal() -> int:
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:  # a terminal that is nobody's controlling one: a container's
        return os.dup(0)


def typed(prompt: str, given_up: threading.Event) -> str:
    """A line from the terminal, unseen. KubefabError at its end, or as soon as it is given up.

    getpass waits in a read that nothing ends: Ctrl-C, which Python gives to the main thread, would do nothing.
    """
    terminal = _terminal()
    before = termios.tcgetattr(terminal)
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, [*before[:3], before[3] & ~termios.ECHO, *before[4:]])
        os.write(terminal, prompt.encode())
        while not select.select([terminal], [], [], 0.1)[0]:
            if given_up.is_set():
                raise KubefabError("the run was interrupted")
        line = os.read(terminal, 4096).decode(errors="surrogateescape")
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        os.write(terminal, b"\n")
        os.close(terminal)
    if not line:
        raise KubefabError("sudo needs a password, and none was given")
    return line.rstrip("\n")
