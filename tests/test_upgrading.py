"""A whole upgrade on hosts that answer from memory: what is asked, its order, and how it goes on after a kill."""

import hashlib
import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.version import Version

from kubefab import bundle, carry, images, upgrading
from kubefab.cluster import Cluster
from kubefab.converge import Engine, Stop
from kubefab.errors import HostError, KubefabError, NotAsked, Silent, Unreachable
from kubefab.facts import CORDONED_BY, Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.leaving import TEN_MINUTES
from kubefab.passes import ALL_AT_ONCE, Pass, Who
from kubefab.step import Step, Subject, sha256, when
from kubefab.steps import addons, etcd, network, packages, preflight, runtime
from kubefab.steps import bundle as steps_of_bundle
from kubefab.steps.bundle import MARK
from kubefab.steps.versions import STATIC
from tests.fakes import HOSTS, many_hosts, three_masters
from tests.members import SILENT, M, look
from tests.runs import ADMIN, Run, each, in_place, wants

OLD, NEW = "1.37.1", "1.37.2"
CONFIGURATION = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
KUBELETS = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


@dataclass
class Machine:
    """What is true on one of the hosts, and of its Node."""

    master: bool
    kubelet: str = OLD  # installed
    runs: str = OLD
    kubeadm: str = OLD
    static: str = OLD
    fetched: str = OLD
    images: str = OLD
    pods: int = 1
    copies: bool = False  # of kubeadm's
    pulled: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # sha256 by path
    unpacked: str = ""  # the sha256 of its bundle's sums
    held: bool = True
    node: dict[str, Any] = field(default_factory=dict)  # its annotations, and unschedulable
    ready: bool = True


class Nodes:
    """Hosts of a cluster of OLD, and their API server: they do what they are told."""

    asked = "asked_told yes"  # what the API server was asked for that goes away
    stored = ""  # besides the version, in kubeadm's configuration
    kubelets = ""  # what kubeadm keeps for them
    bundled: Sequence[str] = ()  # the images of the bundle
    proxies = left = ""  # kube-proxy's configuration, and as kubefab has left it
    elsewhere = ""  # where etcd is, if it is somebody else's

    def __init__(self, wanted: str | Inventory = HOSTS, etcd: str = "3.7.0") -> None:
        self.wanted = wanted
        self.worlds = Run(wanted)
        roles = {host.name: host.wanted.role == "master" for host in self.worlds.cluster.hosts.values()}
        self.machines = {name: Machine(master) for name, master in roles.items()}
        for name in self.machines:
            self.tell_etcd(name, etcd)
        self.proxy = self.configured = OLD
        self.done: list[str] = []  # "host: what", in turn
        self.one_by_one = threading.Lock()
        self.killed: Callable[[], bool] = lambda: False  # whether the run is ended at this moment
        self.ready = 1  # of the one pod of a Deployment
        self.kind = "Deployment"
        self.looked_at: dict[str, Callable[[], None]] = {}
        self.run: Run

    def come_to(
        self,
        monkeypatch: pytest.MonkeyPatch,
        yes: bool = True,
        dry: bool = False,
        ignored: Sequence[str] = (),
        alone: str | None = None,
        at_once: int = upgrading.ONE,
    ) -> Run:
        """One invocation over these hosts."""
        self.run = in_place(Run(self.wanted, dry=dry), monkeypatch)
        for name in self.machines:
            world = self.run(name)
            world.parts = self.worlds(name).parts
            world.on_change = partial(self.changed, name)
            world.on_look = self.looked_at.get(name, lambda: None)
        self.tell()
        upgrading.bring_up(self.run.context, TEN_MINUTES, yes, at_once, ignored, alone)
        return self.run

    def tell(self) -> None:
        for name, one in self.machines.items():
            local = ["kubelet_ca QUJD", "flannel yes"]
            local += [f"static {pod}.yaml registry.k8s.io/{pod}:v{one.static}" for pod in STATIC if one.master]
            local += ["static etcd.yaml registry.k8s.io/etcd:3.6.8-0"] if one.master and not self.elsewhere else []
            debs = {"kubelet": one.kubelet, "kubectl": one.kubelet, "kubeadm": one.kubeadm}
            fetched = [f"fetched {deb}_{one.fetched}-1.1_amd64.deb" for deb in debs]
            self.worlds(name).parts.update(
                system=f"machine_id id-{name}",
                packages="\n".join(
                    [
                        *(f"package {deb} {'hi' if one.held else 'ii'} {version}-1.1" for deb, version in debs.items()),
                        *fetched,
                    ]
                ),
                runtime="\n".join(
                    f"{kind} {image}"
                    for image in (f"registry.k8s.io/kube-proxy:v{one.images}", *one.pulled)
                    for kind in ("image", "docker_image")
                ),
                files="".join(
                    [
                        *(f"file {path} {digest}\n" for path, digest in one.files.items()),
                        *when(one.unpacked, f"file {MARK} {one.unpacked}\n"),
                    ]
                ),
                upgrade="copy kubeadm-kubelet-config1" if one.copies else self.asked if one.master else "",
                services="unit Id=kubelet.service\nunit ActiveState=active\nunit UnitFileState=enabled",
                node="\n".join([*([ADMIN] if one.master else []), *local]),
            )
            if one.master:
                document = b64encode(
                    f"{CONFIGURATION}kubernetesVersion: v{self.configured}\n{self.stored}".encode()
                ).decode()
                pods = [line for node in self.machines for line in self.pods_of(node)]
                self.worlds(name).parts.update(
                    cluster=f"answer {json.dumps({'items': self.items()})}\n{self.ours()}",
                    kubeadm="\n".join([f"configuration {document}", *self.told_of_proxy()]),
                    workloads="\n".join(
                        [f"workload {self.kind} default/web 1 {self.ready}", *self.static_pods(), "workloads_told yes"]
                    ),
                    pods="\n".join([*pods, "replicas default/ReplicaSet/web 1", "pods_told yes"]),
                )

    def ours(self) -> str:
        return "\n".join(f"ours {name}" for name, one in self.machines.items() if one.node.get("under") == CORDONED_BY)

    def told_of_proxy(self) -> list[str]:
        texts = {"proxies": self.proxies, "proxies_left": self.left, "kubelets": self.kubelets}
        return [f"{fact} {b64encode(text.encode()).decode()}" for fact, text in texts.items() if text]

    def tell_etcd(self, name: str, version: str) -> None:
        member, others = (name, M) if name in M else ("m1", ("m1",))
        told = look(member, *others, version=version) if self.machines[name].master else ""
        if self.elsewhere and told:
            told = f"servers {self.elsewhere}"
        self.worlds(name).parts["etcd"] = told

    def static_pods(self) -> list[str]:
        masters = {name: one.static for name, one in self.machines.items() if one.master}
        of_kubernetes = [(f"{pod}-{name}", f"{pod}:v{of}") for name, of in masters.items() for pod in STATIC]
        etcd = [(f"etcd-{name}", "etcd:3.6.8-0") for name in masters if not self.elsewhere]
        return [f"workload Pod kube-system/{pod} 1 1 registry.k8s.io/{image}" for pod, image in [*of_kubernetes, *etcd]]

    def pods_of(self, node: str) -> list[str]:
        web = [f"default/{node}-{n}" for n in range(self.machines[node].pods)]
        return [line for pod in web for line in (f"pod {pod}|ReplicaSet/web|ready Running", f"on {pod} {node}")]

    def items(self) -> list[Any]:
        rolled = {"desiredNumberScheduled": 9, "updatedNumberScheduled": 9, "numberAvailable": 9}
        rolled |= {"updatedReplicas": 1, "availableReplicas": 1}
        workloads = [
            {
                "kind": kind,
                "metadata": {"name": name, "namespace": space},
                "spec": {"template": {"spec": {"containers": [{"image": f"{name}:v{self.proxy}"}]}}},
                "status": rolled,
            }
            for kind, space, name in (
                ("DaemonSet", "kube-system", "kube-proxy"),
                ("DaemonSet", "kube-flannel", "kube-flannel-ds"),
                ("Deployment", "kube-system", "coredns"),
            )
        ]
        return [*map(self.node, self.machines), *workloads]

    def node(self, name: str) -> Any:
        one = self.machines[name]
        return {
            "kind": "Node",
            "metadata": {"name": name, "annotations": one.node.get("annotations", {})},
            "spec": {"unschedulable": one.node.get("unschedulable") is True, "taints": [TAINT] if one.master else []},
            "status": {
                "conditions": [{"type": "Ready", "status": str(one.ready), "reason": "KubeletNotReady"}],
                "nodeInfo": {"machineID": f"id-{name}", "kubeletVersion": f"v{one.runs}"},
            },
        }

    def changed(self, name: str) -> None:
        with self.one_by_one:  # hosts change at once, and each tells of all of them
            self._changed(name, self.run(name).of_thread.change)

    def _changed(self, name: str, what: str) -> None:
        if self.killed():
            raise KeyboardInterrupt
        self.done.append(f"{name}: {what.partition(' --patch ')[0]}")
        script, *words = what.split(" ")
        getattr(self, script.removesuffix(".sh").replace("-", "_"))(self.machines[name], words)
        self.tell()
        newest = max(Version(one.runs) for one in self.machines.values())
        assert newest <= min(Version(one.static) for one in self.machines.values() if one.master), self.done
        if self.killed():
            raise KeyboardInterrupt

    def put(self, *_: object) -> None:
        """The backup, whose state is a line in the look."""

    def put_files(self, one: Machine, _: list[str]) -> None:
        (name,) = [name for name, other in self.machines.items() if other is one]
        for line in self.run(name).payloads["put-files.sh"].splitlines():
            path, text = line.split()[1:]
            one.files[path] = sha256(b64decode(text).decode())

    def fetch_kubernetes(self, one: Machine, words: list[str]) -> None:
        one.fetched = words[0]

    def fetch_images(self, one: Machine, words: list[str]) -> None:
        one.images, one.pulled = NEW, [word for word in words if ":" in word]

    def use_bundle(self, one: Machine, words: list[str]) -> None:
        one.unpacked = words[1]

    def move_images(self, one: Machine, _: list[str]) -> None:
        one.pulled = list(self.bundled)

    def upload_configuration(self, _: Machine, words: list[str]) -> None:
        assert words == ["kubelet"]
        self.kubelets = f"{KUBELETS}featureGates: {{ExtendWebSocketsToKubelet: false}}\n"

    def upgrade(self, one: Machine, words: list[str]) -> None:
        one.kubeadm = words[0]
        one.static = words[0] if words[2] == "apply" else self.configured
        if words[2] == "apply":
            self.configured = words[0]
        if {each.static for each in self.machines.values() if each.master} == {words[0]}:
            self.proxy, self.left = words[0], ""  # kubeadm makes its ConfigMap anew

    def set_etcd_image(self, one: Machine, words: list[str]) -> None:
        (name,) = [name for name, other in self.machines.items() if other is one]
        self.tell_etcd(name, words[0].rpartition(":")[2].partition("-")[0])

    def forget_copies(self, one: Machine, _: list[str]) -> None:
        one.copies = False

    def upgrade_kubelet(self, one: Machine, words: list[str]) -> None:
        one.copies = True
        assert not one.pods or one.master, "its pods are on it still"
        one.kubeadm = one.kubelet = words[0]

    def finish_packages(self, one: Machine, _: list[str]) -> None:
        one.held = True

    def restart_service(self, one: Machine, words: list[str]) -> None:
        one.runs = one.kubelet

    def kubectl(self, _: Machine, words: list[str]) -> None:
        if words[1] == "configmap":
            self.left = self.proxies
            return
        patch = json.loads(" ".join(words[words.index("--patch") + 1 :]))
        marks = {key: value for key, value in patch["metadata"]["annotations"].items() if value}
        under = words[words.index("--field-manager") + 1] if "--field-manager" in words else ""
        self.machines[words[2]].node = {
            "annotations": marks,
            "unschedulable": patch["spec"]["unschedulable"],
            "under": under,
        }

    def drain(self, _: Machine, words: list[str]) -> None:
        self.machines[words[0]].pods = 0

    @property
    def ended(self) -> dict[str, tuple[str, str, str, bool]]:
        return {
            name: (one.static if one.master else "", one.kubelet, one.runs, bool(one.node.get("unschedulable")))
            for name, one in self.machines.items()
        }


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these hosts do not tell, and other tests are about."""
    names = [f"registry.k8s.io/kube-proxy:v{NEW}"]
    monkeypatch.setattr(images, "needed", lambda *_, **__: names)
    monkeypatch.setattr(preflight, "upgradable", each())
    monkeypatch.setattr(packages, "sources", lambda _: [])
    monkeypatch.setattr(runtime, "package_manager", list)
    monkeypatch.setattr(runtime, "for_another_version", each())
    monkeypatch.setattr(network, "flannel_applied", each())
    monkeypatch.setattr(etcd, "saved", lambda *_: each(wants("backup")))


BEGUN = {"unschedulable": True, "annotations": {CORDONED_BY: "cluster.upgrade at 1"}, "under": CORDONED_BY}
FETCHED = f"fetch-kubernetes.sh {NEW}"
PULLED = f"fetch-images.sh --wait containerd    registry.k8s.io/kube-proxy:v{NEW}"
PATCHED = "manager: kubectl.sh patch node client --type merge"  # it takes pods again
CORDONED = f"{PATCHED} --field-manager {CORDONED_BY}"
ALL_OF_ONE = [
    f"manager: {FETCHED}",
    f"manager: {PULLED}",
    f"client: {FETCHED}",
    f"client: {PULLED}",
    "manager: put backup",
    "manager: put-files.sh",
    f"manager: upgrade.sh {NEW}  apply --yes",
    f"manager: upgrade-kubelet.sh {NEW} ",
    "manager: restart-service.sh kubelet",
    "manager: forget-copies.sh",
    CORDONED,
    f"manager: drain.sh client 600 {CORDONED_BY} --delete-emptydir-data",
    f"client: upgrade-kubelet.sh {NEW} ",
    "client: restart-service.sh kubelet",
    "client: forget-copies.sh",
    PATCHED,
]
DONE = {"manager": (NEW, NEW, NEW, False), "client": ("", NEW, NEW, False)}


def test_all_is_fetched_first_and_kubelets_come_after_every_control_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    run = nodes.come_to(monkeypatch)
    assert sorted(nodes.done[:4]) == sorted(ALL_OF_ONE[:4])
    assert nodes.done[4:] == ALL_OF_ONE[4:]
    assert (nodes.ended, run.failures) == (DONE, {})


def test_the_pod_network_and_add_ons_follow_once_every_node_is_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()

    def asked(what: str) -> Subject:
        def steps(_: Cluster, host: Host) -> list[Step]:
            nodes.done.append(f"{host.name}: {what}")
            return []

        return steps

    monkeypatch.setattr(network, "flannel_applied", asked("flannel"))
    monkeypatch.setattr(addons, "steps", asked("add-ons"))
    nodes.come_to(monkeypatch, alone="manager")
    assert "manager: add-ons" not in nodes.done  # the worker comes first
    nodes.come_to(monkeypatch, alone="client")
    last = nodes.done[nodes.done.index("client: forget-copies.sh") + 1 :]
    assert list(dict.fromkeys(last)) == [PATCHED, "manager: flannel", "manager: add-ons"]


FLANNEL = "flannel"


def killed_before_flannel(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """All nodes are new by then."""
    monkeypatch.setattr(network, "flannel_applied", each(wants(FLANNEL)))
    nodes.killed = lambda: nodes.done[len(ALL_OF_ONE) - 1 :] == [PATCHED]
    with pytest.raises(KeyboardInterrupt):
        nodes.come_to(monkeypatch)
    nodes.killed = lambda: False
    assert (nodes.ended, nodes.done) == (DONE, nodes.done[: len(ALL_OF_ONE)])


def test_what_was_agreed_to_for_the_end_is_done_by_the_same_command_after_a_kill(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    nodes = Nodes()
    killed_before_flannel(nodes, monkeypatch)
    nodes.come_to(monkeypatch, dry=True)
    assert f"manager  + {FLANNEL}\n" in capsys.readouterr().out
    run = nodes.come_to(monkeypatch)
    assert (nodes.done[len(ALL_OF_ONE) :], run.failures) == ([f"manager: put {FLANNEL}"], {})
    assert f"manager  - at the end: {FLANNEL} (now: missing)\n" in capsys.readouterr().out


def test_what_comes_at_the_end_is_asked_for_where_no_node_is_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flannel that somebody has applied by hand looks as one that a kill has left."""
    nodes = Nodes()
    killed_before_flannel(nodes, monkeypatch)
    with pytest.raises(
        KubefabError, match=r"^what an earlier upgrade has left .*; without a terminal, --yes is needed$"
    ):
        nodes.come_to(monkeypatch, yes=False)
    assert nodes.done[len(ALL_OF_ONE) :] == []


def test_what_of_the_network_will_be_another_is_told_before_anybody_agrees(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    nodes = Nodes()
    other = Step("flannel is applied", lambda _: "one that was applied by hand", lambda _: pytest.fail("changed"))
    monkeypatch.setattr(network, "flannel_applied", each(other))
    with pytest.raises(KubefabError, match="--yes"):
        nodes.come_to(monkeypatch, yes=False)
    said = "manager  - at the end: flannel is applied (now: one that was applied by hand)\n"
    assert (said in capsys.readouterr().out, nodes.done) == (True, [])


@pytest.mark.parametrize("error", [HostError("it cannot be read"), NotAsked("it was not asked"), Silent("no answer")])
@pytest.mark.parametrize("new", [False, True])
def test_where_nobody_knows_what_comes_at_the_end_nothing_is_asked_and_nothing_changed(
    monkeypatch: pytest.MonkeyPatch, error: HostError, new: bool, capsys: Any
) -> None:
    def gap(_: Facts) -> str:
        raise error

    nodes = Nodes()
    if new:
        nodes.come_to(monkeypatch)
    before = list(nodes.done)
    step = Step("flannel is applied", gap, lambda _: pytest.fail("changed"))
    monkeypatch.setattr(network, "flannel_applied", each(step))
    capsys.readouterr()
    with pytest.raises(Stop, match=r"^nothing was changed$"):
        nodes.come_to(monkeypatch, yes=False)
    assert (nodes.done, nodes.run.failures) == (before, {"manager": f"flannel is applied: {error.what}"})
    assert "  - " not in capsys.readouterr().out


def test_a_cluster_that_is_upgraded_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    nodes.come_to(monkeypatch)
    before = list(nodes.done)
    run = nodes.come_to(monkeypatch, yes=False)
    assert (nodes.done, run.failures) == (before, {})


def test_a_new_kubelet_that_somebody_has_set_free_is_held_and_its_configuration_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody was asked: what somebody has changed in it would be gone, and kubeadm's copy of that too."""
    nodes = Nodes()
    nodes.come_to(monkeypatch)
    before = len(nodes.done)
    nodes.machines["client"].held = False
    nodes.tell()
    run = nodes.come_to(monkeypatch, yes=False)
    assert (nodes.done[before:], run.failures) == ([f"client: finish-packages.sh {NEW}"], {})


@pytest.mark.parametrize("after", range(2 * len(ALL_OF_ONE)))
def test_an_upgrade_that_was_killed_anywhere_goes_on(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Before each of its changes, and after it."""
    nodes, left = Nodes(), iter([False] * after + [True])
    nodes.killed = lambda: next(left, False)
    with pytest.raises(KeyboardInterrupt):
        nodes.come_to(monkeypatch)
    run = nodes.come_to(monkeypatch)
    assert (nodes.ended, run.failures) == (DONE, {})
    made_twice = {one for one in nodes.done if nodes.done.count(one) > 1}
    assert made_twice <= {PATCHED, "manager: put backup"}


@pytest.mark.parametrize("killed", [False, True])
def test_a_persons_cordon_outlives_an_upgrade(monkeypatch: pytest.MonkeyPatch, killed: bool) -> None:
    nodes = Nodes()
    nodes.machines["client"].node = {"unschedulable": True}
    if killed:
        nodes.killed = lambda: nodes.done[-1:] == [f"client: upgrade-kubelet.sh {NEW} "]
        with pytest.raises(KeyboardInterrupt):
            nodes.come_to(monkeypatch)
        nodes.killed = lambda: False
    nodes.come_to(monkeypatch)
    assert nodes.ended == {**DONE, "client": ("", NEW, NEW, True)}


def test_a_node_that_was_emptied_under_a_persons_cordon_is_ended_though_its_pods_have_no_other_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No word of ours is on it: by what is left to take from it nobody has to wait."""
    nodes = Nodes()
    nodes.machines["client"].node = {"unschedulable": True}

    def drain(self: Nodes, _: Machine, words: list[str]) -> None:
        self.machines[words[0]].pods = self.ready = 0

    monkeypatch.setattr(Nodes, "drain", drain)
    nodes.killed = lambda: any("drain.sh" in one for one in nodes.done)
    with pytest.raises(KeyboardInterrupt):
        nodes.come_to(monkeypatch)
    nodes.killed = lambda: False
    run = nodes.come_to(monkeypatch)
    assert (nodes.ended, run.failures) == ({**DONE, "client": ("", NEW, NEW, True)}, {})


def test_a_person_who_has_cordoned_a_node_since_an_upgrade_was_killed_keeps_his_cordon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """kubectl sets `unschedulable` under its own name, and leaves the annotation of the upgrade that was killed."""
    nodes = Nodes()
    nodes.machines["client"].node = {**BEGUN, "under": "kubectl"}
    assert nodes.come_to(monkeypatch).failures == {}
    assert nodes.ended["client"] == ("", NEW, NEW, True)
    assert PATCHED not in nodes.done


def test_a_node_that_was_being_emptied_is_ended_before_another_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pods may have no other place, and the next node waits for them."""
    nodes = Nodes(f"{HOSTS}  client2: {{address: 10.250.0.12, role: worker}}\n")
    nodes.machines["client2"].node = BEGUN
    run = nodes.come_to(monkeypatch)
    upgraded = [one for one in nodes.done if "upgrade-kubelet" in one]
    assert run.failures == {}
    assert upgraded == [f"{name}: upgrade-kubelet.sh {NEW} " for name in ("manager", "client2", "client")]


def test_a_node_that_was_emptied_under_a_persons_cordon_is_ended_before_another_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As by --host, killed before its kubelet ran again: what every node runs is short until then."""
    nodes, start = Nodes(f"{HOSTS}  client2: {{address: 10.250.0.12, role: worker}}\n"), Nodes.restart_service
    nodes.machines["client2"].node = {"unschedulable": True}
    nodes.machines["client2"].pods = nodes.ready = 0
    nodes.kind = "DaemonSet"

    def restart(self: Nodes, one: Machine, words: list[str]) -> None:
        start(self, one, words)
        self.ready = 1 if one is self.machines["client2"] else self.ready

    monkeypatch.setattr(Nodes, "restart_service", restart)
    run = nodes.come_to(monkeypatch)
    upgraded = [one for one in nodes.done if "upgrade-kubelet" in one]
    assert run.failures == {}
    assert upgraded == [f"{name}: upgrade-kubelet.sh {NEW} " for name in ("manager", "client2", "client")]
    assert nodes.ended["client2"] == ("", NEW, NEW, True)


def test_workers_go_in_batches_of_as_many_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(many_hosts(3))
    run = nodes.come_to(monkeypatch, at_once=2)
    done = [one for one in nodes.done if "--type merge" in one]
    cordon, uncordon = (
        {f"client{n}": place(done, f"manager: kubectl.sh patch node client{n} --type merge") for n in (1, 2, 3)}
        for place in (list[str].index, lambda them, one: len(them) - 1 - them[::-1].index(one))
    )
    assert max(uncordon["client1"], uncordon["client2"]) < cordon["client3"]
    assert (len(done), run.failures) == (6, {})


def test_packages_and_images_are_fetched_by_groups_of_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of hundreds at once would be too much for a mirror, or a line, of one's own."""
    nodes, how = Nodes(), list[Pass]()
    converge = Engine.converge

    def heard(self: Engine, who: Who, *subjects: Subject, how_: Pass = ALL_AT_ONCE, **them: Any) -> None:
        how.append(them.get("how", how_))
        converge(self, who, *subjects, **them)

    monkeypatch.setattr(Engine, "converge", heard)
    nodes.come_to(monkeypatch)
    assert Pass(at_once=20, rolling=True) in how


def test_a_drain_whose_upgrade_was_killed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on to its own end, and beside it the master begins no other."""
    nodes = Nodes()
    nodes.machines["client"].node = BEGUN
    there = nodes.worlds("manager").parts
    there["change"] = "change 1 drain client|an old kubelet has no pods but those of every node"

    def look() -> None:
        if there["change"] and nodes.run.clock.slept:
            there["change"], nodes.machines["client"].pods = "", 0
            nodes.tell()

    nodes.looked_at["manager"] = look
    run = nodes.come_to(monkeypatch)
    assert (nodes.ended, run.failures) == (DONE, {})
    assert not any("drain.sh" in one for one in nodes.done)


def test_several_masters_take_the_control_plane_in_turn_before_any_kubelet(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(three_masters())
    run = nodes.come_to(monkeypatch)
    done = [one for one in nodes.done if "fetch-" not in one]
    assert run.failures == {}
    assert [one for one in done if "upgrade" in one] == [
        f"m1: upgrade.sh {NEW}  apply --yes",
        f"m2: upgrade.sh {NEW}  node",
        f"m3: upgrade.sh {NEW}  node",
        *(f"{name}: upgrade-kubelet.sh {NEW} " for name in (*M, "client")),
    ]


# --- one host alone


def test_one_host_at_a_time_gets_as_far_as_all_at_once(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = Nodes()
    nodes.come_to(monkeypatch, alone="manager")
    assert [one for one in nodes.done if not one.startswith("manager: ")] == [f"client: {FETCHED}", f"client: {PULLED}"]
    assert nodes.ended["client"] == ("", OLD, OLD, False)
    assert capsys.readouterr().out.splitlines()[-1] == "next: inv cluster.upgrade --host client"
    run = nodes.come_to(monkeypatch, alone="client")
    assert (nodes.ended, run.failures) == (DONE, {})
    assert "next:" not in capsys.readouterr().out


def test_what_a_master_alone_brings_to_every_node_is_fetched_there_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """kubeadm tries a pod anywhere, and kube-proxy begins anew on each: without internet nobody could pull these."""
    nodes = Nodes(many_hosts(2))
    nodes.come_to(monkeypatch, alone="manager")
    fetched = [nodes.done.index(f"client{n}: {PULLED}") for n in (1, 2)]
    assert max(fetched) < nodes.done.index(f"manager: upgrade.sh {NEW}  apply --yes")


def test_another_node_that_is_not_ready_does_not_hold_up_one_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(many_hosts(2))
    nodes.machines["client2"].ready = False
    run = nodes.come_to(monkeypatch, alone="manager")
    assert run.failures == {}
    assert not [one for one in nodes.done if one.startswith("client2: ")]


def test_a_worker_alone_does_not_come_before_its_masters(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    with pytest.raises(KubefabError, match=r"^client comes after manager: inv cluster.upgrade --host manager$"):
        nodes.come_to(monkeypatch, alone="client")
    assert nodes.done == []


def test_a_master_alone_has_its_kubelet_wait_for_the_others_control_planes(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    nodes, told = Nodes(three_masters()), []
    for name in (*M, *M, "client"):
        nodes.come_to(monkeypatch, alone=name)
        told += [line for line in capsys.readouterr().out.splitlines() if line.startswith("next:")]
    assert [one for one in nodes.done if "upgrade" in one] == [
        f"m1: upgrade.sh {NEW}  apply --yes",
        f"m2: upgrade.sh {NEW}  node",
        f"m3: upgrade.sh {NEW}  node",
        f"m3: upgrade-kubelet.sh {NEW} ",
        f"m1: upgrade-kubelet.sh {NEW} ",
        f"m2: upgrade-kubelet.sh {NEW} ",
        f"client: upgrade-kubelet.sh {NEW} ",
    ]
    assert told == [f"next: inv cluster.upgrade --host {name}" for name in ("m2", "m3", "m1", "m2", "client", "client")]


def test_a_plan_for_one_host_ends_where_the_others_come_first(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = Nodes(three_masters())
    nodes.come_to(monkeypatch, dry=True, alone="m1")
    said = capsys.readouterr().out
    assert nodes.done == []
    assert "the control plane is of" in said
    assert "kubelet is installed" not in said
    others = [line for line in said.splitlines() if line.startswith(("m2 ", "m3 "))]
    fetched = "backup", "downloaded", "images of"
    assert [line for line in others if not any(word in line for word in fetched)] == []


def test_a_name_that_is_no_hosts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KubefabError, match="cleint"):
        Nodes().come_to(monkeypatch, alone="cleint")


# --- by each way that there is


def of_docker(new: str = NEW) -> str:
    return HOSTS.replace("1.37.2\n", f"{new}\n  runtime: docker\n")


def come_whole(nodes: Nodes, new: str) -> bool:
    """Whether all of it is of the new version, takes pods, and nothing is left."""
    parts = {one.static for one in nodes.machines.values() if one.master}
    parts |= {version for one in nodes.machines.values() for version in (one.kubelet, one.runs, one.kubeadm)}
    left = any(
        one.copies or one.node.get("unschedulable") or one.node.get("annotations") for one in nodes.machines.values()
    )
    return parts | {nodes.proxy, nodes.configured} == {new} and not left


def killed_everywhere(made: Callable[[], Nodes], new: str, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    """After each of its changes; the same command goes on each time."""
    nodes = made()
    assert nodes.come_to(monkeypatch, **how).failures == {}
    assert come_whole(nodes, new)
    for moment in range(1, 2 * len(nodes.done), 2):
        again, left = made(), iter([False] * moment)
        again.killed = partial(next, left, True)
        with pytest.raises(KeyboardInterrupt):
            again.come_to(monkeypatch, **how)
        for thread in threading.enumerate():  # those of other hosts, which have seen it too
            if not thread.daemon and thread is not threading.current_thread():
                thread.join(10)
        again.killed = lambda: False
        assert again.come_to(monkeypatch, **how).failures == {}, again.done
        assert come_whole(again, new), again.done


@pytest.mark.parametrize(
    ("masters", "old", "new", "etcd", "first"),
    [
        ("one", "1.33.9", "1.34.4", "3.5.24", "3.5.32-0"),
        ("three", "1.33.9", "1.34.4", "3.5.24", "3.5.32-0"),
        ("one", "1.34.4", "1.35.4", "3.6.5", ""),
        ("three", "1.35.4", "1.36.3", "3.6.6", ""),
        ("one", "1.36.3", "1.37.2", "3.6.8", ""),
        ("three", "1.36.3", "1.37.2", "3.6.8", "3.6.16-0"),
    ],
)
def test_each_minor_is_come_to_with_etcd_on_its_way_first(
    monkeypatch: pytest.MonkeyPatch, masters: str, old: str, new: str, etcd: str, first: str
) -> None:
    monkeypatch.setattr(images, "needed", lambda *_, **__: [f"registry.k8s.io/kube-proxy:v{new}"])
    nodes = of_minor(masters, old, new, etcd)
    run = nodes.come_to(monkeypatch)
    names = [name for name, one in nodes.machines.items() if one.master]
    done = [one.split(" ")[:2] for one in nodes.done if "etcd-image" in one or "upgrade.sh" in one]
    scripts = ["set-etcd-image.sh", "upgrade.sh"] if first else ["upgrade.sh"]
    assert run.failures == {}
    assert done == [[f"{name}:", script] for script in scripts for name in names]
    pulled = {any(f"etcd:{first}" in image for image in nodes.machines[name].pulled) for name in names}
    assert pulled == {bool(first)}
    assert come_whole(nodes, new)


def test_an_upgrade_of_one_member_of_etcd_by_way_of_a_late_one_is_killed_anywhere_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "needed", lambda *_, **__: ["registry.k8s.io/kube-proxy:v1.34.4"])
    killed_everywhere(lambda: of_minor("one", "1.33.9", "1.34.4", "3.5.24"), "1.34.4", monkeypatch)


def with_docker() -> Nodes:
    nodes = Nodes(of_docker("1.36.3"), "3.6.6")
    for one in nodes.machines.values():
        one.kubelet = one.runs = one.kubeadm = one.static = "1.35.4"
    nodes.proxy = nodes.configured = "1.35.4"
    nodes.kubelets = KUBELETS
    return nodes


def test_with_docker_kubelets_are_told_of_the_gates_before_any_is_new_and_again_after_a_kill_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "needed", lambda *_, **__: ["registry.k8s.io/kube-proxy:v1.36.3"])
    nodes = with_docker()
    nodes.come_to(monkeypatch)
    scripts = [one.split(" ")[1] for one in nodes.done if "upgrade" in one or "upload" in one]
    assert scripts == ["upgrade.sh", "upload-configuration.sh", "upgrade-kubelet.sh", "upgrade-kubelet.sh"]
    assert f"manager: {PULLED}".replace("containerd", "docker").replace(NEW, "1.36.3") in nodes.done
    killed_everywhere(with_docker, "1.36.3", monkeypatch)


def test_a_new_bundle_is_all_that_an_upgrade_needs_and_is_gone_on_from_after_a_kill_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three masters with an etcd on its way to the next minor, which comes with the bundle, too."""
    bundled = [f"registry.k8s.io/kube-proxy:v{NEW}", "registry.k8s.io/etcd:3.7.0-0", "registry.k8s.io/etcd:3.6.16-0"]
    about = {"kubernetes": NEW, "runtime": "containerd", "os": " ", "arch": ""}
    (tmp_path / "folder" / "packages").mkdir(parents=True)
    (tmp_path / "folder" / "packages" / "haproxy_3.deb").touch()
    bundle.write(tmp_path / "it", {**about, "images": dict.fromkeys(bundled, "images/it")}, tmp_path / "folder")
    monkeypatch.setattr(images, "needed", lambda *_, **__: bundled)
    monkeypatch.setattr(Nodes, "bundled", bundled)
    monkeypatch.setattr(steps_of_bundle, "all_manifests", lambda _: {})
    monkeypatch.setattr(carry, "send", lambda *_: None)
    several = three_masters().model_copy(update={"bundle": tmp_path / "it"})
    nodes = Nodes(several, "3.6.8")
    run = nodes.come_to(monkeypatch)
    assert run.failures == {}
    assert come_whole(nodes, NEW)
    scripts = {one.partition(": ")[2].partition(" ")[0] for one in nodes.done}
    assert {"use-bundle.sh", "move-images.sh", "set-etcd-image.sh"} <= scripts
    assert not {"fetch-kubernetes.sh", "fetch-images.sh"} & scripts
    alone = [host for host in several.hosts if host.name in ("m1", "client")]
    killed_everywhere(lambda: Nodes(several.model_copy(update={"hosts": tuple(alone)})), NEW, monkeypatch)


def test_workers_in_batches_are_killed_anywhere_and_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    killed_everywhere(lambda: Nodes(many_hosts(2)), NEW, monkeypatch, at_once=2)


def test_a_worker_alone_whose_workload_is_not_waited_for_is_killed_anywhere_and_gone_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made() -> Nodes:
        nodes = Nodes()
        nodes.come_to(monkeypatch, alone="manager")
        nodes.ready, nodes.done = 0, []
        return nodes

    killed_everywhere(made, NEW, monkeypatch, alone="client", ignored=["default/web"])


# --- what is asked before, and what stops it


RENEWED = (
    "kubeadm renews the certificates of every control plane, but no authority's; where one ends soon or has ended, "
    "first: inv certs.renew"
)


def test_nothing_is_changed_before_somebody_agrees(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = Nodes()
    with pytest.raises(KubefabError, match="--yes is needed"):
        nodes.come_to(monkeypatch, yes=False)
    assert nodes.done == []
    assert capsys.readouterr().out.splitlines() == [
        f"manager  - kube-apiserver {OLD}, kube-controller-manager {OLD}, kube-scheduler {OLD}, kubelet {OLD} -> {NEW}",
        f"manager  - etcd 3.7.0: kubeadm does not name the one of {NEW}",
        f"client  - kubelet {OLD} -> {NEW}",
        "client  - ReplicaSet/web in default: stands still meanwhile, for no other of its pods is ready",
        f"manager  - {RENEWED}",
    ]


def said(monkeypatch: pytest.MonkeyPatch, capsys: Any, nodes: Nodes, **how: Any) -> list[str]:
    """What a plan tells of what is upgraded and lost, before its steps."""
    nodes.come_to(monkeypatch, dry=True, **how)
    return [line for line in capsys.readouterr().out.splitlines() if "  - " in line]


@pytest.mark.parametrize("name", ["manager", "client"])
def test_a_node_that_is_not_ready_is_in_the_plan(monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str) -> None:
    """Its step only waits, and a plan has only what is changed."""
    nodes = Nodes()
    nodes.machines[name].ready = False
    told = [line for line in said(monkeypatch, capsys, nodes) if "Ready" in line]
    assert [line.partition("(")[0] for line in told] == [f"{name}  - the node is not Ready "]
    assert told[0].endswith("): nothing is changed before it is")


def test_a_node_that_is_upgraded_may_be_not_ready(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """As where an upgrade was killed while its kubelet began anew: only the end of it brings it back."""
    nodes = Nodes()
    nodes.machines["manager"].kubelet = NEW
    nodes.machines["manager"].ready = False
    assert [line for line in said(monkeypatch, capsys, nodes) if "Ready" in line] == []


def test_a_workload_that_is_to_be_passed_over_and_is_none_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    ignored = ["default/web", "default/wbe"]
    told = [line for line in said(monkeypatch, capsys, Nodes(), ignored=ignored) if "--ignore" in line]
    assert told == ["manager  - --ignore default/wbe: the cluster has no such Deployment, StatefulSet or DaemonSet"]


def test_what_becomes_of_certificates_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    told = [line for line in said(monkeypatch, capsys, Nodes(three_masters())) if "certificates" in line]
    assert told == [f"m1  - {RENEWED}"]


@pytest.mark.parametrize(
    ("old", "new", "kind", "told"),
    [
        ("1.33.13", "1.34.1", "StatefulSet", True),
        ("1.33.13", "1.34.2", "StatefulSet", False),
        ("1.34.0", "1.34.1", "StatefulSet", False),
        ("1.33.13", "1.34.1", "Deployment", False),
    ],
)
def test_statefulsets_that_would_begin_anew_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, old: str, new: str, kind: str, told: bool
) -> None:
    nodes = Nodes(HOSTS.replace("1.37.2", new))
    nodes.kind = kind
    for one in nodes.machines.values():
        one.kubelet = one.runs = one.kubeadm = one.static = old
    nodes.proxy = nodes.configured = old
    found = [line for line in said(monkeypatch, capsys, nodes) if "begins all of its pods anew" in line]
    assert bool(found) is told


IN_TURN = "first, one member at a time"


def of_minor(wanted: str, old: str, new: str, etcd: str) -> Nodes:
    """A cluster of this version that is to come to that one."""
    several = three_masters()
    several = several.model_copy(update={"cluster": several.cluster.model_copy(update={"kubernetes": new})})
    nodes = Nodes(HOSTS.replace("1.37.2", new) if wanted == "one" else several, etcd)
    for one in nodes.machines.values():
        one.kubelet = one.runs = one.kubeadm = one.static = old
    nodes.proxy = nodes.configured = old
    return nodes


@pytest.mark.parametrize(
    ("masters", "old", "new", "etcd", "comes", "told"),
    [
        ("one", OLD, NEW, "3.6.8", "3.7.0-0", "3.6.8 goes directly to 3.7.0"),
        ("one", OLD, NEW, "3.7.0", "3.7.0-0", "3.7.0 stays 3.7.0"),
        ("one", OLD, NEW, "3.7.1", "3.7.0-0", "3.7.1 stays 3.7.1"),
        ("one", OLD, NEW, "3.6.8", "", "3.6.8: kubeadm does not name the one of 1.37.2"),
        ("three", OLD, NEW, "3.6.8", "3.7.0-0", f"3.6.8 goes to 3.6.16 {IN_TURN}, and then to 3.7.0"),
        ("three", OLD, NEW, "3.6.16", "3.7.0-0", "3.6.16 goes directly to 3.7.0"),
        ("one", "1.35.4", "1.36.3", "3.6.6", "3.6.8-0", "3.6.6 goes directly to 3.6.8"),
        ("three", "1.33.9", "1.34.4", "3.5.24", "3.6.5-0", f"3.5.24 goes to 3.5.32 {IN_TURN}, and then to 3.6.5"),
        ("one", "1.33.9", "1.34.4", "3.5.24", "3.6.5-0", "3.5.24 goes to 3.5.32 first, and then to 3.6.5"),
    ],
    ids=[
        "one member",
        "nothing to do",
        "newer than kubeadm's",
        "kubeadm does not say",
        "several",
        "several that may",
        "of the same minor",
        "several with zombies",
        "one with zombies",
    ],
)
def test_what_etcd_does_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, masters: str, old: str, new: str, etcd: str, comes: str, told: str
) -> None:
    named = [f"registry.k8s.io/etcd:{comes}"] if comes else []
    monkeypatch.setattr(images, "needed", lambda *_, **__: [*named, f"registry.k8s.io/kube-proxy:v{new}"])
    nodes = of_minor(masters, old, new, etcd)
    found = [line for line in said(monkeypatch, capsys, nodes) if "  - etcd" in line]
    assert found == [f"{name}  - etcd {told}" for name, one in nodes.machines.items() if one.master]


def test_an_etcd_that_gives_no_answer_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = Nodes()
    nodes.worlds("manager").parts["etcd"] = SILENT
    with pytest.raises(KubefabError, match="no member of etcd answers"):
        nodes.come_to(monkeypatch, dry=True)
    told = "manager  - nobody knows which etcd it has: context deadline exceeded"
    assert told in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("static", "told"), [(OLD, True), (NEW, False)], ids=["its etcd is copied", "it is not"])
def test_an_etcd_whose_folder_nobody_knows_is_told_where_kubeadm_copies_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, static: str, told: bool
) -> None:
    nodes = Nodes()
    nodes.asked += "\netcd_unmeasured there is no folder /data/etcd"
    nodes.machines["manager"].static = nodes.configured = static
    line = "manager  - nobody knows whether there is room for kubeadm's copy of etcd: there is no folder /data/etcd"
    assert (line in said(monkeypatch, capsys, nodes)) is told


NO_BACKUP = "no backup of etcd is taken: it is at https://10.0.0.9:2379, and its owner's to back up"


@pytest.mark.parametrize("wanted", [HOSTS, three_masters()], ids=["one", "three"])
def test_an_etcd_that_is_elsewhere_is_its_owners_and_the_upgrade_goes_on_without(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, wanted: str | Inventory
) -> None:
    monkeypatch.setattr(Nodes, "elsewhere", "https://10.0.0.9:2379")
    monkeypatch.setattr(Nodes, "stored", "etcd: {external: {endpoints: [https://10.0.0.9:2379]}}\n")
    nodes = Nodes(wanted, "3.6.8")
    speaker = next(iter(nodes.machines))
    told = [line for line in said(monkeypatch, capsys, nodes) if "etcd" in line]
    run = nodes.come_to(monkeypatch)
    assert (told, run.failures) == ([f"{speaker}  - {NO_BACKUP}"], {})
    assert not any("etcd-image" in one or "backup" in one for one in nodes.done)
    assert all(one.runs == NEW and not one.node.get("unschedulable") for one in nodes.machines.values())


@pytest.mark.parametrize(
    ("masters", "tag", "told"),
    [
        ("one", "3.6.8-0", "3.6.8 stays 3.6.8"),
        ("three", "3.6.8-0", "3.6.8 stays 3.6.8"),
        ("three", "3.6.10-0", "3.6.8 goes directly to 3.6.10"),
        ("three", "3.7.0-0", f"3.6.8 goes to 3.6.16 {IN_TURN}, and then to 3.7.0"),
    ],
)
def test_an_etcd_whose_tag_kubeadm_keeps_goes_no_farther(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, masters: str, tag: str, told: str
) -> None:
    """Whatever image comes with a bundle; and nothing is changed on its way."""
    monkeypatch.setattr(Nodes, "stored", f"etcd: {{local: {{imageTag: {tag}}}}}\n")
    monkeypatch.setattr(images, "needed", lambda *_, **__: ["registry.k8s.io/etcd:3.7.0-0"])
    nodes = of_minor(masters, OLD, NEW, "3.6.8")
    nodes.come_to(monkeypatch, dry=True)
    out = capsys.readouterr().out
    found = [line for line in out.splitlines() if "  - etcd" in line]
    assert found == [f"{name}  - etcd {told}" for name, one in nodes.machines.items() if one.master]
    assert ("etcd is of 3.6.16 before it goes farther" in out) is ("3.6.16" in told)


def test_no_member_of_etcd_goes_to_the_next_minor_before_all_may(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(three_masters(), "3.6.8")
    run = nodes.come_to(monkeypatch)
    done = [one.split(" ")[:2] for one in nodes.done if "etcd-image" in one or "upgrade.sh" in one]
    assert run.failures == {}
    assert done == [[f"{m}:", script] for script in ("set-etcd-image.sh", "upgrade.sh") for m in M]


def test_an_image_that_no_upgrade_changes_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = Nodes()
    monkeypatch.setattr(Nodes, "stored", "etcd: {local: {imageTag: 3.6.8-0}}\n")
    with pytest.raises(KubefabError):
        nodes.come_to(monkeypatch, yes=False)
    assert "kubeadm-config has etcd.local.imageTag: 3.6.8-0, which stays as it is" in capsys.readouterr().out


def test_the_stored_configuration_is_judged_at_the_new_version_before_any_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes, seen = Nodes(), []
    monkeypatch.setattr(Nodes, "stored", "featureGates: {Gone: true}\n")

    def refused(*_: object, stored: str = "") -> list[str]:
        seen.append(yaml.safe_load(stored))
        raise KubefabError("it says: unrecognized feature-gate")

    monkeypatch.setattr(images, "needed", refused)
    with pytest.raises(KubefabError, match="unrecognized"):
        nodes.come_to(monkeypatch)
    kept = {**yaml.safe_load(CONFIGURATION), "featureGates": {"Gone": True}}
    assert seen == [{**kept, "dns": {}, "kubernetesVersion": f"v{NEW}"}]
    assert nodes.done == []


def test_kubeadms_earlier_copies_are_named_before_they_go(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Also on a host that is not behind: somebody may have upgraded it by hand, and want them."""
    nodes = Nodes()
    nodes.come_to(monkeypatch)
    nodes.machines["manager"].copies = True
    capsys.readouterr()
    with pytest.raises(KubefabError, match="--yes is needed"):
        nodes.come_to(monkeypatch, yes=False)
    told = "manager  - /etc/kubernetes/tmp/kubeadm-kubelet-config1: an earlier copy of kubeadm's"
    assert (told in capsys.readouterr().out, nodes.machines["manager"].copies) == (True, True)


def manifest(name: str, *flags: str) -> bytes:
    return b64encode(json.dumps({"spec": {"containers": [{"command": [name, *flags]}]}}).encode())


def noted(name: str, now: bytes, left: bytes) -> str:
    """What a look tells of a file that kubefab has left so."""
    sha256 = hashlib.sha256(b64decode(left)).hexdigest()
    return f"now {name} {now.decode()}\nleft {name} {left.decode()}\nsha256 {name} {sha256}\n"


@pytest.mark.parametrize("name", ["kube-apiserver", "etcd"])
def test_what_somebody_has_changed_by_hand_is_told_before_kubeadm_makes_it_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str
) -> None:
    nodes = Nodes()
    told = noted(name, manifest(name, "--their-url=https://id.example"), manifest(name))
    nodes.worlds("manager").parts["manifests"] = told
    with pytest.raises(KubefabError):
        nodes.come_to(monkeypatch, yes=False)
    gone = "what is changed by hand: with --their-url=https://id.example goes: kubeadm makes it anew"
    said = capsys.readouterr().out
    assert f"manager  - {name}: {gone}\n" in said
    assert "nobody knows" not in said


def test_what_somebody_has_changed_of_kube_proxys_configuration_is_told_and_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """kubeadm hands it on as it is, begins every pod with it, and forgets what kubefab has noted."""
    nodes = Nodes()
    nodes.proxies, nodes.left = "mode: ipvs", "mode: iptables"
    with pytest.raises(KubefabError):
        nodes.come_to(monkeypatch, yes=False)
    told = "kube-proxy's configuration: mode is ipvs, not iptables; that stays, and its pods begin with it"
    assert f"manager  - {told}\n" in capsys.readouterr().out


def test_what_kube_proxys_configuration_is_after_an_upgrade_is_noted_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    pod = manifest("kube-apiserver")
    nodes.worlds("manager").parts["manifests"] = noted("kube-apiserver", pod, pod)
    nodes.proxies = nodes.left = "mode: iptables"
    nodes.come_to(monkeypatch)
    apply, note = nodes.done.index(f"manager: upgrade.sh {NEW}  apply --yes"), "patch configmap kube-proxy"
    assert [note in line for line in nodes.done[apply:]].count(True) == 1
    assert nodes.left == "mode: iptables"


def upgraded(wanted: str | Inventory = HOSTS) -> Nodes:
    """All nodes are new, and what kubeadm keeps in the cluster."""
    nodes = Nodes(wanted)
    for one in nodes.machines.values():
        one.kubelet = one.runs = one.kubeadm = one.static = one.fetched = one.images = NEW
    nodes.proxy = nodes.configured = NEW
    return nodes


def edited_by_hand(nodes: Nodes, name: str, *files: str) -> None:
    told = [noted(file, manifest(file, "--theirs=1"), manifest(file)) for file in files]
    nodes.worlds(name).parts["manifests"] = "".join(told)


def gone_of(file: str, name: str = "manager") -> str:
    return f"{name}  - {file}: what is changed by hand: with --theirs=1 goes: kubeadm makes it anew"


@pytest.mark.parametrize(
    ("kept", "told", "goes"),
    [
        ("proxy", f"kube-proxy {OLD}", ["kubelet"]),
        ("configured", f"kubeadm-config {OLD}", ["kube-apiserver", "kubelet"]),
    ],
)
def test_where_only_what_kubeadm_keeps_is_older_that_is_told_and_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, kept: str, told: str, goes: list[str]
) -> None:
    """kubeadm's apply makes this master's kubelet configuration anew with it."""
    nodes = upgraded()
    setattr(nodes, kept, OLD)
    edited_by_hand(nodes, "manager", "kube-apiserver", "kubelet")
    with pytest.raises(KubefabError, match="--yes is needed"):
        nodes.come_to(monkeypatch, yes=False)
    found = capsys.readouterr().out.splitlines()
    assert found[0] == f"manager  - {told} -> {NEW}"
    assert [line for line in found if "anew" in line] == [gone_of(file) for file in goes]
    run = nodes.come_to(monkeypatch)
    # kubeadm gives up where its folder of patches is missing, as in a cluster made by hand.
    assert nodes.done[-2:] == ["manager: put-files.sh", f"manager: upgrade.sh {NEW}  apply --yes"]
    assert (getattr(nodes, kept), run.failures) == (NEW, {})


def test_one_master_alone_makes_anew_what_kubeadm_keeps(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = upgraded(three_masters())
    nodes.configured = OLD
    told = [line for line in said(monkeypatch, capsys, nodes) if "kubeadm-config" in line]
    assert told == [f"m1  - kubeadm-config {OLD} -> {NEW}"]
    nodes.come_to(monkeypatch)
    assert [one for one in nodes.done if "upgrade" in one] == [f"m1: upgrade.sh {NEW}  apply --yes"]


@pytest.mark.parametrize(("alone", "told"), [("m1", []), ("m3", [f"m1  - kube-proxy {OLD} -> {NEW}"])])
def test_what_the_speaker_makes_anew_is_told_with_the_last_control_plane_that_is_upgraded_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, alone: str, told: list[str]
) -> None:
    nodes = upgraded(three_masters())
    nodes.machines["m1"].static = OLD if alone == "m1" else NEW
    nodes.machines["m3"].static = nodes.proxy = OLD
    edited_by_hand(nodes, "m1", "kubelet")
    found = said(monkeypatch, capsys, nodes, alone=alone)
    assert [line for line in found if "kube-proxy" in line] == told
    assert gone_of("kubelet", "m1") in found


def test_of_a_control_plane_that_is_new_no_manifest_goes(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = upgraded()
    nodes.machines["manager"].kubelet = nodes.machines["manager"].runs = OLD
    edited_by_hand(nodes, "manager", "kube-apiserver", "kubelet")
    told = [line for line in said(monkeypatch, capsys, nodes) if "anew" in line]
    assert told == [gone_of("kubelet")]


def test_where_nothing_is_noted_nobody_knows_what_would_go_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """A cluster that an earlier kubefab has made, or somebody by hand."""
    nodes = Nodes()
    own = manifest("kube-scheduler")
    others = "".join(f"now {name} {manifest(name).decode()}\n" for name in ("etcd", "kube-apiserver", "kubelet"))
    nodes.worlds("manager").parts["manifests"] = noted("kube-scheduler", own, own) + others
    with pytest.raises(KubefabError):
        nodes.come_to(monkeypatch, yes=False)
    told = "kube-apiserver, kubelet, etcd: nobody knows what somebody has changed by hand there; it goes where kubeadm"
    said = capsys.readouterr().out
    assert f"manager  - {told} makes them anew, from what it keeps in the cluster\n" in said
    assert said.count("nobody knows") == 1


def test_an_api_that_goes_away_and_was_asked_for_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = Nodes()
    asked = "asked_told yes\ndeprecated apps/v1beta9 deployments 1.37\ndeprecated batch/v1beta9 jobs 1.38"
    monkeypatch.setattr(Nodes, "asked", asked)
    with pytest.raises(KubefabError):
        nodes.come_to(monkeypatch, yes=False)
    said = capsys.readouterr().out
    assert "somebody has asked for deployments of apps/v1beta9, which 1.37 has no more" in said
    assert "batch/v1beta9" not in said


def test_an_api_server_that_does_not_say_what_it_was_asked_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(Nodes, "asked", "")
    told = [line for line in said(monkeypatch, capsys, Nodes()) if "nobody knows" in line]
    assert told == [
        "manager  - nobody knows what of APIs that go away somebody has asked for: its API server does not say"
    ]


def test_a_busy_api_server_is_asked_again_before_anybody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, looks = Nodes(), iter(range(9))

    def busy() -> None:
        if next(looks, 9) < 5:
            nodes.worlds("manager").parts["workloads"] = ""
        elif not nodes.done:
            nodes.tell()

    nodes.looked_at = {"manager": busy}
    run = nodes.come_to(monkeypatch)
    assert (nodes.ended, run.failures) == (DONE, {})
    assert next(looks, 9) == 9


def test_an_upgrade_killed_with_little_room_goes_on_however_often_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for two of etcd. Each kubeadm that is killed has made a copy of etcd by then."""
    nodes, killed = Nodes(), [True, True, False]
    room = "etcd_mib 3000\nroom_mib {}\nasked_told yes"

    def upgrade(nodes: Nodes, one: Machine, words: list[str]) -> None:
        one.copies = True
        if killed.pop(0):
            raise KeyboardInterrupt
        done(nodes, one, words)

    def tell() -> None:
        told()
        copies = nodes.machines["manager"].copies
        left = room.format(3500 if copies else 6500)
        copied = "\ncopy kubeadm-backup-etcd-1\ncopies_mib 3000" if copies else ""
        nodes.worlds("manager").parts["upgrade"] = left + copied

    done, told = Nodes.upgrade, nodes.tell
    monkeypatch.setattr(Nodes, "upgrade", upgrade)
    monkeypatch.setattr(nodes, "tell", tell)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            nodes.come_to(monkeypatch)
        nodes.tell()
    run = nodes.come_to(monkeypatch)
    assert (nodes.ended, run.failures) == (DONE, {})
    assert nodes.done.count("manager: forget-copies.sh") == 3


def test_a_plan_says_from_and_to_changes_nothing_and_asks_nobody(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    nodes = Nodes()
    run = nodes.come_to(monkeypatch, yes=False, dry=True)
    assert (nodes.done, run.failures, run("manager").locks) == ([], {}, [])
    assert f"client  - kubelet {OLD} -> {NEW}" in capsys.readouterr().out.splitlines()


def test_a_host_that_does_not_answer_stops_it_before_any_change(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()

    def away() -> None:
        raise Unreachable("cannot be reached")

    nodes.looked_at = {"client": away}
    with pytest.raises(Stop, match="absent: true"):
        nodes.come_to(monkeypatch)
    assert nodes.done == []


def test_a_workload_without_all_of_its_pods_is_named_before_and_stops_the_first_node(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    nodes = Nodes()
    nodes.ready = 0
    with pytest.raises(Stop, match="client failed"):
        nodes.come_to(monkeypatch)
    told = "Deployment default/web: 0 of 1 pods are ready"
    assert f"manager  - {told}: that is waited for first" in capsys.readouterr().out
    assert told in nodes.run.failures["client"]
    assert not {PATCHED, CORDONED} & {*nodes.done}
    run = nodes.come_to(monkeypatch, ignored=["default/web"])
    assert (nodes.ended, run.failures) == (DONE, {})


@pytest.mark.parametrize(
    ("at_once", "told"),
    [(1, []), (2, ["client1, client2"]), (3, ["client1, client2, client3"])],
    ids=["one by one", "a batch that has all of them", "one that has others, too"],
)
def test_what_stands_still_since_nodes_go_together_is_told_before(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, at_once: int, told: list[str]
) -> None:
    """Each of two nodes has one of its two pods: neither alone would stop it."""
    nodes, tell = Nodes(many_hosts(3)), Nodes.tell

    def two(self: Nodes) -> None:
        tell(self)
        parts = self.worlds("manager").parts
        parts["pods"] = parts["pods"].replace("replicas default/ReplicaSet/web 1", "replicas default/ReplicaSet/web 2")

    monkeypatch.setattr(Nodes, "tell", two)
    nodes.machines["manager"].pods = nodes.machines["client3"].pods = 0
    nodes.come_to(monkeypatch, dry=True, at_once=at_once)
    lines = [line.partition("  - ") for line in capsys.readouterr().out.splitlines() if "stands still" in line]
    still = "ReplicaSet/web in default: stands still meanwhile, for no other of its pods is ready"
    assert [(hosts, what) for hosts, _, what in lines] == [(hosts, still) for hosts in told]


@pytest.mark.parametrize("dry", [True, False])
def test_a_node_that_hosts_yml_does_not_know_is_in_the_plan_once(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, dry: bool
) -> None:
    nodes, items = Nodes(), Nodes.items
    other = {
        "kind": "Node",
        "metadata": {"name": "w9"},
        "spec": {},
        "status": {"nodeInfo": {"kubeletVersion": f"v{OLD}"}},
    }
    monkeypatch.setattr(Nodes, "items", lambda self: [*items(self), other])
    run = nodes.come_to(monkeypatch, dry=dry)
    assert run.failures == {}
    assert capsys.readouterr().out.count(f"w9 {OLD} is not upgraded: hosts.yml does not have it") == 1


def test_a_daemonsets_pod_on_an_absent_worker_is_neither_told_nor_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    nodes, items = Nodes(), Nodes.items
    gone = {"kind": "Node", "metadata": {"name": "gone"}, "spec": {}, "status": {}}
    monkeypatch.setattr(Nodes, "items", lambda self: [*items(self), gone])
    nodes.kind, nodes.ready = "DaemonSet", 0
    run = nodes.come_to(monkeypatch)
    assert (nodes.ended, run.failures) == (DONE, {})
    assert "waited for first" not in capsys.readouterr().out


def test_where_an_image_is_missing_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    monkeypatch.setattr(Nodes, "fetch_images", lambda *_: None)
    with pytest.raises(Stop):
        nodes.come_to(monkeypatch)
    assert {one.partition(": ")[2].partition(" ")[0] for one in nodes.done} == {
        "fetch-kubernetes.sh",
        "fetch-images.sh",
    }


def test_the_first_node_that_does_not_come_back_stops_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    monkeypatch.setattr(Nodes, "restart_service", lambda *_: None)
    with pytest.raises(Stop, match="manager failed: no other host is begun after it"):
        nodes.come_to(monkeypatch)
    assert not any(one.startswith("client: upgrade") for one in nodes.done)


def test_a_drain_in_vain_leaves_the_kubelet_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes()
    monkeypatch.setattr(Nodes, "drain", lambda *_: None)
    with pytest.raises(Stop):
        nodes.come_to(monkeypatch)
    assert f"client: upgrade-kubelet.sh {NEW} " not in nodes.done
