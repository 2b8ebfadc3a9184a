"""Images that are on a host before anything asks for them."""

from collections.abc import Sequence
from pathlib import Path

from kubefab import images
from kubefab.cluster import Cluster
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.images import Stock
from kubefab.step import Close, Gap, Step, Subject, complaint
from kubefab.steps.runtime import silent_cri


def given(stock: Stock, wanted: list[str], by_name: bool = False) -> Subject:
    """Images from whichever host has them, or can pull them: of a cluster's a worker gets its own, of others all."""

    def close_of(mine: list[str], cluster: Cluster) -> Close:
        def close(host: Host) -> None:
            for image in mine:
                if image not in images.there(cluster.inventory, cluster.facts(host)):
                    stock.give(host, image)

        return close

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        mine = wanted if by_name else images.for_host(host, wanted)
        return _steps(cluster, mine, close_of(mine, cluster))

    return steps


def from_file(file: Path, names: list[str], sha256: str, built: Sequence[str]) -> Subject:
    """The images in a file of this computer; `built`: the architectures that they are for."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        runtime = cluster.inventory.cluster.runtime
        running, loaded = _steps(cluster, names, lambda host: images.load(host, runtime, file, sha256))
        # Docker loads whatever it is given; none of it would start.
        fitting = complaint("the images are for this machine", for_others(built), _PLATFORM, ("system",))
        return [running, fitting, loaded]

    return steps


def for_others(built: Sequence[str]) -> Gap:
    def gap(facts: Facts) -> str | None:
        others = {one for kind, names in RUNS.items() if kind != facts.system.arch for one in names} | OTHERS
        if facts.system.arch not in RUNS or not built or not others.issuperset(built):
            return None
        return f"they are for {', '.join(built)}, and here is {facts.system.arch}"

    return gap


def _steps(cluster: Cluster, names: list[str], close: Close) -> list[Step]:
    return [
        complaint("a container runtime runs", silent_cri(cluster.inventory), "`inv install-docker` installs it"),
        Step("the images are present", images.lacking(cluster.inventory, names), close, parts=("runtime",)),
    ]


# What images for a processor call it, and what it runs besides its own. Whatever else they name, the runtime may know.
RUNS = {"x86_64": ("amd64", "x86_64", "386", "i386"), "aarch64": ("arm64", "aarch64", "arm")}
OTHERS = {"ppc64le", "s390x", "riscv64"}
_PLATFORM = "docker pull --platform linux/amd64 (or linux/arm64) IMAGE on the other computer, then docker save it again"
