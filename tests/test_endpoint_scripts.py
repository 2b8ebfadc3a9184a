"""A worker's haproxy: what is installed, told, looked at and taken away, and what of others' haproxy stays."""

import sys
from base64 import b64encode
from pathlib import Path

import pytest

from kubefab import render
from kubefab.questions import Questions
from tests import sandbox
from tests.authority import Authority
from tests.fakes import three_masters
from tests.test_look import found

MARK = "/var/lib/kubefab/haproxy"
PATCH = sandbox.file(render.ETCD_PATCH, "[]")
UNIT = sandbox.file(render.ENDPOINT_UNIT, "# Written by kubefab.\n")
OURS = sandbox.file(render.ENDPOINT, "# Written by kubefab.\n") + sandbox.file(render.AUTHORITY, "CA") + UNIT
THERE = 'stub dpkg-query \'printf "%s" "ii "\'\n'
ABSENT = "stub dpkg-query 'exit 1'\n"
UNEDITED, EDITED = "stub dpkg ''\n", "stub dpkg 'echo \"??5?????? c /etc/haproxy/haproxy.cfg\"'\n"
CALLS = "\ngrep -E '^(systemctl|apt-get .* install)' /mnt/calls | sed 's/apt-get.*install/install/'"
STOPPED = "systemctl disable --now haproxy"
TAKEN = "systemctl disable --now kubefab-endpoint"


def ran(before: str, script: str, then: str = CALLS, *args: str) -> list[str]:
    return sandbox.run(f"{before}{sandbox.script(script, *args)} >/dev/null\n{then}").splitlines()


# --- install-haproxy.sh


@sandbox.needed
@pytest.mark.parametrize(
    ("before", "stopped"),
    [
        (ABSENT + UNEDITED, True),
        (THERE + UNEDITED, False),  # it is somebody's
        (ABSENT + EDITED, False),  # its configuration was left by somebody who removed the package
        (THERE + UNEDITED + sandbox.file(MARK, ""), True),  # broken off between the two
    ],
)
def test_a_haproxy_service_that_only_our_installation_started_is_stopped(before: str, stopped: bool) -> None:
    calls = ran(before, "install-haproxy.sh", f"{CALLS}; find /var/lib/kubefab -type f 2>/dev/null || true")
    assert "haproxy" in calls[0]
    assert calls[1:] == ([STOPPED] if stopped else [])


@sandbox.needed
def test_an_installation_that_is_broken_off_leaves_a_mark() -> None:
    broken = f"{ABSENT}stub apt-get 'exit 1'\n! {sandbox.script('install-haproxy.sh')} >/dev/null\n"
    assert found(broken, "endpoint").endpoint.haproxy_begun
    assert not found("", "endpoint").endpoint.haproxy_begun


# --- put-endpoint.sh

TOLD = f"{b64encode(b'the CA').decode()}\nnew\n"


OLD = "# Written by kubefab.\nold\n"


def put(haproxy: str) -> str:
    old = sandbox.file(render.ENDPOINT, OLD)
    command = f"sh {sandbox.script('put-endpoint.sh').removeprefix('sh ')}"
    told = sandbox.file("/mnt/told", TOLD)
    return sandbox.run(
        f"{old}{told}stub haproxy '{haproxy}'\n{command} </mnt/told >/dev/null 2>&1 || echo refused\n"
        f"cat {render.ENDPOINT} {render.AUTHORITY}; grep haproxy /mnt/calls"
    )


@sandbox.needed
def test_the_ca_alone_is_put_where_there_is_no_haproxy() -> None:
    told = sandbox.file("/mnt/told", TOLD.partition("\n")[0] + "\n")
    script = f"{told}{sandbox.script('put-endpoint.sh')} </mnt/told\ncd /etc/kubefab\ngrep -r ."
    assert sandbox.run(script) == "ca.crt:the CA\n"


@sandbox.needed
def test_a_configuration_takes_its_place_once_haproxy_takes_it() -> None:
    assert put("") == f"new\nthe CAhaproxy -c -q -f {render.ENDPOINT}.kubefab\n"
    assert put("exit 1").startswith(f"refused\n{OLD}")


@sandbox.needed
def test_a_configuration_that_somebody_has_changed_is_kept_when_it_is_written_anew_and_when_it_goes() -> None:
    """Two lines for another port, say: kubefab's own head is still in it, and its note says how it was left."""
    write = f"{sandbox.script('put-endpoint.sh')} </mnt/told >/dev/null\n"
    by_hand = f"echo changed >>{render.ENDPOINT}\n"
    told = sandbox.file("/mnt/told", f"{TOLD}# Written by kubefab.\n") + "stub haproxy ''\n"
    kept = f"tail -qn 1 {render.ENDPOINT}.before-kubefab*; echo; rm -f {render.ENDPOINT}.before-kubefab*\n"
    remove = f"{sandbox.script('remove-endpoint.sh')} >/dev/null\n"
    assert sandbox.run(told + write + by_hand + write + kept + by_hand + remove + kept).split() == ["changed"] * 2
    untouched = "find /etc/kubefab -name '*.before-kubefab' | wc -l\n"
    assert sandbox.run(told + write + write + remove + untouched + "ls -d /etc/kubefab || true").split() == ["0"]


@sandbox.program_needed("haproxy")
def test_haproxy_takes_what_is_rendered(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "kubernetes").certificate.read_text()
    user = "echo haproxy:x:99:99::/:/bin/false >>/etc/passwd\necho haproxy:x:99: >>/etc/group\n"
    files = sandbox.file(render.ENDPOINT, render.haproxy(three_masters())) + sandbox.file(render.AUTHORITY, authority)
    said = sandbox.run(f"{user}{files}haproxy -c -f {render.ENDPOINT} 2>&1")
    assert said.strip().splitlines()[-1] == "Configuration file is valid"


# --- remove-endpoint.sh, and as a part of tear-down.sh


@sandbox.needed
@pytest.mark.parametrize("words", [("remove-endpoint.sh",), ("tear-down.sh", "unix:///run/containerd/containerd.sock")])
def test_kubefabs_own_haproxy_goes_and_anybody_elses_stays(words: tuple[str, ...]) -> None:
    theirs = sandbox.file("/etc/haproxy/haproxy.cfg", "theirs")
    paths = f"{render.ENDPOINT_UNIT} /etc/kube* /etc/haproxy/*"
    left = f"ls -d {paths} 2>/dev/null || true; grep -E 'able.*(proxy|kubefab)' /mnt/calls"
    assert ran(OURS + theirs, words[0], left, *words[1:]) == ["/etc/haproxy/haproxy.cfg", TAKEN]


@sandbox.needed
def test_a_reset_master_keeps_no_patch_of_kubeadms() -> None:
    socket = "unix:///run/containerd/containerd.sock"
    assert found(PATCH, "leftovers").leftovers.directories == ("/etc/kubefab",)
    assert ran(PATCH, "tear-down.sh", "ls -d /etc/kubefab 2>/dev/null || true", socket) == []


@sandbox.needed
def test_where_there_is_none_nothing_is_done() -> None:
    assert ran("", "remove-endpoint.sh") == []


@sandbox.needed
def test_a_haproxy_that_cannot_be_stopped_keeps_its_files() -> None:
    stuck = "stub systemctl 'exit 1'\n"
    said = sandbox.run(f"{OURS}{stuck}! {sandbox.script('remove-endpoint.sh')}\nls /etc/kubefab")
    assert said.split() == ["ca.crt", "endpoint.cfg"]


@sandbox.needed
def test_a_reset_is_told_of_it_before_anybody_is_asked() -> None:
    assert {"/etc/kubefab", render.ENDPOINT_UNIT} <= set(found(OURS, "leftovers").leftovers.directories)


# --- look/endpoint.sh

SS = """echo '0 0 10.0.0.5:44558 10.0.0.1:6443 users:(("kubelet",pid=7,fd=12))'
echo '0 0 127.0.0.1:49752 127.0.0.1:6443 users:(("kubelet",pid=7,fd=13))'
echo '0 0 10.0.0.5:60430 10.0.0.2:6443 users:(("haproxy",pid=8,fd=8))'
"""
STAT = """# pxname,svname,status,check_status,check_code,last_chk
endpoint,m1,UP,L7OK,200,
endpoint,m2,DOWN,* L4CON,,"Connection refused, twice"
endpoint,m3,UP,L7OK,401,

"""
SERVER = f"""{sys.executable} - <<'END' &
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("/run/kubefab-endpoint.sock")
server.listen()
client = server.accept()[0]
assert client.recv(99) == b"show stat -1 4 -1\\n"
client.sendall({STAT.encode()!r})
END
while [ ! -S /run/kubefab-endpoint.sock ]; do sleep 0.05; done
"""


@sandbox.needed
def test_whom_a_kubelet_asks_is_told() -> None:
    stub = sandbox.file("/mnt/bin/ss", f"#!/bin/sh\n{SS}") + "chmod +x /mnt/bin/ss\n"
    assert found(stub, "endpoint").endpoint.kubelet_at == ("10.0.0.1", "127.0.0.1")


@sandbox.needed
def test_what_haproxy_sees_of_each_master_is_told() -> None:
    seen = found(f"stub ss ''\n{SERVER}", "endpoint").endpoint.sees
    assert seen == {"m1": "UP; L7OK 200", "m2": "DOWN; L4CON", "m3": "UP; L7OK 401"}


COPY = """cp $(command -v sleep) /mnt/bin/kube-proxy
bash -c "exec -a '/usr/bin/containerd-shim-runc-v2 -id 1 -address /run/containerd/containerd.sock' bash -c '
    unshare --mount sh -c \\"mount --bind /mnt/hosts /etc/hosts; exec kube-proxy 60\\" & wait'" &
until pgrep -x kube-proxy; do sleep 0.05; done >/dev/null
"""


@sandbox.program_needed("pgrep")
def test_kube_proxys_own_copy_of_etc_hosts_is_told() -> None:
    hosts = "127.0.0.1 localhost\n#10.0.0.9 lab.kubefab.internal\n10.0.0.1 lab.kubefab.internal\n"
    started = f"stub ss ''\n{sandbox.file('/mnt/hosts', hosts)}{COPY}"
    told = found(started, "endpoint").endpoint
    assert (told.proxy, told.proxy_has) == ("runs", {"lab.kubefab.internal": "10.0.0.1"})


@sandbox.program_needed("pgrep")
def test_a_kube_proxy_that_does_not_run_is_no_unknown_one() -> None:
    assert found("stub ss ''\n", "endpoint").endpoint.proxy == "none"


ASKED = Questions(balancer=("k8s.example.org:443",))
KNOWN = sandbox.file(render.AUTHORITY, "CA") + "stub ss ''\n"


@sandbox.needed
@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("stub kubectl 'echo ok'\n", "ok"),
        ("stub kubectl 'echo warning >&2; echo refused >&2; exit 1'\n", "refused"),
        ("stub kubectl 'echo You must be logged in \\(Unauthorized\\) >&2; exit 1'\n", "ok"),
        ("stub kubectl 'echo Error from server \\(Forbidden\\): forbidden >&2; exit 1'\n", "ok"),
        ("stub kubectl 'case $* in *--username*) echo ok ;; esac'\n", "ok"),
        (sandbox.file("/etc/kubernetes/kubelet.conf", "x") + "stub kubectl 'echo ok'\n", ""),
        ("rm /etc/kubefab/ca.crt\nstub kubectl 'echo ok'\n", ""),
    ],
)
def test_who_is_to_join_asks_the_users_load_balancer(before: str, said: str) -> None:
    assert found(KNOWN + before, "endpoint", questions=ASKED).endpoint.balancer == said
