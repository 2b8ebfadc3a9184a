"""A shell that has this computer's programs, sees nothing else of it, and changes none of it.

It runs in namespaces of its own, with an /etc, /run, /var, /root, /srv and /tmp that are nearly empty, no network, and
stubs in front of what would reach farther than files. All of it is gone when the shell ends, and nothing else of the
disk that / is on can be written to.
"""

import os
import shlex
import shutil
import subprocess
import sys
from base64 import b64encode
from functools import cache

import pytest

from kubefab.programs import SCRIPTS

# Debian lets a user's PATH, and that of root by `su`, lack where mount and losetup are.
PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
# A caller that ignores hangups, as nohup makes it, would hand that down to every shell.
_SIGNALS = ("env", "--default-signal")
_NAMESPACES = ("unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc")


def _in_fstab(path: str) -> str:
    return path.replace(" ", "\\040")


# This checkout and this Python may be below what is hidden.
_VISIBLE = sorted({str(SCRIPTS.parent), sys.prefix, sys.base_prefix})
# Lines of an fstab: a program for each mount cost more than all the rest of a sandbox.
_MOUNTS = {
    "HIDDEN": "\n".join(
        (
            *(f"{path} /mnt/visible{path} none bind,ro,X-mount.mkdir" for path in map(_in_fstab, _VISIBLE)),
            *(f"sandbox /{top} tmpfs mode=755" for top in ("run", "var", "root", "srv", "tmp")),
            "/mnt/etc /etc none bind",
        )
    ),
    "VISIBLE": "\n".join(_VISIBLE),
}
_SETUP = """\
set -eu
mount -t tmpfs -o mode=755 sandbox /mnt
cd /mnt
mkdir bin etc visible
# What programs need to run at all. Whatever else this computer has there is no business of a test's.
cp -a /etc/alternatives /etc/group /etc/ld.so.cache /etc/nsswitch.conf /etc/os-release etc/
sed 's,^root:.*,root:x:0:0:root:/root:/bin/sh,' /etc/passwd >etc/passwd
printf '%s\\n' "$HIDDEN" >visible/hidden
mount --all --fstab visible/hidden
mount -o remount,bind,ro /
printf '%s\\n' "$VISIBLE" | while IFS= read -r path; do
    mkdir -p "$path"
    mount --bind "/mnt/visible$path" "$path"  # by --all it would count as mounted already, where it was a mount before
done
mkdir -p /var/lib /var/tmp /var/log /etc/systemd/system /etc/apt/sources.list.d
printf '127.0.0.1 localhost\\n' >/etc/hosts
>/etc/fstab
export PATH="/mnt/bin:$PATH" LC_ALL=C
stub() { # stub NAME TEXT: a command that is noted in /mnt/calls, and does this
    printf '#!/bin/sh\\necho "%s $*" >>/mnt/calls\\n%s\\n' "$1" "$2" >"/mnt/bin/$1"
    [ -x "/mnt/bin/$1" ] || chmod +x "/mnt/bin/$1"
}
for command in apt-get apt-mark systemctl swapoff modprobe kubeadm kubectl ctr ip iptables-save iptables-restore \\
    ip6tables-save ip6tables-restore; do
    printf '#!/bin/sh\\necho "%s $*" >>/mnt/calls\\n' "$command" >"bin/$command"
done
chmod +x bin/*
>calls
"""


def _ran(*command: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_NAMESPACES, *command],
        input=_SETUP + text,
        env={"PATH": PATH, **_MOUNTS},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


@cache
def _why_not() -> str:
    """Why there can be no sandbox here; "" where there can."""
    if os.geteuid() != 0:
        return "only root can try the scripts in namespaces of their own"
    if SCRIPTS.is_relative_to("/mnt"):
        return "a sandbox covers /mnt, and this checkout is there"
    tried = _ran("sh", "-s", text="")
    return tried.stderr.strip() and f"no namespaces here: {tried.stderr.strip()}"


@cache
def _why_no_disks() -> str:
    """Why there can be no disks in a sandbox here; "" where there can."""
    made = 'truncate -s 1M disk && losetup --detach "$(losetup --find --show disk)"'
    tried = "" if _why_not() else _ran("sh", "-s", text=made).stderr.strip()
    return _why_not() or (tried and f"no loop devices here: {tried}")


def _unless(why_not: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(why_not), reason=f"NOT TRIED: {why_not}")


needed = _unless(_why_not())
disks_needed = _unless(_why_no_disks())


def program_needed(name: str) -> pytest.MarkDecorator:
    """What runs this program of Debian's in a sandbox; `make test` installs all that are needed."""
    return _unless(_why_not() or ("" if shutil.which(name, path=PATH) else f"there is no {name} here"))


def run(text: str) -> str:
    """What this shell text prints. It fails the test where a command in it fails."""
    # As pid 1 a shell would ignore signals, and everything would end with it.
    ended = _ran(*_SIGNALS, "sh", "-c", "sh -s; exit $?", text=text)
    assert ended.returncode == 0, f"exit status {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def script(name: str, *args: str) -> str:
    """A command line that runs scripts/NAME."""
    return shlex.join(["sh", str(SCRIPTS / name), *args])


def file(path: str, text: str | bytes) -> str:
    """Shell text that makes a file; its content is in no command's arguments."""
    data = text.encode() if isinstance(text, str) else text
    path, folder = shlex.quote(path), shlex.quote(path.rpartition("/")[0])
    return f"mkdir -p {folder}\nbase64 -d >{path} <<'END'\n{b64encode(data).decode()}\nEND\n"


def until(condition: str) -> str:
    """Shell text that waits until this is so, and ends the shell where that does not come."""
    return f"n=0; until {condition} 2>/dev/null; do n=$((n + 1)); [ $n -lt 2000 ] || exit 9; sleep 0.01; done\n"


def running(count: int, *which: str) -> str:
    """Shell text that waits until there are so many processes that pgrep knows by these words."""
    return until(f'[ "$(pgrep -c {shlex.join(which)})" = {count} ]')
