"""kubefab driven for real, on the lab's machines."""

import pytest

# So that their assertions, too, say what they found.
pytest.register_assert_rewrite("tests.e2e.harness", "tests.e2e.renewals")
