"""Everything rendered, beside golden files: `pytest --update-golden` writes them anew, the diff is yours to read."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
import yaml
from jinja2 import UndefinedError

from kubefab import kubeadm, mirrors, render
from kubefab.images import full_name
from kubefab.inventory import Schedule
from tests.fakes import HOSTS, inventory, three_masters

IMAGE = re.compile(r"image: ([a-z0-9./:-]+)")
Golden = Callable[[str, str], None]

MIRRORED = f"""{HOSTS}\
mirrors:
  https://pkgs.k8s.io/: {{url: http://10.250.0.1:8080/pkgs/, key: {"A" * 40}}}
  https://pkgs.k8s.io/core:/stable:/v1.37/: http://near/
  registry.k8s.io: http://10.250.0.1:5000
  ghcr.io: https://mirror.example.org
"""
OVERLAID = HOSTS.replace(
    "1.37.2\n",
    """1.37.2
  kubeadm:
    InitConfiguration:
      nodeRegistration: {ignorePreflightErrors: [SystemVerification], kubeletExtraArgs: {v: 4}}
    ClusterConfiguration:
      controllerManager: {extraArgs: {horizontal-pod-autoscaler-sync-period: 10s, profiling: false}}
      apiServer: {extraArgs: [{name: v, value: 2}, {name: v, value: 3}, {name: profiling, value: true}]}
      networking: {dnsDomain: lab.local}
    KubeletConfiguration: {failCgroupV1: false}
    KubeProxyConfiguration: {conntrack: {maxPerCore: 0}}
    JoinConfiguration: {nodeRegistration: {kubeletExtraArgs: {node-ip: 10.9.9.9, v: 4}}}
""",
)
PROXIED = f"""{HOSTS}\
proxy: {{http: http://10.0.0.1:3128, no_proxy: [.example.org, 192.168.0.0/16, mirror]}}
"""
OLD = OVERLAID.replace("1.37.2", "1.30.0")
DOCKER = MIRRORED.replace("1.37.2\n", "1.37.2\n  runtime: docker\n") + "  docker.io: https://hub.example.org\n"
BACKUPS = render.backups(Schedule(every="6h", keep=4))
UNITS_OF_BACKUPS = {path: text for path, text in BACKUPS.items() if path != render.BACKUP_PROGRAM}
BUNDLED = f"{MIRRORED}bundle: home.bundle\n"
GUIDE = DOCKER.replace("1.37.2", "1.20.2")
TOKEN, DISCOVERY = "abcdef.0123456789abcdef", "/run/kubefab/discovery.conf"


def init(hosts: str) -> str:
    found = inventory(hosts)
    return kubeadm.init_documents(found, found.founder)


def join(hosts: str) -> str:
    found = inventory(hosts)
    return kubeadm.join_documents(found, found.host("client"), TOKEN, DISCOVERY)


def document(text: str, kind: str) -> dict[str, Any]:
    (found,) = [one for one in yaml.safe_load_all(text) if one["kind"] == kind]
    return dict(found)


@pytest.mark.parametrize(
    ("folder", "texts"),
    [
        ("files", {**render.containerd(inventory()), **render.apt(inventory())}),
        ("files", {**render.kernel(), **render.completion()}),
        ("files", render.proxy(inventory())),
        ("files-proxied", render.proxy(inventory(PROXIED))),
        ("files-docker", render.runtime(inventory(DOCKER))),
        ("files-docker", render.proxy(inventory(DOCKER))),
        ("files-three-masters", {render.ENDPOINT: render.haproxy(three_masters()), **render.haproxy_unit()}),
        ("files-backups", UNITS_OF_BACKUPS),
        ("files-mirrored", {**render.containerd(inventory(MIRRORED)), **render.apt(inventory(MIRRORED))}),
    ],
)
def test_files_are_as_they_were_read_last(golden: Golden, folder: str, texts: dict[str, str]) -> None:
    for path, text in texts.items():
        golden(f"{folder}{path}", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("init-v1beta4.yaml", init(HOSTS)),
        ("init-v1beta4-overlaid.yaml", init(OVERLAID)),
        ("init-v1beta3-overlaid.yaml", init(OLD)),
        ("init-v1beta4-docker.yaml", init(DOCKER)),
        ("init-v1beta2.yaml", init(GUIDE)),
        ("init-v1beta3-dockershim.yaml", init(GUIDE.replace("1.20.2", "1.23.17"))),
        ("join-v1beta2.yaml", join(GUIDE)),
        ("join-v1beta4.yaml", join(HOSTS)),
        ("join-v1beta4-overlaid.yaml", join(OVERLAID)),
        ("join-v1beta3-overlaid.yaml", join(OLD)),
        ("discovery.conf", kubeadm.discovery("https://lab.kubefab.internal:6443", "Q0VSVA==")),
    ],
)
def test_documents_are_as_they_were_read_last(golden: Golden, name: str, text: str) -> None:
    golden(f"kubeadm/{name}", text)


def test_every_file_says_who_wrote_it() -> None:
    found = inventory(MIRRORED)
    texts = {
        **render.containerd(found),
        **render.apt(found),
        **render.kernel(),
        **render.completion(),
        **render.proxy(found),
        **render.patches(),
        **render.haproxy_unit(),
        render.ENDPOINT: render.haproxy(found),
        **BACKUPS,
    }
    texts |= {**render.runtime(inventory(DOCKER)), **render.proxy(inventory(DOCKER))}
    assert [path for path, text in texts.items() if "written by kubefab" not in text.lower()] == []


def test_docker_asks_a_mirror_by_its_name() -> None:
    assert (
        mirrors.image("ghcr.io/flannel-io/flannel:v1", inventory(DOCKER)) == "mirror.example.org/flannel-io/flannel:v1"
    )
    assert mirrors.image("quay.io/a/b:1", inventory(DOCKER)) == "quay.io/a/b:1"
    assert mirrors.image("ghcr.io/a/b:1", inventory(MIRRORED)) == "ghcr.io/a/b:1"


@pytest.mark.parametrize(
    ("hosts", "socket"),
    [
        (HOSTS, "unix:///run/containerd/containerd.sock"),
        (DOCKER, "unix:///run/cri-dockerd.sock"),
        (GUIDE, "/var/run/dockershim.sock"),
    ],
)
def test_kubeadm_is_always_told_its_socket(hosts: str, socket: str) -> None:
    for text, kind in ((init(hosts), "InitConfiguration"), (join(hosts), "JoinConfiguration")):
        assert document(text, kind)["nodeRegistration"]["criSocket"] == socket


def test_a_mirror_is_asked_instead_and_nobody_else_is() -> None:
    text = render.containerd(inventory(MIRRORED))["/etc/containerd/certs.d/registry.k8s.io/hosts.toml"]
    assert tomllib.loads(text) == {"server": "http://10.250.0.1:5000", "capabilities": ["pull", "resolve"], "host": {}}
    assert "https://registry.k8s.io" not in text


def test_with_a_bundle_the_runtime_asks_no_publisher() -> None:
    texts = render.containerd(inventory(BUNDLED))
    config = tomllib.loads(texts["/etc/containerd/config.toml"])["plugins"]["io.containerd.grpc.v1.cri"]["registry"]
    mirrors_first, closed = config["config_path"].split(":")
    servers = {path: tomllib.loads(text)["server"] for path, text in texts.items() if path.startswith(closed)}
    assert set(servers) == {f"{closed}/{one}/hosts.toml" for one in mirrors.PUBLISHERS}
    assert all(urlsplit(server).netloc == "127.0.0.1:1" for server in servers.values())
    assert f"{mirrors_first}/ghcr.io/hosts.toml" in texts


def test_every_image_of_an_addon_has_a_publisher_that_is_known() -> None:
    golden = Path(__file__).parent / "golden" / "addons"
    named = [name for path in golden.glob("*") for name in IMAGE.findall(path.read_text())]
    assert named
    assert {full_name(name).partition("/")[0] for name in named} <= set(mirrors.PUBLISHERS)


def test_no_template_is_left_without_a_value() -> None:
    with pytest.raises(UndefinedError):
        render.file("etc/apt/preferences.d/kubernetes")


def test_every_file_below_files_is_rendered() -> None:
    there = {str(path.relative_to(render.FILES)) for path in render.FILES.rglob("*") if path.is_file()}
    inventories = [*(inventory(text) for text in (MIRRORED, BUNDLED, DOCKER)), three_masters()]
    written = [path for one in inventories for path in render.paths(one)]
    paths = [re.sub(r"\.d/[a-z0-9.]+\.io/", ".d/", path).lstrip("/") for path in written]
    assert {path.removesuffix(".j2") for path in there} == {
        path for path in paths if not path.endswith((".gpg", "SHA256SUMS", ".crt", ".sh"))
    }


def elapses(schedule: Schedule) -> list[str]:
    """When systemd would begin a backup next, after midnight and half a second."""
    words = ("calendar", "--iterations=3", "--base-time=2026-11-26 00:00:00.5 UTC", render.calendar(schedule))
    said = subprocess.run(["systemd-analyze", *words], env={"TZ": "UTC"}, capture_output=True, text=True, check=True)
    return re.findall(r"2026-11-(.*?) UTC", said.stdout)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="NOT TRIED: there is no systemd-analyze here")
@pytest.mark.parametrize("every", get_args(Schedule.model_fields["every"].annotation))
def test_backups_are_made_at_the_same_moments_on_all_masters_in_equal_parts_of_a_day(every: str) -> None:
    schedule = Schedule.model_validate({"every": every})
    midnight = datetime(2026, 11, 26, tzinfo=UTC)
    wanted = [midnight + n * schedule.interval for n in (1, 2, 3)]
    assert elapses(schedule) == [f"{moment:%d %H:%M:%S}" for moment in wanted]
    assert timedelta(days=1) % schedule.interval == timedelta()


def test_the_paths_that_are_looked_at_are_those_that_are_written() -> None:
    found = inventory(MIRRORED)
    written = {
        **render.containerd(found),
        **render.apt(found),
        **render.kernel(),
        **render.completion(),
        **render.proxy(found),
        **render.patches(),
        **render.haproxy_unit(),
        render.ENDPOINT: "",
        render.AUTHORITY: "",
        **BACKUPS,
    }
    assert set(render.paths(found)) == {*written, render.KEYRING, f"{render.BUNDLE}/SHA256SUMS"}


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        (
            "https://pkgs.k8s.io/core:/stable:/v1.36/deb/",
            ("http://10.250.0.1:8080/pkgs/core:/stable:/v1.36/deb/", "A" * 40),
        ),
        ("https://pkgs.k8s.io/core:/stable:/v1.37/deb/", ("http://near/deb/", None)),
        ("https://example.org/a", ("https://example.org/a", None)),
    ],
)
def test_the_longest_mirror_prefix_wins_and_brings_its_own_key(url: str, instead: tuple[str, str | None]) -> None:
    assert mirrors.mirrored(url, inventory(MIRRORED)) == instead


def test_the_sandbox_image_comes_from_where_the_others_do() -> None:
    told = HOSTS.replace("1.37.2\n", "1.37.2\n  kubeadm: {ClusterConfiguration: {imageRepository: near:5000/k8s}}\n")
    text = render.containerd(inventory(told))["/etc/containerd/config.toml"]
    assert 'sandbox_image = "near:5000/k8s/pause:3.10.2"' in text


def test_an_overlay_is_merged_key_by_key() -> None:
    merged = document(init(OVERLAID), "ClusterConfiguration")
    assert merged["networking"] == {
        "podSubnet": "10.244.0.0/16",
        "serviceSubnet": "10.96.0.0/12",
        "dnsDomain": "lab.local",
    }
    assert document(init(OVERLAID), "InitConfiguration")["nodeRegistration"]["name"] == "manager"


def test_what_is_null_in_an_overlay_takes_nothing_of_ours_away() -> None:
    nothing = "{imageRepository: null, kubernetesVersion: null, networking: null, apiServer: null}"
    told = HOSTS.replace("1.37.2\n", f"1.37.2\n  kubeadm: {{ClusterConfiguration: {nothing}}}\n")
    expected = {**document(init(HOSTS), "ClusterConfiguration"), "imageRepository": None}
    assert document(init(told), "ClusterConfiguration") == expected
    assert 'sandbox_image = "registry.k8s.io/' in render.containerd(inventory(told))["/etc/containerd/config.toml"]


@pytest.mark.parametrize("place", ["deb.example.org:8081", "192.168.3.4", "10.250.0.10:3142", "mirror"])
def test_apt_reaches_a_mirror_directly_that_a_domain_or_a_network_of_no_proxy_holds(place: str) -> None:
    """It knows neither among its own settings, and would ask the proxy for what only the site's own network has."""
    made = inventory(
        f"{PROXIED}mirrors: {{https://pkgs.k8s.io/: http://{place}/k8s/, quay.io: http://q.example.org}}\n"
    )
    told = render.proxy(made)[render.APT_PROXY].splitlines()
    assert told.count(f'Acquire::http::Proxy::{place.partition(":")[0]} "DIRECT";') == 1


@pytest.mark.parametrize("place", ["example.com", "notexample.org", "192.169.0.1"])
def test_apt_asks_the_proxy_for_any_other_mirror(place: str) -> None:
    made = inventory(f"{PROXIED}mirrors: {{https://pkgs.k8s.io/: http://{place}/k8s/}}\n")
    assert place not in render.proxy(made)[render.APT_PROXY]


@pytest.mark.parametrize("networking", ["null", "[]", "x", "{dnsDomain: null}"])
def test_the_clusters_own_names_go_by_no_proxy(networking: str) -> None:
    told = "1.37.2\n  kubeadm: {ClusterConfiguration: {networking: {dnsDomain: lab.local}}}\n"
    assert ".lab.local" in render.no_proxy(inventory(HOSTS.replace("1.37.2\n", told)))
    unsaid = HOSTS.replace("1.37.2\n", told.replace("{dnsDomain: lab.local}", networking))
    assert ".cluster.local" in render.no_proxy(inventory(unsaid))


def test_arguments_written_as_a_map_become_the_list_of_v1beta4() -> None:
    assert document(init(OVERLAID), "ClusterConfiguration")["controllerManager"]["extraArgs"] == [
        {"name": "horizontal-pod-autoscaler-sync-period", "value": "10s"},
        {"name": "profiling", "value": "false"},
    ]


def test_arguments_written_as_a_list_may_name_one_twice() -> None:
    assert document(init(OVERLAID), "ClusterConfiguration")["apiServer"]["extraArgs"] == [
        {"name": "v", "value": "2"},
        {"name": "v", "value": "3"},
        {"name": "profiling", "value": "true"},
    ]


def test_before_v1beta4_arguments_are_a_map_however_they_were_written() -> None:
    merged = document(init(OLD), "ClusterConfiguration")
    assert merged["apiServer"]["extraArgs"] == {"v": "3", "profiling": "true"}
    assert merged["controllerManager"]["extraArgs"]["profiling"] == "false"


def test_our_own_arguments_stay_beside_theirs_and_yield_where_they_are_named() -> None:
    arguments = document(init(OVERLAID), "InitConfiguration")["nodeRegistration"]["kubeletExtraArgs"]
    assert arguments == [{"name": "node-ip", "value": "10.250.0.10"}, {"name": "v", "value": "4"}]
    arguments = document(join(OVERLAID), "JoinConfiguration")["nodeRegistration"]["kubeletExtraArgs"]
    assert arguments == [{"name": "node-ip", "value": "10.9.9.9"}, {"name": "v", "value": "4"}]


@pytest.mark.parametrize(
    "overlay", ["", "  kubeadm: {ClusterConfiguration: {apiServer: {certSANs: [k8s.example.org]}}}\n"]
)
def test_the_certificate_is_good_for_the_health_check_whatever_else_it_names(overlay: str) -> None:
    names = document(init(HOSTS.replace("1.37.2\n", f"1.37.2\n{overlay}")), "ClusterConfiguration")["apiServer"][
        "certSANs"
    ]
    assert names[:2] == ["localhost", "127.0.0.1"]


def test_a_join_carries_its_token_and_the_file_that_says_whom_to_trust() -> None:
    assert document(join(HOSTS), "JoinConfiguration")["discovery"] == {
        "file": {"kubeConfigPath": DISCOVERY},
        "tlsBootstrapToken": TOKEN,
    }


def test_overlays_are_left_as_they_are_in_the_inventory() -> None:
    found = inventory(OVERLAID)
    before = repr(found.cluster.kubeadm)
    kubeadm.init_documents(found, found.founder)
    assert repr(found.cluster.kubeadm) == before


@pytest.mark.parametrize(("version", "patched"), [("1.30.0", False), ("1.31.0", True)])
def test_coredns_is_patched_by_kubeadm_where_it_can_be(version: str, patched: bool) -> None:
    wanted = inventory(HOSTS.replace("1.37.2", version))
    assert ("directory: /run/p" in kubeadm.dns_documents(wanted, wanted.founder, "/run/p")) is patched


OLD_MIRROR = (
    "mirrors: {https://apt.kubernetes.io/: http://near/apt/, https://packages.cloud.google.com/: http://key/}\n"
)


def test_a_mirror_of_the_old_repository_is_asked_for_old_releases_as_that_was_laid_out() -> None:
    wanted = inventory(GUIDE.partition("mirrors:")[0] + OLD_MIRROR)
    source = render.apt(wanted)["/etc/apt/sources.list.d/kubernetes.list"].splitlines()[-1]
    assert source == f"deb [signed-by={render.KEYRING}] http://near/apt/ kubernetes-xenial main"
    assert mirrors.repository(wanted)[0].key == "http://key/apt/doc/apt-key.gpg"


def test_a_mirror_of_the_old_repository_is_not_asked_for_new_releases() -> None:
    source = render.apt(inventory(HOSTS + OLD_MIRROR))["/etc/apt/sources.list.d/kubernetes.list"]
    assert "https://pkgs.k8s.io/core:/stable:/v1.37/deb/ /" in source


def test_a_workers_haproxy_is_told_the_same_whatever_the_order_in_hosts_yml() -> None:
    turned = three_masters().model_copy(update={"hosts": three_masters().hosts[::-1]})
    assert render.haproxy(turned) == render.haproxy(three_masters())
