"""What the proofs of upgrades share: who must not notice, how all is once it is over; and what kills a task's run."""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lab.settings import address
from tests.e2e.asker import Asker, asking
from tests.e2e.harness import (
    COUNTED,
    LONGEST,
    Done,
    Kubefab,
    all_is_well,
    at_once,
    hosts_file,
    kill_change,
    nodes,
    objects,
    on,
    poll,
)
from tests.e2e.writer import Writer, none_is_lost, writing

AFTER = "1.37.2"
MASTERS_TOO = {"role": "master", "schedulable": True}
# What kubeadm and its components are once they are of this version.
IMAGES = {
    "etcd": "etcd:3.7.0-0",
    "kube-apiserver": f"kube-apiserver:v{AFTER}",
    "kube-controller-manager": f"kube-controller-manager:v{AFTER}",
    "kube-scheduler": f"kube-scheduler:v{AFTER}",
    "kube-proxy": f"kube-proxy:v{AFTER}",
    "coredns": "coredns/coredns:v1.14.6",
}
STEP = re.compile(r"^(\S+) +[+~] (.+?)(?:  [\d.]+ s)?$", re.M)


def hosts_of(path: Path, version: str, masters: Sequence[str], workers: Sequence[str]) -> Path:
    """A hosts.yml of masters that take pods too, and workers, at this version."""
    roles = {name: {"address": address(name), **MASTERS_TOO} for name in masters}
    return hosts_file(
        path,
        *masters,
        *workers,
        cluster={"kubernetes": version},
        hosts={**roles, **{name: {"address": address(name)} for name in workers}},
    )


@dataclass(frozen=True)
class Watch:
    """What those saw who use the cluster while something is done to it."""

    what: str
    masters: Sequence[str]
    asker: Asker
    writer: Writer
    began: float

    @property
    def gap(self) -> float:
        return self.writer.gap(self.began)

    def nobody_noticed(self) -> None:
        """No request failed, and nothing is missing of what was acknowledged."""
        none_is_lost(self.what, set(self.writer.acknowledged), self.masters)
        assert not self.asker.failed, self.asker.failed


@contextmanager
def watched(what: str, masters: Sequence[str], workers: Sequence[str], folder: Path) -> Iterator[Watch]:
    """A Service is asked at every node, and a client writes through a worker's own endpoint, the whole time.

    The worker of one master has no endpoint of its own: the client writes to the master.
    """
    first, way = masters[0], workers[0] if len(masters) > 1 else masters[0]
    with asking([*masters, *workers], first) as asker, writing(way, first, folder / f"writer: {what}") as writer:
        watch = Watch(what, masters, asker, writer, time.monotonic())
        try:
            yield watch
            writer.goes_on()
            asker.goes_on()
        finally:
            COUNTED.append(f"{what}: {len(asker.failed)} of {asker.asked} requests failed")
            COUNTED.append(f"{what}: no write was acknowledged for {watch.gap:.1f} s")


def is_upgraded(
    inv: Kubefab, masters: Sequence[str], workers: Sequence[str], registry: str = "registry.k8s.io"
) -> None:
    """All is of the new version, all nodes take pods, nothing is left to do, and nothing lies about."""
    found = nodes(masters[0])
    assert kubelets(found) == dict.fromkeys((*masters, *workers), f"v{AFTER}")
    assert not [name for name, node in found.items() if node["spec"].get("unschedulable")]
    assert images_of(masters[0]) == {name: {f"{registry}/{image}"} for name, image in IMAGES.items()}
    for host in masters:
        assert on(host, "ls /etc/kubernetes/tmp 2>/dev/null; true") == ""
    for host in (*masters, *workers):
        assert on(host, "ls /var/lib/kubefab 2>/dev/null; true") == ""
    assert json.loads(all_is_well(inv, "--json").stdout)["state"] == "well"
    nothing_is_left_to_do(inv)


def nothing_is_left_to_do(inv: Kubefab) -> None:
    for task in (("cluster.up",), ("cluster.upgrade", "--yes")):
        assert "nothing to do" in inv(*task).well().stdout


def says_from_and_to(plan: Done, before: str, hosts: Sequence[str]) -> None:
    """A line for each of these hosts."""
    for host in hosts:
        [line] = [one for one in plan.stdout.splitlines() if one.startswith(host) and f"-> {AFTER}" in one]
        assert before in line


def kubelets(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The versions of these nodes', by node."""
    return {name: node["status"]["nodeInfo"]["kubeletVersion"] for name, node in found.items()}


def images_of(master: str) -> Mapping[str, set[str]]:
    """Of Kubernetes' own pods that run, by container."""
    pods = objects("pods", "-n", "kube-system", master=master)
    found: dict[str, set[str]] = {}
    for pod in pods:
        for container in pod["spec"]["containers"]:
            found.setdefault(container["name"], set()).add(container["image"])
    return found


def changes(said: str) -> set[tuple[str, str]]:
    """The hosts and titles of what a run has changed so far; a file's name tells the time, and is left out."""
    return {(host, re.sub(r"/\S+", "", title)) for host, title in STEP.findall(said)}


def killed_in_turn(inv: Kubefab, steps: Sequence[str], hosts: Sequence[str], *task: str) -> list[str]:
    """Kills a run of the task after one of these steps, then the next run after a later one; those that were told of.

    What a run has gone on to on these hosts is killed, too. What is done in a moment may have come to its end by then:
    of that the next run says nothing any more.
    """
    told, left = list[str](), [*steps]
    while left and (step := killed_after_one(inv, left, hosts, *task)):
        told.append(step)
        left = left[left.index(step) + 1 :]
    COUNTED.append(f"{' '.join(task)}: gone on with after {len(told)} kills")
    return told


def killed_after_one(inv: Kubefab, steps: Sequence[str], hosts: Sequence[str], *task: str) -> str:
    """The last of them that the run had told of when it was killed; nothing, where it came to its end."""
    with inv.started(*task) as run:
        poll(lambda: titles(run.said()) & {*steps} or run.process.poll() is not None, LONGEST)
        told = [step for step in steps if step in titles(run.said())]
        if not told:
            run.ends().well()
            return ""
        run.is_killed()
        at_once(*(partial(kill_change, host) for host in hosts))
        return told[-1]


def titles(said: str) -> set[str]:
    return {title for _, title in changes(said)}


def killed_after_a_new_step(
    inv: Kubefab, before: set[tuple[str, str]], hosts: Sequence[str], *task: str
) -> set[tuple[str, str]]:
    """What the run of the task had changed that no run had before; nothing, where it came to its end."""
    with inv.started(*task) as run:
        poll(lambda: changes(run.said()) - before or run.process.poll() is not None, LONGEST)
        if run.process.poll() is not None:
            run.ends().well()
            return set()
        run.is_killed()
        for host in hosts:
            kill_change(host)
        return changes(run.said()) - before
