"""What is built from Go modules. A component is one directory below go/ and one entry here."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lab import toolchain
from lab.parts import MODULES, Job, Part
from lab.settings import CACHE, CRI_DOCKERD, FLANNEL, HERE, KUBERNETES, LOCAL_PATH, METRICS_SERVER, ROOK, LabError


@dataclass(frozen=True)
class Component:
    """Pinned by its go.mod and go.sum: every byte of the sources is known before it is fetched."""

    name: str
    version: str
    seconds: int
    package: str = "tool"  # empty: nothing is built, only files of a module are kept
    ldflags: str = ""
    cgo: bool = False
    gigabytes: float = 1
    rename: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    """Files and folders of a module to keep: "module path//file" -> its name."""

    @property
    def recipe(self) -> str:
        """What the outcome depends on beside the sources."""
        return repr((self.package, self.ldflags, self.cgo, dict(self.rename), dict(self.sources)))

    @property
    def folder(self) -> Path:
        return HERE / "go" / self.name


def kubernetes_stamp(version: str) -> str:
    """What `kubectl version` tells; without it everything calls itself v0.0.0."""
    major, minor, _ = version.split(".")
    says = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in says.items())


def kubernetes(name: str, version: str) -> Component:
    return Component(name, version, seconds=320, ldflags=kubernetes_stamp(version), gigabytes=6)


def etcd(name: str, version: str) -> Component:
    return Component(name, version, seconds=25, rename={"server": "etcd"})


def coredns(name: str, version: str) -> Component:
    return Component(name, version, seconds=85, gigabytes=2)


FLANNEL_MODULE = "github.com/flannel-io/flannel"
LOCAL_PATH_MODULE = "github.com/rancher/local-path-provisioner"
ROOK_EXAMPLES = "github.com/rook/rook//deploy/examples"
ROOK_FILES = ("crds", "common", "csi-operator", "operator", "cluster", "cluster-test")
METRICS_SERVER_MODULE = "sigs.k8s.io/metrics-server"


def flannel(name: str, version: str) -> Component:
    return Component(
        name,
        version,
        seconds=80,
        cgo=True,
        ldflags=f'-X {FLANNEL_MODULE}/pkg/version.Version=v{version} -extldflags "-static"',
        rename={"flannel": "flanneld", "install_conf": "install-conf"},
        sources={f"{FLANNEL_MODULE}//Documentation/kube-flannel.yml": "kube-flannel.yml"},
    )


COMPONENTS = [
    kubernetes("kubernetes", KUBERNETES),
    etcd("etcd", "3.7.0"),
    coredns("coredns", "1.14.6"),
    flannel("flannel", FLANNEL),
    Component("flannel-cni", "0.9.1", seconds=5),
    Component("cni", "1.9.1", seconds=10),
    Component(
        "cri-dockerd",
        CRI_DOCKERD,
        seconds=100,
        ldflags=f"-X github.com/Mirantis/cri-dockerd/cmd/version.Version={CRI_DOCKERD}",
        gigabytes=2,
    ),
    Component("pause", "of the lab's own", seconds=5, package="."),
    Component("stand-in", "of the lab's own", seconds=10, package="."),
    Component(
        "metrics-server",
        METRICS_SERVER,
        seconds=120,
        ldflags=f"-X {METRICS_SERVER_MODULE}/pkg/version.gitVersion=v{METRICS_SERVER}",
        gigabytes=2,
        sources={f"{METRICS_SERVER_MODULE}//manifests": "manifests"},
    ),
    Component(
        "local-path",
        LOCAL_PATH,
        seconds=60,
        ldflags=f"-X main.VERSION=v{LOCAL_PATH}",
        sources={f"{LOCAL_PATH_MODULE}//deploy/local-path-storage.yaml": "local-path-storage.yaml"},
    ),
    Component(
        "rook",
        ROOK,
        seconds=10,
        package="",
        sources={f"{ROOK_EXAMPLES}/{name}.yaml": f"{name}.yaml" for name in ROOK_FILES},
    ),
]


def settings() -> dict[str, str]:
    """What decides what is built, and how fast; how modules are reached is for the computer's own settings to say.

    A compiler that collects its garbage less often has a tenth less to do, and wants a third more memory.
    """
    return {
        "GOROOT": str(toolchain.root()),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-modcacherw",
        "GOGC": "400",
        "GOMEMLIMIT": "1GiB",
        "GOCACHE": str(CACHE / "go/build"),
        "GOMODCACHE": str(MODULES),
    }


def go() -> Path:
    return toolchain.root() / "bin/go"


def build(component: Component, job: Job) -> None:
    """Go checks every module against go.sum, and keeps what is compiled if this is broken off."""
    # The linker would drop what debuggers want (-s -w): not made at all, it saves a sixth of the compiler's work.
    slim = ("-gcflags=all=-dwarf=false", f"-ldflags=-s -w {component.ldflags}")
    flags = ("-mod=readonly", "-trimpath", "-buildvcs=false", *slim)
    env = {**settings(), "CGO_ENABLED": str(int(component.cgo))}
    fetched = ("mod", "download")
    built = ("build", *flags, "-o", f"{job.out}/", component.package)
    job.run(go(), *(built if component.package else fetched), cwd=component.folder, **env)
    keep(component, job)


def keep(component: Component, job: Job) -> None:
    """Each file that is wanted of a component, under its name."""
    for name, wanted in component.rename.items():
        (job.out / name).rename(job.out / wanted)
    for source, name in component.sources.items():
        found = source_file(component, source)
        (shutil.copytree if found.is_dir() else shutil.copy)(found, job.out / name)


def source_file(component: Component, source: str) -> Path:
    module, _, file = source.partition("//")
    command = [str(go()), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]
    done = subprocess.run(
        command,
        cwd=component.folder,
        env={**os.environ, **settings()},
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"{module} is not where Go keeps its modules: {done.stderr}")
    return Path(done.stdout.strip()) / file


def part(component: Component) -> Part:
    return Part(
        name=component.name,
        about=f"{component.name.removesuffix(f'-{component.version}')} {component.version} from Go modules",
        pins=(component.folder, component.recipe),
        make=partial(build, component),
        seconds=component.seconds,
        tools=(toolchain.PART,),
        compiles=True,
        gigabytes=component.gigabytes,
    )


PARTS = {component.name: part(component) for component in COMPONENTS}


def forget_sources() -> None:
    """Once all binaries that are wanted are kept, the gigabytes they were made from are of no more use."""
    shutil.rmtree(CACHE / "go", ignore_errors=True)
