"""Apt repositories like pkgs.k8s.io's, and like the one before it: the same layout, the same packages, signed."""

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from lab.components import PARTS
from lab.distribution import architecture
from lab.parts import Job, Part, laid_out
from lab.settings import CRI_DOCKERD, HERE, KUBERNETES
from lab.shell import run

KEYS = HERE / "keys"
FILES = HERE / "debs"


@dataclass(frozen=True)
class Package:
    """A .deb: its binaries by the component that makes them, and its files below debs/NAME/."""

    name: str
    version: str
    binaries: Sequence[Path] = ()
    into: str = "usr/bin"
    depends: str = ""
    about: str = "Built by kubefab's lab from Go modules"
    conffiles: Sequence[str] = field(default=())
    without: Sequence[str] = ()  # names below debs/NAME/ that this version did not have


KUBELET_NEEDS = "iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux"


def packages(version: str, binaries: Path, without: Sequence[str] = ()) -> list[Package]:
    plugins = sorted(PARTS["cni"].place.iterdir())
    real = f"{version}-1.1"
    return [
        Package("kubeadm", real, [binaries / "kubeadm"]),
        Package("kubectl", real, [binaries / "kubectl"]),
        Package(
            "kubelet",
            real,
            [binaries / "kubelet"],
            depends=KUBELET_NEEDS,
            conffiles=["/etc/default/kubelet"],
            without=without,
        ),
        Package("kubernetes-cni", "1.9.1-1.1", plugins, into="opt/cni/bin"),
        *(
            Package(name, bait(version), about="Empty: proves that a pin holds")
            for name in ("kubeadm", "kubectl", "kubelet")
        ),
    ]


def minor(version: str) -> str:
    return version.rpartition(".")[0]


def bait(version: str) -> str:
    """A newer version that has nothing in it: whoever installs it did not pin."""
    return f"{minor(version)}.99-1.1"


def repository(version: str) -> str:
    return f"core:/stable:/v{minor(version)}/deb"


def control(package: Package, arch: str) -> str:
    """The control file, as dpkg wants it."""
    lines = [
        f"Package: {package.name}",
        f"Version: {package.version}",
        f"Architecture: {arch}",
        "Maintainer: kubefab's lab <lab@kubefab.invalid>",
        "Section: admin",
        "Priority: optional",
        *([f"Depends: {package.depends}"] if package.depends else []),
        f"Description: {package.about}",
    ]
    return "\n".join(lines) + "\n"


def lay_out(package: Package, root: Path, arch: str) -> None:
    """The tree that dpkg-deb packs."""
    if package.binaries:
        laid_out(FILES / package.name, root, package.without)
    (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (root / "DEBIAN/control").write_text(control(package, arch))
    if package.conffiles:
        (root / "DEBIAN/conffiles").write_text("\n".join(package.conffiles) + "\n")
    (root / package.into).mkdir(parents=True, exist_ok=True)
    for source in package.binaries:
        shutil.copy(source, root / package.into)


def build(job: Job, package: Package, folder: Path) -> None:
    arch = architecture()
    file = folder / arch / f"{package.name}_{package.version}_{arch}.deb"
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=job.out) as root:
        lay_out(package, Path(root), arch)
        # The packages travel over a bridge: unpacking is what would take time.
        Path(root).chmod(0o755)
        job.run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", root, file)


def index(folder: Path) -> str:
    """The Packages file."""
    entries = []
    for path in sorted(folder.rglob("*.deb")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        where = f"Filename: {path.relative_to(folder)}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"
        entries.append(run("dpkg-deb", "--field", path) + "\n" + where)
    return "\n".join(entries)


def release(suite: Path, lists: Path, about: Sequence[str]) -> str:
    """The Release file of a suite whose lists lie in or below it."""
    lines = [*about, f"Date: {formatdate(usegmt=True)}", "Description: kubefab's lab", "SHA256:"]
    for path in (lists / "Packages", lists / "Packages.gz"):
        content = path.read_bytes()
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {path.relative_to(suite)}")
    return "\n".join(lines) + "\n"


def sign(job: Job, folder: Path) -> None:
    """In a keyring of its own, which is gone afterwards."""
    # gpg-agent's socket path must be short, so not below job.out.
    with tempfile.TemporaryDirectory(prefix="kubefab-") as home:
        gpg = (
            "gpg",
            "--homedir",
            home,
            "--batch",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        )
        job.run(*gpg, "--import", KEYS / "not-a-secret.asc")
        job.run(*gpg, "--armor", "--detach-sign", "-o", folder / "Release.gpg", folder / "Release")
        job.run(*gpg, "--clearsign", "-o", folder / "InRelease", folder / "Release")
        env = {**os.environ, "GNUPGHOME": home}
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=False)


def archive(job: Job) -> None:
    """As its release has it: one folder with the binary in it."""
    file = job.out / cri_dockerd()
    file.parent.mkdir()
    folder = PARTS["cri-dockerd"].place
    job.run("tar", "-czf", file, "-C", folder, "--transform=s,^,cri-dockerd/,", "cri-dockerd")


def cri_dockerd() -> str:
    """The archive's place below its releases."""
    return f"v{CRI_DOCKERD}/cri-dockerd-{CRI_DOCKERD}.{architecture()}.tgz"


def make(job: Job) -> None:
    make_repository(job, KUBERNETES, PARTS["kubernetes"].place)


def make_repository(job: Job, version: str, binaries: Path) -> None:
    """As pkgs.k8s.io has it: flat, and like there its Release names no suite and no codename."""
    folder = job.out / repository(version)
    build_all(job, folder, version, binaries)
    label = f"isv:kubernetes:core:stable:v{minor(version)}"
    about = [f"Origin: obs://build.opensuse.org/{label}/deb", f"Label: {label}", f"Architectures: {architecture()}"]
    publish(job, folder, folder, folder, about)
    shutil.copy(KEYS / "Release.key", folder)


def make_old_repository(job: Job, version: str, binaries: Path, without: Sequence[str] = ()) -> None:
    """As apt.kubernetes.io had it, and its mirrors have: one suite for all, with a component, its key beside it."""
    folder = job.out / "apt"
    build_all(job, folder / "pool", version, binaries, without)
    suite = folder / "dists/kubernetes-xenial"
    names = ["Origin: kubernetes", "Suite: kubernetes-xenial", "Codename: kubernetes-xenial", "Components: main"]
    lists = suite / f"main/binary-{architecture()}"
    publish(job, folder, suite, lists, [*names, f"Architectures: {architecture()}"])
    (folder / "doc").mkdir()
    shutil.copy(KEYS / "Release.key", folder / "doc/apt-key.gpg")


def build_all(job: Job, folder: Path, version: str, binaries: Path, without: Sequence[str] = ()) -> None:
    for package in packages(version, binaries, without):
        build(job, package, folder)


def publish(job: Job, folder: Path, suite: Path, lists: Path, about: Sequence[str]) -> None:
    """The signed lists of all packages in a folder."""
    text = index(folder).encode()
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "Packages").write_bytes(text)
    (lists / "Packages.gz").write_bytes(gzip.compress(text, mtime=0))
    (suite / "Release").write_text(release(suite, lists, about))
    sign(job, suite)


PART = Part(
    "packages",
    f"the package repository, Kubernetes {minor(KUBERNETES)}",
    (KEYS, FILES, Path(__file__)),
    make,
    seconds=10,
    needs=(PARTS["kubernetes"], PARTS["cni"]),
)
CRI_DOCKERD_PART = Part(
    "cri-dockerd-archive", f"cri-dockerd {CRI_DOCKERD} as its release has it", (), archive, 1, (PARTS["cri-dockerd"],)
)
