"""How programs become root where nobody logs in as root."""

import os
import re
import threading
from getpass import getpass

from kubefab.errors import HostError, KubefabError
from kubefab.ssh import Link

SUDO_PASSWORD = "KUBEFAB_SUDO_PASSWORD"  # noqa: S105  the name of an environment variable
SUDO_SECONDS = 60
ASKS = re.compile("password|authentication is required")  # what sudo says, and what sudo-rs does


class Sudo:
    """How every host's programs become root: asked for at most once for all of them."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._password: str | None = os.environ.get(SUDO_PASSWORD)
        self._with_password: set[str] = set()

    def prepare(self, link: Link) -> None:
        """Finds out whether this host's sudo wants a password, and whether ours is right."""
        name, transport = link.wanted.name, link.connection.transport
        assert transport is not None
        if link.connection.user == "root":
            return
        answer = link.converse(transport, "env LC_ALL=C sudo -n true", b"", SUDO_SECONDS)
        if answer.status == 0:
            return
        if not ASKS.search(answer.errors):
            raise HostError("sudo does not work", answer.errors, f"let {link.connection.user} use sudo there")
        answer = link.converse(transport, "sudo -k -S -p '' true", f"{self.password()}\n".encode(), SUDO_SECONDS)
        if answer.status != 0:
            hint = f"give the right one in {SUDO_PASSWORD}, or when asked for it"
            raise HostError(f"sudo does not take this password for {link.connection.user}", hint=hint)
        self._with_password.add(name)

    def password(self) -> str:
        with self._asking:
            if self._password is None:
                if not os.isatty(0):
                    raise HostError("sudo wants a password", hint=f"give it in {SUDO_PASSWORD}")
                try:
                    self._password = getpass("sudo password: ")
                except EOFError:
                    raise KubefabError("sudo wants a password, and none was given") from None
            return self._password

    def wrap(self, link: Link, command: str, stdin: bytes) -> tuple[str, bytes]:
        """The command as root. Its program comes over stdin: in argv, sudo would log all of it."""
        link.transport()
        if link.connection.user == "root":
            return command, stdin
        if link.wanted.name not in self._with_password:
            return f"sudo -n -- {command}", stdin
        # -k: a password sudo still remembers would leave ours to be read as the program's first line.
        return f"sudo -k -S -p '' -- {command}", f"{self.password()}\n".encode() + stdin
