"""What CONTRIBUTING.md quotes is there, word for word."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from kubefab.facts import PARTS
from kubefab.programs import script_text

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_the_step_that_is_shown_in_full_is_the_one_that_runs() -> None:
    (quoted,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert quoted in (ROOT / "kubefab" / "steps" / "system.py").read_text()


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:kubefab|tests|scripts|docs)/[a-z_/.]+)`", TEXT)
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_part_of_the_look_has_its_script_and_its_class() -> None:
    scripts = {path.stem for path in (ROOT / "scripts" / "look").glob("*.sh")} - {"look"}
    assert scripts - {"cluster"} == set(PARTS) - {"api"}


@pytest.mark.parametrize("part", sorted(set(PARTS) - {"api"}))
def test_every_fact_that_a_script_prints_has_a_field_and_every_field_its_line(part: str) -> None:
    """Else it would be "not there" for ever, on a host where it is."""
    script = script_text(f"look/{part}.sh")
    lines = {field.metadata.get("line", field.name) for field in fields(PARTS[part])}
    assert set(re.findall(r'\bfact "([a-z_]+) ', script)) <= lines
    assert {line for line in lines if not re.search(rf"\b{line}\b", script)} <= MADE_UP


# Printed under a name that the script puts together; and what the look's caller adds.
MADE_UP = {"admin_ca", "kubelet_ca", "kubelet_server", "admin_server", "asked", "asked_within"}
