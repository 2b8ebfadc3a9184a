"""What only the user can change: told before any change, all of it at once."""

from kubefab.cluster import Cluster
from kubefab.host import Host
from kubefab.step import Step, when
from kubefab.steps import agreement, machine, sharing


def steps(cluster: Cluster, host: Host) -> list[Step]:
    return [*upgradable(cluster, host), agreement.upgraded(cluster)]


def upgradable(cluster: Cluster, host: Host) -> list[Step]:
    """The same for who goes on to upgrade it: its version may be an older one."""
    return [*machine.steps(cluster, host), *sharing.steps(cluster, host), *agreement.steps(cluster, host)]


def as_wanted(cluster: Cluster, host: Host) -> list[Step]:
    """What of this is told of a cluster that runs; what is about all of it once."""
    speaks = host.name == cluster.speaker.name
    return [*when(speaks, agreement.as_wanted(cluster), agreement.restored()), agreement.upgraded(cluster)]
