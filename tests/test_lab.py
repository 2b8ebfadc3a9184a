"""The parts of the lab that need no machine."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import requests
from invoke import Exit

from kubefab import downloads
from lab import (
    cgroups,
    commands,
    components,
    computer,
    containers,
    distribution,
    guide,
    images,
    lock,
    manifests,
    network,
    packages,
    parts,
    powercut,
    requirements,
    serve,
    services,
    settings,
    stacks,
    tasks,
    toolchain,
    versions,
    vm_image,
    ways_in,
)
from lab import lab as whole
from lab.parts import Job, Part
from lab.report import Report, duration


def test_machines_have_the_names_and_addresses_that_hosts_yml_says() -> None:
    assert settings.machine_names(1) == ["manager"]
    assert settings.machine_names(4) == ["manager", "client", "client2", "client3"]
    assert [settings.address(name) for name in ("manager", "client", "client2")] == [
        "10.250.0.10",
        "10.250.0.11",
        "10.250.0.12",
    ]
    assert settings.mac_address("client") == "02:00:0a:fa:00:0b"


# Parts


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(parts, "CACHE", tmp_path)
    monkeypatch.setattr(parts, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(parts, "MODULES", tmp_path / "go/mod")
    monkeypatch.setattr(parts, "LOGS", tmp_path / "logs")
    return tmp_path


def write_a_file(job: Job) -> None:
    (job.out / "made").write_text("whole")


def break_off(job: Job) -> None:
    (job.out / "made").write_text("half")
    raise settings.LabError("broken off")


def a_part(name: str = "tool", pin: str = "1", needs: tuple[Part, ...] = (), fails: bool = False) -> Part:
    return Part(name, name, (pin,), break_off if fails else write_a_file, seconds=1, needs=needs, gigabytes=0)


def test_a_part_is_kept_by_the_content_of_its_pins() -> None:
    assert a_part(pin="1").key == a_part(pin="1").key
    assert a_part(pin="1").key != a_part(pin="2").key
    assert a_part(needs=(a_part("other", "1"),)).key != a_part(needs=(a_part("other", "2"),)).key


def test_a_directory_is_pinned_with_the_names_in_it() -> None:
    one, other = (components.PARTS[name].pins[0] for name in ("pause", "cni"))
    assert parts.pinned_bytes(one) != parts.pinned_bytes(other)
    assert b"go/pause/main.go" in parts.pinned_bytes(one)


def test_how_long_a_build_usually_takes_is_no_pin() -> None:
    component = components.Component("pause", "1", seconds=1)
    slower = components.Component("pause", "1", seconds=2, gigabytes=9)
    assert components.part(component).key == components.part(slower).key


def test_parts_are_made_once(cache: Path) -> None:
    part = a_part()
    assert [made.name for made in parts.make_missing([part], Report())] == ["tool"]
    assert (part.place / "made").read_text() == "whole"
    assert parts.make_missing([part], Report()) == []


def test_a_broken_part_is_no_part_and_hides_no_other(cache: Path) -> None:
    broken, good = a_part("broken", fails=True), a_part("good")
    above = a_part("above", needs=(broken,))
    with pytest.raises(settings.LabError, match=r"^broken off$"):
        parts.make_missing([above, good], Report())
    assert good.cached
    assert not broken.cached
    assert not above.cached


def test_what_a_killed_run_left_is_cleared_away(cache: Path) -> None:
    part = a_part()
    half = cache / "unfinished" / f"tool-{part.key}"
    half.mkdir(parents=True)
    (half / "left").write_text("over")
    parts.make_missing([part], Report())
    assert [path.name for path in part.place.iterdir()] == ["made"]


def test_what_is_made_already_wants_no_go_and_nothing_that_it_was_made_of(cache: Path) -> None:
    go, source = a_part("go"), a_part("source")
    top = Part("top", "top", (), write_a_file, seconds=1, needs=(source,), tools=(go,), gigabytes=0)
    assert [part.name for part in parts.missing_of([top])] == ["go", "source", "top"]
    top.place.mkdir(parents=True)
    assert parts.missing_of([top]) == []
    parts.touch([top])
    parts.prune([top])


def test_another_go_makes_no_other_part() -> None:
    made = [Part("top", "top", (), write_a_file, 1, tools=(a_part("go", pin=pin),)) for pin in "12"]
    assert made[0].key == made[1].key


def test_compilations_go_one_after_the_other_in_the_order_of_their_list(cache: Path) -> None:
    order: list[str] = []
    go = a_part("go")

    def compiling(name: str) -> Part:
        return Part(name, name, (), lambda job: order.append(name), 1, tools=(go,), compiles=True, gigabytes=0)

    names = [f"tool-{number}" for number in range(20)]
    parts.make_missing([compiling(name) for name in names], Report())
    assert order == names


def test_an_interrupt_begins_no_other_part(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends what is being compiled; each part that waited for the compiler began all the same."""
    made: list[str] = []
    begun, interrupted = threading.Event(), threading.Event()

    def compile_slowly(name: str) -> None:
        made.append(name)
        begun.set()
        interrupted.wait(5)

    def interrupt(futures: object, timeout: float) -> None:
        begun.wait(5)
        threading.Timer(0.2, interrupted.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "wait", interrupt)
    wanted = [
        Part(name, name, (), lambda job: compile_slowly(job.out.name), 1, compiles=True, gigabytes=0) for name in "abc"
    ]
    with pytest.raises(KeyboardInterrupt):
        parts.make_missing(wanted, Report())
    assert len(made) == 1


def test_parts_come_after_what_they_need() -> None:
    base = a_part("base")
    top = a_part("top", needs=(a_part("middle", needs=(base,)), base))
    assert [part.name for part in parts.everything([top, base])] == ["base", "middle", "top"]


def test_parts_of_old_pins_are_forgotten(cache: Path) -> None:
    made = [a_part(pin=pin) for pin in "123"]
    for age, part in enumerate(made):
        parts.make_missing([part], Report())
        os.utime(part.place, (age, age))
    parts.prune([made[2]])
    assert [part.cached for part in made] == [False, True, True]


def test_too_little_space_is_told_before_anything_is_built(cache: Path) -> None:
    huge = Part("huge", "huge", (), write_a_file, seconds=1, gigabytes=1e9)
    with pytest.raises(settings.LabError, match="GB are wanted"):
        parts.make_missing([huge], Report())


@pytest.mark.parametrize(("seconds", "says"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (330, "5 min 30 s")])
def test_durations(seconds: float, says: str) -> None:
    assert duration(seconds) == says


# What is built


@pytest.mark.parametrize(
    "component", [*components.COMPONENTS, *guide.COMPONENTS, *versions.COMPONENTS], ids=lambda component: component.name
)
def test_every_component_pins_every_byte(component: components.Component) -> None:
    module = (component.folder / "go.mod").read_text()
    assert ("\nrequire" in module) == (component.folder / "go.sum").exists()
    assert component.package in (".", "") or "\ntool " in module
    assert f"{component.version}\n" in module or f"v{component.version}" in module or component.package == "."


def test_images_are_made_of_binaries_that_are_built() -> None:
    used = {component for image in (*images.IMAGES, *images.ADDONS) for component, _ in image.files.values()}
    assert used <= set(components.PARTS)
    assert used <= {part.name for part in images.ALL.needs}
    assert {component for image in guide.IMAGES for component, _ in image.files.values()} <= set(guide.MADE_OF)


def test_nothing_of_the_guides_stack_is_built_without_being_asked_for() -> None:
    built = {part.name for part in parts.everything(stacks.EVERYTHING)}
    assert not built & {part.name for part in guide.PARTS}
    assert not any(name.startswith("guide") for name in built)


@pytest.mark.usefixtures("cache")
def test_a_cluster_without_docker_and_addons_wants_nothing_of_theirs_built() -> None:
    built = {part.name for part in parts.everything(stacks.parts("", everything=False))}
    assert not built & {"cri-dockerd", "metrics-server", "local-path", "rook", "stand-in"}


def names_of(found: Iterable[Part]) -> set[str]:
    return {part.name for part in parts.everything(found)}


@pytest.mark.usefixtures("cache")
def test_another_kubernetes_is_built_only_where_it_is_named() -> None:
    assert not any(name.startswith(("kubernetes-", "versions-")) for name in names_of(stacks.parts("guide", True)))
    wanted = names_of(stacks.parts("", False, versions.VERSIONS))
    assert {f"kubernetes-{version}" for version in versions.VERSIONS} <= wanted


@pytest.mark.usefixtures("cache")
def test_another_kubernetes_that_was_built_once_is_served_ever_after(monkeypatch: pytest.MonkeyPatch) -> None:
    assert services.REGISTRY.parts() == (images.ALL, images.PART)
    monkeypatch.setitem(versions.PARTS, "kubernetes-1.37.1", made := a_part("kubernetes-1.37.1"))
    parts.make_missing([made], Report())
    served = names_of(stacks.parts("", False))
    assert [name for name in served if name.startswith("kubernetes-")] == ["kubernetes-1.37.1"]
    assert services.REGISTRY.parts()[0].name == "versions-images"


def test_a_version_that_is_half_built_is_not_served(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.PARTS, "kubernetes-1.36.3", made := a_part("kubernetes-1.36.3"))
    parts.make_missing([made], Report())
    assert versions.built() == []


def test_what_is_served_under_another_tag_than_its_version_is_told() -> None:
    """kubeadm 1.36.3 asks for a CoreDNS that cannot be had as a Go module."""
    component = next(each for each in versions.COMPONENTS if each.name in versions.NOTES)
    [image] = [image for image in versions.BESIDES["1.36.3"] if (component.name, "coredns") in image.files.values()]
    assert image.tag != f"v{component.version}"
    told = {"name": component.name, "cached": True, "served": versions.NOTES[component.name]}
    assert commands.said(told).startswith(f"built; served as {image.tag},")


def test_a_registry_with_another_kubernetes_has_all_that_it_had_before() -> None:
    for everything, before in ((False, images.IMAGES), (True, [*images.IMAGES, *images.ADDONS])):
        [packages_part, images_part] = versions.parts(versions.VERSIONS, everything)
        assert {component for image in before for component, _ in image.files.values()} <= names_of([images_part])
        assert {f"kubernetes-{version}" for version in versions.VERSIONS} <= names_of([images_part]) & names_of(
            [packages_part]
        )


def test_a_layer_depends_on_nothing_but_its_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("the same")
    assert images.layer({"bin": tmp_path / "one"}) == images.layer({"bin": tmp_path / "two"})


def test_an_image_lies_where_a_registry_looks(tmp_path: Path) -> None:
    storage = images.Storage(tmp_path)
    layer = storage.blob(b"layer", images.LAYER)
    manifest = {"config": storage.blob(b"{}", images.CONFIG), "layers": [layer]}
    storage.image("coredns/coredns", "v1", manifest)
    repository = tmp_path / "docker/registry/v2/repositories/coredns/coredns"
    digest = (repository / "_manifests/tags/v1/current/link").read_text()
    blob = tmp_path / "docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
    assert json.loads(blob.read_text()) == manifest
    assert (repository / "_manifests/revisions/sha256" / digest[7:] / "link").read_text() == digest
    assert (repository / "_layers/sha256" / layer["digest"][7:] / "link").read_text() == layer["digest"]


def test_a_control_file_says_what_the_package_needs() -> None:
    package = packages.Package("kubelet", "1.37.2-1.1", depends=packages.KUBELET_NEEDS)
    text = packages.control(package, "amd64")
    assert "Version: 1.37.2-1.1\n" in text
    assert "Depends: iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0)" in text
    assert "Depends" not in packages.control(packages.Package("kubeadm", "1"), "amd64")


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Path]:
    """All that a checkout has, as git made it under a umask of 077, in a folder with a blank in its name."""
    folder = tmp_path / "my projects"
    for name in ("debs", "image", "image-kernels"):
        shutil.copytree(settings.HERE / name, folder / name)
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    before = os.umask(0o077)
    yield folder
    os.umask(before)


def test_a_checkout_that_only_its_owner_may_read_makes_packages_that_dpkg_takes(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dpkg-deb refuses a postinst that only its owner may run."""
    monkeypatch.setattr(packages, "FILES", private / "debs")
    kubelet = packages.Package("kubelet", "1", [Path("/bin/true")], conffiles=["/etc/default/kubelet"])
    root = tmp_path / "root"
    monkeypatch.setattr(commands, "up", lambda: packages.lay_out(kubelet, root, "amd64"))
    tasks.do("up")
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in root.rglob("*") if not others_may_read(path)} == {}
    assert subprocess.run(["dpkg-deb", "--build", root, tmp_path / "x.deb"], check=False).returncode == 0


def others_may_read(path: Path) -> bool:
    wanted = 0o005 if path.is_dir() or path.stat().st_mode & 0o100 else 0o004
    return path.stat().st_mode & wanted == wanted


def test_a_machine_has_folders_that_all_of_its_users_may_enter_whoever_may_the_checkouts(
    private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is synced in brings its modes, those of / and /etc too, and mmdebstrap parts its words at blanks."""
    monkeypatch.setattr(distribution, "IMAGE", private / "image")
    monkeypatch.setattr(vm_image, "FILES", private / "image-kernels")
    monkeypatch.setattr(vm_image, "SHARED", private / "image/machine/etc")
    synced: list[Path] = []

    def look(job: Job, packages: object, *options: str, suite: str = "") -> None:
        for hook in [one.partition("=")[2] for one in options if "sync-in" in one]:
            _, source, _ = shlex.split(hook)
            synced.extend([Path(source), *Path(source).rglob("*")])
            assert [path for path in synced if not others_may_read(path)] == []
        raise settings.LabError("enough")

    monkeypatch.setattr(distribution, "debootstrap", look)
    for part in (distribution.MACHINE, vm_image.PART):
        out = tmp_path / f"out of {part.name}"
        out.mkdir()
        with pytest.raises(settings.LabError, match="enough"):
            part.make(Job(out, tmp_path / "log"))
    assert {"lab-init", "sudoers.d", "fstab"} <= {path.name for path in synced}


def test_a_release_file_pins_its_index(tmp_path: Path) -> None:
    (tmp_path / "main").mkdir()
    for name in ("Packages", "Packages.gz"):
        (tmp_path / "main" / name).write_bytes(b"")
    text = packages.release(tmp_path, tmp_path / "main", ["Origin: here"])
    assert text.startswith("Origin: here\n")
    assert "\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/Packages\n" in text


def test_the_bait_is_newer_than_what_is_wanted() -> None:
    assert packages.bait("1.37.2") == "1.37.99-1.1"


def test_the_fingerprint_is_the_keys() -> None:
    fingerprint = (packages.KEYS / "fingerprint").read_text().strip()
    assert len(fingerprint) == 40
    assert list(downloads.keys(downloads.dearmored((packages.KEYS / "Release.key").read_bytes()))) == [fingerprint]


def test_manifests_come_from_components() -> None:
    for component, name, _ in (manifests.MANIFESTS | manifests.ADDONS).values():
        assert name in components.PARTS[component].make.args[0].sources.values()  # type: ignore[attr-defined]


# Go


def test_go_is_the_locks_and_pip_is_asked_as_this_computer_has_set_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(Job, "run", lambda self, *argv, **env: ran.append((*map(str, argv), *env)))
    toolchain.install(Job(tmp_path / "out", tmp_path / "log"))
    assert {"--require-hashes", "--no-deps", str(toolchain.LOCK)} <= set(ran[0])
    assert not {word for word in ran[0] if "index" in word or "cert" in word or "proxy" in word}


@pytest.mark.parametrize("name", ["kubernetes", "pause", "guide-flannel"])
def test_a_component_is_built_with_the_labs_go_and_not_with_the_computers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ran: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(Job, "run", lambda self, *argv, cwd, **env: ran.append((str(argv[0]), env)))
    component = next(each for each in (*components.COMPONENTS, *guide.COMPONENTS) if each.name == name)
    monkeypatch.setattr(components, "keep", lambda component, job: None)
    monkeypatch.setattr(components, "CACHE", tmp_path / "cache")
    components.build(component, Job(tmp_path, tmp_path / "log"))
    [(program, env)] = ran
    assert program == str(toolchain.PART.place / "go/bin/go")
    assert env["GOROOT"] == str(toolchain.PART.place / "go")
    assert env["GOTOOLCHAIN"] == "local"
    assert toolchain.PART in components.part(component).tools


def test_how_modules_are_reached_and_checked_is_for_the_computers_settings_to_say() -> None:
    assert not {"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOENV"} & set(components.settings())


# The computer's own package sources

DEB822 = """\
Types: deb deb-src
# a snapshot, by date
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main
"""
CLASSIC = """\
# deb http://commented.invalid/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] http://mirror.invalid/debian bookworm main non-free
deb-src http://mirror.invalid/debian bookworm main
deb https://vendor.invalid/apt vendor-bookworm main
deb https://vendor.invalid/node nodistro main
"""


def test_sources_are_translated_to_the_machines_suite(tmp_path: Path) -> None:
    (tmp_path / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(CLASSIC)
    paths = [tmp_path / "debian.sources", tmp_path / "sources.list"]
    assert "Types: deb deb-src\n" in distribution.sources(paths, "bookworm", "bookworm", "deb deb-src")
    assert distribution.sources(paths, "bookworm") == (
        "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: trixie trixie-updates\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
        "Types: deb\nURIs: http://mirror.invalid/debian-security\nSuites: trixie-security\nComponents: main\n\n"
        "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg\n"
    )


def test_sources_that_go_unpacked_before_a_power_cut_are_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go does not sync them: some may be empty, and each build of them would fail until somebody deletes them."""
    monkeypatch.setattr(parts, "MODULES", tmp_path / "go/mod")
    monkeypatch.setattr(parts.computer, "BOOT_ID", tmp_path / "boot")
    hollow = tmp_path / "go/mod/module/hollow.go"
    hollow.parent.mkdir(parents=True)
    for boot, there in [("one", False), ("one", True), ("two", False)]:
        (tmp_path / "boot").write_text(f"{boot}\n")
        parts.forget_what_may_be_hollow()
        assert hollow.exists() == there
        hollow.parent.mkdir(parents=True, exist_ok=True)
        hollow.touch()


def test_a_vendors_repository_is_none_of_debians_own(tmp_path: Path) -> None:
    """Tailscale's and HashiCorp's are named bookworm and main too: no machine has their keys."""
    listed = tmp_path / "sources.list"
    listed.write_text("deb http://d.invalid/debian/ bookworm main\ndeb https://v.invalid/debian bookworm main\n")
    told = "Debian\thttp://d.invalid/debian/\nTailscale\thttps://v.invalid/debian/\n$(ORIGIN)\thttp://e.invalid/\n"
    others = distribution.others(told)
    assert "v.invalid" not in distribution.sources([listed], "bookworm", others=others)
    assert "d.invalid" in distribution.sources([listed], "bookworm", others=others)
    assert distribution.others(told.replace("Debian\t", "Ours\t")) == set(), "a mirror may have another name"


def test_a_list_of_mirrors_on_this_computer_is_none_that_a_machine_could_read(tmp_path: Path) -> None:
    """So Debian's own cloud images have it."""
    (tmp_path / "debian.list").write_text(
        "# of this cloud\nhttp://cdn.invalid/debian\tpriority:1\nhttp://b.invalid/d\n"
    )
    listed = tmp_path / "debian.sources"
    uri = f"mirror+file://{quote(str(tmp_path))}/debian.list"
    listed.write_text(f"Types: deb\nURIs: {uri}\nSuites: bookworm\nComponents: main\n")
    assert "\nURIs: http://cdn.invalid/debian\n" in distribution.sources([listed], "bookworm")


def test_a_computer_that_names_no_suite_of_debians_has_no_sources(tmp_path: Path) -> None:
    """One of `stable`, say: an empty file would make mmdebstrap look for packages nowhere at all."""
    (tmp_path / "sources.list").write_text("deb http://d.invalid/debian stable main\n")
    assert distribution.sources([tmp_path / "sources.list"], "bookworm") == ""


def test_only_debian_has_debians_sources() -> None:
    assert distribution.is_debian('NAME="Debian"\nID=debian\n')
    assert not distribution.is_debian("ID=ubuntu\nID_LIKE=debian\n")
    assert distribution.codename("VERSION_CODENAME=bookworm\n") == "bookworm"


# Machines, services, the computer


@pytest.mark.parametrize("command", ["fresh", "reboot", "cut", "ssh", "down", "status"])
def test_who_is_not_root_is_not_told_that_there_is_no_machine(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user has containers of their own: root's are not among them, and `make down` took away nothing, silently."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(commands, command, lambda *words: None)
    with pytest.raises(Exit, match=rf"lab\.{command} wants root"):
        tasks.do(command)


PODMAN_PS = json.dumps(
    [
        {"Labels": {containers.LABEL: name}, "Id": name, "Image": "image:1", "Pid": pid, "State": state}
        for name, pid, state in [("client2", 0, "created"), ("manager", 2**22 + 1, "running"), ("client", 7, "exited")]
    ]
)


def test_machines_come_in_their_own_order() -> None:
    assert list(containers.parse(PODMAN_PS)) == ["manager", "client", "client2"]
    assert containers.parse("") == {}


def test_a_machine_whose_process_is_gone_is_lost_whatever_podman_says() -> None:
    found = containers.parse(PODMAN_PS)
    assert [machine.lost for machine in found.values()] == [True, False, False]
    assert not any(machine.runs for machine in found.values())


def test_a_process_id_that_is_another_machines_by_now_is_no_sign_of_life(tmp_path: Path) -> None:
    """As it was: a lab whose processes were ended, its second machine's id taken by one of the first's."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text("8:pids:/libpod_parent/libpod-c0ffee/init.scope\n0::/machine/libpod-c0ffee\n")
    assert cgroups.holds("c0ffee", 7, tmp_path)
    assert not cgroups.holds("decaf", 7, tmp_path)
    assert not cgroups.holds("c0ffee", 8, tmp_path)


def test_an_unknown_machine_is_named_with_those_there_are() -> None:
    with pytest.raises(settings.LabError, match=r"no machine nix\. There are: manager, client, client2"):
        whole.known(containers.parse(PODMAN_PS), "nix")


def test_services_are_known_by_their_command_lines_alone() -> None:
    registry, *_, http = services.services()
    assert services.is_ours(["/another/checkouts/docker-registry", *registry.argv[1:]])
    assert services.is_ours(http.argv)
    assert services.is_ours(["/usr/bin/python3.11", "-I", "-m", "http.server", "--directory", str(services.WWW)])
    assert not services.is_ours(["grep", "-r", "kubelet", str(services.WWW)])
    assert not services.is_ours([])
    assert not services.is_ours(["vim", str(services.REGISTRY.config)])
    assert services.pid_of(http, {7: list(http.argv), 8: ["sh"]}) == 7
    assert services.pid_of(registry, {7: list(http.argv)}) is None


def test_a_registry_of_somebody_elses_at_the_labs_port_is_not_taken_for_the_labs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 0.0.0.0:5000, say: the lab's own ended at once, theirs answered, and no image was to be had."""
    (tmp_path / "v2").mkdir()
    monkeypatch.setattr(services, "LOGS", tmp_path)
    monkeypatch.setattr(services, "PATIENCE", 0.3)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(serve.Handler, directory=str(tmp_path))) as theirs:
        threading.Thread(target=theirs.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{theirs.server_port}"
        ours = services.Service("registry", ["sleep", "5"], address, "v2/")
        with pytest.raises(settings.LabError, match=f"{address} is taken.*ss -Hltnp sport = :{theirs.server_port}"):
            services.start(ours)
        theirs.shutdown()


def test_what_is_not_served_is_answered_with_the_command_that_builds_it(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("built")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(serve.Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        there, missing = (requests.get(f"{url}/{name}", timeout=5) for name in ("there", "components.yaml"))
        server.shutdown()
    assert there.text == "built"
    assert missing.status_code == 404
    assert "built by inv lab.up --everything, another Kubernetes by inv lab.up --kubernetes" in missing.reason


def test_no_manifest_of_an_addon_is_served_before_its_images_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster would wait for them until it gives up."""
    made: list[str] = []
    monkeypatch.setattr(manifests, "put", lambda job, address, content, sha256: made.append(address))
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"")
    manifests.PART.make(Job(tmp_path, tmp_path / "log"))
    assert made == list(manifests.MANIFESTS)
    assert list(tmp_path.iterdir()) == []


def test_what_is_served_is_replaced_without_a_gap(tmp_path: Path) -> None:
    for target in ("one", "two"):
        services.point(tmp_path / "www/pkgs", tmp_path / target)
    assert (tmp_path / "www/pkgs").readlink() == tmp_path / "two"
    assert [path.name for path in (tmp_path / "www").iterdir()] == ["pkgs"]


def test_ssh_trusts_what_the_lab_wrote_down_and_nothing_else() -> None:
    words = ways_in.ssh("client", "true")
    assert words[-2:] == ["root@10.250.0.11", "true"]
    assert "StrictHostKeyChecking=yes" in words


def test_capabilities_are_read_from_the_kernel() -> None:
    status = "Name:\tx\nCapEff:\t000001fffeffffff\n"
    assert requirements.has_capability(status, requirements.CAPABILITIES["CAP_SYS_ADMIN"])
    assert not requirements.has_capability(status, 24)


def test_all_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "CHECKS", (lambda: "root", lambda: None, lambda: "podman"))
    assert requirements.missing([]) == ["root", "podman"]


def test_only_what_is_to_be_made_wants_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab from the internet is made where there is no room to build one."""
    monkeypatch.setattr(requirements, "CHECKS", ())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5e9))
    assert requirements.missing([distribution.MACHINE]) == []
    assert "GB of free space" in "".join(requirements.missing(stacks.BASIC))


SWAPS = "Filename Type Size\n/dev/zram0 partition 9 0 100\n/my\\040swap.img file 9 0 -2\n"


def test_swaps_are_those_of_the_kernels_table() -> None:
    assert computer.swaps(SWAPS) == {"/dev/zram0": 100, "/my swap.img": -2}
    assert computer.swaps("Filename Type Size\n") == {}


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer's /proc, with the lab's own note of it beside."""
    proc = tmp_path / "proc"
    sysctls = dict.fromkeys((*computer.WANTED, *computer.KUBELETS), "0") | {
        "kernel/core_pattern": "|/usr/share/apport/apport -p%p",
        "kernel/pid_max": "32768",
    }
    for name, is_set in sysctls.items():
        (proc / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / "sys" / name).write_text(f"{is_set}\n")
    (proc / "swaps").write_text(SWAPS)
    monkeypatch.setattr(computer, "PROC", proc / "sys")
    monkeypatch.setattr(computer, "SWAPS", proc / "swaps")
    monkeypatch.setattr(computer, "BEFORE", tmp_path / "lab/before.json")
    return proc


def swapped_on(monkeypatch: pytest.MonkeyPatch, says: str = "") -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []

    def attempt(*words: str) -> SimpleNamespace:
        asked.append(words)
        return SimpleNamespace(returncode=1 if says else 0, stderr=says)

    monkeypatch.setattr(computer, "attempt", attempt)
    return asked


def test_what_machines_change_of_the_computer_is_put_back(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that boots applies Debian's own sysctl.d, to the one kernel that there is."""
    computer.prepare()
    (kernel / "sys/kernel/core_pattern").write_text("core\n")
    (kernel / "sys/kernel/pid_max").write_text("4194304\n")
    (kernel / "swaps").write_text("Filename Type Size\n")
    asked = swapped_on(monkeypatch)
    assert computer.restore() == []
    assert (kernel / "sys/kernel/core_pattern").read_text().strip() == "|/usr/share/apport/apport -p%p"
    assert (kernel / "sys/kernel/pid_max").read_text().strip() == "32768"
    assert (kernel / "sys/net/ipv4/ip_forward").read_text().strip() == "0"
    assert asked == [("swapon", "--priority", "100", "/dev/zram0"), ("swapon", "/my swap.img")]


def test_swap_that_does_not_come_back_is_told(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.prepare()
    (kernel / "swaps").write_text("Filename Type Size\n/dev/zram0 partition 9 0 100\n")
    swapped_on(monkeypatch, "swapon: cannot open /my swap.img: No such file or directory\n")
    told = (
        "swap that was on before the first machine is off: swapon: cannot open /my swap.img: No such file or directory"
    )
    assert computer.restore() == [told]


def test_a_note_of_the_computer_is_whole_or_not_there(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when it is written left it empty, and every lab.down after that ended with a traceback."""

    def full(self: Path, text: str) -> None:
        self.open("w").close()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        patched.setattr("os.fsync", lambda number: full(kernel / "nothing", ""))
        with pytest.raises(OSError, match="No space left"):
            computer.remember()
    assert computer.restore() == []
    computer.remember()
    assert computer.BEFORE.exists()


def test_what_was_before_a_reboot_of_the_computer_is_not_put_back(
    kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No machine has changed this kernel: swap that has gone for good, or forwarding that Docker wants, is its own."""
    (kernel / "boot").write_text("one\n")
    monkeypatch.setattr(computer, "BOOT_ID", kernel / "boot")
    computer.prepare()
    (kernel / "boot").write_text("two\n")
    (kernel / "swaps").write_text("Filename Type Size\n")
    asked = swapped_on(monkeypatch)
    assert computer.restore() == []
    assert asked == []
    assert (kernel / "sys/net/ipv4/ip_forward").read_text() == "1"
    computer.prepare()
    assert json.loads(computer.BEFORE.read_text())["sysctls"]["net/ipv4/ip_forward"] == "1"
    assert json.loads(computer.BEFORE.read_text())["swaps"] == {}


def test_what_an_older_lab_wrote_down_is_put_back_too(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.BEFORE.parent.mkdir()
    computer.BEFORE.write_text('{"sysctls": {"kernel/panic": 7}, "swaps": ["/dev/vda2"]}')
    asked = swapped_on(monkeypatch)
    assert computer.restore() == []
    assert (kernel / "sys/kernel/panic").read_text().strip() == "7"
    assert asked == [("swapon", "/dev/vda2")]


def test_control_groups_are_removed_from_the_bottom(tmp_path: Path) -> None:
    (tmp_path / "machine/kubepods.slice/pod").mkdir(parents=True)
    cgroups.remove(tmp_path / "machine")
    cgroups.remove(tmp_path / "never there")
    assert list(tmp_path.iterdir()) == []


def test_a_group_in_use_stays(tmp_path: Path) -> None:
    (tmp_path / "machine/empty").mkdir(parents=True)
    (tmp_path / "machine/in-use").write_text("")
    cgroups.remove(tmp_path / "machine")
    assert [path.name for path in (tmp_path / "machine").iterdir()] == ["in-use"]


def test_podman_is_told_nothing_while_any_container_lives() -> None:
    assert powercut.any_monitor([["sh"], ["/usr/bin/conmon", "--api-version"], []])
    assert not powercut.any_monitor([["vim", "conmon"], []])


def test_only_rules_of_the_lab_are_deleted() -> None:
    saved = (
        '-A POSTROUTING -s 10.250.0.10/32 -m comment --comment "name: \\"kubefab-lab\\" id: \\"1\\"" -j CNI-0',
        "-A CNI-FORWARD -s 10.250.0.10/32 -j ACCEPT",
        "-A POSTROUTING -s 10.25.0.0/16 -j MASQUERADE",
    )
    assert [network.is_ours(rule) for rule in saved] == [True, True, False]


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -s 10.250.0.0/16 -j ACCEPT",
        "-A INPUT -s 110.250.0.7/32 -j DROP",
        "-A ufw-user-input -s 10.250.0.0/24 -j ACCEPT",
        "-A INPUT -s 10.250.0.0/24 -p tcp -m tcp --dport 5000 -j ACCEPT",
        '-A INPUT -i cni-podman1 -m comment --comment "kubefab-lab may ask us" -j ACCEPT',
        "-A CNI-FORWARD -s 10.250.0.0/16 -j ACCEPT",
        "-A CNI-ADMIN -s 10.250.0.10/32 -j DROP",
    ],
)
def test_no_rule_is_deleted_that_a_person_has_made(rule: str) -> None:
    """For a network of theirs that begins as the lab's does, or to let the lab's machines in."""
    assert not network.is_ours(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "-A POSTROUTING -s 10.250.0.0/24 -j NETAVARK-1D8721804F16F",
        "-A NETAVARK-1D8721804F16F -d 10.250.0.0/24 -j ACCEPT",
        "-A NETAVARK_FORWARD -d 10.250.0.0/24 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        *(f"-A {' '.join(words[2:])}" for words in network.exits(settings.address("vm1"))),
    ],
)
def test_what_podman_and_the_lab_have_made_for_its_machines_is_deleted(rule: str) -> None:
    assert network.is_ours(rule)


def test_one_command_at_a_time_and_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "NAME", f"{lock.NAME}-{os.getpid()}")
    said: list[str] = []
    inside = threading.Event()

    def second() -> None:
        with lock.held(said.append):
            inside.set()

    with lock.held(said.append):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not inside.wait(0.2)
    waiting.join(5)
    assert inside.is_set()
    assert said == [f"waiting for another lab command, process {os.getpid()}"]


# What runs in the machines

WRAPPER = distribution.IMAGE / "machine/usr/local/lib/kubefab-lab/runc"


def test_the_wrapper_asks_runc_for_nothing_that_needs_sys_resource(tmp_path: Path) -> None:
    capabilities = ["CAP_SYS_RESOURCE", "CAP_KILL", "CAP_SYS_RESOURCE"]
    asked = {"oomScoreAdj": -997, "process": {"bounding": capabilities, "effective": ["CAP_SYS_RESOURCE"]}}
    spec = tmp_path / "config.json"
    spec.write_text(json.dumps(asked, separators=(",", ":")))
    # What becomes of the call itself does not matter: no container has that name.
    subprocess.run(["sh", WRAPPER, "state", "--bundle", tmp_path, "none"], capture_output=True)
    expected = {"oomScoreAdj": 0, "process": {"bounding": ["CAP_KILL"], "effective": []}}
    assert json.loads(spec.read_text()) == expected


def test_the_wrapper_leaves_positive_scores(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"oomScoreAdj":999}')
    subprocess.run(["sh", WRAPPER, "state", "--bundle", tmp_path, "none"], capture_output=True)
    assert (tmp_path / "config.json").read_text() == '{"oomScoreAdj":999}'


# The environment of who calls


def seen_by_the_lab(asked: str, env: dict[str, str]) -> str:
    """What a Python prints that has imported the lab."""
    words = [sys.executable, "-c", f"import lab, os, shutil, requests; print({asked})"]
    done = subprocess.run(words, cwd=settings.HERE.parent, env=env, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_programs_are_found_where_the_path_of_who_became_root_does_not_lead() -> None:
    assert seen_by_the_lab("shutil.which('losetup')", {"PATH": "/usr/bin:/bin"}) == "/usr/sbin/losetup"


PROXIES = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "url", ["http://10.250.0.1:5000/v2/", "https://10.250.0.10:6443/", "http://10.250.0.11:30080/"]
)
def test_the_labs_own_network_is_asked_by_no_proxy(url: str) -> None:
    assert seen_by_the_lab(f"requests.utils.get_environ_proxies({url!r})", PROXIES) == "{}"


def test_whom_else_the_computer_asks_by_a_proxy_stays_as_it_is() -> None:
    for name in ("no_proxy", "NO_PROXY"):
        env = PROXIES | {name: "example.org"}
        assert seen_by_the_lab("requests.utils.get_environ_proxies('http://example.org/')", env) == "{}"
        assert "127.0.0.1:9" in seen_by_the_lab("requests.utils.get_environ_proxies('http://example.com/')", env)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"no_proxy": "*"}, "['*', '*']"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "['a,10.250.0.0/24', 'b,10.250.0.0/24']"),
        ({"NO_PROXY": "b,10.250.0.0/24"}, "['b,10.250.0.0/24', 'b,10.250.0.0/24']"),
    ],
)
def test_what_a_proxy_is_not_for_is_said_once_and_nothing_of_it_is_lost(theirs: dict[str, str], ours: str) -> None:
    assert seen_by_the_lab("[os.environ.get(name) for name in ('no_proxy', 'NO_PROXY')]", theirs) == ours
