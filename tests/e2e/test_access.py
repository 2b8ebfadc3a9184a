"""Who gets in: kubectl without one here, a person's kubeconfig, users with an end; and until when all of it is good."""

from base64 import b64decode, b64encode
from json import loads
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from .harness import MASTER, WORKER, Done, Kubefab, at_a_terminal, eventually, kubectl, mode, objects, on, untouched
from .renewals import OVER, authorities, signed_anew

COLLEAGUES = """\
# the office
apiVersion: v1
kind: Config
current-context: work
clusters:
- name: work
  cluster: {server: "https://work.example", extensions: [{name: x, extension: {since: 2024-01-01, mode: 0777}}]}
contexts:
- {name: work, context: {cluster: work, user: me}}
users:
- {name: me, user: {token: mine}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A kubeconfig in which somebody has another cluster."""
    path = tmp_path / "config"
    path.write_text(COLLEAGUES)
    return path


def in_own(inv: Kubefab, own: Path, *words: str) -> Done:
    return inv("cluster.kubeconfig", *words, env={"KUBECONFIG": own})


def asked(kubeconfig: Path, context: str, path: str, folder: Path) -> requests.Response:
    """What the API server answers to whom this context is. Its server is an address that its certificate has."""
    document = yaml.safe_load(kubeconfig.read_text())
    named = {kind: {one["name"]: one for one in document[kind]} for kind in ("contexts", "clusters", "users")}
    leads = named["contexts"][context]["context"]
    cluster, user = named["clusters"][leads["cluster"]]["cluster"], named["users"][leads["user"]]["user"]
    given = {"ca": cluster["certificate-authority-data"], "cert": user["client-certificate-data"]}
    for name, text in {**given, "key": user["client-key-data"]}.items():
        (folder / name).write_bytes(b64decode(text))
    who = (str(folder / "cert"), str(folder / "key"))
    return requests.get(cluster["server"] + path, verify=str(folder / "ca"), cert=who, timeout=10)


def as_words(text: str) -> Any:
    return yaml.load(text, Loader=yaml.BaseLoader)


def test_kubectl_answers_as_if_it_ran_here(well: Kubefab) -> None:
    done = well(
        "kubectl", "--", "get", "nodes", "-o", 'jsonpath={range .items[*]}{.metadata.name}{"  |\\n"}{end}'
    ).well()
    assert (set(done.stdout.split("  |\n")), done.stderr) == ({MASTER, WORKER, ""}, "")
    missing = well("kubectl", "--", "get", "node", "nobody").badly()
    assert (missing.stdout, "not found" in missing.stderr) == ("", True)


def test_kubectl_reads_what_comes_through_a_pipe(well: Kubefab) -> None:
    body = "".join(f"  k{n}: '{'x' * 80}  {n}'\n" for n in range(200))
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: piped}}\ndata:\n{body}"
    try:
        well("kubectl", "--", "apply", "-f", "-", stdin=manifest).well()
        (found,) = [one for one in objects("configmaps") if one["metadata"]["name"] == "piped"]
        assert found["data"] == yaml.safe_load(manifest)["data"]
    finally:
        kubectl("delete", "configmap", "piped", "--ignore-not-found")


CONTAINER = ("--namespace=kube-flannel", "daemonset/kube-flannel-ds", "--container=kube-flannel")


def test_a_command_runs_in_a_container_word_by_word_and_its_status_arrives(well: Kubefab) -> None:
    words = ("sh", "-c", 'printf "%s|" "$@"; exit 3', "sh", "a  b", "$HOME", "it's")
    said = well("kubectl", "--", "exec", *CONTAINER, "--", *words)
    assert (said.status, said.stdout) == (3, "a  b|$HOME|it's|")


def test_a_shell_in_a_container_has_the_terminal_of_who_types(well: Kubefab) -> None:
    # kubectl tells the size once the shell runs, and a busy computer takes its time for that.
    sized = 'until [ "$(stty size)" != "0 0" ]; do sleep 0.1; done; stty size'
    asks = f'echo it waits; read -r line; {sized}; echo "<$line>"; exit 4'
    words = ("kubectl", "--", "exec", "-it", *CONTAINER, "--", "sh", "-c", asks)
    status, seen = at_a_terminal(well, *words, after="it waits", typed="a  b\r")
    assert (status, "30 100\n<a  b>\n" in seen.replace("\r", "")) == (4, True), seen


def test_a_command_runs_on_a_host_word_by_word(well: Kubefab) -> None:
    said = well(
        "node.shell", "--host", WORKER, "--", "sh", "-c", 'printf "%s|" "$@"; exit 3', "sh", "a  b", "$HOME", "it's"
    )
    assert (said.status, said.stdout) == (3, "a  b|$HOME|it's|")


def test_a_persons_kubeconfig_gets_this_cluster_and_loses_nothing(well: Kubefab, own: Path, tmp_path: Path) -> None:
    in_own(well, own).well()
    assert (mode(own), (tmp_path / "config.before-kubefab").read_text()) == (0o600, COLLEAGUES)
    assert asked(own, "lab", "/api/v1/nodes", tmp_path).json()["kind"] == "NodeList"
    assert "nothing to do" in in_own(well, own).well().stdout
    in_own(well, own, "--remove").well()
    assert as_words(own.read_text()) == as_words(COLLEAGUES)


def test_a_user_gets_in_with_what_rbac_allows_and_no_more(well: Kubefab, own: Path, tmp_path: Path) -> None:
    done = in_own(well, own, "--user", "alice", "--group", "no-such-group", "--ttl", "10m").well()
    assert "good until" in done.stdout
    assert "RBAC lets it do nothing yet" in done.stdout
    refused = asked(own, "alice@lab", "/api/v1/nodes", tmp_path)
    assert (refused.status_code, 'User "alice" cannot list' in refused.json()["message"]) == (403, True)
    assert not [one for one in objects("certificatesigningrequests") if "kubefab" in one["metadata"]["name"]]


def ended(kubeconfig: Path, name: str) -> None:
    """This user's certificate is one that ended yesterday: the API server gives none for less than ten minutes."""
    document = yaml.safe_load(kubeconfig.read_text())
    (user,) = [one["user"] for one in document["users"] if one["name"] == name]
    was = b64decode(user["client-certificate-data"]).decode()
    made = signed_anew(was, *authorities(MASTER)["ca"], OVER)
    user["client-certificate-data"] = b64encode(made.encode()).decode()
    kubeconfig.write_text(yaml.safe_dump(document))


def test_a_user_whose_certificate_has_ended_does_not_get_in(well: Kubefab, own: Path, tmp_path: Path) -> None:
    in_own(well, own, "--user", "alice").well()
    assert asked(own, "alice@lab", "/api/v1/nodes", tmp_path).status_code == 403
    ended(own, "alice@lab")
    assert asked(own, "alice@lab", "/api/v1/nodes", tmp_path).status_code == 401


def test_nobody_is_made_a_master_of_the_system(well: Kubefab, own: Path) -> None:
    assert "passes every rule" in in_own(well, own, "--user", "x", "--group", "system:masters").badly().stderr
    assert own.read_text() == COLLEAGUES


def test_certificates_are_told_with_their_ends_and_nothing_changes(well: Kubefab) -> None:
    with untouched(MASTER, WORKER):
        told = loads(well("certs.status", "--json").well().stdout)
    kinds = {(one["host"], one["certificate"].rpartition("/")[2]) for one in told["certificates"]}
    wanted = {
        "apiserver.crt",
        "ca.crt",
        "super-admin.conf",
        "kubelet-client-current.pem",
        "kubelet.crt",
        "served at 10257",
    }
    assert {(MASTER, name) for name in wanted} | {(WORKER, "ca.crt"), (WORKER, "kubelet.crt")} <= kinds


def tells(status: Done, line: str) -> bool:
    """A port that has no answer within a status' short time is told by a later one."""
    return line in status.stdout and status.stdout.rstrip().endswith("inv certs.status")


def test_a_file_that_is_newer_than_what_is_served_is_told_by_a_status_too(well: Kubefab) -> None:
    file = "/var/lib/kubelet/pki/kubelet.crt"
    on(WORKER, f"cp -p {file} /root/kubelet.crt && cp /etc/kubernetes/pki/ca.crt {file}")
    try:
        line = f"{WORKER}: port 10250 serves another certificate than {file}"
        assert line in well("certs.status").badly().stdout
        eventually(lambda: tells(well("cluster.status").badly(), line))
    finally:
        on(WORKER, f"mv /root/kubelet.crt {file}")
    well("certs.status").well()
