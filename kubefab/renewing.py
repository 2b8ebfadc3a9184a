"""Certificates are renewed: on one master after the other, and then whoever holds a copy of them follows."""

from invoke import Context

from kubefab import access, etcd
from kubefab.converge import Engine, Stop
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.host import Host
from kubefab.passes import IN_TURN, Group
from kubefab.steps import renewal

PARTS = ("certificates", "kubeadm", "etcd", "kubelet")


def renew(c: Context) -> None:
    """Renews what ends soon, and what has ended. KubefabError where a master is not heard, or there is no cluster."""
    run = engine_of(c)
    hosts = _heard(run)
    if not run.dry and run.losses(hosts, renewal.not_ended, renewal.renewed, renewal.admitted):
        run.lock(hosts, *PARTS)
    # Whoever is left out could be one too many while another begins anew.
    run.complain(run.chosen(Group.MASTERS), renewal.not_ended, renewal.renewed)
    if {failure.host for failure in run.failures} & {host.name for host in run.cluster.masters}:
        raise Stop("nothing was changed")
    # Members of etcd whose certificates have ended are none to each other: while they last, none of them is well.
    run.converge(Group.MASTERS, renewal.not_ended, how=IN_TURN)
    run.converge(Group.MASTERS, renewal.renewed, how=IN_TURN)
    run.converge(Group.ALL, renewal.admitted)
    if not run.dry:
        access.follow(run)


def _heard(run: Engine) -> list[Host]:
    """The hosts, looked at. A worker that does not answer is no reason to let the masters' end."""
    masters = run.look(Group.MASTERS, *PARTS)
    run.stop_where_failed(_UNHEARD)
    if not any(run.cluster.facts(host).local.control_plane for host in masters):
        raise KubefabError("there is no cluster, and no certificate; `inv cluster.up` makes one")
    return run.look(Group.ALL, *PARTS)


_UNHEARD = (
    "nothing was changed: masters are renewed together; run the same command again once they answer. One that is lost "
    f"for good is taken out of hosts.yml, and {etcd.NEVER}"
)
