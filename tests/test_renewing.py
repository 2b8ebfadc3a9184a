"""A whole renewal on hosts that answer from memory: its order, what becomes of a kill, and who is not heard."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest

from kubefab import access, renewing
from kubefab.certificates import CLIENT, PKI, SIGNED
from kubefab.converge import Stop
from kubefab.errors import HostError, KubefabError
from kubefab.inventory import Inventory
from kubefab.steps import renewal
from tests.fakes import HOSTS, three_masters
from tests.members import M, look
from tests.runs import ADMIN, Run, in_place, nodes
from tests.test_certificates import NOW
from tests.test_certificates import der as made_der
from tests.test_certificates import pem as made_pem

PODS = (renewal.ETCD, renewal.API_SERVER, *renewal.CLIENTS)
LONG, SHORT, OVER = 300.0, 20.0, -1.0
PORTS = {"6443": "apiserver", "2379": "etcd/server", "2380": "etcd/peer"}
CLOCK = NOW.timestamp()
der, pem = cache(made_der), cache(made_pem)  # each has a serial of its own


class Machine:
    """What is true on one of the hosts."""

    def __init__(self, name: str, is_master: bool, days: float) -> None:
        self.name, self.is_master = name, is_master
        self.days = self.kubelet = days  # that its certificates are good for
        self.written = CLOCK - 1000
        self.began = {pod.name: CLOCK - 999 for pod in PODS}
        self.login = 0.0  # days that the certificate of the login's copy is good for
        self.apart = 0.0  # the same, of one that is written otherwise
        self.begun = False
        self.stuck = False  # its kubelet does not begin a pod anew

    @property
    def certificates(self) -> str:
        files = [name for name in SIGNED if name.endswith(".crt")] if self.is_master else []
        lines = [f"certificate /etc/kubernetes/{file} {der(self.days)}" for file in files]
        lines += [f"written /etc/kubernetes/{file} {self.written}" for file in files]
        lines += [f"served {port} {der(self.days)}" for port in PORTS]
        lines += [f"process {program} {since}" for program, since in self.began.items()]
        if self.is_master:
            confs = [name for name in SIGNED if name.endswith(".conf")]
            lines += [f"client /etc/kubernetes/{file} {pem(self.days)}" for file in confs]
            lines += [f"written /etc/kubernetes/{file} {self.written}" for file in confs]
            lines += [f"certificate {PKI}/ca.crt {der(3000, authority=True)}"]
        lines += [f"certificate {CLIENT} {der(self.kubelet, name=f'system:node:{self.name}')}"]
        lines += [f"login {pem(self.login)}"] if self.login else []
        lines += [f"login_apart {pem(self.apart)}"] if self.apart else []
        return "\n".join([*lines, *(["renewal_begun yes"] if self.begun else [])])


class Hosts:
    """They do what they are told."""

    def __init__(self, days: float, wanted: str | Inventory = HOSTS) -> None:
        self.wanted = wanted
        roles = {host.name: host.wanted.role == "master" for host in Run(wanted).cluster.hosts.values()}
        self.machines = {name: Machine(name, is_master, days) for name, is_master in roles.items()}
        self.done: list[str] = []  # "host: what", in turn
        self.how: dict[tuple[str, str], str] = {}  # by which a static pod was begun anew
        self.killed: Callable[[str], bool] = lambda what: False  # after which change the run ends
        self.besides: Callable[[], None] = lambda: None  # what is true on them besides
        self.followed = 0
        self.run: Run

    def renew(self, monkeypatch: pytest.MonkeyPatch, dry: bool = False) -> list[str]:
        """One invocation over these hosts; what it has changed."""
        self.run, self.done = in_place(Run(self.wanted, dry=dry), monkeypatch), []
        monkeypatch.setattr(access, "follow", self.follow)
        for name in self.machines:
            self.run(name).on_change = partial(self.changed, name)
        self.tell()
        renewing.renew(self.run.context)
        return self.done

    def follow(self, run: Any) -> None:
        self.followed += 1

    def tell(self) -> None:
        for name, one in self.machines.items():
            static = "".join(f"\nmanifest {pod.name}.yaml" for pod in PODS) if one.is_master else ""
            member, others = (name, M) if name in M else ("m1", ("m1",))
            self.run(name).parts.update(
                system=f"machine_id id-{name}\nclock {CLOCK}",
                node=(ADMIN if one.is_master else "") + static,
                certificates=one.certificates,
                etcd=f"etcd_runs yes\n{look(member, *others)}" if one.is_master else "",
                services="unit Id=kubelet.service\nunit ActiveState=active\nunit UnitFileState=enabled",
            )
            if one.is_master:
                silent = one.days < 0 or (self.wanted is HOSTS and one.began["kube-apiserver"] < one.written)
                self.run(name).parts["kubelet"] = "refused no route" if silent else ""
                self.run(name).parts["cluster"] = "silent certificate has expired" if silent else nodes(*self.machines)
        self.besides()

    def changed(self, name: str) -> None:
        machine, what = self.machines[name], self.run(name).of_thread.change
        script, _, words = what.partition(" ")
        how, _, rest = words.partition(" ")
        pod = next((pod for pod in PODS if pod.name == rest.partition(" ")[0]), None)
        self.done.append(f"{name}: {script}" + (f" {pod.name}" if pod else ""))
        if script == "renew-certificates.sh":
            machine.login, machine.days, machine.written = machine.days, 365.0, CLOCK - 100
        elif script == "admit-kubelet.sh":
            machine.kubelet = 365.0
        elif script == "renew-kubeconfig.sh":
            machine.login = 0
        elif pod and not machine.stuck:
            machine.began[pod.name] = CLOCK
            self.how[name, pod.name] = how
        self.tell()
        if self.killed(self.done[-1]):
            raise KeyboardInterrupt


PODS_OF_ONE = [f"restart-static-pod.sh {pod.name}" for pod in PODS]
OF_ONE = ["renew-certificates.sh", *PODS_OF_ONE, "renew-kubeconfig.sh"]


def test_a_master_is_renewed_and_then_what_has_read_its_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(SHORT)
    hosts.machines["client"].kubelet = LONG
    hosts.machines["manager"].kubelet = LONG
    assert hosts.renew(monkeypatch) == [f"manager: {what}" for what in OF_ONE]
    assert hosts.followed == 1


def test_a_logins_copy_that_does_not_follow_is_told_and_holds_up_no_other_master(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = Hosts(SHORT, three_masters())
    for one in hosts.machines.values():
        one.kubelet = LONG
    hosts.machines["m1"].apart = SHORT
    assert hosts.renew(monkeypatch) == [f"{name}: {what}" for name in M for what in OF_ONE]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " ! " in line]
    assert line.startswith("m1 ")
    assert "found: an older certificate of the admin's" in line


def test_a_second_one_has_nothing_to_do_and_takes_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(LONG)
    assert hosts.renew(monkeypatch) == []
    assert hosts.run("manager").locks == []


def test_what_ends_soon_is_renewed_on_one_master_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(SHORT, three_masters())
    for one in hosts.machines.values():
        one.kubelet = LONG
    assert hosts.renew(monkeypatch) == [f"{name}: {what}" for name in M for what in OF_ONE]


def test_what_has_ended_is_renewed_on_all_of_them_before_one_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of etcd whose certificates have ended are none to each other."""
    done = Hosts(OVER, three_masters()).renew(monkeypatch)
    files = [f"{name}: {what}" for name in M for what in ("renew-certificates.sh", "admit-kubelet.sh")]
    pods = [f"{name}: {what}" for name in M for what in OF_ONE[1:]]
    assert done == [*files, *pods, "client: admit-kubelet.sh"]


def test_without_any_api_server_it_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(OVER)
    done = hosts.renew(monkeypatch)
    assert done[:3] == ["manager: renew-certificates.sh", "manager: admit-kubelet.sh", f"manager: {PODS_OF_ONE[0]}"]
    assert done[-1] == "client: admit-kubelet.sh"
    assert hosts.renew(monkeypatch) == []


def test_where_no_api_server_answers_a_process_is_ended_and_no_manifest_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its kubelet would end nothing before one does."""
    hosts = Hosts(OVER)
    hosts.renew(monkeypatch)
    assert [hosts.how["manager", pod.name] for pod in PODS] == ["process", "process", "manifest", "manifest"]
    hosts = Hosts(SHORT, three_masters())
    hosts.renew(monkeypatch)
    assert {*hosts.how.values()} == {"manifest"}


def test_a_worker_is_given_what_a_master_has_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(LONG)
    hosts.machines["client"].kubelet = OVER
    assert hosts.renew(monkeypatch) == ["client: admit-kubelet.sh"]
    assert "sign-kubelet.sh kubeconfig user system:node:client" in hosts.run("manager").ran
    assert "sign-kubelet.sh" not in " ".join(hosts.run("client").ran)


@pytest.mark.parametrize("after", OF_ONE)
def test_after_a_kill_the_same_command_does_the_rest(monkeypatch: pytest.MonkeyPatch, after: str) -> None:
    hosts = Hosts(SHORT)
    for one in hosts.machines.values():
        one.kubelet = LONG
    hosts.killed = lambda what: what.endswith(after)
    with pytest.raises(KeyboardInterrupt):
        hosts.renew(monkeypatch)
    before, hosts.killed = hosts.done, lambda what: False
    assert before + hosts.renew(monkeypatch) == [f"manager: {what}" for what in OF_ONE]


def test_no_master_is_begun_after_one_that_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(SHORT, three_masters())
    hosts.machines["m2"].stuck = True
    with pytest.raises(Stop, match="m2 failed"):
        hosts.renew(monkeypatch)
    assert {line.partition(":")[0] for line in hosts.done} == {"m1", "m2"}
    assert hosts.done[-1] == f"m2: {PODS_OF_ONE[0]}"
    assert hosts.followed == 0


def test_a_dry_run_tells_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(SHORT)
    assert (hosts.renew(monkeypatch, dry=True), hosts.followed) == ([], 0)
    assert hosts.run.engine.planned


def test_a_master_that_is_away_ends_it_before_anything_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    hosts = Hosts(SHORT, three_masters())
    hosts.besides = lambda: setattr(hosts.run("m3"), "on_look", away)
    with pytest.raises(Stop, match=r"lost for good is taken out of hosts\.yml, and its machine must never come"):
        hosts.renew(monkeypatch)
    assert hosts.done == []


def test_a_worker_that_is_away_holds_up_no_master(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise HostError("cannot be reached")

    hosts = Hosts(SHORT)
    hosts.besides = lambda: setattr(hosts.run("client"), "on_look", away)
    assert [line for line in hosts.renew(monkeypatch) if "renew-cert" in line] == ["manager: renew-certificates.sh"]
    assert list(hosts.run.failures) == ["client"]


def test_only_what_ends_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(LONG)

    def one_is_short() -> None:
        world = hosts.run("manager")
        if not any("renew" in line for line in world.ran):
            world.parts["certificates"] += f"\ncertificate {PKI}/etcd/peer.crt {der(SHORT)}"

    hosts.besides = one_is_short
    hosts.renew(monkeypatch)
    assert "renew-certificates.sh certs renew pki/etcd/peer.crt" in hosts.run("manager").ran


def test_where_one_master_cannot_be_renewed_none_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(SHORT, three_masters())
    hosts.besides = lambda: hosts.run("m3").parts.update(kubeadm="key_missing ca.key")
    with pytest.raises(Stop, match="nothing was changed"):
        hosts.renew(monkeypatch)
    assert hosts.done == []


def test_without_a_cluster_the_command_that_makes_one_is_told(run: Run) -> None:
    with pytest.raises(KubefabError, match=r"inv cluster\.up"):
        renewing.renew(run.context)


def test_where_the_key_is_elsewhere_it_is_said_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(SHORT)
    hosts.besides = lambda: hosts.run("manager").parts.update(kubeadm="key_missing ca.key")
    with pytest.raises(Stop):
        hosts.renew(monkeypatch)
    assert f"manager is without {PKI}/ca.key" in hosts.run.failures["manager"]
    assert hosts.done == []


def test_a_master_that_has_not_joined_yet_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(SHORT, three_masters())
    for one in hosts.machines.values():
        one.kubelet = LONG

    def not_joined() -> None:
        hosts.run("m3").parts.update(node="", certificates="", cluster="", etcd="", services="")

    hosts.besides = not_joined
    assert hosts.renew(monkeypatch) == [f"{name}: {what}" for name in ("m1", "m2") for what in OF_ONE]
