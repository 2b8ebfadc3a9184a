"""From machines as new to a working cluster, and then nothing more to do."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests
import yaml

from .harness import (
    CHANGE,
    MASTER,
    WORKER,
    Done,
    Kubefab,
    address,
    all_is_well,
    attempt,
    coredns_answers,
    differences,
    disk,
    fresh,
    is_ready,
    kubectl,
    mode,
    no_secrets,
    nodes,
    objects,
    on,
    services,
    untouched,
)

VERSION = "1.37.2"
KEY = "54540AA9BA693F06AE160154B59DF9A96188E07C"  # of the lab's apt repository
PACKAGES = ("kubelet", "kubeadm", "kubectl", "kubernetes-cni")
PAIR = (MASTER, WORKER)


@dataclass(frozen=True)
class Story:
    """A dry run and a real one on machines as new."""

    before: dict[str, dict[str, str]]
    dry: Done
    after_dry: dict[str, dict[str, str]]
    left_by_dry: dict[str, bool]
    up: Done


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Story:
    fresh(*PAIR)
    before = {host: disk(host) for host in PAIR}
    dry = inv("--dry", "cluster.up")
    after = {host: disk(host) for host in PAIR}
    left = {host: attempt(host, "test -e /run/kubefab").returncode == 0 for host in PAIR}
    return Story(before, dry, after, left, inv("cluster.up"))


def test_a_dry_run_prints_what_it_would_do_on_every_host(story: Story) -> None:
    lines = story.dry.well().stdout.splitlines()
    for host in PAIR:
        planned = [line for line in lines if re.match(rf"{host}\s+[+~] ", line)]
        assert any("Kubernetes" in line for line in planned), story.dry.stdout
        assert any("containerd is installed" in line for line in planned), story.dry.stdout
    assert re.search(rf"^{MASTER}\s+\+ the control plane exists", story.dry.stdout, re.MULTILINE)
    assert re.search(rf"^{WORKER}\s+\+ the host is a node", story.dry.stdout, re.MULTILINE)
    assert "nothing to do" not in story.dry.stdout


@pytest.mark.parametrize("host", PAIR)
def test_a_dry_run_touches_nothing(story: Story, host: str) -> None:
    assert differences(story.before[host], story.after_dry[host]) == []
    assert not story.left_by_dry[host], "/run/kubefab is there"


def test_up_from_fresh_ends_well(story: Story) -> None:
    done = story.up.well()
    assert "inv cluster.status" in done.stdout, "the next command to type is not shown"
    assert re.search(rf"{MASTER} \d+, {WORKER} \d+|{WORKER} \d+, {MASTER} \d+", done.stdout), done.stdout


def test_what_was_planned_is_what_was_done(story: Story) -> None:
    """Every step of the plan, and no other, but for those that nobody can foresee: waits, and their consequences."""

    def titles(done: Done, signs: str) -> set[str]:
        found = re.findall(rf"^(\S+)\s+[{signs}] (.*?)(?:  .*)?$", done.stdout, re.MULTILINE)
        return {f"{host}: {title}" for host, title in found}

    assert titles(story.up, "+~") - titles(story.dry, "+~") == set(), story.dry.stdout + story.up.stdout


def test_every_node_is_ready_and_coredns_is_rolled_out(story: Story) -> None:
    found = nodes()
    assert set(found) == set(PAIR)
    assert all(is_ready(node) for node in found.values())
    assert coredns_answers()
    assert {one["metadata"]["name"] for one in objects("daemonsets", "-A")} == {"kube-flannel-ds", "kube-proxy"}


def test_status_shows_every_node(story: Story, inv: Kubefab) -> None:
    done = all_is_well(inv)
    for host in PAIR:
        assert re.search(rf"{host} .*yes.* {VERSION} .*{re.escape(address(host))}", done.stdout), done.stdout
    assert "all is well" in done.stdout


def test_status_prints_one_json_object_and_nothing_else(story: Story, inv: Kubefab) -> None:
    done = all_is_well(inv, "--json")
    found = json.loads(done.stdout)
    assert (found["healthy"], found["state"]) == (True, "well")
    told = {node["name"]: node for node in found["nodes"]}
    assert set(told) == set(PAIR)
    assert told[MASTER]["roles"] == ["control-plane"]
    assert told[WORKER] | {"roles": None} == {
        "name": WORKER,
        "roles": None,
        "ready": True,
        "version": VERSION,
        "address": address(WORKER),
        "cordoned": False,
        "cordoned_by": None,
    }


POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{name: tools, image: "registry.k8s.io/lab/tools:1", command: [sh, -c, "{command}"]}}]
---
"""


@pytest.fixture(scope="module")
def pods(story: Story) -> Iterator[None]:
    """Two pods, each on a node of its own, that serve their own name over HTTP."""
    serve = "mkdir /www && hostname > /www/index.html && busybox httpd -f -p 8000 -h /www"
    for name, node in (("on-master", MASTER), ("on-worker", WORKER)):
        kubectl("apply", "-f", "-", stdin=POD.format(name=name, node=node, command=serve))
    kubectl("expose", "pod", "on-master", "--port=80", "--target-port=8000")
    kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=180s")
    yield
    kubectl("delete", "service/on-master", "pod/on-master", "pod/on-worker", "--ignore-not-found")


def inside(pod: str, *words: str) -> str:
    return kubectl("exec", pod, "--", *words)


@pytest.mark.parametrize("pod", ["on-master", "on-worker"])
def test_a_pod_finds_names_by_the_clusters_dns(pods: None, pod: str) -> None:
    assert "10.96.0.1" in inside(pod, "getent", "hosts", "kubernetes.default.svc.cluster.local")
    assert "10.96.0.1" in inside(pod, "getent", "hosts", "kubernetes.default")


@pytest.mark.parametrize(("asker", "answerer"), [("on-worker", "on-master"), ("on-master", "on-worker")])
def test_a_pod_on_one_node_fetches_from_a_pod_on_the_other(pods: None, asker: str, answerer: str) -> None:
    ip = kubectl("get", "pod", answerer, "-o", "jsonpath={.status.podIP}")
    assert inside(asker, "curl", "-sS", "--max-time", "5", f"http://{ip}:8000/").strip() == answerer


def test_a_pod_reaches_a_service_by_its_name(pods: None) -> None:
    assert inside("on-worker", "curl", "-sS", "--max-time", "5", "http://on-master/").strip() == "on-master"


@pytest.mark.parametrize("host", PAIR)
def test_packages_are_of_the_wanted_version_and_held(story: Story, host: str) -> None:
    shown = on(host, f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {' '.join(PACKAGES)}")
    versions = dict(line.split() for line in shown.splitlines())
    assert all(versions[name].startswith(f"{VERSION}-") for name in ("kubelet", "kubeadm", "kubectl")), versions
    assert set(on(host, "apt-mark showhold").split()) == set(PACKAGES)


@pytest.mark.parametrize("host", PAIR)
def test_an_upgrade_of_the_whole_machine_leaves_kubernetes_as_it_is(story: Story, host: str) -> None:
    """The repository offers 1.37.99 too."""
    assert "1.37.99" in on(host, "apt-cache madison kubelet")
    for word in ("upgrade", "dist-upgrade"):
        would = on(host, f"apt-get --simulate {word}")
        assert not re.search("^Inst (kube|kubernetes)", would, re.MULTILINE), would


@pytest.mark.parametrize("host", PAIR)
def test_the_keyring_holds_the_pinned_key_alone(story: Story, host: str) -> None:
    shown = on(host, "gpg --batch --show-keys --with-colons /etc/apt/keyrings/kubernetes-apt-keyring.gpg")
    kinds = [line.split(":") for line in shown.splitlines()]
    assert [one[0] for one in kinds].count("pub") == 1
    assert next(one[9] for one in kinds if one[0] == "fpr") == KEY
    source = on(host, "cat /etc/apt/sources.list.d/kubernetes.list")
    assert "signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg" in source


def test_kubectl_works_for_root_on_the_master(story: Story) -> None:
    assert on(MASTER, "stat -c '%a %U' /root/.kube/config").split() == ["600", "root"]
    assert {f"node/{host}" for host in PAIR} == set(on(MASTER, "kubectl get nodes -o name").split())


def test_a_kubeconfig_for_this_computer_works_here(story: Story, inv: Kubefab, tmp_path: Path) -> None:
    output = tmp_path / "kubeconfig"
    done = inv("cluster.kubeconfig", "--output", str(output)).well()
    assert str(output) in done.stdout
    assert mode(output) == 0o600
    document = yaml.safe_load(output.read_text())
    server = document["clusters"][0]["cluster"]["server"]
    assert server == f"https://{address(MASTER)}:6443"
    assert ask(output, "/api/v1/nodes", tmp_path)["kind"] == "NodeList"


def ask(kubeconfig: Path, path: str, folder: Path) -> dict[str, str]:
    """What the API server answers to the bearer of a kubeconfig."""
    document = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    given = {
        "ca": cluster["certificate-authority-data"],
        "cert": user["client-certificate-data"],
        "key": user["client-key-data"],
    }
    for name, text in given.items():
        (folder / name).write_bytes(b64decode(text))
    answer = requests.get(
        cluster["server"] + path,
        verify=str(folder / "ca"),
        cert=(str(folder / "cert"), str(folder / "key")),
        timeout=10,
    )
    answer.raise_for_status()
    found: dict[str, str] = answer.json()
    return found


def test_a_kubeconfig_of_another_cluster_is_not_written_over(story: Story, inv: Kubefab, tmp_path: Path) -> None:
    output = tmp_path / "kubeconfig"
    output.write_text("clusters: [{name: other, cluster: {certificate-authority-data: b3RoZXI=}}]\n")
    done = inv("cluster.kubeconfig", "--output", str(output)).badly()
    assert "--force" in done.stderr
    assert "other" in output.read_text()
    inv("cluster.kubeconfig", "--output", str(output), "--force").well()
    assert mode(output) == 0o600
    inv("cluster.kubeconfig", "--output", str(output)).well()


def test_no_token_outlives_the_join(story: Story) -> None:
    """kubeadm init insists on one of its own: it lives for a minute, and is cleared away soon after."""
    tokens = objects("secrets", "-n", "kube-system", "--field-selector", "type=bootstrap.kubernetes.io/token")
    assert len(tokens) <= 1
    for token in tokens:
        ends = datetime.fromisoformat(b64decode(token["data"]["expiration"]).decode())
        begins = datetime.fromisoformat(token["metadata"]["creationTimestamp"])
        assert ends - begins < timedelta(seconds=65)


def test_the_log_is_for_its_owner_and_holds_no_secret(story: Story, inv: Kubefab) -> None:
    *_, log = [log for log in inv.logs() if "init.sh" in log.read_text()]  # other modules may have made masters
    assert mode(log) == 0o600
    assert mode(log.parent) == 0o700
    no_secrets(log.read_text())
    no_secrets(story.up.said)


@pytest.mark.parametrize("host", PAIR)
def test_no_secret_is_left_on_a_host(story: Story, host: str) -> None:
    no_secrets(on(host, "journalctl --no-pager -o cat; cat /run/kubefab/* /var/log/*.log 2>/dev/null; true"))
    no_secrets(on(host, "grep -rh token: /etc/kubernetes /var/lib/kubelet/*.yaml; true"))
    assert (
        on(host, "find /run/kubefab /tmp /etc/kubernetes/bootstrap-kubelet.conf -name '*.conf' 2>/dev/null; true") == ""
    )
    assert on(host, "stat -c %a /run/kubefab").strip() == "700"


# --- a second time


def versions() -> dict[str, str]:
    """Of everything in the cluster that nobody changes by himself, as nodes' heartbeats and expired tokens do."""
    kinds = "daemonsets,deployments,services,serviceaccounts,clusterroles,clusterrolebindings,roles,namespaces"
    found = [*objects(kinds, "-A"), *objects("configmaps", "-A")]
    return {
        "/".join((one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])): one["metadata"][
            "resourceVersion"
        ]
        for one in found
        if one["metadata"]["name"] != "cluster-info"
    }


def test_a_second_up_changes_nothing(story: Story, inv: Kubefab) -> None:
    before = versions()
    labels = {name: (node["metadata"]["labels"], node["spec"]) for name, node in nodes().items()}
    with untouched(*PAIR):
        done = inv("cluster.up").well()
    assert "nothing to do" in done.stdout
    assert differences(before, versions()) == []
    assert labels == {name: (node["metadata"]["labels"], node["spec"]) for name, node in nodes().items()}


def test_a_dry_run_then_has_nothing_to_do(story: Story, inv: Kubefab) -> None:
    with untouched(*PAIR):
        done = inv("--dry", "cluster.up").well()
    assert "nothing to do" in done.stdout
    assert not re.search(r"^\S+\s+[+~] ", done.stdout, re.MULTILINE)


def test_a_second_up_takes_no_lock(story: Story, inv: Kubefab) -> None:
    """Neither of its own, nor does it mind that another has it."""
    lock = f"{CHANGE.rpartition('/')[0]}/run"
    on(MASTER, f"systemd-run --quiet --unit=e2e-lock flock {lock} sleep 600")
    try:
        before = on(MASTER, f"stat -c '%y %z' {lock}")
        assert "nothing to do" in inv("cluster.up").well().stdout
        assert on(MASTER, f"stat -c '%y %z' {lock}") == before
    finally:
        on(MASTER, "systemctl stop e2e-lock")


def test_every_task_of_the_chain_alone_finds_nothing_to_do(story: Story, inv: Kubefab) -> None:
    chain = ("preflight", "install-docker", "install-kubeadm", "init-master", "install-flannel", "join-worker")
    with untouched(*PAIR):
        for name in chain:
            assert "nothing to do" in inv(name).well().stdout, name


def test_the_services_of_every_host_start_at_boot(story: Story) -> None:
    for host in PAIR:
        assert on(host, "systemctl is-enabled containerd kubelet").split() == ["enabled", "enabled"]
        assert services(host).count("MainPID=0") == 0
