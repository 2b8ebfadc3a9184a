"""hosts.yml: what a good one means, and what is said of a bad one.

In tests/bad_hosts/ every line that has problems ends in their exact messages, each after `#!`.
"""

import json
import random
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from kubefab import kubeadm, located
from kubefab.inventory import Inventory, InventoryError, load, parse, schema

HERE = Path(__file__).parent
ROOT = HERE.parent
HOSTS = Path("hosts.yml")
GOOD = """\
cluster:
  name: lab
  kubernetes: 1.37.2
  kubeadm:
    ClusterConfiguration:
      controllerManager: {extraArgs: {horizontal-pod-autoscaler-sync-period: 10s}}
mirrors:
  https://pkgs.k8s.io/: {url: http://10.250.0.1:8080/pkgs, key: 54540aa9ba693f06ae16 0154b59df9a96188e07c}
  registry.k8s.io: http://10.250.0.1:5000/
ssh: {user: root, key: keys/id, jump: admin@gate:2222}
hosts:
  manager: {address: 10.250.0.10, role: master, schedulable: yes}
  client: {address: 10.250.0.11, role: worker, ssh: {port: 2222, jump: null}}
  away: {address: 10.250.0.12, role: worker, absent: true}
"""
BAD_HOSTS = sorted(HERE.glob("bad_hosts/*.yml"))


def good(old: str = "", new: str = "") -> Inventory:
    """The good file's inventory, after one edit."""
    assert old in GOOD
    return parse(GOOD.replace(old, new, 1), HOSTS)


def problems(text: str) -> str:
    with pytest.raises(InventoryError) as error:
        parse(text, HOSTS)
    return str(error.value)


def test_the_committed_file_is_good() -> None:
    assert [host.name for host in load(ROOT / "hosts.yml").hosts] == ["manager", "client"]


def test_one_proxy_may_be_for_both_schemes() -> None:
    short = good("ssh:", "proxy: http://10.0.0.1:3128\nssh:").proxy
    assert short == good("ssh:", "proxy: {http: http://10.0.0.1:3128, no_proxy: []}\nssh:").proxy
    assert good().proxy is None


def test_what_the_file_does_not_say_has_a_default() -> None:
    cluster, host = good().cluster, good().host("away")
    assert (cluster.runtime, cluster.addons) == ("containerd", ("flannel",))
    assert cluster.pod_subnet == IPv4Network("10.244.0.0/16")
    assert cluster.service_subnet == IPv4Network("10.96.0.0/12")
    assert (host.schedulable, host.ssh.port, host.ssh.known_hosts) == (False, None, None)


@pytest.mark.parametrize(
    ("subnet", "told"),
    [
        ("10.244.0.0/23", "{}"),  # who is away has no part in it
        ("10.244.0.0/24", "{node-cidr-mask-size: 25}"),
        ("10.244.0.0/24", "{node-cidr-mask-size-ipv4: '25'}"),
        ("10.244.0.0/24", "[{name: v, value: 2}, {name: node-cidr-mask-size, value: '25'}]"),
        ("10.244.0.0/24", "{node-cidr-mask-size: 33}"),
        ("10.244.0.0/24", "{node-cidr-mask-size: many}"),  # what cannot be understood is kubeadm's to refuse
    ],
)
def test_a_pod_subnet_with_a_network_for_each_node_is_taken(subnet: str, told: str) -> None:
    text = GOOD.replace("1.37.2\n", f"1.37.2\n  pod_subnet: {subnet}\n")
    made = parse(text.replace("{horizontal-pod-autoscaler-sync-period: 10s}", told), HOSTS)
    assert str(made.cluster.pod_subnet) == subnet


@pytest.mark.parametrize(("subnet", "mask"), [("10.244.0.0/24", 24), ("10.240.0.0/16", 16), ("10.244.0.0/24", 20)])
def test_a_pod_subnet_with_fewer_networks_than_hosts_is_refused(subnet: str, mask: int) -> None:
    """The others would never get one, and it is nothing that can be changed later."""
    text = GOOD.replace("1.37.2\n", f"1.37.2\n  pod_subnet: {subnet}\n")
    told = text.replace("{horizontal-pod-autoscaler-sync-period: 10s}", f"{{node-cidr-mask-size: {mask}}}")
    assert f"a /{mask} for each, and there are 2 hosts: choose a /{mask - 1} or wider" in problems(told)


def test_hosts_keep_the_order_of_the_file() -> None:
    assert [host.name for host in good().hosts] == ["manager", "client", "away"]
    assert good().founder.address == IPv4Address("10.250.0.10")
    assert [host.name for host in good().workers] == ["client", "away"]


def test_a_hosts_own_ssh_settings_win_over_those_of_all() -> None:
    assert good().founder.ssh.jump == "admin@gate:2222"
    assert (good().host("client").ssh.port, good().host("client").ssh.user) == (2222, "root")


def test_null_takes_a_setting_of_all_hosts_away() -> None:
    assert good().host("client").ssh.jump is None


@pytest.mark.parametrize(("written", "meant"), [("k", "/etc/lab/k"), ("/k", "/k"), ("~/k", "/home/eve/k")])
def test_a_key_is_beside_the_file_or_at_home(monkeypatch: pytest.MonkeyPatch, written: str, meant: str) -> None:
    monkeypatch.setenv("HOME", "/home/eve")
    text = GOOD.replace("keys/id", written)
    assert parse(text, Path("/etc/lab/hosts.yml")).founder.ssh.key == Path(meant)


def test_a_mirror_of_a_url_ends_in_a_slash_and_one_of_a_registry_does_not() -> None:
    assert good().mirrors["https://pkgs.k8s.io/"].url == "http://10.250.0.1:8080/pkgs/"
    assert good().mirrors["registry.k8s.io"].url == "http://10.250.0.1:5000"


def test_a_fingerprint_may_be_written_as_gpg_prints_it() -> None:
    assert good().mirrors["https://pkgs.k8s.io/"].key == "54540AA9BA693F06AE160154B59DF9A96188E07C"


def test_a_patch_release_not_seen_yet_is_fine() -> None:
    assert good("1.37.2", "1.37.99").cluster.kubernetes == "1.37.99"


def test_an_alias_stands_for_what_it_names() -> None:
    text = GOOD.replace("ssh: {user", "ssh: &way {user").replace("role: master", "role: master, ssh: *way")
    assert parse(text, HOSTS).founder.ssh.user == "root"


@pytest.mark.parametrize("written", ["1.30", "010", "12:30:45", "1_000", "2"])
@pytest.mark.parametrize("listed", [True, False])
def test_an_arguments_number_stays_as_it_is_written(written: str, listed: bool) -> None:
    """An argument is text to kubeadm: `emulated-version: 1.30` is no 1.3, by which no API server starts."""
    said = f"[{{name: emulated-version, value: {written}}}]" if listed else f"{{emulated-version: {written}}}"
    found = good("controllerManager:", f"apiServer: {{extraArgs: {said}}}\n      controllerManager:")
    assert kubeadm.wanted_settings(found, "kube-apiserver") == {"--emulated-version": written}


def test_a_date_in_an_overlay_stays_text() -> None:
    overlay = good("10s", "2026-01-01").cluster.kubeadm["ClusterConfiguration"]
    assert overlay["controllerManager"]["extraArgs"]["horizontal-pod-autoscaler-sync-period"] == "2026-01-01"


@pytest.mark.parametrize("said", ["false", '"false"', '"FALSE"', "False", '"f"', '"F"', "0", '"0"', "no", "off"])
def test_whatever_an_api_server_takes_for_no_anonymous_requests_is_refused(said: str) -> None:
    args = f"apiServer: {{extraArgs: {{anonymous-auth: {said}}}}}"
    assert "ask without credentials" in problems(
        GOOD.replace("controllerManager: {extraArgs", f"{args}\n      controllerManager: {{extraArgs")
    )


@pytest.mark.parametrize(
    "args", ["{anonymous-auth: true}", "[{name: anonymous-auth, value: false}, {name: anonymous-auth, value: true}]"]
)
def test_an_api_server_that_lets_anonymous_requests_in_by_its_last_word_is_not_refused(args: str) -> None:
    good("controllerManager: {extraArgs", f"apiServer: {{extraArgs: {args}}}\n      controllerManager: {{extraArgs")


def test_an_unknown_host_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(InventoryError) as error:
        good().host("cleint")
    said = "hosts.yml: found no host 'cleint'; allowed: manager, client, away; did you mean client?"
    assert str(error.value) == said


def test_a_host_that_was_not_named_is_asked_for() -> None:
    with pytest.raises(InventoryError, match=r"^hosts\.yml: --host NAME is needed; allowed: manager, client, away$"):
        good().host("")


@pytest.mark.parametrize("path", BAD_HOSTS, ids=lambda path: path.stem)
def test_every_problem_is_told_with_its_line(path: Path) -> None:
    expected = [
        (number, message)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for message in line.split(" #! ")[1:]
    ]
    with pytest.raises(InventoryError) as error:
        load(path)
    assert str(error.value).splitlines() == [f"{path}:{line}: {text}" for line, text in sorted(expected)]


WANTED = "a mapping of cluster, mirrors, proxy, bundle, etcd, ssh, hosts"
TOO_MUCH = "found more than 50 levels or 100000 values, aliases written out; allowed: less"
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", f"hosts.yml:1: found nothing; allowed: {WANTED}"),
        ("# all of it a comment\n", f"hosts.yml:1: found nothing; allowed: {WANTED}"),
        ("- a\n", f"hosts.yml:1: found a list; allowed: {WANTED}"),
        ("hosts\n", f"hosts.yml:1: found 'hosts'; allowed: {WANTED}"),
        ("[" * 100_000, f"hosts.yml:1: {TOO_MUCH}"),
        ("- " * 100_000, f"hosts.yml:1: {TOO_MUCH}"),
        ("\nhosts: &a [*a]", f"hosts.yml:2: {TOO_MUCH}"),
        (LAUGHS, f"hosts.yml:1: {TOO_MUCH}"),
    ],
    ids=["empty", "only a comment", "a list", "text", "brackets", "dashes", "an alias in itself", "laughs"],
)
def test_what_is_no_mapping_or_too_much_is_refused(text: str, said: str) -> None:
    assert problems(text) == said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cluster:\n\tname: lab", 2),
        ("cluster: {name: lab\nhosts: {}", 2),
        ("cluster:\n  name: 'lab\nhosts: {}", 3),
        ("a: 1\nb: \x07", 2),
        ("é: 1\nb: \x00", 2),
        ("a: 1\n---\nb: 1\n", 2),
        ("a: 1\nb: *nobody\n", 2),
    ],
    ids=["tab", "open bracket", "open quote", "bell", "zero", "two documents", "alias of nothing"],
)
def test_what_is_not_yaml_is_told_with_its_line(text: str, line: int) -> None:
    assert problems(text).startswith(f"hosts.yml:{line}: not YAML: ")


def test_the_reason_why_it_is_not_yaml_is_told() -> None:
    assert problems("cluster:\n  name: 'lab\n") == (
        "hosts.yml:3: not YAML: while scanning a quoted scalar on line 2: found unexpected end of stream; "
        "allowed: YAML, indented with spaces"
    )
    assert problems("cluster:\n\tname: lab").endswith("; allowed: YAML, indented with spaces; this line has a tab")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"cluster:\n  name: \xff\n")
    said = {
        "nothing": ": No such file or directory; INV_HOSTS may name another file",
        ".": ": Is a directory; INV_HOSTS may name another file",
        "binary": ":2: found a byte that is not UTF-8; allowed: text",
    }
    for name, text in said.items():
        with pytest.raises(InventoryError) as error:
            load(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}{text}"


NASTY = [*"~[]{},'\"#&*|>%@", "&a", "*a", "!x", "[key]", "0b_", "1.5", ".nan", "true", "2026-13-45", "\ud7ff"]


def survives(text: str) -> None:
    with suppress(InventoryError):
        parse(text, HOSTS)


def test_a_file_cut_off_anywhere_is_no_traceback() -> None:
    for end in range(len(GOOD)):
        survives(GOOD[:end])


@pytest.mark.parametrize("loader", ["SafeLoader", "CSafeLoader"])
def test_a_file_with_anything_anywhere_is_no_traceback(loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(located, "LOADER", getattr(yaml, loader))
    dice = random.Random(1)
    nasty = [*NASTY, "\x00", "\t", "\n", "- ", ": ", "? ", "<<: ", "!!int ", "9" * 5000]
    for _ in range(400):
        text = GOOD
        for _ in range(dice.randint(1, 3)):
            start = dice.randrange(len(text))
            text = text[:start] + dice.choice(nasty) + text[start + dice.choice([0, 1, 9]) :]
        survives(text)


@pytest.mark.parametrize(
    "value", ["", "[]", "{}", "5", "x", "[{address: [1], role: {}}]", "{'[key]': {a: 1}}", "!!binary eA=="]
)
def test_any_value_anywhere_is_no_traceback(value: str) -> None:
    lines = GOOD.splitlines()
    for number, line in enumerate(lines):
        key = line.partition(": ")[0].removesuffix(":")
        survives("\n".join([*lines[:number], f"{key}: {value}", *lines[number + 1 :]]))


def test_the_published_schema_is_current() -> None:
    assert (ROOT / "hosts.schema.json").read_text() == schema(), "run python -m kubefab.inventory"


def test_the_documented_file_is_good_and_has_every_key() -> None:
    text = (ROOT / "docs/hosts.md").read_text("utf-8").split("```")[1].removeprefix("yaml\n")
    parse(text, HOSTS)
    models = {"": json.loads(schema()), **json.loads(schema())["$defs"]}
    keys = {key for model in models.values() for key in model.get("properties", ())}
    assert {key for key in keys if f"{key}:" not in text} == set()
