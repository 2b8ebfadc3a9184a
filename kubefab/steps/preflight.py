"""What only the user can change: told before any change, all of it at once."""

from kubefab.cluster import Cluster
from kubefab.host import Host
from kubefab.step import Step
from kubefab.steps import agreement, machine, sharing


def steps(cluster: Cluster, host: Host) -> list[Step]:
    return [*machine.steps(cluster, host), *sharing.steps(cluster, host), *agreement.steps(cluster, host)]


def as_wanted(cluster: Cluster, host: Host) -> list[Step]:
    """Told once, for all of the cluster."""
    return [agreement.as_wanted(cluster)] if host.name == cluster.speaker.name else []
