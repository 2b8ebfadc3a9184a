"""A haproxy for this computer: its own, or Debian's package, which is fetched and not installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import sandbox


def program(folder: Path) -> Path:
    """What runs it; the folder is to stay as long as that does."""
    if there := shutil.which("haproxy", path=sandbox.PATH):
        return Path(there)
    (folder / "debs/partial").mkdir(parents=True)
    fetch = (
        "apt-get",
        "-qy",
        "--no-install-recommends",
        "--download-only",
        "-o",
        f"Dir::Cache::archives={folder}/debs",
    )
    if subprocess.run([*fetch, "install", "haproxy"], stdin=-3, stdout=-3, check=False).returncode:
        pytest.skip("there is no haproxy here, and apt-get cannot fetch Debian's")
    for deb in (folder / "debs").glob("*.deb"):
        subprocess.run(["dpkg", "--extract", deb, folder], check=True)
    libraries = ":".join(map(str, folder.glob("usr/lib/*-linux-*")))
    made = folder / "haproxy"
    made.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {folder}/usr/sbin/haproxy "$@"\n')
    made.chmod(0o755)
    return made
