"""Nodes, sshds and ssh configurations that are odd, as users' are.

The machines are shared: whoever makes one odd undoes it, whatever happens.
"""

import re
from pathlib import Path

from lab.settings import KEY, KNOWN_HOSTS
from tests.e2e.harness import (
    MASTER,
    WORKER,
    Kubefab,
    Words,
    address,
    another_sshd,
    eventually,
    hosts_file,
    nodes,
    on,
)
from tests.e2e.test_odd_hosts import odd

COVERS = (
    "kubefab/ways.py",
    "kubefab/identities.py",
    "kubefab/hostkeys.py",
    "kubefab/api.py",
    "kubefab/steps/health.py",
    "scripts/apply-sysctl.sh",
)

PAIR = (MASTER, WORKER)


# --- a node that is there


def test_a_configuration_from_the_future_is_cured_once(cluster: Kubefab) -> None:
    on(WORKER, "touch -d '+2 hours' /etc/containerd/config.toml")
    cluster("cluster.up").well()
    assert "nothing to do" in cluster("cluster.up").well().stdout


KUBELET = "/var/lib/kubelet/config.yaml"


FULL = r"""
cp -a {0} /root/kubelet.yaml
sed -i 's/nodefs.available:.*/nodefs.available: 99%/; s/^\(evictionPressureTransitionPeriod:\).*/\1 1s/' {0}
systemctl restart kubelet
"""


def test_a_disk_fuller_than_the_kubelet_bears_is_told(cluster: Kubefab) -> None:
    with odd(WORKER, FULL.format(KUBELET), f"mv /root/kubelet.yaml {KUBELET}; systemctl restart kubelet"):
        eventually(lambda: pressed(WORKER), pause=1)
        assert re.search(f"{WORKER}.*DiskPressure", cluster("cluster.status").badly().stdout)
    eventually(lambda: not pressed(WORKER), pause=1)


def pressed(host: str) -> bool:
    conditions = nodes()[host]["status"]["conditions"]
    return any((one["type"], one["status"]) == ("DiskPressure", "True") for one in conditions)


def test_without_procps_the_kernel_is_told_all_the_same(cluster: Kubefab) -> None:
    with odd(WORKER, "mv /usr/sbin/sysctl /root/; echo 0 >/proc/sys/net/ipv4/ip_forward", "mv /root/sysctl /usr/sbin/"):
        cluster("cluster.up").well()
        assert on(WORKER, "cat /proc/sys/net/ipv4/ip_forward") == "1\n"


# --- an sshd that is odd


def test_what_could_not_be_asked_of_the_health_is_told(cluster: Kubefab, tmp_path: Path) -> None:
    with another_sshd(MASTER, tmp_path, "AllowTcpForwarding=no") as says:
        done = cluster("cluster.status", hosts=hosts_file(tmp_path / "hosts.yml", *PAIR, **says))
    assert "AllowTcpForwarding" in done.said
    assert "HTTPSConnectionPool" not in done.said


def test_ciphers_that_kubefab_does_not_speak_are_named(cluster: Kubefab, tmp_path: Path) -> None:
    with another_sshd(MASTER, tmp_path, "Ciphers=chacha20-poly1305@openssh.com") as says:
        said = cluster("preflight", hosts=hosts_file(tmp_path / "hosts.yml", *PAIR, **says)).badly().stderr
    assert "no Ciphers that paramiko can use" in said
    assert "aes256-ctr" in said


LOG_IN_AS = 'Please login as the user "debian" rather than the user "root".'


def test_a_cloud_image_that_wants_another_user_is_quoted(cluster: Kubefab, tmp_path: Path) -> None:
    forced = f"ForceCommand=echo '{LOG_IN_AS}';echo;sleep 2;exit 142"
    with another_sshd(MASTER, tmp_path, forced) as says:
        said = cluster("preflight", hosts=hosts_file(tmp_path / "hosts.yml", *PAIR, **says)).badly().stderr
    assert 'Please login as the user "debian"' in said


def test_a_jump_host_that_refuses_is_named(cluster: Kubefab, tmp_path: Path) -> None:
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh={"jump": f"nobody@{address(WORKER)}"})
    said = cluster("preflight", hosts=hosts).badly().stderr
    assert f"nobody@{address(WORKER)}" in said


# --- an ssh configuration that is odd


def home(folder: Path, *lines: str, **files: str) -> Words:
    """The environment of somebody whose ssh configuration has these lines for the lab."""
    ssh = folder / "home/.ssh"
    ssh.mkdir(parents=True, mode=0o700)
    (ssh / "config").write_text("".join(f"{line}\n" for line in lines))
    for name, text in files.items():
        (ssh / name).write_text(text)
    return {"HOME": ssh.parent}


NOTHING_OF_SSH = dict.fromkeys(("user", "key", "known_hosts"))


def test_a_proxy_jump_of_none_is_a_direct_way(cluster: Kubefab, tmp_path: Path) -> None:
    lines = ("Host 10.250.0.*", "  ProxyJump none", "Host *", "  ProxyJump nobody@192.0.2.1")
    cluster("preflight", env=home(tmp_path, *lines)).well()


def test_an_identity_file_that_is_not_there_is_passed_over(cluster: Kubefab, tmp_path: Path) -> None:
    lines = ("Host 10.250.0.*", "  IdentityFile ~/.ssh/not_there", f"  IdentityFile {KEY}")
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh={"key": None})
    cluster("preflight", hosts=hosts, env=home(tmp_path, *lines)).well()


def test_what_is_included_counts(cluster: Kubefab, tmp_path: Path) -> None:
    lab = f"Host 10.250.0.*\n  User root\n  IdentityFile {KEY}\n  UserKnownHostsFile {KNOWN_HOSTS}\n"
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh=NOTHING_OF_SSH)
    cluster("preflight", hosts=hosts, env=home(tmp_path, f"Include {tmp_path}/home/.ssh/lab", lab=lab)).well()


def test_where_no_host_key_is_kept_the_cure_that_is_told_ends(cluster: Kubefab, tmp_path: Path) -> None:
    lines = ("Host 10.250.0.*", "  StrictHostKeyChecking no", "  UserKnownHostsFile /dev/null")
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh={"known_hosts": None})
    env = home(tmp_path, *lines)
    said = cluster("preflight", hosts=hosts, env=env).badly().stderr
    assert "cat >>/dev/null" not in said
