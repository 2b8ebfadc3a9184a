"""Who is compared: each brings the cluster up from fresh machines, and says when kubeadm began what."""

import hashlib
import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from bench import race
from bench.race import ROOT, Race
from kubefab.inventory import Inventory

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubefab-bench"
INV = Path(sys.executable).parent / "inv"


@dataclass(frozen=True)
class Stage:
    """Fresh machines, and a folder with what a contestant is given."""

    inventory: Inventory
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "INV_HOSTS": str(self.inventory.path.absolute()),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
        }

    def on(self, name: str, command: str) -> str:
        """What a command on a host prints."""
        argv = ["ssh", "-n", "-F", str(self.folder / "ssh_config"), name, command]
        return subprocess.run(argv, check=True, text=True, capture_output=True).stdout

    def new_log(self, name: str) -> Path:
        return self.folder / f"{name}-{len(list(self.folder.glob('*.log')))}.log"


class Contestant:
    """One way to a cluster."""

    name: str
    init: str  # the title of the span that is `kubeadm init`
    join: str

    def get_ready(self, stage: Stage) -> None:
        """What is taken for granted, before the clock runs."""

    def up(self, stage: Stage) -> Race:
        """From fresh machines to a cluster; the same command again does nothing."""
        raise NotImplementedError


class Kubefab(Contestant):
    name, init, join = "kubefab", "the control plane exists", "the host is a node"

    def up(self, stage: Stage) -> Race:
        total, lines = race.run([INV, "cluster.up"], stage.new_log(self.name), stage.env)
        return Race(total, race.proven(lines), tuple(line for _, line in lines))


class ByHand(Contestant):
    name, init, join = "by hand", "kubeadm init", "kubeadm join"

    def up(self, stage: Stage) -> Race:
        by_role = [
            " ".join(host.name for host in stage.inventory.hosts if host.role == role) for role in ("master", "worker")
        ]
        argv = [HERE / "by-hand.sh", stage.folder, *by_role]
        total, lines = race.run(argv, stage.new_log("by-hand"), stage.env)
        return Race(total, race.titled(lines, "== (.+)", total), tuple(line for _, line in lines))


class Ansible(Contestant):
    name, init, join = "Ansible", "kubeadm init", "kubeadm join"

    def get_ready(self, stage: Stage) -> None:
        """Ansible wants Python on the machines: most have it, and who has not would not count it."""
        if len(stage.inventory.masters) > 1:
            raise race.BenchError("this playbook makes one master: --only kubefab --only 'by hand'")
        install_ansible()
        get = "export DEBIAN_FRONTEND=noninteractive; apt-get -qy install --no-install-recommends python3 python3-apt"
        for host in stage.inventory.hosts:
            stage.on(host.name, f"{get} || {{ apt-get -q update && {get}; }}")

    def up(self, stage: Stage) -> Race:
        argv = [ansible_venv() / "bin/ansible-playbook", "-i", stage.folder / "inventory.json", HERE / "playbook.yml"]
        total, lines = race.run(argv, stage.new_log("ansible"), stage.env)
        return Race(
            total, race.titled(lines, r"(?:TASK|RUNNING HANDLER) \[(.+)\]", total), tuple(line for _, line in lines)
        )


ALL: tuple[Contestant, ...] = (Kubefab(), ByHand(), Ansible())


def ansible_venv() -> Path:
    pins = (HERE / "ansible.lock").read_bytes() + sys.version.encode()
    return CACHE / f"ansible-{hashlib.sha256(pins).hexdigest()[:16]}"


def install_ansible() -> None:
    """Into a virtual environment of its own, outside the checkout, once."""
    home = ansible_venv()
    if (home / "complete").exists():
        return
    print(f"installing Ansible into {home}", flush=True)
    venv.create(home, with_pip=True, clear=True)
    words = ["--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(HERE / "ansible.lock")]
    subprocess.run([home / "bin/pip", "install", *words], check=True)
    (home / "complete").touch()


def nothing_changed(lines: tuple[str, ...]) -> bool:
    """Whether a second run did nothing, by its own word."""
    recap = [found[1] for line in lines if (found := re.search(r"ok=\d+ +changed=(\d+)", line))]
    return any(line.startswith("nothing to do") for line in lines) or (bool(recap) and set(recap) == {"0"})


def round_trips(stage: Stage) -> dict[str, int]:
    """What kubefab's last log says of them, by host; empty where it says nothing."""
    logs = sorted((stage.folder / "state/kubefab").glob("*.log"), key=lambda path: path.stat().st_mtime)
    found = re.findall(r"^round trips: (.+)$", logs[-1].read_text(), re.M) if logs else []
    pairs = [pair.split() for pair in found[-1].split(", ")] if found else []
    return {host: int(count) for host, count in pairs}


def fresh(inventory: Inventory, env: dict[str, str]) -> None:
    """These hosts as new, and no other."""
    named = [word for host in inventory.hosts for word in ("--host", host.name)]
    subprocess.run([INV, "lab.fresh", *named], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)


def check_cluster(stage: Stage) -> None:
    """No contestant is believed: every node Ready, CoreDNS rolled out."""
    kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
    master = stage.inventory.founder.name
    nodes = stage.on(master, f"{kubectl} get nodes --no-headers").splitlines()
    ready = [line.split()[0] for line in nodes if line.split()[1] == "Ready"]
    wanted = [host.name for host in stage.inventory.hosts]
    if sorted(ready) != sorted(wanted):
        raise race.BenchError(f"Ready are {ready}, not {wanted}")
    stage.on(master, f"{kubectl} -n kube-system rollout status deploy/coredns --timeout=1s")
