"""What a static pod is told, as the look reads it."""

from typing import Any

from kubefab.facts.manifests import settings


def of_pod(**container: Any) -> dict[str, str]:
    return settings({"spec": {"containers": [{"name": "kube-apiserver", **container}]}})


def test_a_word_that_is_no_long_flag_is_told_too() -> None:
    """Whoever has added one by hand would lose it unseen."""
    assert of_pod(command=["kube-apiserver", "--v=2"]) == {"words": "kube-apiserver", "--v": "2"}
    assert of_pod(command=["kube-apiserver", "-v=5"])["-v"] == "5"
    assert of_pod(command=["kube-apiserver", "-v", "5"])["words"] == "5, kube-apiserver"


def test_what_stands_twice_at_one_place_is_all_of_it() -> None:
    mounts = [{"name": "certs", "mountPath": path} for path in ("/b", "/a")]
    assert of_pod(volumeMounts=mounts) == {"volumeMounts[certs].mountPath": "/a, /b"}
    assert of_pod(command=["--v=1"], args=["--v=2"])["--v"] == "1, 2"


def test_what_has_a_name_and_nothing_else_is_there() -> None:
    assert of_pod(env=[{"name": "EMPTY"}]) == {"env[EMPTY]": ""}
