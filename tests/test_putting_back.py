"""A whole drift on hosts that answer from memory: seen, put right a master at a time; and what is taken back."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from kubefab import putting_back, render
from kubefab.converge import Stop
from kubefab.errors import HostError, KubefabError
from kubefab.facts import Manifest
from kubefab.inventory import Inventory
from kubefab.inventory.models import Proxy
from kubefab.passes import IN_TURN, MASTERS
from kubefab.step import sha256
from kubefab.steps import drift, drift_proxy, health, marked
from tests.fakes import three_masters
from tests.runs import ADMIN, Run, in_place, nodes
from tests.steps.test_drift import stored
from tests.test_kubeadm import saying

API = "kube-apiserver"
M = ("m1", "m2", "m3")


def text(pod: str, **flags: str) -> str:
    """A manifest, in base64."""
    told = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    body = yaml.safe_dump({"spec": {"containers": [{"name": pod, "command": [pod, *told]}]}})
    return b64encode(body.encode()).decode()


def by_way_of(said: str, environment: dict[str, str]) -> str:
    """A manifest into which kubeadm has handed on these variables."""
    body = yaml.safe_load(b64decode(said))
    env = [{"name": name, "value": value} for name, value in environment.items()]
    body["spec"]["containers"][0] |= {"env": env} if env else {}
    return b64encode(yaml.safe_dump(body).encode()).decode()


@dataclass
class Master:
    """What is there of its static pods."""

    now: dict[str, str] = field(default_factory=lambda: {pod: text(pod) for pod in marked.PHASES})
    marked: dict[str, str] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.marked = dict(self.now)

    def told(self) -> str:
        lines = [f"given {API} {one}" for one in self.given]
        for pod, said in self.now.items():
            lines.append(f"now {pod} {said}")
            process = "\0".join(yaml.safe_load(b64decode(said))["spec"]["containers"][0]["command"])
            lines.append(f"running {pod} {b64encode(process.encode()).decode()}")
        for pod, said in self.marked.items():
            lines += [f"left {pod} {said}", f"sha256 {pod} {Manifest.read(said).digest}"]
        return "\n".join(lines)


class Machines:
    """Masters of one cluster: kubeadm's phases do what they are told."""

    def __init__(self, wanted: Inventory, *, dry: bool = False) -> None:
        self.run = Run(wanted, dry=dry)
        self.names = [host.name for host in self.run.cluster.masters]
        self.masters = {name: Master() for name in self.names}
        self.kept = stored().text
        self.proxy: dict[str, str] = {}  # kube-proxy's configuration, by the facts that tell of it
        self.done: list[str] = []
        self.bears: Callable[[str], bool] = lambda name: True
        for name in self.names:
            self.run(name).on_change = lambda name=name: self.changed(name)  # type: ignore[misc]
        self.tell()

    def tell(self) -> None:
        for name, one in self.masters.items():
            self.run(name).parts.update(
                node=ADMIN,
                cluster=nodes(*self.names),
                manifests=one.told(),
                kubeadm="\n".join(
                    f"{fact} {b64encode(said.encode()).decode()}"
                    for fact, said in {"configuration": self.kept, **self.proxy}.items()
                ),
            )

    def changed(self, name: str) -> None:
        words = self.run(name).of_thread.change.split(" ")
        if words[0] == "kubectl.sh":
            self.kubectl(name, words)
            return
        self.done.append(f"{name}: {words[0]} {words[1 if words[0].startswith('upload') else 2]}")
        (configuration,) = list(yaml.safe_load_all(self.run(name).payloads[words[0]]))[1:]
        if words[0] == "upload-configuration.sh":
            self.kept = yaml.safe_dump(configuration)
        elif not self.bears(name):
            raise HostError("remake-manifest.sh ended with exit status 1", "the former one is there again")
        else:
            self.remade(self.masters[name], words[2], configuration)
        self.tell()

    def kubectl(self, name: str, words: list[str]) -> None:
        self.done.append(f"{name}: {' '.join(words[:3])}")
        if words[2] == "configmap":
            patch = json.loads(" ".join(words[words.index("--patch") + 1 : words.index("--namespace")]))
            said, left = patch["data"]["config.conf"], patch["metadata"]["annotations"][drift_proxy.LEFT]
            self.proxy = {"proxies": said, "proxies_left": left}
        self.tell()

    def remade(self, one: Master, pod: str, configuration: dict[str, Any]) -> None:
        said = text(pod, **{arg["name"]: arg["value"] for arg in self.arguments(configuration, pod)})
        one.now[pod] = one.marked[pod] = by_way_of(said, render.environment(self.run.cluster.inventory))
        if pod == API:
            one.given = [f"--{arg['name']}" for arg in self.arguments(configuration, pod)]

    def arguments(self, configuration: dict[str, Any], pod: str) -> list[dict[str, str]]:
        section = {API: "apiServer"}.get(pod, "")
        return list((configuration.get(section) or {}).get("extraArgs") or [])


WANTED = saying(apiServer={"extraArgs": {"audit-log-maxage": 10}})


def three() -> Inventory:
    return three_masters().model_copy(update={"cluster": WANTED.cluster})


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these hosts do not tell, and other tests are about."""
    monkeypatch.setattr(health, "unhealthy", lambda _: None)


def converge(machines: Machines) -> None:
    machines.run.engine.converge(MASTERS, drift.control_plane, how=IN_TURN)


def test_a_flag_comes_to_one_master_after_the_other_and_into_what_kubeadm_keeps_once_the_first_bears_it() -> None:
    machines = Machines(three())
    converge(machines)
    remake, upload = f"remake-manifest.sh {API}", "upload-configuration.sh kubeadm"
    assert machines.done == [f"m1: {remake}", f"m1: {upload}", f"m2: {remake}", f"m3: {remake}"]
    assert "audit-log-maxage" in machines.kept


def test_a_second_run_changes_nothing() -> None:
    machines = Machines(three())
    converge(machines)
    before = list(machines.done)
    again = Machines(three())
    again.masters, again.kept = machines.masters, machines.kept
    again.tell()
    converge(again)
    assert before
    assert again.done == []


def test_a_proxy_that_has_moved_comes_to_one_master_after_the_other_and_no_second_time() -> None:
    wanted = three_masters().model_copy(update={"proxy": Proxy(http="http://10.0.0.1:3128")})
    machines = Machines(wanted)
    former = render.environment(wanted) | {"HTTPS_PROXY": "http://10.0.0.9:1"}
    for one in machines.masters.values():
        one.now = {pod: by_way_of(said, former) for pod, said in one.now.items()}
        one.marked = dict(one.now)
    machines.tell()
    converge(machines)
    assert machines.done == [f"{name}: remake-manifest.sh {pod}" for name in M for pod in marked.PHASES]
    converge(machines)
    assert len(machines.done) == len(M) * len(marked.PHASES)


def test_what_one_master_does_not_bear_comes_to_no_other_and_is_not_kept() -> None:
    machines = Machines(three())
    machines.bears = lambda name: False
    with pytest.raises(Stop, match="m1 failed"):
        converge(machines)
    assert machines.done == [f"m1: remake-manifest.sh {API}"]
    assert "audit-log-maxage" not in machines.kept


def test_a_dry_run_tells_each_difference_and_which_api_servers_restart(capsys: pytest.CaptureFixture[str]) -> None:
    machines = Machines(three(), dry=True)
    converge(machines)
    assert machines.done == []
    said = capsys.readouterr().out.splitlines()
    for name in M:
        assert f"{name}      ! the API server of {name} restarts" in said
        assert f"{name}      ~ {API} is what hosts.yml says  (now: without --audit-log-maxage=10)" in said


def by_hand(machines: Machines, name: str) -> None:
    machines.masters[name].now[API] = text(API, oidc_issuer_url="https://id.example")
    machines.tell()


def test_what_was_changed_by_hand_is_told_once_left_alone_and_fails_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    machines = Machines(three())
    by_hand(machines, "m2")
    converge(machines)
    assert not [line for line in machines.done if line.startswith("m2")]
    assert machines.run.failures == {}
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("m2")]
    assert told == [
        f"m2      ! expected: {API} is as kubefab has left it; found: changed by hand: with "
        "--oidc-issuer-url=https://id.example; so hosts.yml waits: without --audit-log-maxage=10; "
        "what to do: write it into hosts.yml, or: inv cluster.put-back --host m2"
    ]


# --- inv cluster.put-back


def put_back(machines: Machines, name: str, monkeypatch: pytest.MonkeyPatch, yes: bool = True) -> None:
    run = in_place(machines.run, monkeypatch)
    rendered = {pod: text(pod) for pod in marked.PHASES} | {API: text(API, audit_log_maxage="10")}
    run(name).answers["render-manifests.sh"] = "\n".join(f"{pod} {said}" for pod, said in rendered.items())
    putting_back.put_back(run.context, name, yes)


def test_a_put_back_lists_what_goes_and_makes_the_manifest_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machines = Machines(three())
    by_hand(machines, "m2")
    put_back(machines, "m2", monkeypatch)
    assert machines.done == [f"m2: remake-manifest.sh {API}", "m2: upload-configuration.sh kubeadm"]
    listed = f"m2  - {API}: without --audit-log-maxage=10, with --oidc-issuer-url=https://id.example\n"
    assert capsys.readouterr().out.startswith(listed)
    assert machines.run("m2").locks


def test_nothing_is_taken_back_unless_somebody_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three())
    by_hand(machines, "m2")
    with pytest.raises(KubefabError, match="what reads it restarts; without a terminal, --yes is needed"):
        put_back(machines, "m2", monkeypatch, yes=False)
    assert machines.done == []


def test_a_dry_put_back_changes_nothing_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three(), dry=True)
    by_hand(machines, "m2")
    put_back(machines, "m2", monkeypatch, yes=False)
    assert machines.done == []


def test_where_nothing_was_changed_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three())
    converge(machines)
    before = len(machines.done)
    again = Machines(three())
    again.masters, again.kept = machines.masters, machines.kept
    again.tell()
    put_back(again, "m2", monkeypatch, yes=False)
    assert (before, again.done) == (4, [])


def test_kubeadm_makes_nothing_by_another_proxy_than_that_of_hosts_yml(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = three().model_copy(update={"proxy": Proxy(http="http://10.0.0.1:3128")})
    machines = Machines(wanted)
    by_hand(machines, "m2")
    machines.run("m2").parts["files"] = f"file {render.PROXY} {sha256('HTTP_PROXY=http://10.0.0.9:1')}"
    with pytest.raises(KubefabError, match=r"m2: .*kubefab-proxy.*: inv cluster\.up$"):
        put_back(machines, "m2", monkeypatch)
    assert machines.done == []


def test_of_a_worker_the_kubelets_configuration_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three())
    now, left = (b64encode(one).decode() for one in (b"maxPods: 77\n", b"maxPods: 110\n"))
    told = f"now kubelet {now}\nleft kubelet {left}\nsha256 kubelet {Manifest.read(left).digest}"
    machines.run("client").parts.update(node="kubelet_ca QUJD", manifests=told)
    for name in M:
        machines.run(name).parts["kubeadm"] += f"\nkubelets {left}"
    with pytest.raises(KubefabError, match="--yes is needed"):
        putting_back.put_back(in_place(machines.run, monkeypatch).context, "client", False)
    assert machines.run("client").ran == []


def test_a_kubelets_configuration_that_is_gone_is_nothing_to_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three())
    machines.run("client").parts.update(node="kubelet_ca QUJD", manifests="sha256 kubelet 0")
    with pytest.raises(KubefabError, match=r"client: /var/lib/kubelet/config\.yaml is missing: put back first"):
        putting_back.put_back(in_place(machines.run, monkeypatch).context, "client", True)
    assert machines.run("client").ran == []


def test_a_kubelets_configuration_that_was_cut_off_is_brought_to_its_end_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machines = Machines(three())
    by_hand(machines, "m2")
    machines.run("m2").parts["manifests"] += "\nhalfway kubelet"
    with pytest.raises(KubefabError, match="--yes is needed"):
        put_back(machines, "m2", monkeypatch, yes=False)
    first, second = [line for line in capsys.readouterr().out.splitlines() if line.startswith("m2  - ")]
    assert "its making was cut off" in first
    assert API in second


def with_edited_proxy() -> Machines:
    """All is as hosts.yml says, but for what somebody has made of kube-proxy's configuration."""
    before, machines = Machines(three()), Machines(three())
    converge(before)
    machines.masters, machines.kept = before.masters, before.kept
    machines.proxy = {"proxies": "kind: K\nmode: ipvs\n", "proxies_left": "kind: K\nmode: iptables\n"}
    machines.tell()
    return machines


@pytest.mark.parametrize("name", M)
def test_by_any_master_kube_proxys_configuration_is_listed_and_taken_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    machines = with_edited_proxy()
    capsys.readouterr()
    put_back(machines, name, monkeypatch)
    assert capsys.readouterr().out.startswith(f"{name}  - kube-proxy: mode is ipvs, not iptables\n")
    assert machines.done == [f"{name}: kubectl.sh annotate daemonset", f"{name}: kubectl.sh patch configmap"]
    assert machines.proxy["proxies"] == machines.proxy["proxies_left"] == "kind: K\nmode: iptables\n"


def test_kube_proxys_configuration_is_taken_back_where_somebody_agrees_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = with_edited_proxy()
    with pytest.raises(KubefabError, match="--yes is needed"):
        put_back(machines, "m1", monkeypatch, yes=False)
    assert machines.done == []


@pytest.mark.parametrize(
    ("name", "told"), [("client", "client is no node"), ("m9", "found no host 'm9'"), ("", "--host NAME")]
)
def test_only_a_master_has_something_to_be_put_back(name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three())
    with pytest.raises(KubefabError, match=told):
        putting_back.put_back(in_place(machines.run, monkeypatch).context, name, True)


def test_a_host_without_a_control_plane_has_nothing_to_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three())
    for name in M:
        machines.run(name).parts.clear()
    with pytest.raises(KubefabError, match="m2 is no node of the cluster"):
        put_back(machines, "m2", monkeypatch)


def test_a_manifest_that_is_not_there_is_nothing_to_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has taken it away has it somewhere; and what its kubelet reads may be elsewhere."""
    machines = Machines(three())
    del machines.masters["m2"].now[API]
    machines.tell()
    with pytest.raises(KubefabError, match=r"m2: /etc/kubernetes/manifests/kube-apiserver\.yaml is missing"):
        put_back(machines, "m2", monkeypatch)


def test_a_master_whose_upgrade_is_not_done_is_upgraded_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what kubeadm keeps its static pods would come to the newer version, whoever is next."""
    machines = Machines(three())
    by_hand(machines, "m2")
    machines.run("m2").parts["node"] += "\nstatic kube-apiserver.yaml registry.k8s.io/kube-apiserver:v1.36.3"
    with pytest.raises(KubefabError, match=r"m2: kube-apiserver is of 1\.36\.3, and kubeadm keeps 1\.37\.2"):
        put_back(machines, "m2", monkeypatch)
    assert machines.done == []


_NEWER = r'm2: kube-apiserver is of 1\.38\.0, and kubeadm keeps 1\.37\.2 .* with `kubernetes: "1\.38\.0"` in hosts'


def test_a_master_that_is_newer_than_what_kubeadm_keeps_is_not_made_older(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an upgrade by hand, say, whose kubeadm-config somebody has taken back."""
    machines = Machines(three())
    by_hand(machines, "m2")
    machines.run("m2").parts["node"] += "\nstatic kube-apiserver.yaml registry.k8s.io/kube-apiserver:v1.38.0"
    with pytest.raises(KubefabError, match=_NEWER):
        put_back(machines, "m2", monkeypatch)
    assert machines.done == []


def test_a_kubeadm_that_tells_no_manifest_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(three())
    machines.run("m2").answers["render-manifests.sh"] = f"{API} {text(API)}"
    with pytest.raises(KubefabError, match="kubeadm has told no manifest of kube-controller-manager, kube-scheduler"):
        putting_back.put_back(in_place(machines.run, monkeypatch).context, "m2", True)
