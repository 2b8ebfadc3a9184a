"""A computer like nobody's, but in each thing like somebody's: python -m tests.surroundings COMMAND…

The command finds an environment, a home, a locale, a time zone and a umask of others. For root it runs in namespaces of
its own besides, with another /etc and /run, another name of the host, and no network. Nothing of the computer changes.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

INSIDE = "--inside"
NAMESPACES = ("unshare", "--mount", "--net", "--uts")
TURKISH = Path("/usr/share/i18n/locales/tr_TR")
DEAD = "http://127.0.0.1:9"  # a proxy that answers nobody
SSH_CONFIG = """\
Host *
    User odd
    Port 9
    IdentityFile ~/.ssh/odd
    IdentityAgent none
    HostKeyAlias odd
    ProxyCommand false
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
Match exec "echo odd >&2; true"
    SendEnv *
"""
GITCONFIG = "[core]\n\tautocrlf = true\n"
ETC: Mapping[str, str] = {
    **dict.fromkeys(("hosts.allow", "hosts.deny", "hosts.before-kubefab", "fstab.before-kubefab"), "odd: odd\n"),
    "fstab": "/dev/odd none swap sw 0 0\nodd\n",
    "gitconfig": GITCONFIG,
    "invoke.yaml": "run: {dry: true, echo: true}\n",
    "fabric.yml": "user: odd\n",
    "docker/daemon.json": '{"odd": true}\n',
    "containerd/config.toml": "odd = true\n",
    "cni/net.d/00-odd.conflist": "{}\n",
    "kubernetes/admin.conf": "odd\n",
    "kubernetes/manifests/odd.yaml": "odd\n",
    "apt/apt.conf.d/00odd": f'Acquire::http::Proxy "{DEAD}";\n',
    "apt/sources.list.d/kubernetes.list": "deb [trusted=yes] file:/odd ./\n",
    "sysctl.d/zz-odd.conf": "net.ipv4.ip_forward = 0\n",
    "ssh/ssh_config": SSH_CONFIG,
    "ssh/ssh_known_hosts": "odd\n",
}
RUN: Mapping[str, str] = {"kubefab/change": "1 |odd\n", "containerd/containerd.sock": "", "docker.sock": ""}
HOME: Mapping[str, str] = {
    ".ssh/config": SSH_CONFIG,
    ".ssh/odd": "odd\n",
    ".ssh/known_hosts": "odd\n",
    ".ssh/id_ed25519": "odd\n",
    ".gitconfig": GITCONFIG,
    ".invoke.yaml": "run: {dry: true}\n",
    ".fabric.yml": "user: odd\n",
    ".profile": "echo odd\n",
    ".kube/config": "odd\n",
}
ENVIRONMENT: Mapping[str, str] = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), DEAD),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "odd.example"),
    "PATH": "/usr/bin:/bin",  # of every user, and of root by `su`: without /usr/sbin
    "TZ": "Pacific/Kiritimati",
    "USER": "odd",
    "LOGNAME": "odd",
    "SHELL": "/bin/false",
    "TERM": "dumb",
    "COLUMNS": "20",
    "LINES": "5",
    "FORCE_COLOR": "1",
    "PY_COLORS": "0",  # pytest's own
    "PYTHONUTF8": "0",
    "PYTHONWARNDEFAULTENCODING": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "POSIXLY_CORRECT": "1",
    "CDPATH": "/:/tmp",
    "LANGUAGE": "tr:de",
    "TAR_OPTIONS": "--verbose",
    "EDITOR": "false",
    "PAGER": "false",
    "KUBECONFIG": "/odd/kubeconfig",
    "INV_HOSTS": "/odd/hosts.yml",
    "INVOKE_RUN_DRY": "1",
    "INVOKE_RUN_ECHO": "1",
    "KUBEFAB_SUDO_PASSWORD": "odd",
    "LAB_FROM": "odd",
    "XDG_STATE_HOME": "/odd/state",
    "XDG_CACHE_HOME": "/odd/cache",
    "XDG_CONFIG_HOME": "/odd/config",
    "APT_CONFIG": "/odd/apt.conf",
    "CONTAINERD_ADDRESS": "/odd/containerd.sock",
    "DOCKER_HOST": "tcp://127.0.0.1:9",
}


def main(words: Sequence[str]) -> int:
    """The exit status of the command."""
    if words[0] == INSIDE:
        another_computer()
        words = words[1:]
    elif os.geteuid() == 0:
        again = [sys.executable, "-m", "tests.surroundings", INSIDE]
        return subprocess.run([*NAMESPACES, *again, *words], check=False).returncode
    else:
        print("/etc, /run and the network are this computer's: only root can have others", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="odd place ", dir="/var/tmp") as folder:
        return somebody(Path(folder), words)


def another_computer() -> None:
    """Seen by nobody but who is in these namespaces."""
    socket.sethostname("Odd-Host.example.org")
    switch_loopback_on()
    mount("-t", "tmpfs", "-o", "mode=755", "odd", "/mnt")
    subprocess.run(["cp", "-a", "/etc/.", "/mnt"], check=True)
    write(Path("/mnt"), ETC)
    users = Path("/mnt/passwd")
    users.write_text(
        re.sub("^(root:.*):.*:.*$", r"\1:/odd/root:/bin/false", users.read_text("utf-8"), flags=re.M), "utf-8"
    )
    mount("--move", "/mnt", "/etc")
    mount("-t", "tmpfs", "-o", "mode=755", "odd", "/run")
    write(Path("/run"), RUN)


def mount(*words: str) -> None:
    subprocess.run(["mount", "--no-mtab", *words], check=True)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # it may be a link that leads out of the copy
        file.write_text(text, "utf-8")


def switch_loopback_on() -> None:
    """By SIOCSIFFLAGS with IFF_UP (netdevice(7)): not every computer has `ip`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))


def somebody(folder: Path, words: Sequence[str]) -> int:
    """Runs the command with an environment, a home and a place for temporary files of somebody's."""
    home, temporary = folder / "home", folder / "tmp"
    write(home, HOME)
    temporary.mkdir()
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    with agent(folder) as holder:
        env = {**ENVIRONMENT, **locale(folder), **holder, "HOME": str(home), "TMPDIR": str(temporary)}
        return subprocess.run(words, env=env, stdin=subprocess.DEVNULL, check=False).returncode


def locale(folder: Path) -> dict[str, str]:
    """One that is not of UTF-8, and in which i is no small I; ASCII where this computer cannot make it."""
    if not TURKISH.exists():
        print("NOT TRIED: a locale that is not of UTF-8; Debian's package locales has it", file=sys.stderr)
        return {"LC_ALL": "C"}
    place = folder / "tr_TR.ISO-8859-9"
    subprocess.run(["localedef", "-i", "tr_TR", "-f", "ISO-8859-9", str(place)], check=True)
    return {"LC_ALL": place.name, "LOCPATH": str(folder)}


@contextmanager
def agent(folder: Path) -> Iterator[dict[str, str]]:
    """An agent that holds somebody's key; one that is not there, where there is no ssh."""
    env = {"SSH_AUTH_SOCK": str(folder / "agent")}
    if not shutil.which("ssh-agent"):
        yield env
        return
    with subprocess.Popen(["ssh-agent", "-D", "-a", env["SSH_AUTH_SOCK"]], stdout=subprocess.DEVNULL) as running:
        try:
            while not Path(env["SSH_AUTH_SOCK"]).exists():
                pass
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "held"], check=True)
            subprocess.run(["ssh-add", "-q", folder / "held"], env={**os.environ, **env}, check=True)
            yield env
        finally:
            running.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
