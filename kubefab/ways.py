"""How OpenSSH would reach a host: it is asked itself (`ssh -G`), so that all of ~/.ssh/config counts."""

import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from getpass import getuser
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from kubefab.errors import HostError
from kubefab.inventory import Ssh

SECONDS = 20  # for `Match exec` and names that have to be looked up
HOPS = 8
OF_ALL_USERS = "/etc/ssh/ssh_config"
DEFAULT_KEYS = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
DEFAULT_KNOWN_HOSTS = "~/.ssh/known_hosts /etc/ssh/ssh_known_hosts"
NOWHERE = ("none", "/dev/null")
Said = Mapping[str, tuple[str, ...]]  # by word of ssh_config, in lower case


@dataclass(frozen=True)
class Way:
    """How a host is reached, whom to believe there, and as whom to log in."""

    host: str  # what is connected to
    port: int
    user: str
    name: str  # under which its key is known
    jumps: tuple[str, ...] = ()  # [user@]host[:port], the first hop first
    command: str = ""  # a ProxyCommand, ready to run
    keys: tuple[Path, ...] = ()  # private ones, or public ones of which an agent has the private one
    certificates: tuple[Path, ...] = ()
    only_these: bool = False  # whatever else an agent has
    agent: str = ""  # its socket
    known_hosts: tuple[Path, ...] = ()

    @property
    def who(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def way(ssh: Ssh, target: str) -> Way:
    """The way to a host of hosts.yml. HostError where ssh's own files cannot be understood, or a key is not there."""
    if ssh.key and not os.access(ssh.key, os.R_OK):
        raise HostError(f"`ssh.key` in hosts.yml names a file that is not there, or not for you to read: {ssh.key}")
    told = {"-l": ssh.user, "-p": ssh.port, "-i": ssh.key, "-J": ssh.jump}
    return _chosen(_way(_asked(told, target), target), ssh)


def hop(ssh: Ssh, jumps: tuple[str, ...]) -> Way:
    """The way to the last of these jump hosts, by way of those before it. HostError as for `way`."""
    if len(jumps) > HOPS:
        raise HostError(f"more than {HOPS} jump hosts in a row: {', '.join(jumps)}")
    user, host, port = _parted(jumps[-1])
    told = {"-l": user, "-p": port, "-i": ssh.key, "-J": ",".join(jumps[:-1])}
    return _chosen(_way(_asked(told, host), host), ssh)


def _chosen(way: Way, ssh: Ssh) -> Way:
    file = ssh.known_hosts
    return replace(way, known_hosts=(file,)) if file and str(file) not in NOWHERE else way


def _parted(jump: str) -> tuple[str, str, str]:
    """User, host and port of [user@]host[:port]; "" for what is not said."""
    user, _, place = jump.removeprefix("ssh://").rpartition("@")
    found = re.fullmatch(r"\[(?P<v6>[^]]*)\](?::(?P<port6>\d+))?|(?P<host>[^:]*)(?::(?P<port>\d+))?", place)
    if not found:
        return user, place, ""
    return user, found["v6"] or found["host"] or "", found["port6"] or found["port"] or ""


def _plain(jump: str) -> str:
    """As people write it: ssh puts every host with a port into brackets."""
    user, host, port = _parted(jump)
    place = f"[{host}]" if ":" in host and port else host
    return (f"{user}@" if user else "") + place + (f":{port}" if port else "")


def _way(said: Said, target: str) -> Way:
    def one(word: str, default: str = "") -> str:
        value = said.get(word, (default,))[0]
        return "" if value == "none" else value

    host, port, user = one("hostname", target), one("port", "22"), one("user")
    alias = one("hostkeyalias")
    tokens = {"h": host, "n": target, "p": port, "r": user, "k": alias or target, **_tokens()}
    jumps = tuple(map(_plain, filter(None, one("proxyjump").split(","))))
    return Way(
        host=host,
        port=int(port),
        user=user,
        name=alias or (host if port == "22" else f"[{host}]:{port}"),
        jumps=jumps,
        command="" if jumps else _expanded(one("proxycommand"), tokens),
        keys=tuple(_path(path, tokens) for path in said.get("identityfile", ()) if path != "none"),
        certificates=tuple(_path(path, tokens) for path in said.get("certificatefile", ()) if path != "none"),
        only_these=one("identitiesonly") == "yes",
        agent=_agent(said.get("identityagent", ("SSH_AUTH_SOCK",))[0], tokens),
        known_hosts=_files(f"{one('userknownhostsfile')} {one('globalknownhostsfile')}", tokens),
    )


def _tokens() -> Mapping[str, str]:
    """Those of ssh_config's that say something of this computer."""
    here = socket.gethostname()
    of_here = {"l": here, "L": here.partition(".")[0]}
    return {"%": "%", "d": _home(), "u": _user(), "i": str(os.getuid()), **of_here}


def _agent(said: str, tokens: Mapping[str, str]) -> str:
    if said == "none":
        return ""
    if said == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    return os.environ.get(said[1:], "") if said.startswith("$") else str(_path(_at_home(said), tokens))


def _files(said: str, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    """Several paths, between which ssh prints blanks, as it does within them: each begins with / or ~.

    A file that keeps nothing (/dev/null, none) is no place to know a key from.
    """
    found = re.split(r" +(?=[/~%$])", said.strip())
    kept = [path for path in found if path and path not in NOWHERE]
    user = [path for path in kept if not path.startswith("/etc/")]
    return tuple(_path(_at_home(path), tokens) for path in (kept if user else ["~/.ssh/known_hosts", *kept]))


def _path(text: str, tokens: Mapping[str, str]) -> Path:
    return Path(os.path.expanduser(os.path.expandvars(_expanded(text, tokens))))


def _at_home(path: str) -> str:
    """ssh has put the passwd entry's home for ~, whatever HOME says; whoever sets HOME means that."""
    return path.replace(_passwd(), "~", 1) if path.startswith(f"{_passwd()}/") else path


def _expanded(text: str, tokens: Mapping[str, str]) -> str:
    return re.sub("%(.)", lambda found: tokens.get(found[1], found[0]), text)


def _home() -> str:
    return os.path.expanduser("~")


def _passwd() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return _home()


def _asked(told: Mapping[str, object], target: str) -> Said:
    """What ssh says that it would do. HostError in its own words where it cannot tell."""
    if not shutil.which("ssh"):
        return _without_ssh(told)
    words = [str(word) for option, value in told.items() if value for word in (option, value)]
    by_hand = f"try the same by hand: {shlex.join(['ssh', '-G', *words, target])}"
    try:
        with NamedTemporaryFile() as file:
            command = ["ssh", *_config(file), "-T", "-G", *words, "--", target]
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=SECONDS,
            )
    except subprocess.TimeoutExpired as error:
        raise HostError(f"ssh does not say within {SECONDS} s how it would get there", hint=by_hand) from error
    except OSError as error:
        raise HostError(f"ssh cannot be asked how it would get there: {error.strerror or error}") from error
    if ended.returncode != 0:
        raise HostError("ssh cannot tell how it would get there", ended.stderr.decode(errors="replace"), by_hand)
    found: dict[str, tuple[str, ...]] = {}
    for line in os.fsdecode(ended.stdout).split("\n"):
        word, _, value = line.partition(" ")
        found[word] = (*found.get(word, ()), value)
    return found


def _config(file: IO[bytes]) -> list[str]:
    """Where HOME is another than the passwd entry's, the files that are meant, as one. (ssh may read it twice.)"""
    if _home() == _passwd():
        return []
    for path in (f"{_home()}/.ssh/config", OF_ALL_USERS):
        file.write(os.fsencode(f'Include "{path}"\n'))
    file.flush()
    return ["-F", file.name]


def _without_ssh(told: Mapping[str, object]) -> Said:
    """As with an empty ~/.ssh/config: there is no second parser for it."""
    _say_that_there_is_no_ssh()
    return {
        "user": (str(told["-l"] or _user()),),
        "port": (str(told["-p"] or 22),),
        "proxyjump": (str(told["-J"] or "none"),),
        "identityfile": (str(told["-i"]),) if told["-i"] else DEFAULT_KEYS,
        "userknownhostsfile": (DEFAULT_KNOWN_HOSTS,),
    }


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user need not be in /etc/passwd
        return "root"


@cache
def _say_that_there_is_no_ssh() -> None:
    print("there is no ssh on this computer: ~/.ssh/config is not read", file=sys.stderr)
