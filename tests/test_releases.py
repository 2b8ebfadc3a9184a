"""The tables of Kubernetes minors."""

import pytest

from kubefab import releases
from kubefab.releases import CONTROL_PLANE, MASTER


@pytest.mark.parametrize(
    ("version", "api", "pause", "taints", "refuses_cgroup_v1"),
    [
        ("1.17.8", "v1beta2", "3.1", (MASTER,), False),
        ("1.20.2", "v1beta2", "3.2", (MASTER,), False),
        ("1.23.17", "v1beta3", "3.6", (MASTER,), False),
        ("1.24.17", "v1beta3", "3.7", (MASTER, CONTROL_PLANE), False),
        ("1.25.0", "v1beta3", "3.8", (CONTROL_PLANE,), False),
        ("1.30.0", "v1beta3", "3.9", (CONTROL_PLANE,), False),
        ("1.31.0", "v1beta4", "3.10", (CONTROL_PLANE,), False),
        ("1.34.1", "v1beta4", "3.10.1", (CONTROL_PLANE,), False),
        ("1.35.0", "v1beta4", "3.10.1", (CONTROL_PLANE,), True),
        ("1.37.2", "v1beta4", "3.10.2", (CONTROL_PLANE,), True),
    ],
)
def test_a_minor_has_its_table(
    version: str, api: str, pause: str, taints: tuple[str, ...], refuses_cgroup_v1: bool
) -> None:
    found = releases.release(version)
    assert (found.api, found.pause, found.taints) == (api, pause, taints)
    assert found.refuses_cgroup_v1 is refuses_cgroup_v1


def test_arguments_are_lists_from_v1beta4_on() -> None:
    assert [releases.release(version).lists_arguments for version in ("1.30.0", "1.31.0")] == [False, True]


@pytest.mark.parametrize(("version", "dockershim"), [("1.17.8", True), ("1.23.17", True), ("1.24.0", False)])
def test_what_only_dockershim_wants_ends_with_it(version: str, dockershim: bool) -> None:
    found = releases.release(version)
    assert (found.dockershim, not found.published, "containerd" not in found.runtimes) == (dockershim,) * 3
    assert found.flannel.version == ("0.28.9" if dockershim else "0.28.10")


def test_an_api_server_mints_logins_since_1_20() -> None:
    assert [releases.release(version).mints_logins for version in ("1.19.16", "1.20.2", "1.37.2")] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("version", "renews"),
    [
        ("1.19.16", ("alpha certs renew", "")),
        ("1.20.2", ("certs renew", "alpha kubeconfig user")),
        ("1.21.0", ("certs renew", "kubeconfig user")),
        ("1.37.2", ("certs renew", "kubeconfig user")),
    ],
)
def test_kubeadms_commands_for_certificates_were_alpha_once(version: str, renews: tuple[str, str]) -> None:
    assert releases.release(version).renews == renews


def test_every_table_is_under_its_own_name() -> None:
    assert all(releases.release(f"{minor}.0").minor == minor for minor in releases.MINORS)


@pytest.mark.parametrize(
    ("version", "known"),
    [("1.37.2", True), ("1.37.99", True), ("1.38.0", False), ("1.3.0", False), ("1.37", False), ("", False)],
)
def test_a_patch_release_not_seen_yet_is_known_by_its_minor(version: str, known: bool) -> None:
    assert releases.known(version) is known


@pytest.mark.parametrize(
    ("version", "gate", "value", "why"),
    [
        ("1.36.3", "SidecarContainers", "true", None),
        ("1.37.0", "SidecarContainers", "true", "is gone"),
        ("1.37.0", "SidecarContainers", "false", "is gone"),
        ("1.36.3", "HostnameOverride", "false", None),
        ("1.37.0", "HostnameOverride", "False", "can only be true"),
        ("1.37.0", "HostnameOverride", "1", None),
        ("1.37.0", "DeclarativeValidationTakeover", "t", "can only be false"),
        ("1.37.0", "DeclarativeValidationTakeover", "false", None),
        ("1.37.0", "HostnameOverride", "perhaps", None),
        ("1.37.0", "AllAlpha", "true", None),
        ("1.37.0", "UserNamespacesSupport", "true", None),
        ("1.37.0", "UserNamespacesSupport", "false", "can only be true"),
        ("1.32.0", "RetryGenerateName", "false", "can only be true"),
        ("1.32.0", "ServerSideApply", "true", "is gone"),
        ("1.32.0", "CPUManager", "false", None),
        ("1.33.0", "CPUManager", "false", "is gone"),
        ("1.34.0", "NodeSwap", "false", "can only be true"),
        ("1.35.0", "AllowOverwriteTerminationGracePeriodSeconds", "true", "can only be false"),
        ("1.36.0", "MemoryManager", "true", "is gone"),
        ("1.35.0", "MemoryManager", "true", None),
    ],
)
def test_a_feature_gate_that_a_version_does_not_start_with_is_known(
    version: str, gate: str, value: str, why: str | None
) -> None:
    assert releases.refuses_gate(version, gate, value) == why


def test_what_is_not_known_has_no_table() -> None:
    with pytest.raises(KeyError):
        releases.release("1.99.0")
