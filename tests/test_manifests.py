"""What a static pod is told, as the look reads it."""

from typing import Any

from kubefab.differences import HIDDEN, shown
from kubefab.facts.manifests import settings


def of_pod(*beside: dict[str, Any], **container: Any) -> dict[str, str]:
    own = {"name": "kube-apiserver", **container}
    return settings({"metadata": {"name": "kube-apiserver"}, "spec": {"containers": [*beside, own]}})


def own(*beside: dict[str, Any], **container: Any) -> dict[str, str]:
    """But for its name."""
    return {place: value for place, value in of_pod(*beside, **container).items() if place != "metadata.name"}


def test_a_word_that_is_no_long_flag_is_told_too() -> None:
    """Whoever has added one by hand would lose it unseen."""
    assert own(command=["kube-apiserver", "--v=2"]) == {"words": "kube-apiserver", "--v": "2"}
    assert own(command=["kube-apiserver", "-v=5"])["-v"] == "5"
    assert own(command=["kube-apiserver", "-v", "5"])["words"] == "5, kube-apiserver"


def test_what_stands_twice_at_one_place_is_all_of_it() -> None:
    mounts = [{"name": "certs", "mountPath": path} for path in ("/b", "/a")]
    assert own(volumeMounts=mounts) == {"volumeMounts[certs].mountPath": "/a, /b"}
    assert own(command=["--v=1"], args=["--v=2"])["--v"] == "1, 2"


def test_what_has_a_name_and_nothing_else_is_there() -> None:
    assert own(env=[{"name": "EMPTY"}]) == {"env[EMPTY]": ""}


KMS = {"name": "kms", "command": ["/kms", "--listen=/run/kms.sock"], "env": [{"name": "KEY", "value": "hush"}]}


def test_the_flags_are_those_of_the_container_that_has_the_pods_name() -> None:
    """A patch may add another one: its flags are none that the API server's process could have."""
    found = own(KMS, command=["kube-apiserver", "--v=2"], env=[{"name": "GOGC", "value": "50"}])
    assert found == {
        "containers[kms].words": "/kms",
        "containers[kms].--listen": "/run/kms.sock",
        "containers[kms].env[KEY].value": "hush",
        "words": "kube-apiserver",
        "--v": "2",
        "env[GOGC].value": "50",
    }
    assert all(shown(place, value) == HIDDEN for place, value in found.items() if "kms].env" in place)
    assert shown("containers[kms].words", "hush") == HIDDEN


def test_a_pods_only_container_is_meant_whatever_it_is_called() -> None:
    for container in ({}, {"name": "mine"}):
        assert settings({"spec": {"containers": [{**container, "command": ["--v=2"]}]}}) == {"--v": "2"}
    assert settings({"spec": {"containers": ["x", [1]]}}) == {"containers[0]": "x", "containers[1]": "1"}


def test_what_a_probe_or_a_hook_runs_is_no_flag_of_the_pod() -> None:
    probe = {"exec": {"command": ["/bin/check", "--deep=yes"]}}
    assert own(command=["--v=2"], livenessProbe=probe, lifecycle={"preStop": probe}) == {
        "--v": "2",
        "livenessProbe.exec.words": "/bin/check",
        "livenessProbe.exec.--deep": "yes",
        "lifecycle.preStop.exec.words": "/bin/check",
        "lifecycle.preStop.exec.--deep": "yes",
    }
    first = {"initContainers": [{"name": "kube-apiserver", "command": ["--x=1"]}], "containers": [{"command": ["-v"]}]}
    assert "--x" not in settings({"spec": first})
