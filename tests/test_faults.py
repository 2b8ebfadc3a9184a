"""docs/faults.md: each fault that was mended names a test that is there."""

import re

import pytest

from tests.sentences import ROOT

TABLE = (ROOT / "docs/faults.md").read_text()
NAMED = sorted(set(re.findall(r"([\w/]*test_\w+\.py)::(test_\w+)", TABLE)))


def test_the_table_names_tests() -> None:
    assert len(NAMED) > 100


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_what_is_said_to_prove_it_is_there(file: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / "tests" / file).read_text()
