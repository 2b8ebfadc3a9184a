"""What the tests do to machines, and to kubefab: only through doors that a person has too."""

import atexit
import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from json import loads
from pathlib import Path
from typing import Any, TypeVar

import tenacity
import yaml

from lab.containers import container_name
from lab.settings import GATEWAY, KEY, KNOWN_HOSTS, MOST_MACHINES, address, has_a_kernel, kernel_names, machine_names

ROOT = Path(__file__).resolve().parents[2]
INV = Path(sys.executable).with_name("inv")
MACHINES = tuple(os.environ.get("KUBEFAB_E2E_MACHINES", "manager,client,client2").split(","))
MASTER, WORKER, SPARE = MACHINES
FRONT = os.environ.get("KUBEFAB_E2E_WORKER", "client3")  # the worker, where all three of them are masters
LONGEST = 900  # seconds that any one command may take

Words = Mapping[str, Any]
Got = TypeVar("Got")


# --- kubefab

# What this computer's environment tells pip and Go, and whom to believe.
TOLD = "pip_.*|go(proxy|sumdb|nosumdb|noproxy|private|insecure|auth)|ssl_cert_.*|.*_ca_bundle|(https?|all|no)_proxy"
# And what else of it is the computer's own, and no wish of whoever runs the tests. PYTHON and VENV are the Makefile's.
COMPUTERS = re.compile(f"{TOLD}|path|python|venv|tmpdir|tz|lang|lc_.*|term", re.IGNORECASE)


def surroundings(home: Path) -> dict[str, str]:
    """An environment of nobody's, with this home, and with this computer's caches where they are."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    kept = {name: value for name, value in os.environ.items() if COMPUTERS.fullmatch(name)}
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": cache}


# A bootstrap token; the names of a machine's events, client.18ea78435f8d4d2f, look just like one.
TOKEN = re.compile(rf"\b(?!({'|'.join(machine_names(MOST_MACHINES))})\.)[a-z0-9]{{6}}\.[a-z0-9]{{16}}\b")
SECRETS = (TOKEN, re.compile("client-key-data|PRIVATE KEY|certificateKey"), re.compile(r"eyJ[\w-]+\.eyJ"))


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def said(self) -> str:
        return self.stdout + self.stderr

    def well(self) -> "Done":
        """It ended with 0, or the test fails with all that it said."""
        assert self.status == 0, f"ended with {self.status}:\n{self.said}"
        return self

    def badly(self) -> "Done":
        """It ended with 1, as everything that kubefab could not do."""
        assert self.status == 1, f"ended with {self.status}, not with 1:\n{self.said}"
        return self

    @property
    def changed(self) -> bool:
        return "nothing to do" not in self.stdout


def no_secrets(text: str) -> None:
    """Neither a token nor a key is anywhere in it."""
    for secret in SECRETS:
        assert not (found := secret.search(text)), text[max(0, found.start() - 300) : found.end() + 100]


class Running:
    """A run that goes on beside the test."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process = process
        self._folder = folder
        self._began = time.monotonic()

    def said(self) -> str:
        return "".join((self._folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))

    def says(self, words: str, seconds: float = 120) -> bool:
        """Whether these words come while it is at work."""
        poll(lambda: words in self.said() or self.process.poll() is not None, seconds)
        return words in self.said()

    def is_told(self, what: signal.Signals) -> None:
        """A signal to it and its children on this computer; what it began on the machines goes on."""
        os.killpg(self.process.pid, what)

    def is_killed(self) -> None:
        if self.process.poll() is None:
            self.is_told(signal.SIGKILL)
        self.process.wait()

    def ends(self, seconds: float = LONGEST) -> Done:
        status = self.process.wait(seconds)
        stdout, stderr = ((self._folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))
        done = Done(status, stdout, stderr, time.monotonic() - self._began)
        assert "Traceback" not in done.said, done.said
        no_secrets(done.said)
        return done


@dataclass(frozen=True)
class Kubefab:
    """`inv`, with a hosts.yml and a place for its logs."""

    hosts: Path
    state: Path

    def __call__(self, *words: str, **how: Any) -> Done:
        """Runs it to its end. There is never a traceback, nor a secret, in what it says."""
        with self.started(*words, **how) as run:
            return run.ends()

    @contextmanager
    def started(
        self, *words: str, hosts: Path | None = None, env: Words | None = None, stdin: str | bytes = b""
    ) -> Iterator[Running]:
        """Runs it beside the test, and does not leave it behind."""
        folder = Path(tempfile.mkdtemp(dir=self.state))
        (folder / "stdin").write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        with (
            (folder / "stdin").open() as given,
            (folder / "stdout").open("w") as output,
            (folder / "stderr").open("w") as errors,
        ):
            process = subprocess.Popen(
                # A caller in the background ignores interrupts, and would hand that down.
                ["env", "--default-signal", INV, *words],
                cwd=ROOT,
                env=self.surroundings(hosts) | {name: str(value) for name, value in (env or {}).items()},
                stdin=given,
                stdout=output,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        run = Running(process, folder)
        try:
            yield run
        finally:
            run.is_killed()

    def surroundings(self, hosts: Path | None = None) -> dict[str, str]:
        """Its environment, of which the home is empty at first: no configuration of ssh's, no kubeconfig."""
        home = self.state / "home"
        home.mkdir(exist_ok=True)
        return surroundings(home) | {"INV_HOSTS": str(hosts or self.hosts), "XDG_STATE_HOME": str(self.state)}

    def logs(self) -> list[Path]:
        """Of all runs, the newest last."""
        return sorted((self.state / "kubefab").glob("*.log"), key=lambda path: path.stat().st_mtime)


def at_a_terminal(inv: Kubefab, *words: str, after: str = "", typed: str = "") -> tuple[int, str]:
    """Its exit status, and what a person sees at 30 rows of 100 columns, who types something after these words."""
    near, far = pty.openpty()
    termios.tcsetwinsize(far, (30, 100))
    with subprocess.Popen(
        [INV, *words], cwd=ROOT, env=inv.surroundings(), stdin=far, stdout=far, stderr=far, start_new_session=True
    ) as process:
        os.close(far)
        seen = b""
        while chunk := _seen(near):
            seen += chunk
            if typed and after.encode() in seen:
                os.write(near, typed.encode())
                typed = ""
        os.close(near)  # whoever still waits for a key is hung up on
        try:
            assert b"Traceback" not in seen, seen
            return process.wait(60), seen.decode(errors="replace")
        finally:
            process.kill()


def _seen(terminal: int) -> bytes:
    """What comes next; nothing where the other end was closed, or says nothing for two minutes."""
    try:
        return os.read(terminal, 65536) if select.select([terminal], [], [], 120)[0] else b""
    except OSError:
        return b""


def hosts_file(
    path: Path,
    *names: str,
    cluster: Words | None = None,
    mirrors: Words | None = None,
    ssh: Words | None = None,
    hosts: Words | None = None,
    like: str = "hosts.yml",
) -> Path:
    """A hosts.yml of these machines, the first of them the master: a committed one with what is said otherwise."""
    document = yaml.safe_load((ROOT / like).read_text())
    document["cluster"] |= cluster or {}
    document["mirrors"] |= mirrors or {}
    document["ssh"] |= ssh or {}
    document["hosts"] = {name: _machine(name, names[0], (hosts or {}).get(name, {})) for name in names}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


# The guide's kubeadm.yml, for this master.
GUIDES = {
    "controllerManager": {
        "extraArgs": {"horizontal-pod-autoscaler-sync-period": "10s", "node-monitor-grace-period": "10s"}
    },
    "apiServer": {"extraArgs": {"advertise-address": address(MASTER), "runtime-config": "api/all=true"}},
}


def guides_overlays(cluster: Words = GUIDES) -> Words:
    """The overlays of the committed hosts.yml, and the guide's beside them."""
    needed: dict[str, Any] = yaml.safe_load((ROOT / "hosts.yml").read_text())["cluster"]["kubeadm"]
    # Who takes a node for dead after 10 s wants to hear of it more often than every 10 s.
    needed["KubeletConfiguration"]["nodeLeaseDurationSeconds"] = 8
    return {**needed, "ClusterConfiguration": cluster}


def static_pod(name: str) -> list[str]:
    """The command line in the manifest of one of the master's static pods."""
    pod = yaml.safe_load(on(MASTER, f"cat /etc/kubernetes/manifests/{name}.yaml"))
    command: list[str] = pod["spec"]["containers"][0]["command"]
    return command


def has_the_guides_arguments() -> None:
    for part, manifest in (("controllerManager", "kube-controller-manager"), ("apiServer", "kube-apiserver")):
        flags = {f"--{name}={value}" for name, value in GUIDES[part]["extraArgs"].items()}
        assert flags <= set(static_pod(manifest)), manifest


def _machine(name: str, master: str, says: Words) -> Words:
    known = {"address": address(name)} if name in (*MACHINES, FRONT) or has_a_kernel(name) else {}
    return {"role": "master" if name == master else "worker", **known, **says}


# --- machines


@cache
def _sockets() -> Path:
    """Short, as the path of a socket has to be."""
    folder = Path(tempfile.mkdtemp(prefix="kubefab-e2e-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for host in (*MACHINES, *kernel_names(1)):
        atexit.register(hang_up, host)
    return folder


def _ssh(host: str, *words: str) -> list[str]:
    options = {
        "UserKnownHostsFile": KNOWN_HOSTS,
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "ConnectTimeout": 10,
        "ControlPath": _sockets() / host,
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "/dev/null", "-i", str(KEY), *flags, *words, f"root@{address(host)}"]


def _quietly(command: list[str]) -> int:
    return subprocess.run(command, stdin=-3, stdout=-3, stderr=-3, check=False).returncode


def hang_up(host: str) -> None:
    """Before a machine goes: nobody at its end would tell that the connection is over."""
    if (_sockets() / host).exists():
        _quietly(_ssh(host, "-O", "exit"))


def attempt(host: str, command: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """A shell command as root, over a connection that is opened once."""
    if _quietly(_ssh(host, "-O", "check")):
        _quietly(_ssh(host, "-fNM", "-o", "ControlPersist=yes"))
    words = [*_ssh(host), command]
    return subprocess.run(words, input=stdin, text=True, errors="replace", capture_output=True, timeout=LONGEST)


@contextmanager
def forwarded(host: str, place: str) -> Iterator[int]:
    """A port of this computer that leads to where NAME:PORT does on this machine, looked up by each new connection."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        here = free.getsockname()[1]
    on(host, "true")  # the connection is open
    words = ("-L", f"{here}:{place}")
    subprocess.run(_ssh(host, "-O", "forward", *words), check=True, capture_output=True)
    try:
        yield here
    finally:
        _quietly(_ssh(host, "-O", "cancel", *words))


def on(host: str, command: str, stdin: str = "") -> str:
    """What a shell command prints there, as root. The test fails where it does."""
    done = attempt(host, command, stdin)
    assert done.returncode == 0, f"{host}: {command}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def true_on(host: str, command: str) -> bool:
    return attempt(host, command).returncode == 0


def wait_on(host: str, condition: str, seconds: int = 120) -> None:
    """Until a shell command is true there: asked on the machine itself, ten times a second."""
    on(host, f"timeout {seconds} sh -c {shlex.quote(f'until {condition}; do sleep 0.1; done')}")


def edited(host: str, manifest: str, by: str) -> None:
    """A static pod's manifest, by sed. What sed itself begins in that folder would be another pod for the kubelet."""
    beside = "/etc/kubernetes/edited.yaml"
    on(host, f"cp -p {manifest} {beside} && sed -i {shlex.quote(by)} {beside} && mv {beside} {manifest}")


def lab(*words: str) -> None:
    """A task of the lab's, which builds what it serves where nobody has said otherwise."""
    surroundings = {"LAB_FROM": "source", **os.environ}
    done = subprocess.run(
        [INV, *words], cwd=ROOT, env=surroundings, text=True, capture_output=True, stdin=-3, check=False
    )
    assert done.returncode == 0, f"inv {' '.join(words)}\n{done.stdout}{done.stderr}"


def power_on(*options: str, machines: Sequence[str] = MACHINES) -> None:
    """All machines up to the last of these run; what runs already stays as it is."""
    names = machine_names(MOST_MACHINES)
    lab("lab.up", *options, "--machines", str(max(map(names.index, machines)) + 1))


def fresh(*hosts: str, stack: str = "") -> None:
    """Machines as new."""
    for host in hosts:
        hang_up(host)
    named = [word for host in hosts for word in ("--host", host)]
    lab("lab.fresh", *named, *(["--stack", stack] if stack else []))


# What is on a machine that Kubernetes was installed on, and what a test may have made there in its stead.
KUBERNETES = "/usr/bin/kubelet /usr/bin/containerd /etc/kubernetes"


def never_used(host: str) -> None:
    """A machine without any trace of Kubernetes: made anew where it has one, or does not say that it has none."""
    if not true_on(host, f'[ -z "$(ls -d {KUBERNETES} 2>/dev/null)" ]'):
        fresh(host)


def reboot(host: str) -> None:
    hang_up(host)
    lab("lab.reboot", "--host", host)


def cut_power(host: str) -> None:
    """It stops at once and keeps its disk; a `power_on` that asks for it switches it on again."""
    hang_up(host)
    if has_a_kernel(host):
        lab("lab.cut", "--host", host)
    else:
        subprocess.run(["podman", "kill", container_name(host)], capture_output=True, check=True)


def at_once(*works: Callable[[], Any]) -> None:
    """Side by side; the first failure is told when all have ended."""
    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(work) for work in works]:
            future.result()


def cut_off(host: str) -> None:
    """This machine reaches the others, and neither the lab's servers nor the internet; SSH still comes in."""
    rules = (
        "-o lo -j ACCEPT",
        f"-d {GATEWAY} -p tcp --sport 22 -j ACCEPT",
        f"-d {GATEWAY} -j REJECT",
        "! -d 10.0.0.0/8 -j REJECT",
    )
    on(host, "; ".join(f"iptables -I OUTPUT {place} {rule}" for place, rule in enumerate(rules, start=1)))


UNPLUGGED = (
    "INPUT ! -i lo -j DROP",
    "OUTPUT ! -o lo -j DROP",
    f"INPUT -s {GATEWAY} -p tcp --dport 22 -j ACCEPT",
    f"OUTPUT -d {GATEWAY} -p tcp --sport 22 -j ACCEPT",
)


def unplug(host: str) -> None:
    """This machine reaches nobody and nobody reaches it, of whom neither is told; SSH from this computer comes in."""
    on(host, "; ".join(f"iptables -I {rule}" for rule in UNPLUGGED))


def plug_in(host: str) -> None:
    on(host, "; ".join(f"iptables -D {rule}" for rule in UNPLUGGED))


OTHER_PORT = 2222


@contextmanager
def another_sshd(host: str, folder: Path, *options: str) -> Iterator[Words]:
    """A host listens at another port too, with these options of sshd_config; what a hosts.yml has to say of it."""
    sshd = ["/usr/sbin/sshd", "-D", "-p", str(OTHER_PORT), *(word for one in options for word in ("-o", one))]
    on(host, f"systemd-run --quiet --collect --unit=e2e-sshd {shlex.join(sshd)}")
    try:
        wait_on(host, f"ss -Hltn | grep -q :{OTHER_PORT}")
        known = believed(folder, *keys_at(host, OTHER_PORT))
        yield {"ssh": {"known_hosts": known}, "hosts": {host: {"ssh": {"port": OTHER_PORT}}}}
    finally:
        on(host, "systemctl stop e2e-sshd")


def believed(folder: Path, *lines: str) -> str:
    """A known_hosts file with the lab's keys, and these lines besides."""
    path = folder / "known_hosts"
    path.write_text(KNOWN_HOSTS.read_text() + "".join(f"{line}\n" for line in lines))
    return str(path)


def keys_at(host: str, port: int) -> list[str]:
    """A host's keys as known_hosts has them for another port."""
    lines = [line.split(maxsplit=1) for line in KNOWN_HOSTS.read_text().splitlines()]
    return [f"[{name}]:{port} {key}" for name, key in lines if name == address(host)]


def poll(check: Callable[[], Got], seconds: float, pause: float = 0.1) -> Got | None:
    """The check's last answer: the first that is something, or the one at the end of the time."""
    polling = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda got: not got) | tenacity.retry_if_exception_type(AssertionError),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(pause),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    return polling(check)


def eventually(check: Callable[[], Got], seconds: float = 180, pause: float = 0.1) -> Got:
    """What the check returns as soon as that is something. The test fails with its last answer, or error."""
    got = poll(check, seconds, pause)
    assert got, f"not so within {seconds} s: {got}"
    return got


def all_is_well(inv: Kubefab, *words: str) -> Done:
    """A status that says so. It gives each answer three seconds only, which two busy processors may need once."""
    return eventually(lambda: inv("cluster.status", *words).well())


def of_nobody_else(done: Done) -> Done:
    """The test fails where somebody else is at work on the machines: they are not its own to make anew."""
    assert "another run is under way" not in done.stderr, done.stderr
    return done


def mended(inv: Kubefab) -> Kubefab:
    """A cluster of a master and a worker, kept from test to test, and made anew where it cannot be mended."""
    if of_nobody_else(inv("cluster.up")).status:
        power_on()
        fresh(MASTER, WORKER)
        inv("cluster.up").well()
    return inv


def without_cluster(inv: Kubefab) -> None:
    """The machines of its hosts.yml have Kubernetes' packages, and nothing that was made with them."""
    if of_nobody_else(inv("cluster.reset", "--yes")).status:
        power_on()
        fresh(*yaml.safe_load(inv.hosts.read_text())["hosts"])
    inv("install-kubeadm").well()


# --- what is there

# Kubernetes, the kubelet and containerd write below /var/lib and /run; nobody writes here of himself but flannel,
# whose pod the kubelet may begin anew, once an API server that was away is back, say.
KEPT = "/etc /root /opt /usr /home /var/lib/dpkg /var/lib/apt /var/lib/kubefab /var/lib/kubefab-manifests"
FLANNELS = "/etc/cni/net.d"


def disk(host: str) -> dict[str, str]:
    """Every file of the machine that changes only when somebody changes it: size and times; flannel's by its name."""
    looks = f"-path '{FLANNELS}*' -printf '%p\\t\\n' -o -printf '%p\\t%s %T@ %C@\\n'"
    text = on(host, f"find {KEPT} {looks} 2>/dev/null | sort; true")
    return dict(line.split("\t") for line in text.splitlines())


def services(host: str) -> str:
    return on(host, "systemctl show -p Id,MainPID,ActiveEnterTimestampMonotonic containerd kubelet")


def footprint(host: str) -> tuple[dict[str, str], str]:
    """What tells whether a machine was touched."""
    return disk(host), services(host)


def differences(before: Words, after: Words) -> list[str]:
    return sorted(name for name in {**before, **after} if before.get(name) != after.get(name))


@contextmanager
def untouched(*hosts: str) -> Iterator[None]:
    """What is done meanwhile changes nothing on these machines."""
    before = {host: footprint(host) for host in hosts}
    yield
    for host in hosts:
        files, units = footprint(host)
        assert (host, differences(before[host][0], files)) == (host, [])
        assert (host, units) == (host, before[host][1])


def kubectl(*words: str, master: str = MASTER, stdin: str = "") -> str:
    """As the cluster's admin, on its master."""
    admin = "kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /run/e2e-kubectl"
    return on(master, f"{admin} {shlex.join(words)}", stdin)


def objects(*words: str, master: str = MASTER) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = loads(kubectl("get", *words, "-o", "json", master=master))["items"]
    return found


def nodes(master: str = MASTER) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects("nodes", master=master)}


def is_ready(node: Words) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


def ready_nodes(master: str = MASTER) -> set[str]:
    return {name for name, node in nodes(master).items() if is_ready(node)}


def logins(host: str) -> str:
    """Who was let in by sshd, not counting this very question."""
    return on(host, "journalctl -u ssh --no-pager -o cat | grep Accepted; true")


def machine_id(host: str) -> str:
    return on(host, "cat /etc/machine-id").strip()


def cluster_uid(master: str = MASTER) -> str:
    """A cluster that was reset and made again has another one."""
    return kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}", master=master)


def coredns_answers(master: str = MASTER) -> bool:
    status = objects("deployments", "-n", "kube-system", master=master)[0]["status"]
    return bool(status.get("availableReplicas") == status.get("replicas") == status.get("updatedReplicas"))


MEASURED: list[tuple[str, float, float]] = []  # what, and the seconds that are wanted of it and that it took
COUNTED: list[str] = []  # what came of something, in words


def in_time(what: str, wanted: float, done: Done) -> None:
    """Told at the end of the run. A busy computer is no failure: three times what is wanted is one."""
    MEASURED.append((what, wanted, done.seconds))
    assert done.seconds < 3 * wanted, f"{what}: {done.seconds:.0f} s; {wanted:.0f} s are wanted"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- a change in the middle

CHANGE = "/run/kubefab/change"  # locked by the change that is being made
DPKG = "/usr/bin/dpkg .*--unpack"


def catch(run: Running, host: str, condition: str, seconds: int = 180) -> None:
    """Until a shell command is true there, while the run is still at it."""

    def met() -> bool:
        return true_on(host, f"timeout 5 sh -c {shlex.quote(f'until {condition}; do sleep 0.1; done')}")

    came = poll(lambda: "so" if met() else "ended" if run.process.poll() is not None else "", seconds, pause=0)
    assert came == "so", f"{host}: not so, in {seconds} s: {condition}\n{run.said()}"


def freeze(run: Running, host: str, program: str, when: str = "true") -> None:
    """Stops a program that the run began there: what is slow just now, for as long as one likes."""
    catch(run, host, f"{when} && pkill -STOP -f {shlex.quote(f'^{program}')}")


def thaw(host: str, program: str) -> None:
    on(host, f"pkill -CONT -f {shlex.quote(f'^{program}')}")


def kill_change(host: str) -> None:
    """Ends the change that is being made there, all of its processes, as a power cut would."""
    holders = f'for fd in /proc/[0-9]*/fd/*; do [ "$(readlink $fd)" != {CHANGE} ] || echo $fd; done'
    # One of them may have ended by itself, or have begun another meanwhile.
    kill = f"{holders} | cut -d/ -f3 | sort -u | xargs -r kill -9"
    wait_on(host, f"{{ {kill}; flock -n {CHANGE} true; }}")
