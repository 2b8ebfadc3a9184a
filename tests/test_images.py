"""Images: which a cluster needs, which are in a file, and who gives them to whom."""

import io
import json
import tarfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from kubefab import bundle, carry, downloads, images
from kubefab.errors import HostError, KubefabError
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import MISSING
from kubefab.steps.images import from_file, given
from tests.facts import known
from tests.fakes import HOSTS, FakeHost, cluster, inventory, looked, world

HAS_KUBEADM = {"packages": "package kubeadm hi  1.37.2-1.1"}
A, B = "registry.k8s.io/a:1", "registry.k8s.io/b:1"


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app:2", "localhost/app:2"),
        ("10.0.0.1:5000/app", "10.0.0.1:5000/app:latest"),
        ("quay.io/a/b@sha256:12", "quay.io/a/b@sha256:12"),
        (A, A),
    ],
)
def test_a_name_is_as_containerd_says_it(short: str, full: str) -> None:
    assert images.full_name(short) == full


def test_kubeadm_itself_says_what_a_cluster_needs() -> None:
    made = looked({"manager": {}, "client": HAS_KUBEADM})
    world(made, "client").answers["list-images.sh"] = f"{A}\n{B}\n"
    assert images.needed(made, lambda _: ["flannel:1", A]) == [A, B, "flannel:1"]


def test_a_host_whose_packages_are_not_known_keeps_nobody_else_from_saying_it() -> None:
    made = looked({"manager": {"packages": "untold dpkg-query does not answer"}, "client": HAS_KUBEADM})
    world(made, "client").answers["list-images.sh"] = A
    assert images.needed(made, lambda _: []) == [A]


@pytest.mark.parametrize("there", [HAS_KUBEADM, {}])
def test_a_configuration_that_the_new_kubeadm_refuses_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, str]
) -> None:
    monkeypatch.setattr(downloads, "repository_key", lambda inventory: b"keyring")
    made = looked({"manager": there})
    world(made, "manager").answers["list-images.sh"] = "refused\nunrecognized feature-gate key: Gone\n"
    with pytest.raises(KubefabError, match=r"(?s)kubectl -n kube-system edit.*\nunrecognized feature-gate key: Gone$"):
        images.needed(made, lambda _: [], stored="featureGates: {Gone: true}")
    assert world(made, "manager").ran[0].startswith("list-images.sh --judge")


SOURCE = "1.37.2 https://pkgs.k8s.io/core:/stable:/v1.37/deb/ / a2V5cmluZw=="


@pytest.mark.parametrize("there", [{}, {"packages": "package kubeadm hi  1.37.1-1.1"}])
def test_where_no_host_has_this_kubeadm_one_fetches_it(monkeypatch: pytest.MonkeyPatch, there: dict[str, str]) -> None:
    monkeypatch.setattr(downloads, "repository_key", lambda inventory: b"keyring")
    made = looked({"manager": there, "client": {}})
    made.hosts["manager"] = cut_off(made.hosts["manager"])
    world(made, "client").answers["list-images.sh"] = A
    assert images.needed(made, lambda _: [B]) == [A, B]
    (fetched,) = world(made, "client").ran
    assert fetched.startswith(f"list-images.sh {SOURCE} ")
    assert "Proxy" not in b64decode(fetched.split()[-1]).decode()


def test_a_kubeadm_is_fetched_by_way_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "repository_key", lambda inventory: b"keyring")
    made = cluster(f"{HOSTS}proxy: http://10.0.0.1:3128\n")
    made.look(made.founder)
    world(made, "manager").answers["list-images.sh"] = A
    images.needed(made, lambda _: [])
    (fetched,) = world(made, "manager").ran
    assert 'Acquire::http::Proxy "http://10.0.0.1:3128";' in b64decode(fetched.split()[-1]).decode()


def test_what_nobody_can_tell_is_said_with_each_reason_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(inventory: Inventory) -> bytes:
        raise HostError("no such name")

    made = looked({"manager": {}})
    made.hosts["manager"] = cut_off(made.hosts["manager"])
    monkeypatch.setattr(downloads, "repository_key", lambda inventory: b"keyring")
    with pytest.raises(KubefabError, match=r"(?s)no host has kubeadm 1.37.2.*\nmanager: no route.*\n.*install-kubeadm"):
        images.needed(made, lambda _: [])
    monkeypatch.setattr(downloads, "repository_key", unreachable)
    with pytest.raises(KubefabError, match=r"(?s)no host has kubeadm 1.37.2.*\nno such name\n.*install-kubeadm"):
        images.needed(made, lambda _: [])


def test_where_an_upgrade_finds_no_kubeadm_nobody_is_sent_to_a_task_that_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`inv install-kubeadm` installs nothing while a node is older than hosts.yml: it names this very upgrade."""
    made = looked({"manager": {}})
    made.hosts["manager"] = cut_off(made.hosts["manager"])
    monkeypatch.setattr(downloads, "repository_key", lambda inventory: b"keyring")
    with pytest.raises(KubefabError, match=r"\n`mirrors:` in hosts.yml says where to fetch it from") as told:
        images.needed(made, lambda _: [], stored="kind: ClusterConfiguration")
    assert "install-kubeadm" not in str(told.value)


def test_a_bundle_says_what_was_needed_when_it_was_made(tmp_path: Path) -> None:
    about = {"kubernetes": "1.37.2", "runtime": "containerd", "os": "", "arch": "", "images": {A: "images/a"}}
    (tmp_path / "empty").mkdir()
    bundle.write(tmp_path / "it.bundle", about, tmp_path / "empty")
    made = looked({"manager": {}}, f"{HOSTS}bundle: {tmp_path}/it.bundle\n")
    assert images.needed(made, lambda _: [B]) == [A, B]
    assert world(made, "manager").ran == []
    made = looked({"manager": {}}, f"{HOSTS}bundle: {tmp_path}/it.bundle\n".replace("1.37.2", "1.37.1"))
    with pytest.raises(KubefabError, match=r"it.bundle: it is for Kubernetes 1.37.2, and hosts.yml says 1.37.1"):
        images.needed(made, lambda _: [])


def test_a_worker_runs_no_control_plane() -> None:
    made = cluster()
    wanted = ["r/kube-apiserver:v1", "r:5000/etcd:3", "r/kube-proxy:v1", "r/coredns/coredns:v1"]
    assert images.for_host(made.hosts["manager"], wanted) == wanted
    assert images.for_host(made.hosts["client"], wanted) == wanted[2:]


# --- files


def archive(path: Path, **texts: Any) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, text in texts.items():
            data = json.dumps(text).encode()
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def test_what_docker_saved_is_known_by_its_tags(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar.gz", manifest_json=[{"RepoTags": ["nginx:1", A]}, {"RepoTags": None}])
    assert images.inside(file).names == ["docker.io/library/nginx:1", A]


def test_what_ctr_exported_is_known_by_its_annotations(tmp_path: Path) -> None:
    index = {"manifests": [{"annotations": {"io.containerd.image.name": A}}, {}]}
    assert images.inside(archive(tmp_path / "x.tar.gz", index_json=index)).names == [A]


@pytest.mark.parametrize("text", ["", "text", "tar"])
def test_what_is_no_file_of_images_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.tar"
    file.write_text(text)
    if text == "tar":
        archive(file, other={})
    with pytest.raises(
        KubefabError, match=r"x.tar: found no image; allowed: images that docker save or ctr export wrote"
    ):
        images.inside(file)


@pytest.mark.parametrize(
    "index",
    [
        {"manifests": None},
        {"manifests": [None]},
        {"manifests": [{"annotations": None}]},
        {"manifests": [{"annotations": {"io.containerd.image.name": 5}}]},
        [],
        5,
    ],
)
def test_lists_of_images_that_hold_anything_are_no_traceback(tmp_path: Path, index: Any) -> None:
    with pytest.raises(KubefabError, match="found no image"):
        images.inside(archive(tmp_path / "x.tar.gz", index_json=index))


@pytest.mark.parametrize("cut", [5, 20, 60])
def test_a_packed_file_that_broke_off_is_no_traceback(tmp_path: Path, cut: int) -> None:
    file = archive(tmp_path / "x.tar.gz", manifest_json=[{"RepoTags": [A]}])
    packed = file.read_bytes()
    file.write_bytes(packed[:cut] + b"\xff" * 100)
    with pytest.raises(KubefabError, match="found no image"):
        images.inside(file)


def config(architecture: str) -> dict[str, Any]:
    return {"architecture": architecture, "rootfs": {"type": "layers"}}


@pytest.mark.parametrize(
    ("built", "machine", "gap"),
    [
        (["arm64"], "x86_64", "they are for arm64, and here is x86_64"),
        (["amd64"], "aarch64", "they are for amd64, and here is aarch64"),
        (["amd64"], "x86_64", None),
        (["386"], "x86_64", None),  # it runs these, too
        (["arm"], "aarch64", None),
        (["arm64", "amd64", "unknown"], "x86_64", None),  # of several platforms, with what tells of how it was built
        (["unknown"], "x86_64", None),
        (["s390x"], "x86_64", "they are for s390x, and here is x86_64"),
        (["x86_64"], "x86_64", None),
        (["wasm"], "x86_64", None),  # a runtime of its own may run it
        ([], "x86_64", None),
    ],
)
def test_images_for_another_processor_are_told_before_docker_takes_them(
    tmp_path: Path, built: list[str], machine: str, gap: str | None
) -> None:
    """`docker load` does: they would count as there, and no container of theirs would start."""
    configs = {f"{number}_json": config(one) for number, one in enumerate(built)}
    file = archive(
        tmp_path / "x.tar.gz", manifest_json=[{"RepoTags": [A]}], layer_json={"architecture": "old"}, **configs
    )
    made = looked({"client": {}})
    found = {
        one.title: one for one in from_file(file, [A], "digest", images.inside(file).built)(made, made.hosts["client"])
    }
    assert found["the images are for this machine"].gap(known(arch=machine)) == gap


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(KubefabError, match="/nonexistent: No such file or directory"):
        images.inside(Path("/nonexistent"))


# --- who gives what to whom


def test_docker_says_less_of_a_name_and_means_the_same() -> None:
    docker = inventory(HOSTS.replace("1.37.2", "1.37.2\n  runtime: docker"))
    there = known(images=(B,), docker_images=("nginx:1", A))
    assert images.lacking(docker, ["docker.io/library/nginx:1", A])(there) is None
    assert images.lacking(docker, [A, B])(there) == f"without {B}"


@pytest.mark.parametrize(("there", "gap"), [((), MISSING), ((A,), f"without {B}"), ((A, B), None), ((A, B, "c"), None)])
def test_what_is_there_is_not_missed(there: tuple[str, ...], gap: str | None) -> None:
    assert images.lacking(inventory(), [A, B])(known(images=there)) == gap


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went over the connection, in the place of it."""
    said: list[str] = []

    def fetch(host: Host, script: str, *args: str, to: Path, payload: str = "") -> str:
        said.append(f"from {host.name}: {' '.join((script, *args))}")
        return "digest"

    monkeypatch.setattr(carry, "fetch", fetch)
    monkeypatch.setattr(carry, "send", lambda host, file, to: said.append(f"to {host.name}: {file.name} as {to}"))
    return said


def test_an_image_comes_from_a_host_that_has_it_and_is_saved_once(carried: list[str], tmp_path: Path) -> None:
    made = looked({"manager": {"runtime": f"cri ok\nimage {A}"}, "client": {}})
    stock = images.Stock(made, tmp_path)
    stock.give(made.hosts["client"], A)
    stock.give(made.hosts["client"], A)
    there = "/var/lib/kubefab-images/digest.tar"
    assert carried == [
        f"from manager: move-images.sh containerd save {A}",
        *[f"to client: registry.k8s.io_a_1.tar.gz as {there}"] * 2,
    ]
    assert world(made, "client").ran == [f"move-images.sh containerd take {there} digest"] * 2


def test_an_image_comes_from_no_host_of_another_processor(carried: list[str], tmp_path: Path) -> None:
    """Whoever exports one has that of his own alone, and Docker would load it anywhere."""
    arm, amd = {"system": "arch aarch64"}, {"system": "arch x86_64"}
    made = looked({"manager": {**amd, "runtime": f"cri ok\nimage {A}"}, "client": arm})
    stock = images.Stock(made, tmp_path)
    stock.give(made.hosts["client"], A)
    assert (carried, world(made, "client").ran) == ([], [f"move-images.sh containerd pull {A}"])
    assert stock.saved(A, made.hosts["manager"]) != stock.saved(A, made.hosts["client"])
    assert [one.partition(":")[0] for one in carried] == ["from manager", "from client"]


class CutOff(FakeHost):
    """A host that reaches no registry."""

    def ask(self, *words: str, **how: Any) -> str:
        raise HostError("ended with exit status 1", "dialing\nno route to host")

    def change(self, *words: str, **how: Any) -> str:
        return self.ask(*words) if "pull" in words else super().change(*words, **how)


def cut_off(host: Host) -> Host:
    return CutOff(host.wanted, host.link, host.log)


def test_who_can_pull_pulls_and_gives_it_to_who_cannot(carried: list[str], tmp_path: Path) -> None:
    made = looked({"manager": {}, "client": {}})
    made.hosts["manager"] = cut_off(made.hosts["manager"])
    stock = images.Stock(made, tmp_path)
    stock.give(made.hosts["manager"], A)
    assert world(made, "client").ran == [f"move-images.sh containerd pull {A}"]
    assert world(made, "client").about == [f"pull {A}"]  # a change, and none that another of that host waits for
    assert [one.partition(":")[0] for one in carried] == ["from client", "to manager"]
    stock.give(made.hosts["client"], A)  # it pulled it
    assert len(carried) == 2


def test_what_nobody_can_pull_is_told_with_each_reason(carried: list[str], tmp_path: Path) -> None:
    made = looked({"manager": {}, "client": {}})
    made.hosts.update({name: cut_off(host) for name, host in made.hosts.items()})
    with pytest.raises(HostError, match="none can pull it") as error:
        images.Stock(made, tmp_path).give(made.hosts["manager"], A)
    assert error.value.lines == "manager: no route to host\nclient: no route to host"
    assert "--from FILE.tar.gz" in error.value.hint


def test_each_host_is_given_what_it_lacks(carried: list[str], tmp_path: Path) -> None:
    made = looked({"manager": {"runtime": f"cri ok\nimage {A}\nimage {B}"}, "client": {"runtime": f"image {A}"}})
    *_, step = given(images.Stock(made, tmp_path), [A, B])(made, made.hosts["client"])
    assert step.close
    step.close(made.hosts["client"])
    assert [one for one in carried if one.startswith("from")] == [f"from manager: move-images.sh containerd save {B}"]


def test_a_file_is_given_whole(carried: list[str], tmp_path: Path) -> None:
    made = looked({"client": {}})
    there, _, step = from_file(tmp_path / "x.tar.gz", [A], "digest", [])(made, made.hosts["client"])
    assert (there.title, there.gap(known())) == ("a container runtime runs", MISSING)
    assert step.close
    step.close(made.hosts["client"])
    assert carried == ["to client: x.tar.gz as /var/lib/kubefab-images/digest.tar"]
