"""kubefab driven for real, on the lab's machines."""

import pytest

pytest.register_assert_rewrite("tests.e2e.harness")  # so that its assertions, too, say what they found
