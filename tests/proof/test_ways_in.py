"""As a sudo user who needs no password; and by other doors."""

import subprocess
from pathlib import Path

from lab.settings import KEY
from tests.e2e.harness import (
    MASTER,
    OTHER_PORT,
    WORKER,
    Kubefab,
    address,
    another_sshd,
    hosts_file,
    mended,
    on,
    ready_nodes,
)
from tests.e2e.test_ways_in import as_user

COVERS = ("kubefab/sudo.py", "kubefab/ways.py", "kubefab/wires.py", "kubefab/hostkeys.py")

PAIR = (MASTER, WORKER)


# --- without a password


def test_a_user_whose_sudo_wants_none_takes_a_worker_out_and_in_again(inv: Kubefab) -> None:
    mended(inv)
    hosts = as_user(inv, "sudoer")
    inv("restart", "--host", WORKER, "--yes", hosts=hosts).well()
    assert on(WORKER, "ls -A /etc/kubernetes 2>/dev/null; true") == ""
    inv("join-worker", hosts=hosts).well()
    inv("cluster.up", hosts=hosts).well()
    assert ready_nodes() == set(PAIR)
    assert on(MASTER, "stat -c '%U %a' /home/sudoer/.kube/config").split() == ["sudoer", "600"]


def test_the_root_user_and_a_sudo_user_find_the_same_cluster(inv: Kubefab) -> None:
    mended(inv)
    hosts = as_user(inv, "sudoer")
    inv("cluster.up", hosts=hosts).well()
    assert "nothing to do" in inv("cluster.up", hosts=hosts).well().stdout
    assert inv("cluster.status", "--json", hosts=hosts).well().stdout == inv("cluster.status", "--json").well().stdout


# --- by other doors


def test_a_host_behind_another_is_reached_through_it(cluster: Kubefab, tmp_path: Path) -> None:
    """And for the time it is reached through it alone."""
    own = {"ssh": {"jump": f"root@{address(MASTER)}"}}
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, hosts={WORKER: own})
    mark = on(WORKER, "date +%s").strip()
    assert "nothing to do" in cluster("cluster.up", hosts=hosts).well().stdout
    accepted = on(WORKER, f"journalctl -u ssh --since @{mark} -o cat | grep Accepted")
    assert f"from {address(MASTER)} " in accepted


def test_a_host_is_reached_at_a_port_of_its_own(cluster: Kubefab, tmp_path: Path) -> None:
    with another_sshd(WORKER, tmp_path) as says:
        hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, **says)
        assert "nothing to do" in cluster("cluster.up", hosts=hosts).well().stdout


def test_an_unknown_key_at_another_port_is_accepted_by_the_command_shown(cluster: Kubefab, tmp_path: Path) -> None:
    with another_sshd(WORKER, tmp_path) as says:
        hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, **says)
        known = Path(says["ssh"]["known_hosts"])  # a key that is known at port 22 is believed, as by ssh
        known.write_text("".join(line for line in known.open() if address(WORKER) not in line))
        said = cluster("cluster.up", hosts=hosts).badly().stderr
        command = said[said.index("cat >>") : said.index("END\n", said.index("<<END") + 5) + 4]
        subprocess.run(["sh", "-e"], input=command, text=True, check=True)
        assert "nothing to do" in cluster("cluster.up", hosts=hosts).well().stdout


def test_what_hosts_yml_leaves_out_is_taken_from_the_users_ssh_config(cluster: Kubefab, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    hosts = hosts_file(tmp_path / "hosts.yml", *PAIR, ssh=dict.fromkeys(("user", "key", "known_hosts")))
    with another_sshd(WORKER, tmp_path) as says:
        (home / ".ssh/config").write_text(
            f"Host {address(WORKER)}\n  Port {OTHER_PORT}\n"
            f"Host 10.*\n  User root\n  IdentityFile {KEY}\n  UserKnownHostsFile {says['ssh']['known_hosts']}\n"
        )
        assert "nothing to do" in cluster("cluster.up", hosts=hosts, env={"HOME": home}).well().stdout
