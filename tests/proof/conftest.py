"""The fixtures of the end-to-end tests, and what is told at the end; `inv` and `cluster` are the same here."""

import pytest

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
from tests.e2e.harness import power_on

__all__ = ["cluster", "inv", "no_secret_in_any_log", "of_nobody", "pytest_terminal_summary", "three", "well"]


@pytest.fixture(scope="session")
def machines() -> None:
    """As for the end-to-end tests; and the lab serves Docker's cri-dockerd and the add-ons as well."""
    hosted()
    power_on("--everything")
