"""As a sudo user instead of root, whose sudo wants a password."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from .harness import (
    MASTER,
    TOKEN,
    WORKER,
    Done,
    Kubefab,
    Words,
    at_a_terminal,
    hosts_file,
    no_secrets,
    on,
    ready_nodes,
    untouched,
    without_cluster,
)

PAIR = (MASTER, WORKER)


PASSWORD = "Tr0ub4dor & 3 'quoted' $HOME"  # not to be mistaken for anything else in a log


SUDO_PASSWORD = "KUBEFAB_SUDO_PASSWORD"


def as_user(inv: Kubefab, name: str, cluster: Words | None = None) -> Path:
    return hosts_file(inv.state / f"{name}.yml", *PAIR, cluster=cluster, ssh={"user": name})


def bearing_swap(inv: Kubefab) -> Words:
    """Only for a cluster that is made by it: to change each kubelet's configuration takes half a minute a node."""
    kubeadm = yaml.safe_load(inv.hosts.read_text())["cluster"]["kubeadm"]
    kubeadm["KubeletConfiguration"]["failSwapOn"] = False
    return {"kubeadm": kubeadm}


@dataclass(frozen=True)
class ByPassword:
    hosts: Path
    done: Done
    arguments: dict[str, str]


# Every command line of the machine, as any of its users could see them.
ARGUMENTS = "/root/arguments"


WATCH = f"while sleep 0.1; do cat /proc/[0-9]*/cmdline; done >{ARGUMENTS} 2>/dev/null"


SEEN = f"systemctl stop e2e-watch; tr '\\0' ' ' <{ARGUMENTS}; rm {ARGUMENTS}"


SWAP = "/e2e-swap.img none swap sw 0 0"


@pytest.fixture(scope="module")
def swapping(inv: Kubefab) -> Iterator[None]:
    """No cluster, and a worker with swap in its fstab, which installing Kubernetes' packages would have taken out."""
    without_cluster(inv)
    on(WORKER, f"echo '{SWAP}' >>/etc/fstab")
    yield
    on(WORKER, "sed -i /e2e-swap/d /etc/fstab")


@pytest.fixture(scope="module")
def by_password(inv: Kubefab, swapping: None) -> ByPassword:
    """A cluster made by a user whose sudo needs a password; every command line is written down."""
    hosts = as_user(inv, "sudopass", bearing_swap(inv))
    for host in PAIR:
        on(host, "chpasswd", stdin=f"sudopass:{PASSWORD}\n")
    for host in PAIR:
        on(host, f"systemd-run --quiet --collect --unit=e2e-watch sh -c '{WATCH}'")
    done = inv("cluster.up", hosts=hosts, env={SUDO_PASSWORD: PASSWORD})
    found = {host: on(host, SEEN) for host in PAIR}
    return ByPassword(hosts, done, found)


def test_a_user_whose_sudo_wants_a_password_brings_a_cluster_up(by_password: ByPassword) -> None:
    by_password.done.well()
    assert ready_nodes() == set(PAIR)


@pytest.mark.parametrize("host", PAIR)
def test_neither_password_nor_program_nor_token_is_in_any_command_line(by_password: ByPassword, host: str) -> None:
    seen = by_password.arguments[host]
    assert "kubeadm join" in seen or "kubeadm init" in seen or "kubectl" in seen, "nothing was watched"
    assert PASSWORD not in seen
    assert not TOKEN.search(seen)
    assert "BEGIN CERTIFICATE" not in seen


@pytest.mark.parametrize("host", PAIR)
def test_neither_password_nor_program_is_in_any_log_of_the_host(by_password: ByPassword, host: str) -> None:
    text = on(host, "journalctl --no-pager -o cat; cat /var/log/*.log /var/log/sudo* /run/kubefab/* 2>/dev/null; true")
    commands = [line for line in text.splitlines() if "sudopass" in line and "COMMAND=" in line]
    assert commands, "sudo logged nothing"
    assert not [command for command in commands if re.search("set -|while |kubeadm [a-z]+ |apt-get ", command)]
    assert PASSWORD not in text
    no_secrets(text)


def test_the_kubeconfig_lands_in_the_users_home(by_password: ByPassword) -> None:
    shown = on(MASTER, "stat -c '%U %a %n' /home/sudopass/.kube /home/sudopass/.kube/config").splitlines()
    assert [line.split()[0] for line in shown] == ["sudopass", "sudopass"]
    assert shown[1].split()[1] == "600"
    assert on(MASTER, "su - sudopass -c 'kubectl get nodes -o name'").count("node/") == 2
    assert on(MASTER, "ls /root/.kube/config 2>/dev/null; true") == "", "root got one too"


def test_a_second_up_by_password_has_nothing_to_do(by_password: ByPassword, inv: Kubefab) -> None:
    done = inv("cluster.up", hosts=by_password.hosts, env={SUDO_PASSWORD: PASSWORD}).well()
    assert "nothing to do" in done.stdout


def test_swap_that_the_kubelet_is_to_bear_is_left_on(by_password: ByPassword) -> None:
    assert SWAP in on(WORKER, "cat /etc/fstab")


def test_a_wrong_password_is_one_clear_error_for_each_host(by_password: ByPassword, inv: Kubefab) -> None:
    with untouched(*PAIR):
        done = inv("cluster.up", hosts=by_password.hosts, env={SUDO_PASSWORD: "wrong horse"}).badly()
    assert SUDO_PASSWORD in done.stderr
    assert "does not take this password" in done.stderr
    assert "wrong horse" not in done.said


def test_without_a_password_and_without_a_terminal_the_variable_is_named(by_password: ByPassword, inv: Kubefab) -> None:
    with untouched(*PAIR):
        done = inv("cluster.up", hosts=by_password.hosts, stdin=f"{PASSWORD}\n").badly()
    assert SUDO_PASSWORD in done.stderr


def test_in_a_terminal_the_password_is_asked_for_once_and_not_shown(by_password: ByPassword, inv: Kubefab) -> None:
    status, said = at_a_terminal(
        Kubefab(by_password.hosts, inv.state), "preflight", after="assword", typed=f"{PASSWORD}\n"
    )
    assert status == 0, said
    assert said.lower().count("password") == 1, said
    assert PASSWORD not in said


def test_a_user_who_may_not_use_sudo_is_told(by_password: ByPassword, inv: Kubefab) -> None:
    for host in PAIR:
        on(host, "id nosudo >/dev/null 2>&1 || useradd -m nosudo; mkdir -p /home/nosudo/.ssh")
        on(host, "cp /root/.ssh/authorized_keys /home/nosudo/.ssh/ && chown -R nosudo: /home/nosudo/.ssh")
    done = inv("preflight", hosts=as_user(inv, "nosudo"), env={SUDO_PASSWORD: "guess"}).badly()
    for host in PAIR:
        assert re.search(rf"{host}.*\n.*sudo", done.stderr), done.stderr
