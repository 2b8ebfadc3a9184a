"""Debian: root file systems made from the computer's own package sources."""

import re
import shlex
import shutil
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from lab.parts import Job, Part, laid_out
from lab.settings import HERE, SUITE
from lab.shell import attempt, run

APT = Path("/etc/apt")
# What the computer had to tell its apt to reach the packages, its machines have to tell theirs.
APT_OPTIONS = (
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)
IMAGE = HERE / "image"
MACHINE_PACKAGES = [
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "iproute2", "iptables"),
    *("kmod", "procps", "ca-certificates", "ethtool", "socat", "conntrack", "curl", "gpg"),
]
BASE_PACKAGES = [
    *("iptables", "conntrack", "ipset", "iproute2", "kmod"),
    *("busybox-static", "curl", "ca-certificates", "netcat-openbsd"),
]
# Where copies of what machines get lie until their file system is made.
SYNCED = "synced"
NO_DOCUMENTATION = ("doc", "man", "locale", "info")


def codename(os_release: str) -> str:
    found = re.search(r'^VERSION_CODENAME="?(\w+)', os_release, re.M)
    return found[1] if found else ""


def is_debian(os_release: str) -> bool:
    return bool(re.search(r'^ID="?debian"?$', os_release, re.M))


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The stanzas of a deb822 file: name -> value."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for block in re.split(r"\n\s*\n", lines):
        fields = dict(re.findall(r"^(\S+):[ \t]*((?:.*)(?:\n[ \t].*)*)", block, re.M))
        if fields:
            yield fields


def one_liners(text: str) -> Iterator[dict[str, str]]:
    """The lines of a classic sources.list, as deb822 fields."""
    for line in text.splitlines():
        found = re.match(r"deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+(\S.*)", line)
        if found:
            signed = re.search(r"signed-by=(\S+)", found[1] or "")
            fields = {"Types": "deb", "URIs": found[2], "Suites": found[3], "Components": found[4]}
            yield {**fields, "Signed-By": signed[1]} if signed else fields


def translated(
    fields: dict[str, str], here: str, suite: str, types: str = "deb", others: Collection[str] = ()
) -> dict[str, str] | None:
    """The same source for another suite; None if it is not the distribution's own."""
    suites = fields.get("Suites", "").split()
    own = [one for one in suites if re.fullmatch(rf"{here}(-updates|-security)?", one)]
    uris = [uri for uri in fields.get("URIs", "").split() if uri.rstrip("/") not in others]
    if not own or not uris or "main" not in fields.get("Components", "").split():
        return None
    suites = [one.replace(here, suite, 1) for one in own]
    told = {"Types": types, "URIs": " ".join(map(mirror, uris)), "Suites": " ".join(suites), "Components": "main"}
    return {**fields, **told}


def mirror(uri: str) -> str:
    """Of a list of mirrors on this computer its first: no machine has the list. Debian's cloud images have such."""
    scheme, _, path = uri.partition(":")
    if scheme != "mirror+file":
        return uri
    lines = (line.split("\t")[0].strip() for line in Path(unquote(path)).read_text().splitlines())
    return next((line for line in lines if line and not line.startswith("#")), uri)


def others(targets: str) -> set[str]:
    """Whose packages are not Debian's though their suite has its name: Tailscale's, say. Their keys no machine has.

    Args:
        targets: the origin and the URI of each repository that apt has lists of; where none calls itself Debian, it is
            a mirror that calls itself otherwise.
    """
    known = [line.partition("\t")[::2] for line in targets.splitlines() if not line.startswith("$")]
    own = {uri for origin, uri in known if origin == "Debian"}
    return {uri.rstrip("/") for _, uri in known if own and uri not in own}


def sources(
    files: Sequence[Path], here: str, suite: str = SUITE, types: str = "deb", others: Collection[str] = ()
) -> str:
    """The computer's own sources as the machines' /etc/apt/sources.list.d/debian.sources; "" where it has none."""
    found = []
    for path in files:
        read = stanzas if path.suffix == ".sources" else one_liners
        each_here = (translated(each, here, suite, types, others) for each in read(path.read_text()))
        found += [fields for fields in each_here if fields]
    return "\n".join("".join(f"{name}: {value}\n" for name, value in each.items()) for each in found)


def computers_sources(suite: str, types: str) -> str:
    """Empty where the computer is no Debian, or names no suite of its own: mmdebstrap then knows where Debian is."""
    os_release = Path("/etc/os-release").read_text()
    if not is_debian(os_release):
        return ""
    folder = APT / "sources.list.d"
    files = [path for path in (APT / "sources.list", *sorted(folder.glob("*"))) if path.is_file()]
    listed = [path for path in files if path.suffix in (".list", ".sources")]
    vendors = others(attempt("apt-get", "indextargets", "--format", "$(ORIGIN)\t$(REPO_URI)").stdout)
    return sources(listed, codename(os_release), suite, types, vendors)


def apt_options() -> list[str]:
    """mmdebstrap keeps them in the file system it makes."""
    dump = attempt("apt-config", "dump", "--no-empty").stdout.splitlines()
    wanted = [line for line in dump if line.split(" ", 1)[0] in APT_OPTIONS]
    return [f"--aptopt={line}" for line in [*wanted, 'Acquire::Languages "none";']]


def debootstrap(job: Job, packages: Sequence[str], *options: str, suite: str = SUITE, types: str = "deb") -> None:
    listed = job.out / "debian.sources"
    listed.write_text(computers_sources(suite, types))
    words = [
        "mmdebstrap",
        "--mode=root",
        "--format=tar",
        *apt_options(),
        f"--include={','.join(packages)}",
        *options,
    ]
    job.run(*words, suite, job.out / "root.tar", *([listed] if listed.stat().st_size else []))
    listed.unlink()


def sync_in(job: Job, folder: Path, place: str) -> str:
    """The hook that brings a folder's content to this place; its modes become those of the folders that are there."""
    copy = job.out / SYNCED / folder.name
    laid_out(folder, copy)
    return f"sync-in {shlex.quote(str(copy))} {place}"


def make_machine(suite: str, job: Job) -> None:
    """As a fresh installation has them, the package lists are there."""
    hooks = [sync_in(job, IMAGE / "machine", "/"), str(IMAGE / "finish-machine.sh")]
    customized = [f"--customize-hook={hook}" for hook in hooks]
    debootstrap(job, MACHINE_PACKAGES, "--variant=apt", "--skip=cleanup/apt/lists", *customized, suite=suite)
    shutil.rmtree(job.out / SYNCED)


def make_base(job: Job) -> None:
    excludes = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in NO_DOCUMENTATION]
    debootstrap(job, BASE_PACKAGES, "--variant=essential", *excludes)


def make_registry(job: Job) -> None:
    """Unpacked, not installed: Debian's package would start a registry of its own, for everyone."""
    job.run("apt-get", "download", "-o", "APT::Sandbox::User=root", "docker-registry", cwd=job.out)
    package = next(job.out.glob("*.deb"))
    job.run("dpkg-deb", "-x", package, job.out / "root")
    shutil.move(job.out / "root/usr/bin/docker-registry", job.out)
    shutil.rmtree(job.out / "root")
    package.unlink()


def architecture() -> str:
    return run("dpkg", "--print-architecture")


def machine(name: str, suite: str) -> Part:
    return Part(
        name,
        f"the machines' image, Debian {suite}",
        (IMAGE, " ".join(MACHINE_PACKAGES), suite),
        partial(make_machine, suite),
        seconds=45,
        gigabytes=1.5,
    )


MACHINE = machine("machine", SUITE)
BASE = Part(
    "base",
    f"the base of container images, Debian {SUITE}",
    (" ".join(BASE_PACKAGES), SUITE),
    make_base,
    seconds=45,
)
REGISTRY = Part("registry", "Debian's docker-registry", (), make_registry, seconds=3)
