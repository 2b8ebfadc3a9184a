"""No value of hosts.yml reaches a shell, a unit, apt.conf, TOML or JSON as more than the value that it is."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubefab import kubeadm, render
from kubefab.errors import InventoryError
from kubefab.inventory import Inventory, parse

FULL = yaml.safe_load("""\
cluster:
  name: lab
  kubernetes: 1.37.2
  runtime: containerd
  cri_dockerd: {version: 0.4.0, sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
  pod_subnet: 10.244.0.0/16
  service_subnet: 10.96.0.0/12
  addons: [flannel, metrics-server]
  kubeadm:
    ClusterConfiguration:
      imageRepository: near.example.org:5000/k8s
      networking: {dnsDomain: example.org}
      apiServer: {certSANs: [k8s.example.org], extraArgs: {profiling: "false"}}
    InitConfiguration: {nodeRegistration: {ignorePreflightErrors: [SystemVerification]}}
mirrors:
  https://pkgs.k8s.io/: {url: "http://near:8080/pkgs/", key: 54540AA9BA693F06AE160154B59DF9A96188E07C}
  https://github.com/: http://near:8080/
  registry.k8s.io: http://near:5000
  docker.io: http://near:5000
proxy: {http: "http://10.0.0.1:3128", https: "http://10.0.0.1:3129", no_proxy: [.example.org]}
ssh: {user: root, key: ~/.ssh/id, known_hosts: ~/.ssh/known_hosts, jump: me@gate:22}
hosts:
  manager: {address: 10.250.0.10, role: master}
  client: {address: 10.250.0.11, role: worker, disks: [/dev/sdb]}
""")
EVIL = ["$(id)", "`id`", "\nid", '"; id; "', "'; id; '", "\\", " id", "\t", ";id", "&id", "|id", "#id", "*", '";\nid']
EVIL += ["\x00", "\x1b[2J", "\u2028id", "]\n[x]", "<id", "=id", "!id"]


def strings(value: Any, *place: Any) -> Iterator[tuple[Any, ...]]:
    """Where each string stands; a key of a mapping counts as one, its place ends in None."""
    if isinstance(value, str):
        yield place
    elif isinstance(value, dict):
        for key, below in value.items():
            if place in ((), ("mirrors",), ("hosts",)) and place:
                yield (*place, key, None)
            yield from strings(below, *place, key)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from strings(below, *place, index)


def changed(value: Any, place: tuple[Any, ...], more: str) -> Any:
    """The same with `more` at the end of the string at that place."""
    if not place:
        return value + more
    key, *rest = place
    if rest == [None]:
        return {name + more if name == key else name: below for name, below in value.items()}
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    parts = {name: changed(below, tuple(rest), more) if name == key else below for name, below in pairs}
    return parts if isinstance(value, dict) else list(parts.values())


def written(found: Inventory) -> Iterator[str]:
    """All that lands on a host as a file that something other than YAML's own parser reads."""
    for texts in (render.runtime(found), render.proxy(found), render.apt(found), render.kernel()):
        yield from texts
        yield from texts.values()


@pytest.mark.parametrize("runtime", ["containerd", "docker"])
@pytest.mark.parametrize("place", list(strings(FULL)), ids=lambda place: ".".join(map(str, place)))
def test_a_value_with_a_meaning_of_its_own_elsewhere_is_refused_or_stays_out_of_there(
    place: tuple[Any, ...], runtime: str
) -> None:
    wanted = {**FULL, "cluster": {**FULL["cluster"], "runtime": runtime}}
    for more in EVIL:
        try:
            found = parse(yaml.safe_dump(changed(wanted, place, more), allow_unicode=False), Path("hosts.yml"))
        except InventoryError:
            continue
        assert [text for text in written(found) if more in text and more not in "".join(written(good(runtime)))] == []
        documents(found)


@cache
def good(runtime: str) -> Inventory:
    text = yaml.safe_dump({**FULL, "cluster": {**FULL["cluster"], "runtime": runtime}})
    return parse(text, Path("hosts.yml"))


def documents(found: Inventory) -> None:
    """They are YAML, dumped as such, whatever they hold."""
    for text in (
        kubeadm.init_documents(found, found.founder),
        kubeadm.join_documents(found, found.workers[0], "t", "d"),
    ):
        assert all(isinstance(one, dict) for one in yaml.safe_load_all(text))


@pytest.mark.parametrize("runtime", ["containerd", "docker"])
def test_all_that_is_written_is_what_its_reader_reads(runtime: str) -> None:
    found = good(runtime)
    texts = {**render.runtime(found), **render.proxy(found)}
    for path, text in texts.items():
        if path.endswith(".json"):
            json.loads(text)
        if path == render.PROXY:
            assert all(re.fullmatch(r'#.*|[A-Z_]+="[^"$`\\\n]*"', line) for line in text.splitlines())
