"""The container runtime: containerd, with the kubelet's cgroup driver and hosts.yml's mirrors."""

from collections.abc import Mapping

from kubefab import render
from kubefab.cluster import Cluster
from kubefab.facts import Facts, Package
from kubefab.remote import Host
from kubefab.step import MISSING, Step, files, packages, script, service
from kubefab.steps import proxy


def steps(cluster: Cluster, host: Host) -> list[Step]:
    texts = render.containerd(cluster.inventory)
    return [
        *proxy.steps(cluster, host),  # before anything is fetched
        *package_manager(),
        # Before the package, which starts the service: so it starts once, and as it should.
        files("containerd is configured", texts),
        packages("containerd is installed", ["containerd"], no_containerd),
        *running(),
    ]


def running() -> list[Step]:
    return [
        # The registries' files are read anew at every pull.
        service("containerd", reads=["/etc/containerd/config.toml", render.PROXY]),
        Step("a CRI socket answers", silent_cri, None, _CRI_HINT, within=30, parts=("runtime",)),
    ]


def package_manager() -> list[Step]:
    """What every installation wants: nobody else at it, and nothing left half done."""
    return [
        Step("apt is free", lambda facts: facts.apt_lock or None, None, _LOCK_HINT, 900, parts=("packages",)),
        Step(
            "dpkg is in order",
            lambda facts: ", ".join(facts.dpkg_broken) or None,
            script("mend-dpkg.sh"),
            hint="see what it says: dpkg --audit",
            parts=("packages", "services"),
        ),
    ]


def no_containerd(found: Mapping[str, Package]) -> str | None:
    """Debian's, or Docker's build of the same, whichever somebody chose."""
    there = any(name in found and found[name].installed for name in ("containerd", "containerd.io"))
    return None if there else MISSING


def silent_cri(facts: Facts) -> str | None:
    return None if facts.cri == "ok" else facts.cri or MISSING


_LOCK_HINT = "wait for it to end, or stop it, then run the same command again"
_CRI_HINT = "see what it says: journalctl -u containerd"
