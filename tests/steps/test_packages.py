"""kubeadm, kubelet and kubectl, and the images on their way."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from kubefab import downloads, render
from kubefab.errors import HostError
from kubefab.facts import Facts, Package, Unit
from kubefab.releases import KEY
from kubefab.step import MISSING
from kubefab.steps import network, packages
from tests.facts import known
from tests.fakes import HOSTS, cluster, inventory, step, three_masters, world

HELD = {
    "kubelet": Package("hi", "1.37.2-1.1"),
    "kubeadm": Package("hi", "1.37.2-1.1"),
    "kubectl": Package("hi", "1.37.2-2.1"),
    "kubernetes-cni": Package("hi", "1.6.0-1.1"),
}
INSTALLED = "Kubernetes 1.37.2 is installed and held"
PROXY = "registry.k8s.io/kube-proxy:v1.37.2"
IMAGES = (PROXY, *network.images(inventory()))
PLUGINS = "the CNI plugins are installed"
ON_THEIR_WAY = "images are present or being pulled"
MIRRORED = f"{HOSTS}mirrors:\n  https://pkgs.k8s.io/: {{url: http://mirror/pkgs/, key: {'A' * 40}}}\n"


@pytest.mark.parametrize(
    ("facts", "title", "gap"),
    [
        (known(), "the repository key is installed", MISSING),
        (known(), "the repository and the version are pinned", MISSING),
        (
            known(digests={"/etc/apt/preferences.d/kubernetes": "0"}),
            "the repository and the version are pinned",
            "/etc/apt/preferences.d/kubernetes differs",
        ),
        (known(), INSTALLED, MISSING),
        (known(debs={"kubelet": Package("un"), "kubectl": Package("rc", "1.30.0-1")}), INSTALLED, MISSING),
        (known(debs=HELD), INSTALLED, None),
        (
            known(debs={**HELD, "kubelet": Package("hi", "1.37.1-1.1")}),
            INSTALLED,
            "kubelet 1.37.1-1.1",
        ),
        (known(debs={**HELD, "kubeadm": Package("un")}), INSTALLED, "kubeadm missing"),
        (known(debs={**HELD, "kubectl": Package("ii", "1.37.2-1.1")}), INSTALLED, "kubectl is not held"),
        (
            known(debs={**HELD, "kubelet": Package("ii", "1.37.20-1.1"), "kubernetes-cni": Package("ii", "1")}),
            INSTALLED,
            "kubelet 1.37.20-1.1, kubelet is not held, kubernetes-cni is not held",
        ),
        (known(), "the kubelet starts at boot", MISSING),
        (known(units={"kubelet": Unit(enabled="disabled")}), "the kubelet starts at boot", "disabled"),
        (known(units={"kubelet": Unit("activating", "enabled")}), "the kubelet starts at boot", None),
        (known(), "shell completion knows kubectl and kubeadm", MISSING),
        (known(), ON_THEIR_WAY, MISSING),
        (known(images=IMAGES), ON_THEIR_WAY, None),
        (known(images=IMAGES[1:]), ON_THEIR_WAY, f"without {PROXY}"),
        (
            known(units={"kubefab-images": Unit("activating")}),
            ON_THEIR_WAY,
            None,
        ),
        (
            known(units={"kubefab-images": Unit("failed")}, images=IMAGES[1:]),
            ON_THEIR_WAY,
            f"without {PROXY}: fetching them failed",
        ),
        # A node's kubelet fetches what it lacks: where it cannot, that is no change that each run makes anew.
        (known(units={"kubefab-images": Unit("failed")}, kubelet_ca="ca"), ON_THEIR_WAY, None),
        (known(), PLUGINS, None),
        (known(debs=HELD), PLUGINS, "without bridge, host-local, loopback, portmap"),
        (known(debs=HELD, plugins=("bridge", "dhcp", "host-local", "loopback")), PLUGINS, "without portmap"),
        (known(debs=HELD, plugins=packages.PLUGINS), PLUGINS, None),
    ],
)
def test_what_is_missing_is_named(facts: Facts, title: str, gap: str | None) -> None:
    made = cluster()
    assert step(packages.steps(made, made.hosts["client"]), title).gap(facts) == gap


KEYS = Path(__file__).parents[2] / "lab" / "keys"
SIGNER = (KEYS / "fingerprint").read_text().strip()
KEY_OF_SIGNER = downloads.dearmored((KEYS / "Release.key").read_bytes())
KEY_OF_OTHERS = b"\x98\x06\x04abcde"


@pytest.mark.parametrize(
    ("keyring", "told"),
    [
        (KEY_OF_SIGNER, None),
        (b"", "no key"),
        (b"nonsense", "no key"),
        (KEY_OF_OTHERS, downloads.fingerprints(KEY_OF_OTHERS)[0]),
        (KEY_OF_SIGNER + KEY_OF_OTHERS, f"{SIGNER}, {downloads.fingerprints(KEY_OF_OTHERS)[0]}"),
    ],
)
def test_the_repositorys_key_is_known_by_its_fingerprint_and_no_other_is_beside_it(
    keyring: bytes, told: str | None
) -> None:
    made = cluster(MIRRORED.replace("A" * 40, SIGNER))
    found = known(digests={render.KEYRING: "0"}, contents={render.KEYRING: b64encode(keyring).decode()})
    gap = step(packages.steps(made, made.founder), "the repository key is installed").gap(found)
    assert gap == (f"{render.KEYRING} holds {told}" if told else None)


def test_the_key_is_there_before_the_source_that_names_it() -> None:
    made = cluster()
    titles = [one.title for one in packages.steps(made, made.founder)]
    assert titles.index("the repository key is installed") < titles.index("the repository and the version are pinned")


def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []

    def key(url: str, fingerprint: str) -> bytes:
        asked.append((url, fingerprint))
        return b"keyring"

    monkeypatch.setattr(downloads, "key", key)
    return asked


@pytest.mark.parametrize(
    ("hosts", "url", "fingerprint"),
    [
        (HOSTS, "https://pkgs.k8s.io/core:/stable:/v1.37/deb/Release.key", KEY),
        (MIRRORED, "http://mirror/pkgs/core:/stable:/v1.37/deb/Release.key", "A" * 40),
        (
            f"{MIRRORED}  https://pkgs.k8s.io/core:/stable:/: {{url: http://near/, key: {'B' * 40}}}\n",
            "http://near/v1.37/deb/Release.key",
            "B" * 40,
        ),
        (
            f"{MIRRORED}  https://pkgs.k8s.io/core:/: http://copy/\n",  # signed by its origin
            "http://copy/stable:/v1.37/deb/Release.key",
            KEY,
        ),
    ],
)
def test_the_key_is_that_of_whoever_is_asked(
    monkeypatch: pytest.MonkeyPatch, hosts: str, url: str, fingerprint: str
) -> None:
    asked, made = fetched(monkeypatch), cluster(hosts)
    packages.put_key(made.inventory)(made.founder)
    assert asked == [(url, fingerprint)]
    assert world(made, "manager").payloads["put-files.sh"] == f"0644 {render.KEYRING} a2V5cmluZw==\n"


def test_the_key_is_fetched_with_every_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, made = fetched(monkeypatch), cluster()
    close = step(packages.steps(made, made.founder), INSTALLED).close
    assert close
    close(made.founder)
    assert len(asked) == 1
    assert world(made, "manager").ran == ["put-files.sh", "install-kubernetes.sh 1.37.2"]


def test_a_key_that_is_not_to_be_had_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, fingerprint: str) -> bytes:
        raise HostError("no")

    monkeypatch.setattr(downloads, "key", fail)
    made = cluster()
    close: Any = step(packages.steps(made, made.founder), INSTALLED).close
    with pytest.raises(HostError):
        close(made.founder)
    assert world(made, "manager").ran == []


@pytest.mark.parametrize(
    ("name", "images"),
    [("client", ("kube-proxy|pause|coredns", *IMAGES)), ("manager", ("", *network.images(inventory())))],
)
def test_each_host_fetches_the_images_that_nothing_else_brings(name: str, images: tuple[str, ...]) -> None:
    """What the master runs beyond these is pulled by kubeadm init."""
    made = cluster()
    close = step(packages.steps(made, made.hosts[name]), ON_THEIR_WAY).close
    assert close
    close(made.hosts[name])
    assert world(made, name).ran == [" ".join(("fetch-images.sh", "containerd", "registry.k8s.io", "1.37.2", *images))]


def test_a_master_that_joins_has_its_control_planes_images_fetched_while_the_first_one_is_made() -> None:
    made = cluster(three_masters())
    told = [packages.fetched(made.inventory, host)[3] for host in made.hosts.values()]
    control_plane = "kube-proxy|pause|coredns|etcd|kube-"
    assert told == ["", control_plane, control_plane, "kube-proxy|pause|coredns"]


def test_images_come_from_the_repository_that_kubeadm_is_told() -> None:
    told = HOSTS.replace("1.37.2\n", "1.37.2\n  kubeadm: {ClusterConfiguration: {imageRepository: near:5000/k8s}}\n")
    made = cluster(told)
    assert packages.images(made.inventory, made.hosts["client"])[0] == "near:5000/k8s/kube-proxy:v1.37.2"


def test_with_a_bundle_nobody_is_asked_for_images() -> None:
    made = cluster(f"{HOSTS}bundle: home.bundle\n")
    titles = [step.title for step in packages.steps(made, made.founder)]
    assert "images are present or being pulled" not in titles
