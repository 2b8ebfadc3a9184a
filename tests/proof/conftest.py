"""The fixtures of the end-to-end tests; what they call `inv` and `cluster` is the same here."""

from tests.e2e.conftest import cluster, inv, machines, no_secret_in_any_log, three

__all__ = ["cluster", "inv", "machines", "no_secret_in_any_log", "three"]
