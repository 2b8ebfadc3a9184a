"""The container runtime."""

import pytest

from kubefab import render
from kubefab.facts import Facts, Package, Unit
from kubefab.step import MISSING, sha256
from kubefab.steps import runtime
from tests.fakes import cluster, inventory, step

TEXTS = {path: sha256(text) for path, text in render.containerd(inventory()).items()}
INSTALLED = {"containerd": Package("ii", "1.7.24~ds1-6+b4")}
RUNS = {"containerd": Unit("active", "enabled", since=100)}
CONFIG = "/etc/containerd/config.toml"


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (Facts(apt_lock="unattended-upgr (process 7)"), "apt is free", "unattended-upgr (process 7)"),
        (Facts(dpkg_broken=("kubelet", "containerd")), "dpkg is in order", "kubelet, containerd"),
        (Facts(), "containerd is configured", MISSING),
        (Facts(files={CONFIG: "0"}), "containerd is configured", f"{CONFIG} differs"),
        (Facts(), "containerd is installed", MISSING),
        (Facts(packages={"containerd": Package("iU", "1")}), "containerd is installed", MISSING),
        (Facts(packages={"containerd.io": Package("hi", "2.2.0-1")}), "containerd is installed", None),
        (Facts(), "containerd runs", "inactive"),
        (Facts(units=RUNS, mtimes={CONFIG: 101}), "containerd runs", "runs with an older configuration"),
        (
            Facts(units=RUNS, mtimes={"/etc/containerd/certs.d/quay.io/hosts.toml": 101}),  # read at every pull
            "containerd runs",
            None,
        ),
        (Facts(), "a CRI socket answers", MISSING),
        (Facts(cri="error"), "a CRI socket answers", "error"),
    ],
)
def test_what_is_missing_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(runtime.steps(made, made.master), title).gap(facts) == gap


def test_a_runtime_that_is_well_misses_nothing() -> None:
    well = Facts(files=TEXTS, packages=INSTALLED, units=RUNS, cri="ok")
    made = cluster()
    assert [one.title for one in runtime.steps(made, made.master) if one.gap(well)] == []


def test_the_configuration_comes_before_the_package_that_starts_the_service() -> None:
    made = cluster()
    titles = [one.title for one in runtime.steps(made, made.master)]
    assert titles.index("containerd is configured") < titles.index("containerd is installed")


def test_a_busy_apt_and_a_socket_are_waited_for() -> None:
    made = cluster()
    steps = runtime.steps(made, made.master)
    assert (step(steps, "apt is free").close, step(steps, "apt is free").within) == (None, 900)
    assert (step(steps, "a CRI socket answers").close, step(steps, "a CRI socket answers").within) == (None, 30)
