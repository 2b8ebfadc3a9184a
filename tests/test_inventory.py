"""hosts.yml: what a good one means, and every message of a bad one, word for word."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from kubefab.inventory import Inventory, InventoryError, load, parse

ROOT = Path(__file__).parent.parent
HOSTS = Path("hosts.yml")
GOOD = """\
cluster:
  name: lab
  kubernetes: 1.37.2
  runtime: containerd
  pod_subnet: 10.244.0.0/16
  service_subnet: 10.96.0.0/12
  addons: [flannel]
  kubeadm:
    ClusterConfiguration:
      controllerManager: {extraArgs: {horizontal-pod-autoscaler-sync-period: 10s}}
mirrors:
  https://pkgs.k8s.io/: {url: http://10.250.0.1:8080/pkgs, key: 54540aa9ba693f06ae16 0154b59df9a96188e07c}
  registry.k8s.io: http://10.250.0.1:5000/
ssh: {user: root, key: keys/id, jump: admin@gate:2222}
hosts:
  manager: {address: 10.250.0.10, role: master, schedulable: true}
  client:  {address: 10.250.0.11, role: worker, ssh: {port: 2222, jump: null}}
  away:    {address: 10.250.0.12, role: worker, absent: true}
"""
SMALL = "cluster: {name: a, kubernetes: 1.37.2}\nhosts:\n  m: {address: 10.0.0.1, role: master}\n"


def good(old: str = "", new: str = "") -> Inventory:
    assert old in GOOD
    return parse(GOOD.replace(old, new, 1), HOSTS)


def problems(text: str) -> list[str]:
    with pytest.raises(InventoryError) as error:
        parse(text, HOSTS)
    return str(error.value).splitlines()


def bad(old: str, new: str) -> list[str]:
    """What is said of the good file after one edit."""
    assert old in GOOD
    return problems(GOOD.replace(old, new, 1))


def test_the_committed_file_is_good() -> None:
    assert [host.name for host in load(ROOT / "hosts.yml").hosts] == ["manager", "client"]


def test_a_small_file_gets_every_default() -> None:
    cluster, [host] = parse(SMALL, HOSTS).cluster, parse(SMALL, HOSTS).hosts
    assert (cluster.runtime, cluster.addons, cluster.kubeadm) == ("containerd", ("flannel",), {})
    assert (cluster.pod_subnet, cluster.service_subnet) == (
        IPv4Network("10.244.0.0/16"),
        IPv4Network("10.96.0.0/12"),
    )
    assert (host.schedulable, host.absent) == (False, False)
    assert set(dict(host.ssh).values()) == {None}


def test_hosts_keep_the_order_of_the_file() -> None:
    assert [host.name for host in good().hosts] == ["manager", "client", "away"]
    assert good().master.address == IPv4Address("10.250.0.10")
    assert [host.name for host in good().workers] == ["client", "away"]


def test_a_hosts_own_ssh_settings_win_over_those_of_all() -> None:
    assert good().host("manager").ssh.jump == "admin@gate:2222"
    assert good().host("client").ssh.port == 2222
    assert good().host("client").ssh.user == "root"


def test_null_takes_a_setting_of_all_hosts_away() -> None:
    assert good().host("client").ssh.jump is None


@pytest.mark.parametrize(
    ("written", "meant"), [("keys/id", "/etc/lab/keys/id"), ("/k", "/k"), ("~/k", "/home/me/k")]
)
def test_a_key_is_beside_the_file_or_at_home(written: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = GOOD.replace("keys/id", written)
    assert parse(text, Path("/etc/lab/hosts.yml")).master.ssh.key == Path(meant)


def test_a_mirror_of_a_url_ends_in_a_slash_and_one_of_a_registry_does_not() -> None:
    assert good().mirrors["https://pkgs.k8s.io/"].url == "http://10.250.0.1:8080/pkgs/"
    assert good().mirrors["registry.k8s.io"].url == "http://10.250.0.1:5000"


def test_a_fingerprint_may_be_written_as_gpg_prints_it() -> None:
    assert good().mirrors["https://pkgs.k8s.io/"].key == "54540AA9BA693F06AE160154B59DF9A96188E07C"


def test_a_patch_release_not_seen_yet_is_fine() -> None:
    assert good("1.37.2", "1.37.99").cluster.kubernetes == "1.37.99"


def test_aliases_are_written_out() -> None:
    text = "ssh: &way {port: 22}\n" + SMALL.replace("role: master", "role: master, ssh: *way")
    assert parse(text, HOSTS).master.ssh.port == 22


def test_dates_in_an_overlay_stay_text() -> None:
    overlay = good("10s", "2026-01-01").cluster.kubeadm["ClusterConfiguration"]
    assert overlay["controllerManager"]["extraArgs"] == {"horizontal-pod-autoscaler-sync-period": "2026-01-01"}


def test_an_unknown_host_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(InventoryError) as error:
        good().host("cleint")
    assert str(error.value) == (
        "hosts.yml: found no host 'cleint'; allowed: manager, client, away; did you mean client?"
    )


NAME = "a name of at most 63 lower-case letters, digits and '-' (RFC 1123)"
HOST_NAME = "machines by name, at most 63 lower-case letters, digits, '-' and '.' (RFC 1123)"
RELEASE = "a release with its patch and without a v, for example 1.37.2"
PODS = "a network of /8 to /24, by its first address, for example 10.244.0.0/16"
SERVICES = "a network of /12 to /28, by its first address, for example 10.96.0.0/12"
ADDRESS = "an IPv4 address, for example 10.0.0.11"
MACHINE = "address, role, schedulable, absent, ssh"
SSH = "user, port, key, known_hosts, jump"
URL = "a URL with http:// or https:// and no password in it"
ORIGIN = "what to ask instead, by URL that ends in / (https://pkgs.k8s.io/) or registry (quay.io)"
FINGERPRINT = "an OpenPGP fingerprint: 40 hex digits, in quotes"
SCHEDULABLE = "true or false, without quotes: pods on this master"
KINDS = (
    "fields over those that kubefab writes, by kind: InitConfiguration, ClusterConfiguration, "
    "KubeletConfiguration, KubeProxyConfiguration, JoinConfiguration"
)
TABLE = [  # one edit of the good file: what stood there, what stands there now, what is said
    ("name: lab", "name: Lab", f"2: cluster.name: found 'Lab'; allowed: {NAME}"),
    ("name: lab", "name: 123", f"2: cluster.name: found the number 123; allowed: {NAME}"),
    ("name: lab", "name: yes", f"2: cluster.name: found the boolean yes; allowed: {NAME}"),
    ("  name: lab\n", "", f"1: cluster.name: found nothing; allowed: {NAME}"),
    ("name: lab", f"name: {'a' * 64}", f"2: cluster.name: found '{'a' * 59}…'; allowed: {NAME}"),
    ("name: lab", 'name: "\\e[2J"', f"2: cluster.name: found '\\x1b[2J'; allowed: {NAME}"),
    (
        "name: lab",
        "nmae: lab",
        "2: cluster.nmae: found an unknown key; allowed: name, kubernetes, runtime, pod_subnet, "
        "service_subnet, addons, kubeadm; did you mean name?\n"
        f"1: cluster.name: found nothing; allowed: {NAME}",
    ),
    ("1.37.2", "1.37", f"3: cluster.kubernetes: found the number 1.37; allowed: {RELEASE}"),
    ("1.37.2", "1.30", f"3: cluster.kubernetes: found the number 1.30; allowed: {RELEASE}"),
    ("1.37.2", "'1.37'", f"3: cluster.kubernetes: found '1.37'; allowed: {RELEASE}"),
    ("1.37.2", "v1.37.2", f"3: cluster.kubernetes: found 'v1.37.2'; allowed: {RELEASE}"),
    (
        "1.37.2",
        "1.99.0",
        "3: cluster.kubernetes: found '1.99.0'; allowed: a release of Kubernetes 1.24 to 1.37",
    ),
    ("containerd", "docker", "4: cluster.runtime: found 'docker'; allowed: containerd"),
    ("10.244.0.0/16", "10.244.1.0/16", f"5: cluster.pod_subnet: found '10.244.1.0/16'; allowed: {PODS}"),
    ("10.244.0.0/16", "10.244.0.0/25", f"5: cluster.pod_subnet: found '10.244.0.0/25'; allowed: {PODS}"),
    ("10.244.0.0/16", "8.0.0.0/7", f"5: cluster.pod_subnet: found '8.0.0.0/7'; allowed: {PODS}"),
    ("10.244.0.0/16", "[]", f"5: cluster.pod_subnet: found a list; allowed: {PODS}"),
    ("10.96.0.0/12", "10.96.0.0/29", f"6: cluster.service_subnet: found '10.96.0.0/29'; allowed: {SERVICES}"),
    ("[flannel]", "[flanel]", "7: cluster.addons[0]: found 'flanel'; allowed: flannel; did you mean flannel?"),
    ("[flannel]", "flannel", "7: cluster.addons: found 'flannel'; allowed: a list of add-ons"),
    (
        "ClusterConfiguration:",
        "ClusterConfig:",
        f"9: cluster.kubeadm.ClusterConfig: found 'ClusterConfig'; allowed: {KINDS}",
    ),
    ("  https://pkgs.k8s.io/:", "  https://pkgs.k8s.io:", f"12: mirrors.https://pkgs.k8s.io: found "
     f"'https://pkgs.k8s.io'; allowed: {ORIGIN}"),
]
