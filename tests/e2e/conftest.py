"""The lab's machines, and a cluster on them that every test finds well."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import requirements

from .harness import MASTER, SPARE, WORKER, Kubefab, hosts_file, mended, no_secrets, power_on

# These begin with machines as new, and the last of them leaves the cluster that all others want: it is made once.
FROM_FRESH = ("bundle", "guide_stack", "made_by_hand", "ways_in", "broken_off", "from_fresh")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever makes machines as new comes first."""
    order = {f"test_{name}": place for place, name in enumerate(FROM_FRESH)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session")
def machines() -> None:
    """Three of them, running; or none of these tests, where this computer cannot host them."""
    if lacking := requirements.missing():
        reason = f"this computer cannot host the lab; it lacks: {'; '.join(lacking)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    power_on()


@pytest.fixture(scope="session")
def inv(machines: None, tmp_path_factory: pytest.TempPathFactory) -> Kubefab:
    """kubefab, for a cluster of a master and a worker."""
    folder = tmp_path_factory.mktemp("kubefab")
    return Kubefab(hosts_file(folder / "hosts.yml", MASTER, WORKER), folder)


@pytest.fixture(scope="session")
def three(inv: Kubefab) -> Path:
    """The hosts.yml that has the third machine as a worker too."""
    return hosts_file(inv.state / "three.yml", MASTER, WORKER, SPARE)


@pytest.fixture
def cluster(inv: Kubefab) -> Kubefab:
    """A cluster of a master and a worker, and all is well."""
    return mended(inv)


@pytest.fixture(scope="module", autouse=True)
def no_secret_in_any_log(inv: Kubefab) -> Iterator[None]:
    """Looked at after each suite: the oldest logs are forgotten."""
    yield
    for log in inv.logs():
        no_secrets(log.read_text())
