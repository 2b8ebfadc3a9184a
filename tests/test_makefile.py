"""What `make` does on other people's computers."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A Python whose venvs have programs that do nothing.
PYTHON = """\
#!/bin/sh
case "$*" in
    --version) echo Python 3.99 ;;
    "-m venv --clear "*)
        echo "$4" >>made
        sleep 0.3
        mkdir -p "$4/bin"
        for name in pip python ruff mypy pytest shellcheck; do cp /bin/true "$4/bin/$name"; done
        ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def made(checkout: Path, *targets: str, **environment: str) -> list[str]:
    """The venvs that were made, by a shell with these variables."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("M")}  # not those of a make
    words = ["make", "--silent", "PYTHON=./python", "STOCK=/none", *targets]
    run(words, checkout, outside | environment)
    return (checkout / "made").read_text().splitlines()


def run(words: list[str], folder: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=True)


def test_a_venv_of_somebodys_own_is_not_made_anew(checkout: Path) -> None:
    """VENV is a name that people export for theirs, and a venv made anew loses all that is in it."""
    assert made(checkout, "venv", VENV=str(checkout / "work")) == [".venv"]


def test_two_targets_at_once_do_not_make_the_same_venv(checkout: Path) -> None:
    """MAKEFLAGS=-j8 is exported by many who compile; each `venv --clear` deletes what the other has made."""
    assert made(checkout, "style", "check-elsewhere", MAKEFLAGS="-j4") == [".venv"]
