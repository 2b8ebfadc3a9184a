"""A network that is left by a proxy alone, and proxy variables that nobody meant."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import yaml

from lab.settings import GATEWAY
from tests.e2e.harness import SPARE, Done, Kubefab, address, fresh, hosts_file, on, ready_nodes, true_on

COVERS = ("kubefab/steps/proxy.py", "files/**/*proxy*")

STRAY = f"http://{GATEWAY}:9"  # nobody is there


class Forward(BaseHTTPRequestHandler):
    """A proxy that notes what it was asked for."""

    protocol_version = "HTTP/1.1"
    server: "Proxy"

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        passed = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        with requests.Session() as session:
            session.trust_env = False
            session.headers.clear()
            answer = session.request(self.command, self.path, headers=passed, stream=True, allow_redirects=False)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in answer.raw.stream(65536, decode_content=False):
                self.wfile.write(chunk)
        self.close_connection = True

    do_HEAD = do_GET

    def do_CONNECT(self) -> None:
        self.server.seen.append(self.path)
        name, _, port = self.path.rpartition(":")
        with socket.create_connection((name, int(port))) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pump, args=(far, self.connection), daemon=True)
            back.start()
            pump(self.connection, far)
            back.join()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


HOP_BY_HOP = ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer")


def pump(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


class Proxy(ThreadingHTTPServer):
    daemon_threads = True
    seen: list[str]

    @property
    def url(self) -> str:
        return f"http://{GATEWAY}:{self.server_port}"


@dataclass(frozen=True)
class Story:
    proxy: Proxy
    hosts: Path
    up: Done
    seen: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(inv: Kubefab) -> Iterator[Story]:
    """A cluster of one machine, made as new behind the proxy."""
    fresh(SPARE)
    with Proxy((GATEWAY, 0), Forward) as proxy:
        proxy.seen = []
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        hosts = hosts_file(inv.state / "proxied.yml", SPARE)
        document = yaml.safe_load(hosts.read_text())
        hosts.write_text(yaml.safe_dump(document | {"proxy": {"http": proxy.url, "no_proxy": [".example.org"]}}))
        up = inv("cluster.up", hosts=hosts).well()
        yield Story(proxy, hosts, up, list(proxy.seen))
        proxy.shutdown()


@pytest.mark.parametrize(
    "words",
    ["/containerd_", "/InRelease", "kubelet", "/v2/pause/", "/v2/kube-apiserver/", "/v2/flannel-io/flannel/"],
)
def test_packages_and_images_come_by_the_proxy(story: Story, words: str) -> None:
    assert any(words in one for one in story.seen), story.seen


def test_the_cluster_itself_is_reached_directly(story: Story) -> None:
    own = (address(SPARE), "10.96.", "10.244.", "127.0.0.1", "localhost")
    asked = [urlsplit(one if "//" in one else f"//{one}").hostname or "" for one in story.proxy.seen]
    assert [one for one in asked if one.startswith(own) or one.endswith(("kubefab.internal", ".svc"))] == []


PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def environment_of(pod: str) -> dict[str, str]:
    """As its manifest says."""
    manifest = yaml.safe_load(on(SPARE, f"cat /etc/kubernetes/manifests/{pod}.yaml"))
    return {one["name"]: one["value"] for one in manifest["spec"]["containers"][0].get("env") or ()}


def test_the_control_plane_knows_the_proxy_and_what_to_reach_without_it(story: Story) -> None:
    told = environment_of("kube-controller-manager")
    assert told["HTTP_PROXY"] == told["HTTPS_PROXY"] == story.proxy.url
    assert {address(SPARE), SPARE, "10.96.0.0/12", "10.244.0.0/16", ".svc", ".example.org"} <= set(
        told["NO_PROXY"].split(",")
    )


def test_a_second_up_behind_the_proxy_changes_nothing(story: Story, inv: Kubefab) -> None:
    assert "nothing to do" in inv("cluster.up", hosts=story.hosts).well().stdout


def test_what_is_to_be_reached_directly_by_now_comes_to_the_control_plane(story: Story, inv: Kubefab) -> None:
    document = yaml.safe_load(story.hosts.read_text())
    more = inv.state / "more.yml"
    said = document["proxy"] | {"no_proxy": [".example.org", ".later.org"]}
    more.write_text(yaml.safe_dump(document | {"proxy": said}))
    dry = inv("--dry", "cluster.up", hosts=more).well().stdout
    assert f"the API server of {SPARE} restarts" in dry
    for pod in PODS:
        assert f"{pod} is what hosts.yml says  (now: NO_PROXY lacks .later.org)" in dry
    inv("cluster.up", hosts=more).well()
    assert [pod for pod in PODS if ".later.org" not in environment_of(pod)["NO_PROXY"].split(",")] == []
    assert "nothing to do" in inv("cluster.up", hosts=more).well().stdout
    assert "nothing to do" not in inv("cluster.up", hosts=story.hosts).well().stdout, "the host's own file goes back"
    assert "nothing to do" in inv("cluster.up", hosts=story.hosts).well().stdout


def environment_of_containerd() -> str:
    return on(SPARE, "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID containerd)/environ")


def test_a_proxy_that_hosts_yml_no_longer_names_is_forgotten(story: Story, inv: Kubefab) -> None:
    assert story.proxy.url in environment_of_containerd()
    plain = hosts_file(inv.state / "plain.yml", SPARE)
    said = inv("install-docker", hosts=plain).well().stdout
    assert "no earlier proxy setting is left" in said
    assert "PROXY" not in environment_of_containerd()
    assert not true_on(SPARE, "apt-config dump | grep -i 'acquire::http::proxy'")
    assert "nothing to do" in inv("install-docker", hosts=plain).well().stdout


def test_a_proxy_that_hosts_yml_no_longer_names_goes_from_the_control_plane(inv: Kubefab) -> None:
    plain = hosts_file(inv.state / "plain.yml", SPARE)
    assert set(environment_of("kube-apiserver")) == {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
    inv("cluster.up", hosts=plain).well()
    assert [pod for pod in PODS if environment_of(pod)] == []
    assert ready_nodes(SPARE) == {SPARE}
    assert "nothing to do" in inv("cluster.up", hosts=plain).well().stdout


def test_stray_variables_of_the_login_are_kept_from_kubeadm(inv: Kubefab) -> None:
    """All that asks the API server would else ask a proxy that is not there."""
    fresh(SPARE)
    plain = hosts_file(inv.state / "plain.yml", SPARE)
    inv("install-kubeadm", hosts=plain).well()
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    on(SPARE, f"printf '%s={STRAY}\\n' {' '.join(names)} >/etc/environment")
    try:
        inv("cluster.up", hosts=plain).well()
        assert ready_nodes(SPARE) == {SPARE}
        assert not true_on(SPARE, f"grep -ri '{STRAY}' /etc/kubernetes/manifests")
    finally:
        on(SPARE, ": >/etc/environment")
