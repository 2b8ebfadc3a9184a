"""daemon.json, where others have written it before."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import pytest

from kubefab.errors import HostError
from kubefab.facts import Facts, Package, Unit
from kubefab.facts.part import Untold
from kubefab.render import DOCKER_CONFIG
from kubefab.step import MISSING, Step
from kubefab.steps import agreement, docker, runtime
from tests.facts import known, with_
from tests.fakes import HOSTS, cluster, inventory, looked, step, world

TEXT = HOSTS.replace("1.37.2\n", "1.37.2\n  runtime: docker\n")
MIRRORED = TEXT + "mirrors: {docker.io: http://hub.example.org}\n"
OURS = docker.ours(inventory(TEXT))
WITH_MIRROR = docker.ours(inventory(MIRRORED))
RUNS = {"docker": Unit("active", "enabled", since=100)}
THEIRS = {
    "data-root": "/srv/docker",
    "log-driver": "journald",
    "log-opts": {"tag": "x", "max-size": "1m"},
    "labels": ["rack=7"],
    "registry-mirrors": ["https://theirs.example.org"],
    "exec-opts": ["native.cgroupdriver=systemd"],
}


def said(text: str) -> dict[str, Any]:
    return {"digests": {DOCKER_CONFIG: "0"}, "contents": {DOCKER_CONFIG: b64encode(text.encode()).decode()}}


def configured(hosts: str = TEXT) -> Step:
    return docker.configured(cluster(hosts))


def test_what_somebody_wrote_stays_and_ours_is_added() -> None:
    merged = docker.merged(THEIRS, WITH_MIRROR)
    assert {key: merged[key] for key in THEIRS if key not in ("labels", "registry-mirrors", "log-opts")} == {
        key: THEIRS[key] for key in ("data-root", "log-driver", "exec-opts")
    }
    assert merged["log-opts"] == {"tag": "x", "max-size": "1m"}
    assert merged["registry-mirrors"] == ["https://theirs.example.org", "http://hub.example.org"]
    assert merged["insecure-registries"] == ["hub.example.org"]
    assert merged["storage-driver"] == "overlay2"
    assert merged["labels"][0] == "rack=7"


def test_options_of_our_log_driver_are_none_of_another_ones() -> None:
    """With one that it does not know for its driver dockerd does not start: nobody's containers do."""
    assert "log-opts" not in docker.merged({"log-driver": "journald"}, OURS)
    assert docker.merged({"log-driver": "syslog", "log-opts": {"tag": "x"}}, OURS)["log-opts"] == {"tag": "x"}
    assert docker.merged({"log-opts": {"max-file": "3"}}, OURS)["log-opts"] == {"max-size": "100m", "max-file": "3"}


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"data-root": "/srv"})])
def test_a_docker_that_was_there_before_goes_on_storing_as_it_does(text: str) -> None:
    """Newer ones have another default than overlay2: under it all images and containers would be out of sight."""
    files = files_look(text) if text else ""
    made = looked({"manager": {"files": files, "packages": "package docker-ce ii  5:29.0.0-1"}}, TEXT)
    close = docker.configured(made).close
    assert close
    close(made.founder)
    put = b64decode(world(made, "manager").payloads["put-files.sh"].split()[2])
    assert "storage-driver" not in json.loads(put)
    after = known(**said(put.decode()), debs={"docker-ce": Package("ii", "5:29.0.0-1")})
    assert configured().gap(after) is None
    assert configured().gap(with_(after, debs={})) is None  # of what dpkg says later nothing depends


@pytest.mark.parametrize("theirs", [{}, THEIRS, OURS, WITH_MIRROR], ids=["none", "theirs", "ours", "with a mirror"])
def test_what_was_merged_once_stays_as_it_is(theirs: dict[str, Any]) -> None:
    merged = docker.merged(theirs, WITH_MIRROR)
    assert docker.merged(merged, WITH_MIRROR) == merged


def test_a_mirror_that_hosts_yml_names_no_more_goes_and_theirs_stays() -> None:
    after = docker.merged(docker.merged(THEIRS, WITH_MIRROR), OURS)
    assert (after["registry-mirrors"], after["insecure-registries"]) == (["https://theirs.example.org"], [])
    assert "hub.example.org" not in json.dumps(after)


@pytest.mark.parametrize(
    "mine", [("registry-mirrors", "http://hub.example.org"), ("insecure-registries", "hub.example.org")]
)
def test_a_registry_that_somebody_wrote_himself_stays_when_hosts_yml_names_it_no_more(mine: tuple[str, str]) -> None:
    key, registry = mine
    both = docker.merged({key: [registry]}, WITH_MIRROR)
    assert both[key] == [registry]
    assert docker.merged(both, WITH_MIRROR) == both
    after = docker.merged(both, OURS)
    assert {one: after[one] for one in ("registry-mirrors", "insecure-registries")} == {
        **{"registry-mirrors": [], "insecure-registries": []},
        key: [registry],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps(OURS), None),
        (json.dumps(OURS, indent=8), None),  # its text is no matter, what it says is
        (json.dumps({**OURS, "data-root": "/srv"}), None),
        ("{}", f"{DOCKER_CONFIG} wants another labels, exec-opts"),
        ("[]", f"{DOCKER_CONFIG} is not a JSON object"),
        ("{", f"{DOCKER_CONFIG} is not a JSON object"),
    ],
)
def test_the_file_is_known_by_what_it_says(text: str, told: str | None) -> None:
    gap = configured().gap(known(**said(text)))
    assert gap == told or (told and gap and gap.startswith(told))
    assert configured().gap(known()) == MISSING


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (json.dumps(THEIRS), None),
        ('{"exec-opts": ["native.cgroupdriver=cgroupfs"]}', "says native.cgroupdriver=cgroupfs, and the kubelet wants"),
        ("not JSON", "is not a JSON object"),
        ("", None),
    ],
)
def test_what_cannot_be_merged_is_refused_before_any_change(text: str, told: str | None) -> None:
    made = cluster(TEXT)
    complaint = step(agreement.steps(made, made.founder), "Docker's configuration agrees with Kubernetes")
    gap = complaint.gap(known(**said(text)))
    assert (complaint.close, gap) == (None, None) if told is None else told in (gap or "")


def files_look(text: str) -> str:
    return f"file {DOCKER_CONFIG} 0\ncontent {DOCKER_CONFIG} {b64encode(text.encode()).decode()}"


def test_what_is_put_is_theirs_and_ours() -> None:
    made = looked({"manager": {"files": files_look(json.dumps(THEIRS))}}, TEXT)
    close = docker.configured(made).close
    assert close
    close(made.founder)
    mode, path, data = world(made, "manager").payloads["put-files.sh"].split()
    assert (mode, path, json.loads(b64decode(data))) == ("as-it-is", DOCKER_CONFIG, docker.merged(THEIRS, OURS))
    assert b"Written by kubefab" in b64decode(data)  # so that it is not kept as somebody else's


def test_what_is_no_json_is_never_written_over() -> None:
    made = looked({"manager": {"files": files_look("{")}}, TEXT)
    close = docker.configured(made).close
    assert close
    with pytest.raises(HostError, match="not a JSON object"):
        close(made.founder)


def test_whose_containers_stop_with_docker_is_said_before_it_is_restarted() -> None:
    made = looked({"manager": {"runtime": "docker ok\ndocker_other web\ndocker_other db"}}, TEXT)
    warned = {name: step(runtime.running(made, host), "docker runs").warning for name, host in made.hosts.items()}
    assert warned == {"manager": "a restart of Docker stops these, too: web, db", "client": ""}
    silent = docker.warnings(known(docker="too busy"), inventory(TEXT))
    assert silent == "a restart of Docker stops all that runs in it, and what that is is not known: too busy"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (known("w"), ""),
        (known("w", kubelet_ca="x"), ""),
        (known("w", kubelet_ca="x", units=RUNS), "a restart of Docker ends all pods of w, which begin anew"),
        (
            known("m", kubelet_ca="x", admin_ca="x", units=RUNS),
            "a restart of Docker ends all pods of m, which begin anew: its API server and its etcd, too",
        ),
    ],
)
def test_what_of_kubernetes_ends_with_docker_is_said_before_it_is_restarted(facts: Facts, told: str) -> None:
    assert docker.warnings(facts, inventory(TEXT)) == told


def test_a_log_driver_that_the_kubelet_cannot_read_is_said() -> None:
    theirs = known(**said(json.dumps(THEIRS)))
    assert "says log-driver journald: kubectl logs shows nothing but" in docker.warnings(theirs, inventory(TEXT))
    assert docker.warnings(known(**said("{}")), inventory(TEXT)) == ""
    mirrors = "mirrors: {'https://apt.kubernetes.io/': http://here}\n"
    by_dockershim = inventory(TEXT.replace("1.37.2", "1.20.2") + mirrors)  # it asks Docker itself
    assert docker.warnings(theirs, by_dockershim) == ""
    untold = replace(theirs, parts={**theirs.parts, "files": Untold("sha256sum: I/O error")})
    assert docker.warnings(untold, inventory(TEXT)) == ""
