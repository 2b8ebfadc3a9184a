"""A machine with a kernel of its own: raw disks, a clock, swap and a real loss of power, as no container has them.

Its parts come in one order, and each begins with the machine as the one before has left it.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import vm

from .harness import (
    MASTER,
    WORKER,
    Done,
    Kubefab,
    catch,
    cut_power,
    fresh,
    hosts_file,
    kubectl,
    mended,
    on,
    power_on,
    ready_nodes,
    true_on,
)
from .test_restart_and_reset import NOTHING

VM = "vm1"
RAW = ONE, OTHER = "/dev/disk/by-id/virtio-raw1", "/dev/disk/by-id/virtio-raw2"
BOTH = " ".join(RAW)


@pytest.fixture(scope="module")
def machine(inv: Kubefab) -> Iterator[str]:
    """As new, and switched off when nobody wants it any more."""
    if lacking := vm.lacking(1):
        pytest.skip(f"no machine with a kernel of its own: {'; '.join(lacking)}")
    if VM in vm.existing():
        fresh(VM)
    else:
        power_on("--kernels", "1")
    yield VM
    cut_power(VM)


@pytest.fixture(scope="module")
def hosts(inv: Kubefab, machine: str) -> Path:
    """The cluster of containers, with what containers want said otherwise, and this machine as one more worker."""
    return hosts_file(inv.state / "kernels.yml", MASTER, WORKER, VM, hosts={VM: {"disks": list(RAW)}})


# --- disks


def wiping(inv: Kubefab, hosts: Path) -> Done:
    return inv("restart", "--host", VM, "--wipe-disks", "--yes", hosts=hosts)


class Use(NamedTuple):
    """How somebody uses the raw disks: made, looked at, ended; and what is said of each disk."""

    make: str
    look: str
    end: str
    said: dict[str, str]


SIGNATURES = f"blkid -p {BOTH};"
WIPE = f"wipefs --quiet --all {BOTH}"
DROP = "echo 3 >/proc/sys/vm/drop_caches"
READ = f"{DROP}; cat /mnt/mine"
LABEL = "echo 'bluestore block device' | dd of={} conv=notrunc,fsync status=none"
LUKS = "cryptsetup luksFormat --batch-mode --pbkdf=pbkdf2 --pbkdf-force-iterations=1000 --key-file=/etc/hostname"
USES = {
    "partitions, and a group of LVM's mounted by its other name": Use(
        f"sgdisk --new=1:0:+64M {ONE} && pvcreate --quiet {OTHER} && vgcreate mine {OTHER} && "
        "lvcreate --size=64M --name=data mine && mkfs.ext4 -q /dev/mine/data && mount /dev/mapper/mine-data /mnt && "
        "echo mine >/mnt/mine",
        f"{SIGNATURES} {READ}",
        f"umount /mnt; vgremove --yes mine; pvremove {OTHER}; sgdisk --zap-all {ONE}",
        {ONE: "partitions", OTHER: "LVM2_member"},
    ),
    # One disk each: every look at a machine that is emulated takes its time.
    "LUKS, open and mounted; and a mirror of md's that lacks its other half": Use(
        f"{LUKS} {ONE} && cryptsetup open --key-file=/etc/hostname {ONE} secret && mkfs.ext4 -q /dev/mapper/secret && "
        f"mdadm --create /dev/md/mine --run --level=1 --metadata=1.0 --raid-devices=2 {OTHER} missing && "
        "mkfs.ext4 -q /dev/md/mine 64M && mkdir -p /mnt/luks /mnt/md && mount /dev/mapper/secret /mnt/luks && "
        "mount /dev/md/mine /mnt/md && echo mine | tee /mnt/luks/mine >/mnt/md/mine",
        f"blkid -p {ONE}; {DROP}; cat /mnt/luks/mine /mnt/md/mine",
        "umount /mnt/luks /mnt/md; cryptsetup close secret; mdadm --stop /dev/md/mine; "
        f"mdadm --zero-superblock {OTHER}; {WIPE}",
        {ONE: "crypto_LUKS", OTHER: ""},
    ),
    "btrfs over two, mounted by one": Use(
        f"mkfs.btrfs --quiet {BOTH} && mount {ONE} /mnt && echo mine >/mnt/mine",
        f"{SIGNATURES} {READ}",
        f"umount /mnt; {WIPE}",
        {OTHER: "btrfs"},
    ),
    # As of a file system that blkid does not know: the kernel alone knows that somebody uses it.
    "mounted by a name of its own, with nothing on it but Ceph's label": Use(
        f"mkfs.ext4 -q {ONE} 64M && cp -a $(readlink -f {ONE}) /root/mine && mount /root/mine /mnt && "
        f"echo mine >/mnt/mine && sync && wipefs --quiet --all --force {ONE} && {LABEL.format(ONE)}",
        READ,
        f"umount /mnt; rm /root/mine; {WIPE}",
        {ONE: "busy"},
    ),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_disk_that_anybody_uses_is_not_wiped(inv: Kubefab, hosts: Path, use: Use) -> None:
    try:
        on(VM, use.make)
        before = on(VM, use.look)
        said = wiping(inv, hosts).badly().stderr
        assert [state for disk, state in use.said.items() if disk not in said or state not in said] == []
        assert on(VM, use.look) == before
    finally:
        on(VM, f"{use.end}; true")


def test_an_empty_disk_and_one_that_is_cephs_are_taken(inv: Kubefab, hosts: Path) -> None:
    assert not true_on(VM, f"blkid -p {ONE}")
    on(VM, LABEL.format(OTHER))
    assert f"{OTHER}, with all on it (Ceph's)" in wiping(inv, hosts).well().stdout
    assert not true_on(VM, f"blkid -p {OTHER}")


# --- what preflight names

TAKES_ALL = "/etc/systemd/network/zz-all.network"  # in the order of its name after that of the network card


def test_a_clock_that_is_off_and_a_networkd_that_takes_all_links_are_named(inv: Kubefab, hosts: Path) -> None:
    on(VM, "systemctl stop systemd-timesyncd; date --set='+5 minutes'")
    on(VM, f"cat >{TAKES_ALL} && networkctl reload", stdin="[Match]\nName=*\n\n[Network]\nDHCP=yes\n")
    said = inv("preflight", hosts=hosts).badly().stderr
    assert "s ahead of" in said
    assert f"{TAKES_ALL} would be for cni0, flannel.1, veth" in said
    on(VM, f"date --set='-5 minutes'; rm {TAKES_ALL}; networkctl reload")


# --- a loss of power, and the boot after it

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
LATER = "/etc/sysctl.d/zzz.conf"
# What somebody does to a machine, to be noticed at its next boot.
UNDONE = (
    f"echo 'LABEL=swap none swap sw 0 0' >>/etc/fstab; echo net.ipv4.ip_forward=0 >{LATER}; sync /etc/fstab {LATER}"
)
SWAP_AND_FORWARDING = "swapon --noheadings --show=NAME; cat /proc/sys/net/ipv4/ip_forward"
BROUGHT_BACK, CURED = "/dev/vdb\n0\n", "1\n"
CURES = ("swap is off", "kernel settings are in effect")


def test_a_power_cut_in_the_middle_of_a_join_is_finished_by_the_same_command(inv: Kubefab, hosts: Path) -> None:
    """And what that boot brought back is found: kubefab had looked before somebody did it."""
    mended(inv)
    before = on(VM, BOOT_ID)
    with inv.started("node.join", "--host", VM, hosts=hosts) as run:
        catch(run, VM, f"[ -e /usr/bin/kubelet ] && {{ {UNDONE}; }}", seconds=600)
        catch(run, VM, "[ -e /etc/kubernetes/bootstrap-kubelet.conf ]", seconds=600)
        cut_power(VM)
        power_on("--kernels", "1")
        assert VM in run.ends().badly().stderr
    assert on(VM, BOOT_ID) != before
    assert on(VM, SWAP_AND_FORWARDING) == BROUGHT_BACK
    assert LATER in inv("node.join", "--host", VM, hosts=hosts).badly().stderr
    on(VM, f"rm {LATER}")
    said = inv("node.join", "--host", VM, hosts=hosts).well().stdout
    assert [title for title in CURES if title not in said] == []
    assert on(VM, SWAP_AND_FORWARDING) == CURED
    assert VM in ready_nodes()


def test_what_hosts_yml_says_of_kubelets_reaches_the_one_that_joins(inv: Kubefab) -> None:
    """By the cluster's ConfigMap: its own documents do not say it."""
    assert "failCgroupV1: false" in on(VM, "cat /var/lib/kubelet/config.yaml")


# --- and nothing is left


def test_a_restart_leaves_nothing(inv: Kubefab, hosts: Path) -> None:
    inv("restart", "--host", VM, "--yes", hosts=hosts).well()
    looks = "; ".join(f"echo {shlex.quote(name)}:; {{ {look}; }} 2>&1" for name, look in NOTHING.items())
    assert on(VM, f"{looks}; true").splitlines() == [f"{name}:" for name in NOTHING]
    kubectl("delete", "node", VM)
