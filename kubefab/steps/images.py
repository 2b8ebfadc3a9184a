"""Images that are on a host before anything asks for them."""

from pathlib import Path

from kubefab import images
from kubefab.cluster import Cluster
from kubefab.host import Host
from kubefab.images import Stock
from kubefab.step import Close, Step, Subject
from kubefab.steps.runtime import silent_cri


def given(stock: Stock, wanted: list[str]) -> Subject:
    """Images from whichever host has them, or can pull them."""

    def close_of(mine: list[str], cluster: Cluster) -> Close:
        def close(host: Host) -> None:
            for image in mine:
                if image not in images.there(cluster.inventory, cluster.facts(host)):
                    stock.give(host, image)

        return close

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        mine = images.for_host(host, wanted)
        return _steps(cluster, mine, close_of(mine, cluster))

    return steps


def from_file(file: Path, names: list[str], sha256: str) -> Subject:
    """The images in a file of this computer."""

    def steps(cluster: Cluster, host: Host) -> list[Step]:
        runtime = cluster.inventory.cluster.runtime
        return _steps(cluster, names, lambda host: images.load(host, runtime, file, sha256))

    return steps


def _steps(cluster: Cluster, names: list[str], close: Close) -> list[Step]:
    return [
        Step("a container runtime runs", silent_cri(cluster.inventory), None, "`inv install-docker` installs it"),
        Step("the images are present", images.lacking(cluster.inventory, names), close, parts=("runtime",)),
    ]
