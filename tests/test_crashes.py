"""Crash loops of what is waited for, from what kubectl says of its pods."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kubefab.crashes import EVERY, Container, CrashWatch, restarts
from kubefab.errors import HostError
from tests.fakes import Clock, FakeHost, cluster, world

# As kubectl 1.37 prints it: pod and node, the pod's init containers and their restarts, its containers and theirs.
FLANNEL = """\
kube-flannel-ds-2x4bq   manager   install-cni-plugin,install-cni   0,0   kube-flannel   1
kube-flannel-ds-new     <none>    <none>                           <none>   <none>         <none>
"""


class Watched:
    """A watch of flannel, or of another, and a master that says how often its container was restarted."""

    def __init__(self, workload: str = "kube-flannel/kube-flannel-ds") -> None:
        self.clock, self.cluster = Clock(), cluster()
        self.master = self.cluster.founder
        self.watch = CrashWatch(workload, self.clock.now)

    def look(self, said: str | int) -> None:
        line = f"kube-flannel-ds-2x4bq manager a,b 0,0 kube-flannel {said}\n" if isinstance(said, int) else said
        world(self.cluster, "manager").answers["kubectl.sh"] = line
        self.clock.ahead += EVERY
        self.watch.look(self.master)

    @property
    def ran(self) -> list[str]:
        return world(self.cluster, "manager").ran


def test_restarts_are_counted_by_container() -> None:
    assert restarts(FLANNEL) == {
        Container("kube-flannel-ds-2x4bq", "manager", "install-cni-plugin"): 0,
        Container("kube-flannel-ds-2x4bq", "manager", "install-cni"): 0,
        Container("kube-flannel-ds-2x4bq", "manager", "kube-flannel"): 1,
    }


@pytest.mark.parametrize(
    "said", ["", "\n", "No resources found in kube-flannel namespace.", "Warning: x y z", "a b", "a"]
)
def test_what_are_no_pods_is_passed_over(said: str) -> None:
    assert restarts(said) == {}


def test_three_restarts_are_a_crash_loop_with_its_last_lines() -> None:
    watched = Watched()
    for count in (0, 1, 2):
        watched.look(count)
    with pytest.raises(HostError, match=r"kube-flannel-ds-2x4bq is in a crash loop: container kube-flannel, rest.* 3"):
        watched.look(3)
    assert watched.ran[-1] == (
        "kubectl.sh logs kube-flannel-ds-2x4bq --container kube-flannel --previous --tail=8 --namespace kube-flannel"
    )


@contextmanager
def service_address_that_leads_nowhere() -> Iterator[list[str]]:
    """What was asked by it."""
    asked, ask = list[str](), FakeHost.ask

    def ask_in_vain(host: FakeHost, script: str, *words: str, **how: Any) -> str:
        if "--server" in words:
            asked.append(" ".join(words))
            raise HostError("scripts/kubectl.sh ended with exit status 1")
        return "https://10.96.0.1" if "service" in words else ask(host, script, *words, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FakeHost, "ask", ask_in_vain)
        yield asked


def test_what_ends_while_the_service_address_leads_nowhere_is_in_no_loop_yet() -> None:
    """flannel, where kube-proxy is slow: its restarts of that time are history then, the last one of them too."""
    watched = Watched()
    with service_address_that_leads_nowhere() as asked:
        for count in (0, 1, 1, 2):
            watched.look(count)
    assert asked == 3 * ["get --raw /livez --server https://10.96.0.1 --request-timeout 5s"]
    for count in (3, 4, 5):
        watched.look(count)
    with pytest.raises(HostError, match="restarted 6 times"):
        watched.look(6)


WORKERS = "kube-flannel-ds-7xk2p client <none> <none> kube-flannel {}"


@contextmanager
def kube_proxies(said: str) -> Iterator[None]:
    """What kubectl says of them: node, and whether its container is ready."""
    ask = FakeHost.ask

    def told(host: FakeHost, script: str, *words: str, **how: Any) -> str:
        return said if "k8s-app=kube-proxy" in words else ask(host, script, *words, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FakeHost, "ask", told)
        yield


@pytest.mark.parametrize("said", ["manager true\nclient false\n", "manager true\nclient <none>\n", "manager true\n"])
def test_what_ends_on_a_worker_before_its_kube_proxy_is_ready_is_in_no_loop_yet(said: str) -> None:
    watched = Watched()
    with kube_proxies(said):
        for count in (0, 1, 2, 3):
            watched.look(WORKERS.format(count))
    with kube_proxies("manager true\nclient true\n"):
        for count in (4, 5, 6):
            watched.look(WORKERS.format(count))
        with pytest.raises(HostError, match="restarted 7 times"):
            watched.look(WORKERS.format(7))


@pytest.mark.parametrize("said", ["manager true\nclient true\n", ""], ids=["its own", "none anywhere"])
def test_what_ends_again_and_again_on_a_worker_that_reaches_an_api_server_is_in_a_loop(said: str) -> None:
    watched = Watched()
    with kube_proxies(said):
        for count in (0, 1, 2):
            watched.look(WORKERS.format(count))
        with pytest.raises(HostError, match="kube-flannel-ds-7xk2p is in a crash loop"):
            watched.look(WORKERS.format(3))


def test_a_static_pod_of_another_master_is_not_waited_for() -> None:
    """Nor one whose node's name only begins as this one's."""
    watched = Watched("kube-system/kube-scheduler-manager")
    line = "kube-scheduler-{0} {0} <none> <none> kube-scheduler {1}\n"
    others = ("client", "manager-2")
    for count in (0, 1, 3):
        watched.look("".join(line.format(host, count) for host in others) + line.format("manager", 0))
    watched.look("".join(line.format(host, 9) for host in others))  # and none of its own
    with pytest.raises(HostError, match="kube-scheduler-manager is in a crash loop"):
        watched.look(line.format("manager", 3))


def test_the_service_address_is_asked_once_where_it_leads_to_an_api_server() -> None:
    watched = Watched()
    for count in (0, 1, 2, 2):
        watched.look(count)
    assert len([words for words in watched.ran if "--server" in words]) == 1


@pytest.mark.parametrize("name", ["kube-proxy", "kube-scheduler", "kube-controller-manager"])
def test_what_the_service_address_needs_itself_is_in_a_loop_without_it(name: str) -> None:
    pod = f"{name}-manager"
    watched = Watched(f"kube-system/{name if name == 'kube-proxy' else pod}")
    with service_address_that_leads_nowhere() as asked:
        watched.look(f"{pod} manager <none> <none> {name} 0")
        with pytest.raises(HostError, match="is in a crash loop"):
            watched.look(f"{pod} manager <none> <none> {name} 3")
    assert asked == []


def test_restarts_of_before_are_history() -> None:
    watched = Watched()
    for count in (7, 8, 9):
        watched.look(count)
    with pytest.raises(HostError, match="restarted 10 times"):
        watched.look(10)


def test_a_pod_that_came_since_counts_from_nothing() -> None:
    watched = Watched()
    watched.look("")
    with pytest.raises(HostError, match="crash loop"):
        watched.look(3)


def test_pods_of_others_are_not_waited_for() -> None:
    watched = Watched()
    for count in (0, 9):
        watched.look(f"other-2x4bq manager <none> <none> other {count}")


def test_what_comes_true_soon_is_never_asked_about() -> None:
    watched = Watched()
    watched.watch.look(watched.master)
    assert watched.ran == []
    CrashWatch("", watched.clock.now).look(watched.master)
    assert watched.ran == []


def test_a_master_that_does_not_say_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> str:
        raise HostError("scripts/kubectl.sh ended with exit status 1")

    watched = Watched()
    with monkeypatch.context() as patched:
        patched.setattr(FakeHost, "ask", silent)
        watched.look(0)
    for count in (9, 11):
        watched.look(count)
    with pytest.raises(HostError, match="restarted 12 times"):
        watched.look(12)
