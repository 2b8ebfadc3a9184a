"""The container runtime, containerd or Docker Engine, with the kubelet's cgroup driver and hosts.yml's mirrors."""

from contextlib import suppress
from dataclasses import replace

from kubefab import etcd, mirrors, render, runtimes
from kubefab.cluster import Cluster
from kubefab.errors import HostError, NotAsked
from kubefab.facts import Facts, Packages
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.releases import known
from kubefab.step import MISSING, Gap, Step, Subject, files, packages, script, service, sha256
from kubefab.steps import bundle, docker, health, proxy, versions

CONTAINERD = ("containerd",)
CONTAINERD_CONFIG = "/etc/containerd/config.toml"
DOCKER = ("docker.io", "docker-cli?")  # newer distributions have its command line in a package of its own


def steps(cluster: Cluster, host: Host) -> list[Step]:
    inventory = cluster.inventory
    # Configured before the package, which starts the service: so it starts once, and as it should.
    installed = [
        _told_once(files("containerd is configured", render.containerd(inventory)), cluster, host),
        no_old_mirrors(inventory),
        packages("containerd is installed", CONTAINERD, no_containerd),
    ]
    if runtimes.by_docker(inventory):
        installed = [
            _told_once(docker.configured(cluster), cluster, host),
            packages("Docker Engine is installed", DOCKER, no_docker),
        ]
    if runtimes.through_cri_dockerd(inventory):
        installed += cri_dockerd(cluster)
    # The proxy, or the bundle, before anything is fetched.
    sources = [*proxy.steps(cluster, host), *bundle.steps(cluster, host)]
    loaded = bundle.images_loaded(cluster, host)
    return [*sources, *package_manager(), *installed, *running(cluster, host), *loaded]


def in_turn(cluster: Cluster, host: Host) -> list[Step]:
    """Of a master that waits for its turn."""
    return [bears(cluster), *steps(cluster, host), health.api_server()] if waits(cluster, host, steps) else []


def at_once(cluster: Cluster, host: Host) -> list[Step]:
    """Of all others."""
    return [] if waits(cluster, host, steps) else steps(cluster, host)


def bears(cluster: Cluster) -> Step:
    names = cluster.master_names
    return Step(
        "etcd can do without this master for a moment",
        lambda facts: etcd.missed(facts.name, {one: told for one, told in facts.everyone.items() if one in names}),
        None,
        hint="see which member does not answer: inv etcd.status",
        within=health.SECONDS,
        touches="masters",
        anew=True,
        parts=("etcd",),
    )


def waits(cluster: Cluster, host: Host, changes: Subject) -> bool:
    """Whether it is a master among several that serves by Docker, of whose Docker something is to change by these.

    All that runs in Docker ends with it: on all masters at once that would be the whole control plane. Where nothing
    of one serves, nothing is lost at once, and others may wait for it.
    """
    several = host.wanted.role == "master" and len(cluster.masters) > 1
    if not several or not runtimes.by_docker(cluster.inventory):
        return False
    facts = cluster.facts(host)
    with suppress(HostError):  # what is not known is told where it is changed
        runs = facts.services.unit("docker").active == "active"
        return runs and _may_serve(facts) and any(one.close and one.gap(facts) for one in changes(cluster, host))
    return False


def _may_serve(facts: Facts) -> bool:
    """Not so only where both have said that they do not: an etcd of which nothing is known may have a vote."""
    try:
        return facts.local.control_plane and (facts.api.readyz == "ok" or bool(facts.etcd.member))
    except NotAsked:
        return True


def no_old_mirrors(inventory: Inventory) -> Step:
    """What hosts.yml once said would still be asked, and nobody else."""
    wanted = mirrors.registries(inventory)

    def others(facts: Facts) -> str | None:
        return ", ".join(registry for registry in facts.runtime.mirrored if registry not in wanted) or None

    return Step("no registry has an outdated mirror", others, script("forget-mirrors.sh", *wanted), parts=("runtime",))


def _told_once(step: Step, cluster: Cluster, host: Host) -> Step:
    """With a word on what is believed without proof, on one host for all."""
    plain = mirrors.by_http(cluster.inventory) if host.name == cluster.speaker.name else []
    return replace(step, warning=_BY_HTTP.format(", ".join(plain)) if plain else "")


def bundled(inventory: Inventory) -> tuple[str, ...]:
    """What a host without internet needs of apt, as apt knows it."""
    return DOCKER if runtimes.by_docker(inventory) else CONTAINERD


def cri_dockerd(cluster: Cluster) -> list[Step]:
    """What the kubelet reaches Docker through since it cannot by itself. No distribution has it."""
    inventory = cluster.inventory
    version = runtimes.cri_dockerd_version(inventory)

    def install(host: Host) -> None:
        url, sha256 = runtimes.cri_dockerd_archive(inventory, cluster.facts(host).system.arch)
        host.change("install-cri-dockerd.sh", bundle.source(url, inventory), sha256)

    return [
        Step(
            f"cri-dockerd {version} is installed",
            lambda facts: None if facts.runtime.cri_dockerd == version else facts.runtime.cri_dockerd or MISSING,
            install,
            hint="`mirrors:` in hosts.yml can name another source, `cri_dockerd:` another version and its sha256",
            parts=("runtime",),
        ),
        files("cri-dockerd is configured", render.cri_dockerd(inventory)),
    ]


def for_another_version(cluster: Cluster, host: Host) -> list[Step]:
    """The sandbox image is that of hosts.yml's Kubernetes where the kubelet is of another; and what runs goes by it.

    A file that is not as kubefab has written it for that one is left to `up`.
    """
    inventory = cluster.inventory
    name, texts = _sandbox(inventory)
    configured = files(f"{name} has the sandbox image of {inventory.cluster.kubernetes}", texts)

    def gap(facts: Facts) -> str | None:
        found = str(versions.kubelet(facts))
        former = _sandbox(inventory.of_kubernetes(found))[1] if known(found) else {}
        others = {path: sha256(text) for path, text in former.items() if texts.get(path) != text}
        ours = all(facts.files.digests.get(path) == digest for path, digest in others.items())
        return configured.gap(facts) if others and ours else None

    return [replace(configured, gap=gap, parts=("files", "packages", "system")), *running(cluster, host)]


def _sandbox(inventory: Inventory) -> tuple[str, dict[str, str]]:
    """Who makes sandboxes, and the file that names their image; none where dockershim does."""
    if not runtimes.by_docker(inventory):
        return "containerd", {CONTAINERD_CONFIG: render.containerd(inventory)[CONTAINERD_CONFIG]}
    return "cri-dockerd", render.cri_dockerd(inventory) if runtimes.through_cri_dockerd(inventory) else {}


def running(cluster: Cluster, host: Host) -> list[Step]:
    inventory = cluster.inventory
    if runtimes.by_docker(inventory):
        runs = service("docker", reads=[render.DOCKER_CONFIG, render.PROXY])
        services = [replace(runs, warning=docker.warnings(cluster.all_facts().get(host.name), inventory))]
    else:
        # The registries' files are read anew at every pull.
        services = [service("containerd", reads=[CONTAINERD_CONFIG, render.PROXY])]
    if runtimes.through_cri_dockerd(inventory):
        services.append(service("cri-docker", reads=[render.CRI_DOCKERD_UNIT]))
    hint = f"see what it says: journalctl -u {services[-1].title.partition(' ')[0]}"
    return [
        *services,
        Step("the container runtime answers", silent_cri(inventory), None, hint, within=30, parts=("runtime",)),
    ]


def package_manager() -> list[Step]:
    """What every installation wants: nobody else at it, and nothing left half done."""
    return [
        Step(
            "apt is not locked",
            lambda facts: facts.packages.apt_lock or None,
            None,
            _LOCK_HINT,
            900,
            parts=("packages",),
        ),
        Step(
            "dpkg has no half-installed packages",
            lambda facts: ", ".join(facts.packages.dpkg_broken) or None,
            script("mend-dpkg.sh"),
            hint="see what it says: dpkg --audit; kubefab removes no package: apt-get --fix-broken install may",
            parts=("packages", "services"),
        ),
    ]


def no_containerd(found: Packages) -> str | None:
    """Debian's, or Docker's build of the same, whichever somebody chose."""
    there = any(found.deb(name).installed for name in ("containerd", "containerd.io"))
    return None if there else MISSING


def no_docker(found: Packages) -> str | None:
    return None if docker.there(found) else MISSING


def silent_cri(inventory: Inventory) -> Gap:
    """dockershim is a part of the kubelet: before there is one, it is Docker that has to answer."""

    def gap(facts: Facts) -> str | None:
        said = facts.runtime.docker if runtimes.by_docker(inventory) else facts.runtime.cri
        said = facts.runtime.docker_cri if runtimes.through_cri_dockerd(inventory) and said == "ok" else said
        return None if said == "ok" else said or MISSING

    return gap


_BY_HTTP = "images of {} come over plain http: anybody on the way can replace them (docs/hosts.md, `mirrors`)"
_LOCK_HINT = "wait for it to end, or stop it, then run the same command again"
