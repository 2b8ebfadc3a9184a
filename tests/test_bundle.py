"""A bundle: written, read, believed by its checksums; and unpacked on a host, or not."""

import hashlib
import json
from pathlib import Path

import pytest

from kubefab import bundle, carry, downloads, mirrors
from kubefab.errors import HostError, KubefabError
from kubefab.facts import Facts
from kubefab.host import Host
from kubefab.inventory import parse
from kubefab.step import MISSING
from kubefab.steps import bundle as steps
from kubefab.steps import network, packages, runtime
from tests import sandbox
from tests.facts import known
from tests.fakes import HOSTS, cluster, inventory, looked, step, world

ABOUT = {
    "kubernetes": "1.37.2",
    "runtime": "containerd",
    "arch": "x86_64",
    "os": "debian 13",
    "images": {"r/kube-proxy:v1": "images/proxy.tar.gz", "r/etcd:3": "images/etcd.tar.gz"},
}
HERE = known(os="debian", os_version="13", arch="x86_64")
URL = "https://raw.githubusercontent.com/x/y.yml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    texts = {"packages/Packages": "Package: x\n", "images/etcd.tar.gz": "etcd", bundle.place(URL): "kind: X\n"}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    bundle.write(tmp_path / "it.bundle", ABOUT, folder)
    return tmp_path / "it.bundle"


def bundled(file: Path) -> str:
    return f"{HOSTS}bundle: {file}\n"


def test_a_bundle_says_what_it_is_for(file: Path) -> None:
    made = bundle.opened(file)
    assert (made.kubernetes, made.os, made.images) == ("1.37.2", "debian 13", ABOUT["images"])
    assert len(made.sums) == 64


def test_another_bundle_has_other_checksums(file: Path, tmp_path: Path) -> None:
    (tmp_path / "folder" / "images" / "etcd.tar.gz").write_text("other")
    bundle.write(tmp_path / "other.bundle", ABOUT, tmp_path / "folder")
    assert bundle.opened(file).sums != bundle.opened(tmp_path / "other.bundle").sums


@pytest.mark.parametrize("text", ["", "text", json.dumps(ABOUT)])
def test_what_is_no_bundle_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(KubefabError, match=r"x: found no bundle; allowed: a file that `inv bundle.make` wrote"):
        bundle.opened(tmp_path / "x")


def test_a_bundle_that_is_not_there_is_told() -> None:
    with pytest.raises(KubefabError, match="/nonexistent: No such file or directory"):
        bundle.opened(Path("/nonexistent"))


def test_a_file_of_it_is_believed_by_its_checksum(file: Path) -> None:
    assert bundle.read(file, "images/etcd.tar.gz") == b"etcd"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"kind: X", b"kind: Y"))
    with pytest.raises(KubefabError, match="is not what it was when the bundle was made"):
        bundle.read(file, bundle.place(URL))
    with pytest.raises(KubefabError, match="there is no images/none in it"):
        bundle.read(file, "images/none")


def test_manifests_come_out_of_the_bundle_and_are_still_pinned(file: Path) -> None:
    found = parse(bundled(file), Path("hosts.yml"))
    pin = hashlib.sha256(b"kind: X\n").hexdigest()
    assert downloads.published(found, URL, pin) == b"kind: X\n"
    with pytest.raises(HostError, match="pinned is 000"):
        downloads.published(found, URL, "000")


# --- on a host


def test_without_a_bundle_there_is_no_step_of_it() -> None:
    made = cluster()
    assert steps.steps(made, made.founder) + steps.images_loaded(made, made.founder) == []
    assert inventory().bundle is None


def test_the_bundle_comes_before_what_is_installed_and_its_images_after(file: Path) -> None:
    made = cluster(bundled(file))
    titles = [one.title for one in runtime.steps(made, made.founder)]
    assert (
        titles.index("the bundle is unpacked") < titles.index("apt uses the bundle") < titles.index("apt is not locked")
    )
    assert titles[-1] == "the bundle's images are loaded"


def test_with_a_bundle_nobody_asks_for_a_repositorys_key(file: Path) -> None:
    made = cluster(bundled(file))
    assert not any("key" in one.title for one in packages.steps(made, made.founder))


@pytest.mark.parametrize(
    ("facts", "gap"),
    [
        (HERE, None),
        (known(os="debian", os_version="12", arch="x86_64"), "it is for debian 13, here is debian 12"),
        (known(os="debian", os_version="13", arch="aarch64"), "it is for x86_64, here is aarch64"),
    ],
)
def test_a_bundle_for_other_machines_is_refused(file: Path, facts: Facts, gap: str | None) -> None:
    made = cluster(bundled(file))
    refusal = step(steps.steps(made, made.founder), "the bundle is for this machine")
    assert (refusal.gap(facts), refusal.close) == (gap, None)


def test_a_bundle_for_another_release_is_refused(file: Path) -> None:
    made = cluster(bundled(file).replace("1.37.2", "1.37.1"))
    refusal = step(steps.steps(made, made.founder), "the bundle is for this machine")
    assert refusal.gap(HERE) == "it is for 1.37.2, here is 1.37.1"


def test_a_bundle_without_what_hosts_yml_names_is_refused(file: Path) -> None:
    made = cluster(bundled(file))
    refusal = step(steps.steps(made, made.founder), "the bundle has all that hosts.yml names")
    flannel = next(iter(network.manifests(made.inventory)))
    assert (refusal.gap(HERE), refusal.close) == (f"without {flannel}", None)
    assert steps.lacking(bundle.opened(file), [URL], [])(HERE) is None
    assert steps.lacking(bundle.opened(file), [URL], ["haproxy"])(HERE) == "without haproxy"


def test_a_bundle_is_known_by_its_checksums(file: Path) -> None:
    made = cluster(bundled(file))
    here = step(steps.steps(made, made.founder), "the bundle is unpacked")
    sums = bundle.opened(file).sums
    found = [here.gap(known(digests=files)) for files in ({}, {steps.MARK: "0"}, {steps.MARK: sums})]
    assert found == [MISSING, "another one", None]


def test_a_worker_loads_no_control_plane(file: Path) -> None:
    made = cluster(bundled(file))
    (loaded,) = steps.images_loaded(made, made.hosts["client"])
    assert loaded.gap(known(images=("r/kube-proxy:v1",))) is None


def use(file: Path, before: str = "") -> str:
    sums = bundle.opened(file).sums
    copied = sandbox.file("/mnt/it", file.read_bytes()) + before
    run = sandbox.script("use-bundle.sh", "/mnt/it", sums)
    return sandbox.run(
        f"{copied}{run} 2>&1 || echo failed\ncd /var/lib && find kubefab-bundle* -type f | sort; ls /mnt/it || true"
    )


@sandbox.needed
def test_a_bundle_is_unpacked_for_everybody_to_read(file: Path) -> None:
    found = use(file)
    assert "failed" not in found
    assert {f"kubefab-bundle/{name}" for name in ("SHA256SUMS", "packages/Packages", "apt.conf")} <= set(found.split())


@sandbox.needed
@pytest.mark.parametrize("own", ["", "/etc/apt/apt.conf"])
def test_a_bundle_is_asked_where_apt_is_told_of_a_default_release(file: Path, own: str) -> None:
    """No source of the bundle has that release, by which apt ends each installation; all else there stays."""
    said = 'APT::Default-Release "stable"; Acquire::Retries "7";\n'
    run = sandbox.script("use-bundle.sh", "/mnt/it", bundle.opened(file).sums)
    settings = "apt-config dump --format '%f=%v%n' APT::Default-Release Acquire::Retries"
    there = sandbox.file("/mnt/it", file.read_bytes()) + sandbox.file(own or "/etc/apt/apt.conf.d/99release", said)
    found = sandbox.run(f"{there}{run} >/dev/null 2>&1\nAPT_CONFIG=/var/lib/kubefab-bundle/apt.conf {settings}")
    assert found.split() == ["APT::Default-Release=", "Acquire::Retries=7"]


@sandbox.needed
def test_a_bundle_with_another_byte_in_it_takes_no_place(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"Package: x", b"Package: y"))
    found = use(file)
    assert "packages/Packages: FAILED" in found
    assert "failed" in found
    assert "kubefab-bundle/" not in found


# --- made


def test_a_bundle_that_is_there_is_not_made_again(file: Path) -> None:
    made = cluster()
    (gathered,) = steps.gathered(str(file), lambda _: [], lambda _: [], lambda _: {})(made, made.founder)
    assert gathered.gap(HERE) is None
    (more,) = steps.gathered(str(file), lambda _: [], lambda _: ["r/flannel:1"], lambda _: {})(made, made.founder)
    assert more.gap(HERE) == "without r/flannel:1"
    (other,) = steps.gathered(str(file), lambda _: [], lambda _: [], lambda _: {f"{URL}2": ""})(made, made.founder)
    assert other.gap(HERE) == f"without {URL}2"
    assert gathered.gap(known(os="debian", os_version="12", arch="x86_64")) == "it is for debian 13, here is debian 12"


def test_no_other_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    made = cluster()
    (gathered,) = steps.gathered(str(tmp_path / "mine"), lambda _: [], lambda _: [], lambda _: {})(made, made.founder)
    with pytest.raises(KubefabError, match="found no bundle"):
        gathered.gap(HERE)


def test_all_that_was_gathered_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = "r/kube-proxy:v1"
    parts = {"packages": "package kubeadm hi  1.37.2-1.1", "runtime": f"image {image}"}
    made = looked({"manager": {**parts, "system": "os debian\nos_version 13\narch x86_64"}})
    world(made, "manager").answers["list-images.sh"] = image
    asked: list[str] = []

    def fetch(host: Host, script: str, *args: str, to: Path, payload: str = "") -> str:
        asked.append(" ".join((script, *args)))
        to.write_text("image")
        return "digest"

    def fetch_folder(host: Host, script: str, *args: str, to: Path) -> None:
        to.mkdir()
        (to / "Packages").write_text(" ".join(args))

    monkeypatch.setattr(carry, "fetch", fetch)
    monkeypatch.setattr(carry, "fetch_folder", fetch_folder)
    monkeypatch.setattr(downloads, "published", lambda inventory, url, sha256: b"kind: X\n")
    output = tmp_path / "it.bundle"
    (gathered,) = steps.gathered(str(output), packages.bundled, lambda _: [], lambda _: {URL: "0"})(made, made.founder)
    assert gathered.gap(HERE) == MISSING
    assert gathered.close
    gathered.close(made.founder)
    assert gathered.gap(HERE) is None
    assert asked == [f"move-images.sh containerd save {image}"]
    assert bundle.read(output, bundle.place(URL)) == b"kind: X\n"
    assert bundle.read(output, bundle.opened(output).images[image]) == b"image"
    assert b"kubelet=1.37.2-* kubeadm=1.37.2-*" in bundle.read(output, "packages/Packages")
    assert [path.name for path in tmp_path.iterdir()] == ["it.bundle"]


def test_who_makes_it_is_the_only_one_that_pulls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others were looked at, too, to know the cluster."""
    made = looked({"manager": {"packages": "package kubeadm hi  1.37.2-1.1"}, "client": {}})
    world(made, "manager").answers["list-images.sh"] = "r/kube-proxy:v1"
    monkeypatch.setattr(carry, "fetch", lambda *_, **__: "digest")
    steps.gathered_images(made, made.hosts["client"], lambda _: [], tmp_path)
    assert world(made, "client").ran == ["move-images.sh containerd pull r/kube-proxy:v1"]
    assert world(made, "manager").ran == ["list-images.sh"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    made = cluster()
    (gathered,) = steps.gathered(f"{tmp_path}/no/it.bundle", lambda _: [], lambda _: [], lambda _: {})(
        made, made.founder
    )
    assert gathered.close
    with pytest.raises(HostError, match="No such file or directory") as error:
        gathered.close(made.founder)
    assert "is the folder there" in error.value.hint


# --- with Docker

DOCKER = HOSTS.replace("1.37.2", "1.37.2\n  runtime: docker")
MIRRORED = f"{DOCKER}mirrors: {{r: http://near:5000}}\n"
GUIDES = DOCKER.replace("1.37.2", "1.20.2")


def test_docker_gets_its_packages_and_what_the_kubelet_reaches_it_through() -> None:
    names = packages.bundled(inventory(DOCKER))
    assert names[:3] == ["docker.io", "docker-cli?", "kubelet=1.37.2-*"]
    ((url, sha256),) = steps.cri_dockerd(inventory(DOCKER), "x86_64").items()
    assert (url.rpartition("/")[2], sha256[:8]) == ("cri-dockerd-0.3.24.amd64.tgz", "dd4b7f51")


def test_a_kubelet_that_reaches_docker_by_itself_gets_docker_alone() -> None:
    old = inventory(f"{GUIDES}mirrors: {{https://apt.kubernetes.io/: http://near/}}\n")
    assert packages.bundled(old)[:3] == ["docker.io", "docker-cli?", "kubelet=1.20.2-*"]
    assert steps.cri_dockerd(old, "x86_64") == {}


def of_docker(tmp_path: Path, **about: object) -> Path:
    (tmp_path / "docker").mkdir()
    path = tmp_path / "docker.bundle"
    bundle.write(path, {**ABOUT, "runtime": "docker", **about}, tmp_path / "docker")
    return path


def test_docker_runs_before_it_is_given_the_bundles_images(tmp_path: Path) -> None:
    made = cluster(f"{DOCKER}bundle: {of_docker(tmp_path)}\n")
    titles = [one.title for one in runtime.steps(made, made.founder)]
    order = ("apt uses the bundle", "Docker Engine is installed", "cri-dockerd 0.3.24 is installed", "docker runs")
    assert [title for title in titles if title in order] == list(order)
    assert titles[-2:] == ["the container runtime answers", "the bundle's images are loaded"]
    loaded = runtime.steps(made, made.founder)[-1]
    assert loaded.close
    loaded.close(made.founder)
    files = "/var/lib/kubefab-bundle/images/proxy.tar.gz /var/lib/kubefab-bundle/images/etcd.tar.gz"
    assert world(made, "manager").ran == [f"move-images.sh docker load {files}"]


def test_cri_dockerd_comes_out_of_the_bundle(tmp_path: Path) -> None:
    file = of_docker(tmp_path)
    made = looked({"manager": {"system": "arch x86_64"}}, f"{DOCKER}bundle: {file}\n")
    close = step(runtime.steps(made, made.founder), "cri-dockerd 0.3.24 is installed").close
    assert close
    close(made.founder)
    _, asked, pinned = world(made, "manager").ran[-1].split()
    place = "github.com/Mirantis/cri-dockerd/releases/download/v0.3.24/cri-dockerd-0.3.24.amd64.tgz"
    assert asked == f"copy:/var/lib/kubefab-bundle/files/{place}"
    assert pinned.startswith("dd4b7f51")


def test_a_bundle_with_another_cri_dockerd_is_refused(tmp_path: Path) -> None:
    made = cluster(f"{DOCKER}bundle: {of_docker(tmp_path)}\n")
    gap = step(steps.steps(made, made.founder), "the bundle has all that hosts.yml names").gap(HERE)
    assert gap
    assert "without https://github.com/Mirantis/cri-dockerd/releases/download/v0.3.24/" in gap


def test_before_cri_dockerd_the_steps_are_the_same_without_it(tmp_path: Path) -> None:
    file = of_docker(tmp_path, kubernetes="1.20.2")
    made = cluster(f"{GUIDES}bundle: {file}\n")  # no mirror has to have its packages
    titles = [one.title for one in runtime.steps(made, made.founder)]
    assert not [title for title in titles if "cri-dock" in title]
    assert titles[-3:] == ["docker runs", "the container runtime answers", "the bundle's images are loaded"]
    assert step(steps.steps(made, made.founder), "the bundle is for this machine").gap(HERE) is None


def test_images_that_came_from_a_mirror_are_in_the_bundle_by_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, mirrored = "r/kube-proxy:v1", "near:5000/kube-proxy:v1"
    parts = {"packages": "package kubeadm hi  1.37.2-1.1", "runtime": f"docker ok\ndocker_image {mirrored}"}
    made = looked({"manager": parts}, MIRRORED)
    world(made, "manager").answers["list-images.sh"] = own
    asked: list[str] = []

    def fetch(host: Host, script: str, *args: str, to: Path, payload: str = "") -> str:
        asked.append(" ".join((script, *args)))
        return "digest"

    monkeypatch.setattr(carry, "fetch", fetch)
    found = steps.gathered_images(made, made.founder, lambda _: [], tmp_path)
    assert found == {own: "images/r_kube-proxy_v1.tar.gz"}
    assert asked == [f"move-images.sh docker save {mirrored} {own}"]


def test_with_a_bundle_images_have_their_own_names(tmp_path: Path) -> None:
    mirrored, bundled = (inventory(text) for text in (MIRRORED, f"{MIRRORED}bundle: {of_docker(tmp_path)}\n"))
    assert [mirrors.image("r/a:1", one) for one in (mirrored, bundled)] == ["near:5000/a:1", "r/a:1"]


@pytest.mark.parametrize("about", [{"images": None}, {"images": {"a": 5}}, {"arch": None}, {"os": 13}])
def test_a_bundle_that_says_anything_of_itself_is_none(tmp_path: Path, about: dict[str, object]) -> None:
    with pytest.raises(KubefabError, match="found no bundle"):
        bundle.opened(of_docker(tmp_path, **about))


def test_a_machine_that_cri_dockerd_is_not_made_for_is_told() -> None:
    with pytest.raises(KubefabError, match="cri-dockerd is not published for sparc machines; known: x86_64, aarch64"):
        steps.cri_dockerd(inventory(DOCKER), "sparc")
