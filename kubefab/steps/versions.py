"""Which version of Kubernetes a host has come to, part by part. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.version import Version

from kubefab import kubeadm
from kubefab.facts import ClusterFacts, Facts
from kubefab.facts.kubeadm import ETCD_TAG
from kubefab.inventory import Inventory

TASK = "cluster.upgrade"  # how the word begins by which a Node tells that an upgrade has cordoned it
STATIC = tuple(kubeadm.SECTIONS)  # of Kubernetes' own version; etcd has another


def upstream(version: str) -> Version:
    """The upstream part of a Debian version: 1:1.37.2~rc1-1.1 is 1.37.2."""
    numbers = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return Version(numbers[1] if numbers else "0")


def kubelet(facts: Facts) -> Version:
    """The older one of what runs and of what is installed; where neither is told there is nothing to upgrade."""
    installed = facts.packages.debs.get("kubelet")
    told = [facts.node.version if facts.node else "", installed.version if installed and installed.installed else ""]
    return min((upstream(version) for version in told if version), default=Version("9999"))


def control_plane(facts: Facts) -> Mapping[str, Version]:
    """Those of this host's static pods, by their manifests."""
    images = static(facts)
    return {name: upstream(tag(images[name])) for name in STATIC if name in images}


def static(facts: Facts) -> Mapping[str, str]:
    """The images of kubeadm's static pods here, by their manifests."""
    images = {name.removesuffix(".yaml"): image.strip("\"'") for name, image in facts.local.static.items()}
    return {name: images[name] for name in kubeadm.STATIC_PODS if name in images}


def tag(image: str) -> str:
    """An image's, without the v and a digest: 1.37.2; "" where it has none."""
    found = image.partition("@")[0].rpartition(":")[2]
    return "" if "/" in found else found.removeprefix("v")


def behind(facts: Facts, wanted: str) -> list[str]:
    """What of this node is older than that, each with its version."""
    return [*_older(facts, Version(wanted))]


def is_old(facts: Facts, wanted: str) -> bool:
    """Whether the kubelet of this node of the cluster is to be upgraded, or is at it."""
    return facts.trusted and kubelet(facts) < Version(wanted)


def _older(facts: Facts, wanted: Version) -> Iterator[str]:
    static = {name: found for name, found in control_plane(facts).items() if found < wanted}
    yield from (f"{name} {found if found.major else 'of no known version'}" for name, found in static.items())
    if (found := kubelet(facts)) < wanted:
        yield f"kubelet {found}"


def oldest_api_server(facts: Facts) -> Version:
    """Of all masters that were looked at."""
    told = [control_plane(one).get("kube-apiserver") for one in facts.everyone.values()]
    return min(filter(None, told), default=Version("0"))


def api_servers(facts: Facts) -> Mapping[str, Version]:
    """Those of all masters that were looked at, by their hosts.

    By kubeadm's configuration where an image does not say it; 0 where neither does.
    """
    told = facts.kubeadm.configuration
    stored, none = upstream(told.version if told else ""), Version("0")
    masters = [one for one in facts.everyone.values() if one.local.control_plane]
    own = {one.name: control_plane(one).get("kube-apiserver", none) for one in masters}
    return {name: found if found > none else stored for name, found in own.items()}


def proxy(live: ClusterFacts) -> Version:
    """kube-proxy's: the last that kubeadm makes of what it keeps in the cluster."""
    workload = live.workloads.get("kube-system/kube-proxy")
    return upstream(tag(workload.images[0])) if workload and workload.images else Version("0")


def minor(version: Version) -> str:
    return f"{version.major}.{version.minor}"


def etcd_on_its_way(inventory: Inventory) -> str:
    """The tag of the etcd that members come to before the one of this Kubernetes; "" where there is none."""
    release = inventory.release
    return release.etcd_before if len(inventory.masters) > 1 or release.etcd_before_alone else ""


def etcd_pinned(facts: Facts) -> Version | None:
    """By a tag in what kubeadm keeps in the cluster: no upgrade brings another etcd."""
    told = facts.kubeadm.configuration
    tag = told.pinned.get(ETCD_TAG) if told else None
    return upstream(tag.removeprefix("v")) if tag else None


def etcd_stays(facts: Facts, before: str) -> bool:
    """Whether a tag that kubeadm keeps holds etcd in the minor of this tag, or an earlier one, and not in the next."""
    pinned = etcd_pinned(facts)
    return bool(before) and pinned is not None and pinned.release[:2] <= upstream(before).release[:2]


def etcd_of(images: Sequence[str]) -> Version | None:
    """The newest etcd among these images: a bundle has one on the way to it, too."""
    return max((upstream(tag(one)) for one in images if "/etcd:" in one), default=None)
