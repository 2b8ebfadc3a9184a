"""The proxy of hosts.yml, for apt, the runtime and kubeadm; and none of an earlier hosts.yml."""

from dataclasses import replace

from kubefab import render
from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.step import Step, files


def steps(cluster: Cluster, host: Host) -> list[Step]:
    texts = render.proxy(cluster.inventory)
    known = files("the proxy is configured", texts)
    if cluster.inventory.proxy:
        return [known]

    def gap(facts: Facts) -> str | None:
        """Files that were never there need not be there empty."""
        return known.gap(facts) if any(path in facts.files.digests for path in texts) else None

    return [replace(known, title="no earlier proxy setting is left", gap=gap)]
