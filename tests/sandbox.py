"""A shell that sees this computer's files, and changes none of them.

It runs in namespaces of its own, with an overlay over /etc, /run, /var and /root, no network, and stubs in
front of what would reach farther than files. All of it is gone when the shell ends.
"""

import os
import shlex
import subprocess
from base64 import b64encode
from functools import cache

import pytest

from kubefab.programs import SCRIPTS

# A caller that ignores hangups, as nohup makes it, would hand that down to every shell.
_SIGNALS = ("env", "--default-signal")
_NAMESPACES = ("unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc")
_SETUP = """\
set -eu
mount -t tmpfs -o mode=755 sandbox /mnt
cd /mnt
mkdir -p bin etc/upper etc/work run/upper run/work var/upper var/work root/upper root/work
for top in etc run var root; do
    mount -t overlay sandbox -o "lowerdir=/$top,upperdir=/mnt/$top/upper,workdir=/mnt/$top/work" "/$top"
done
# Whatever this computer is, in here it never knew Kubernetes.
rm -rf /etc/kubernetes /etc/cni /var/lib/kubelet /var/lib/etcd /var/lib/cni /var/lib/kubefab /root/.kube \\
    /run/flannel /run/kubefab /run/containerd /run/systemd/generator* /etc/systemd/system/*.swap
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


@cache
def _why_not() -> str:
    """Why there can be no sandbox here; "" where there can."""
    if os.geteuid() != 0:
        return "only root can try the scripts in namespaces of their own"
    if SCRIPTS.is_relative_to("/mnt"):
        return "a sandbox covers /mnt, and this checkout is there"
    tried = subprocess.run([*_NAMESPACES, "sh", "-s"], input=_SETUP, capture_output=True, text=True, check=False)
    return tried.stderr.strip() and f"no namespaces here: {tried.stderr.strip()}"


needed = pytest.mark.skipif(bool(_why_not()), reason=f"NOT TRIED: {_why_not()}")


def run(text: str) -> str:
    """What this shell text prints. It fails the test where a command in it fails."""
    # As pid 1 a shell would ignore signals, and everything would end with it.
    ended = subprocess.run(
        [*_NAMESPACES, *_SIGNALS, "sh", "-c", "sh -s; exit $?"],
        input=_SETUP + text,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0, f"exit status {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def script(name: str, *args: str) -> str:
    """A command line that runs scripts/NAME."""
    return shlex.join(["sh", str(SCRIPTS / name), *args])


def file(path: str, text: str | bytes) -> str:
    """Shell text that makes a file; its content is in no command's arguments."""
    data = text.encode() if isinstance(text, str) else text
    return f"mkdir -p {path.rpartition('/')[0]}\nbase64 -d >{path} <<'END'\n{b64encode(data).decode()}\nEND\n"
