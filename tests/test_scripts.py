"""The scripts, run by the shell they are written for: in folders of the test, or in a sandbox as root."""

import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from kubefab.programs import SCRIPTS
from tests import sandbox

ROOT = SCRIPTS.parent
ALL = sorted(SCRIPTS.rglob("*.sh"))
OWN = [path for path in ALL if path.parent == SCRIPTS]
ids = {"ids": lambda path: str(path.relative_to(SCRIPTS))}

# --- as texts


def test_all_pass_shellcheck() -> None:
    checker = Path(sys.executable).parent / "shellcheck"
    ended = subprocess.run([checker, *ALL], capture_output=True, text=True, check=False)
    assert ended.stdout + ended.stderr == ""


@pytest.mark.parametrize("path", ALL, **ids)  # type: ignore[arg-type]
def test_each_is_posix_sh(path: Path) -> None:
    assert path.read_text().splitlines()[0] in ("#!/bin/sh", "# shellcheck shell=sh") or path.name == "change.sh"
    subprocess.run(["sh", "-n", path], check=True)


@pytest.mark.parametrize("path", OWN, **ids)  # type: ignore[arg-type]
def test_each_stops_at_the_first_error(path: Path) -> None:
    assert re.search(r"^ *set -eu$", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in ALL if path not in OWN], **ids)  # type: ignore[arg-type]
def test_a_look_never_stops_at_an_error(path: Path) -> None:
    assert "set -e" not in path.read_text()


@pytest.mark.parametrize("path", OWN, **ids)  # type: ignore[arg-type]
def test_what_can_be_run_by_hand_is_executable(path: Path) -> None:
    runnable = path.read_text().startswith("#!")
    assert bool(path.stat().st_mode & 0o111) is runnable


def test_every_script_is_used_and_every_used_script_is_there() -> None:
    texts = "".join(path.read_text() for path in (ROOT / "kubefab").rglob("*.py"))
    used = set(re.findall(r'"(?:look/)?([a-z-]+\.sh)"', texts))
    assert used - {"look.sh"} == {path.name for path in OWN}


# --- put-files.sh


def put(path: Path, text: str, mode: str = "0644") -> None:
    line = f"{mode} {path} {b64encode(text.encode()).decode()}\n"
    subprocess.run(["sh", SCRIPTS / "put-files.sh"], input=line, text=True, check=True)


def test_a_file_is_put_with_its_folders_and_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file"
    put(file, "text\n", "0600")
    assert (file.read_text(), oct(file.stat().st_mode)[-4:]) == ("text\n", "0600")
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_somebody_elses_text_is_kept_beside_ours(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("theirs")
    file.chmod(0o640)
    put(file, "# Written by kubefab.\n")
    put(file, "# Written by kubefab: anew.\n")
    kept = tmp_path / "file.before-kubefab"
    assert (kept.read_text(), oct(kept.stat().st_mode)[-3:]) == ("theirs", "640")
    assert file.read_text() == "# Written by kubefab: anew.\n"


def test_our_own_text_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "file"
    put(file, "# Written by kubefab.\n")
    put(file, "# Written by kubefab: anew.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_was_kept_once_is_not_written_over(tmp_path: Path) -> None:
    file, kept = tmp_path / "file", tmp_path / "file.before-kubefab"
    kept.write_text("the first")
    file.write_text("the second")
    put(file, "ours")
    assert kept.read_text() == "the first"


def test_a_keyring_is_replaced_and_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "keyring.gpg"
    file.write_bytes(b"\x99old")
    put(file, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["keyring.gpg"]


def test_a_file_is_replaced_in_one_moment(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with file.open() as reader:
        put(file, "new")
        assert reader.read() == "old"  # a reader has the one or the other, never half of it


def test_a_file_that_travelled_badly_is_not_put(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    line = f"0644 {file} !!!\n"
    ended = subprocess.run(["sh", SCRIPTS / "put-files.sh"], input=line, text=True, capture_output=True, check=False)
    assert (ended.returncode != 0, file.read_text()) == (True, "old")


# --- set-endpoint.sh

NAME = "lab.kubefab.internal"
OTHERS = f"""127.0.0.1\tlocalhost
# {NAME} was here
::1     localhost ip6-localhost

10.0.0.7 labxkubefab.internal my{NAME} {NAME}.example.org
10.0.0.8 gate # near {NAME}
"""


def endpoint(hosts: str, *args: str) -> str:
    return sandbox.run(
        sandbox.file("/etc/hosts", hosts)
        + sandbox.script("set-endpoint.sh", *args)
        + "\ncat /etc/hosts; ls /etc/hosts*"
    ).removesuffix("/etc/hosts\n")


@sandbox.needed
@pytest.mark.parametrize(
    ("before", "address", "after"),
    [
        (OTHERS, "10.0.0.1", f"{OTHERS}10.0.0.1 {NAME}\n"),
        (f"10.9.9.9 {NAME}\n{OTHERS}", "10.0.0.1", f"{OTHERS}10.0.0.1 {NAME}\n"),
        (f"10.0.0.1 {NAME}\n", "10.0.0.1", f"10.0.0.1 {NAME}\n"),
        (f"10.0.0.1 one {NAME} two # three\n", "10.0.0.2", f"10.0.0.1 one two # three\n10.0.0.2 {NAME}\n"),
        ("", "10.0.0.1", f"10.0.0.1 {NAME}\n"),
        ("10.0.0.9 last", "10.0.0.1", f"10.0.0.9 last\n10.0.0.1 {NAME}\n"),
        (f"{OTHERS}10.0.0.1 {NAME}\n", "", OTHERS),
        (f"10.0.0.1 {NAME} gate\n10.0.0.2 {NAME}\n", "", "10.0.0.1 gate\n"),
        (OTHERS, "", OTHERS),
    ],
)
def test_one_name_changes_and_all_else_in_etc_hosts_stays(before: str, address: str, after: str) -> None:
    assert endpoint(before, NAME, *filter(None, [address])) == after


@sandbox.needed
def test_an_etc_hosts_that_is_a_mount_is_written_in_place() -> None:
    mounted = "cp /etc/hosts /mnt/hosts\nmount --bind /mnt/hosts /etc/hosts\n"
    text = sandbox.file("/etc/hosts", OTHERS) + mounted + sandbox.script("set-endpoint.sh", NAME, "10.0.0.1")
    assert sandbox.run(f"{text}\ncat /mnt/hosts; ls /etc/hosts*") == f"{OTHERS}10.0.0.1 {NAME}\n/etc/hosts\n"


@sandbox.needed
def test_etc_hosts_keeps_its_owner_and_mode() -> None:
    text = "chmod 0640 /etc/hosts\n" + sandbox.script("set-endpoint.sh", NAME, "10.0.0.1")
    assert sandbox.run(f"{text}\nstat -c %a /etc/hosts") == "640\n"


TEMPLATE = """## template:jinja
# Your system has configured 'manage_etc_hosts' as True.
{# The value '{{hostname}}' will be replaced with the local-hostname -#}
127.0.1.1 {{fqdn}} {{hostname}}
127.0.0.1 localhost
"""
RENDERED = "# Your system has configured 'manage_etc_hosts' as True.\n127.0.1.1 a.example a\n127.0.0.1 localhost\n"


def template(hosts: str, template: str, *args: str) -> str:
    """What cloud-init would write /etc/hosts from at the next boot."""
    path = "/etc/cloud/templates/hosts.debian.tmpl"
    both = sandbox.file("/etc/hosts", hosts) + sandbox.file(path, template)
    return sandbox.run(f"{both}{sandbox.script('set-endpoint.sh', *args)}\ncat {path}")


@sandbox.needed
def test_a_name_outlives_a_boot_where_cloud_init_writes_etc_hosts_anew() -> None:
    named = f"{TEMPLATE}10.0.0.1 {NAME}\n"
    assert template(RENDERED, TEMPLATE, NAME, "10.0.0.1") == named
    assert template(RENDERED, f"10.9.9.9 {NAME}\n{TEMPLATE}", NAME, "10.0.0.1") == named
    assert template(f"{RENDERED}10.0.0.1 {NAME}\n", named, NAME) == TEMPLATE


@sandbox.needed
def test_a_template_that_nobody_uses_stays_as_it_is() -> None:
    assert template(OTHERS, TEMPLATE, NAME, "10.0.0.1") == TEMPLATE


# --- swap-off.sh

FSTAB = """# /etc/fstab
UUID=1 /    ext4 defaults 0 1
/swap.img none swap sw 0 0
  /dev/sda2\tnone\tswap\tsw
#/dev/sdb1 none swap sw 0 0
/dev/sdc1 /swap ext4 defaults 0 2
nas:/swap /mnt/swap nfs defaults 0 0
"""


@sandbox.needed
def test_swap_is_off_after_every_boot_and_other_file_systems_stay() -> None:
    after = sandbox.run(
        sandbox.file("/etc/fstab", FSTAB) + sandbox.script("swap-off.sh") + "\ncat /etc/fstab; cat /mnt/calls"
    )
    text, _, calls = after.partition("systemctl")
    changed = [(old, new) for old, new in zip(FSTAB.splitlines(), text.splitlines(), strict=True) if old != new]
    assert changed == [
        ("/swap.img none swap sw 0 0", "# switched off by kubefab: /swap.img none swap sw 0 0"),
        ("  /dev/sda2\tnone\tswap\tsw", "# switched off by kubefab:   /dev/sda2\tnone\tswap\tsw"),
    ]
    assert calls.splitlines()[-1].strip() == "swapoff -a"


@sandbox.needed
def test_units_and_daemons_that_swap_on_are_switched_off() -> None:
    made = "mkdir -p /run/systemd/generator /etc/systemd/system/multi-user.target.wants\n" + "".join(
        sandbox.file(path, "text")
        for path in (
            "/run/systemd/generator/dev-zram0.swap",
            "/etc/systemd/system/mine.swap",
            "/etc/systemd/system/multi-user.target.wants/zramswap.service",
        )
    )
    ended = sandbox.run(f"{made}{sandbox.script('swap-off.sh')}\ncat /mnt/calls; ls /etc/systemd/system/*swap*")
    calls = ended.splitlines()
    assert "systemctl mask --now dev-zram0.swap" in calls
    assert "systemctl mask --now mine.swap" in calls
    assert "systemctl disable --now zramswap" in calls
    assert "/etc/systemd/system/mine.swap.before-kubefab" in calls


@sandbox.needed
@pytest.mark.parametrize(("swaps", "well"), [("Filename\n", "yes"), ("Filename\n/swap.img file 2096124 0 -2\n", "no")])
def test_a_failing_swapoff_counts_where_swap_is_still_on(swaps: str, well: str) -> None:
    before = sandbox.file("/mnt/swaps", swaps) + "mount --bind /mnt/swaps /proc/swaps\nstub swapoff 'exit 32'\n"
    assert sandbox.run(f"{before}if {sandbox.script('swap-off.sh')}; then echo yes; else echo no; fi") == f"{well}\n"


# --- packages


@sandbox.needed
def test_lists_are_refreshed_only_where_a_package_is_not_found() -> None:
    (once,) = sandbox.run(f"{sandbox.script('install-packages.sh', 'containerd')}\ncat /mnt/calls").splitlines()
    assert once.endswith("install --no-install-recommends --allow-change-held-packages containerd")
    stub = (
        "stub apt-get '[ -e /mnt/updated ] || { case \"$*\" in *update) touch /mnt/updated ;; *) exit 100 ;; esac; }'\n"
    )
    calls = sandbox.run(f"{stub}{sandbox.script('install-packages.sh', 'containerd')}\ncat /mnt/calls").splitlines()
    assert [call.split()[-1] for call in calls] == ["containerd", "update", "containerd"]


@sandbox.needed
def test_kubernetes_is_installed_at_one_version_and_held() -> None:
    calls = sandbox.run(f"{sandbox.script('install-kubernetes.sh', '1.37.2')}\ncat /mnt/calls").splitlines()
    assert "update" in calls[0]
    assert calls[1].endswith("kubelet=1.37.2-* kubeadm=1.37.2-* kubectl=1.37.2-* kubernetes-cni bash-completion")
    assert calls[2:] == ["apt-mark hold kubelet kubeadm kubectl kubernetes-cni"]


# list-images.sh installs nothing: its apt has one source, and nothing of the host's.
CALLS_APT = [path.name for path in OWN if "apt-get" in path.read_text() and path.name != "list-images.sh"]
ASKED = "stub apt-get 'echo ${APT_CONFIG-} >>/mnt/asked; exit 100'\n"
OUT_OF_A_BUNDLE = sandbox.file(
    "/etc/apt/sources.list.d/kubernetes.list", "deb [trusted=yes] file:/var/lib/kubefab-bundle/packages ./\n"
)


@sandbox.needed
@pytest.mark.parametrize("name", CALLS_APT)
@pytest.mark.parametrize(("source", "told"), [("", ""), (OUT_OF_A_BUNDLE, "/var/lib/kubefab-bundle/apt.conf")])
def test_where_a_bundle_is_in_use_apt_asks_it_and_nobody_else(name: str, source: str, told: str) -> None:
    gone = "rm -f /etc/apt/sources.list.d/kubernetes.list\n"
    stubs = f"{gone}{ASKED}stub dpkg 'exit 0'\n"
    run = f"{stubs}{source}{sandbox.script(name, 'x')} >/dev/null 2>&1 || true\ncat /mnt/asked"
    assert set(sandbox.run(run).splitlines()) == {told}


@sandbox.needed
def test_what_lacks_another_package_is_finished_by_apt_with_new_lists_before_it_takes_anything_away() -> None:
    stubs = "stub dpkg 'exit 1'\nstub apt-get 'case \"$*\" in *--no-remove*) exit 100 ;; esac'\n"
    calls = sandbox.run(f"{stubs}{sandbox.script('mend-dpkg.sh')}\ncat /mnt/calls").splitlines()
    assert [" ".join(call.split()[-2:]) for call in calls] == [
        "--configure -a",
        "--fix-broken install",
        "DPkg::Lock::Timeout=600 update",
        "--fix-broken install",
    ]
    assert ["--no-remove" in call for call in calls] == [False, True, False, False]


# --- wipe-disks.sh: the disk is a node with no device behind it

DISK = """mkdir -p /mnt/sys/sdx/holders /mnt/sys/sdx/sdx1/holders
mknod /mnt/sdx b 240 200
for one in ceph--1-osd vg-data ceph--2-of-another-disk; do
    mkdir -p "/mnt/sys/$one/dm"
    echo "$one" >"/mnt/sys/$one/dm/name"
done
mkdir /mnt/sys/md0
mount --bind /mnt/sys /sys/class/block
stub wipefs :
stub blockdev 'echo 1024'
stub dd :
stub blkdiscard :
stub dmsetup :
"""


def wiped(holder: str) -> list[str]:
    """What is called for a disk that is held so."""
    hold = f"ln -s /mnt/sys/{holder}\n" if holder else ""
    run = f"{sandbox.script('wipe-disks.sh', '/mnt/sdx')} >/dev/null 2>&1 || echo refused >>/mnt/calls"
    calls = sandbox.run(f"{DISK}{hold}{run}\ncat /mnt/calls").splitlines()
    return [" ".join(call.split()[:4]) for call in calls]


WIPING = [
    "wipefs --all --force /mnt/sdx",
    "blockdev --getsize64 /mnt/sdx",
    "dd if=/dev/zero of=/mnt/sdx bs=1024",
    "blkdiscard /mnt/sdx",
    "blockdev --rereadpt /mnt/sdx",
]


@sandbox.needed
def test_a_disk_that_nobody_uses_is_wiped() -> None:
    assert wiped("") == WIPING


@sandbox.needed
@pytest.mark.parametrize("holder", ["vg-data /mnt/sys/sdx/holders/dm-0", "vg-data /mnt/sys/sdx/sdx1/holders/dm-0"])
def test_a_disk_below_lvm_is_not_wiped(holder: str) -> None:
    assert wiped(holder) == ["refused"]


@sandbox.needed
def test_a_disk_of_a_raid_is_not_wiped() -> None:
    assert wiped("md0 /mnt/sys/sdx/sdx1/holders/md0") == ["refused"]


@sandbox.needed
def test_cephs_own_mapping_goes_and_that_of_another_disk_stays() -> None:
    assert wiped("ceph--1-osd /mnt/sys/sdx/holders/dm-0") == ["dmsetup remove --force ceph--1-osd", *WIPING]


# --- ~/.kube/config

ADMIN = sandbox.file("/etc/kubernetes/admin.conf", "admin")


@sandbox.needed
def test_whoever_logs_in_gets_a_kubeconfig_for_their_eyes_alone() -> None:
    text = f"{ADMIN}{sandbox.script('put-kubeconfig.sh')}\ncd /root/.kube\ncat config; stat -c ' %a' . config"
    assert sandbox.run(text) == "admin 700\n 600\n"


@sandbox.needed
def test_a_kubeconfig_of_another_cluster_is_kept() -> None:
    other = f"{ADMIN}{sandbox.file('/root/.kube/config', 'other')}"
    text = (
        f"{other}{sandbox.script('put-kubeconfig.sh')}\ncat /root/.kube/config.before-kubefab-*; cat /root/.kube/config"
    )
    assert sandbox.run(text) == "otheradmin"


@sandbox.needed
def test_the_kubeconfig_is_taken_away() -> None:
    text = sandbox.file("/root/.kube/config", "ours") + sandbox.script("take-kubeconfig.sh")
    assert sandbox.run(f"{text}\nls /root/.kube/config 2>&1 || echo gone").splitlines()[-1] == "gone"
