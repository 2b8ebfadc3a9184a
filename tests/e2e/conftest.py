"""The lab's machines, and a cluster on them that every test finds well."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import requirements

from . import summary
from .harness import COUNTED, MASTER, MEASURED, SPARE, WORKER, Kubefab, hosts_file, mended, no_secrets, power_on

# What begins without a cluster, in an order in which the next needs least: after broken_off and three_masters there are
# packages and no cluster, as three_masters and ways_in want it; and from_fresh leaves the cluster that all others want.
FIRST = ("guide_stack", "broken_off", "three_masters", "ways_in", "from_fresh")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever needs no cluster comes first."""
    order = {f"test_{name}": place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(autouse=True)
def of_nobody() -> None:
    """Not here, for the lab's programs: it lies in the home of who runs the tests. kubefab's runs have nobody's."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for kind in terminalreporter.stats.values() for one in kind if isinstance(one, pytest.TestReport)]
    skipped = [(one.nodeid, one.longrepr) for one in reports if one.skipped]
    of_unit_tests = summary.skipped_before(os.environ.get("UNIT_TESTS"))  # by `make test`, half an hour before
    for title, lines in (
        ("minutes of each suite", summary.suites((one.nodeid, one.duration) for one in reports)),
        ("times that are wanted of kubefab", summary.times(MEASURED)),
        ("counted", COUNTED),
        ("skipped, and why", summary.skipped([*of_unit_tests, *skipped])),
    ):
        if lines:
            terminalreporter.section(title)
            terminalreporter.write_line("\n".join(lines))


def hosted() -> None:
    """None of these tests, where this computer cannot host the lab; in CI that is a failure."""
    if lacking := requirements.missing():
        reason = f"this computer cannot host the lab; it lacks: {'; '.join(lacking)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def machines() -> None:
    """Three of them, running."""
    hosted()
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


@pytest.fixture(scope="module")
def well(inv: Kubefab) -> Kubefab:
    """The same, for tests that change nothing: it is looked after once for all of a suite's."""
    return mended(inv)


@pytest.fixture(scope="module", autouse=True)
def no_secret_in_any_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Looked at after each suite: the oldest logs are forgotten."""
    yield
    for log in tmp_path_factory.getbasetemp().glob("*/kubefab/*.log"):
        no_secrets(log.read_text())
