"""The fixtures of the end-to-end tests, and what is told at the end; `inv` and `cluster` are the same here."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e import summary
from tests.e2e.conftest import (
    cluster,
    hosted,
    inv,
    no_secret_in_any_log,
    of_nobody,
    pytest_terminal_summary,
    three,
    well,
)
from tests.e2e.harness import COUNTED, MEASURED, power_on

__all__ = ["cluster", "inv", "no_secret_in_any_log", "of_nobody", "pytest_terminal_summary", "three", "well"]


@pytest.fixture(scope="session")
def machines() -> None:
    """As for the end-to-end tests; and the lab serves Docker's cri-dockerd and the add-ons as well."""
    hosted()
    power_on("--everything")


@pytest.fixture(scope="session", autouse=True)
def figures(record_testsuite_property: Callable[[str, object], None]) -> Iterator[None]:
    """What was measured and counted goes into pytest's JUnit file, where `make proof` reads it."""
    yield
    for line in (*summary.times(MEASURED), *COUNTED):
        record_testsuite_property("figure", line)
