"""The scripts, run by the shell they are written for: in folders of the test, or in a sandbox as root."""

import re
import shlex
import struct
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from kubefab.programs import SCRIPTS, look_program, script_text
from kubefab.questions import Questions
from tests import sandbox
from tests.members import IDS, status
from tests.test_etcd_scripts import etcd

ROOT = SCRIPTS.parent
ALL = sorted(SCRIPTS.rglob("*.sh"))
OWN = [path for path in ALL if path.parent == SCRIPTS]
ids = {"ids": lambda path: str(path.relative_to(SCRIPTS))}

# --- the sandbox itself


@sandbox.needed
def test_what_this_computer_has_in_its_folders_is_not_seen() -> None:
    assert sandbox.run("ls /etc/hosts* /etc/*tab; cat /etc/hosts /etc/fstab") == (
        "/etc/fstab\n/etc/hosts\n127.0.0.1 localhost\n"
    )


# --- as texts


def test_all_pass_shellcheck() -> None:
    checker = Path(sys.executable).parent / "shellcheck"
    ended = subprocess.run([checker, *ALL], capture_output=True, text=True, check=False)
    assert ended.stdout + ended.stderr == ""


@pytest.mark.parametrize(
    "line",
    [
        "unset HTTP_PROXY",
        ". /etc/default/kubefab-proxy",
        "APT_CONFIG=/var/lib/kubefab-bundle",
        "kubectl --kubeconfig /etc/kubernetes/admin.conf",
        "as_admin --request-timeout",
        "grep -qs kubepods",
        "no etcd of a control plane runs here",
        "front-proxy-ca.key etcd/ca.crt",
        r"""[\"']\{0,1\}--""",
    ],
)
def test_what_several_scripts_share_stands_once(line: str) -> None:
    assert len([path for path in ALL if line in path.read_text()]) == 1


@pytest.mark.parametrize("path", ALL, **ids)  # type: ignore[arg-type]
def test_each_is_posix_sh(path: Path) -> None:
    assert path.read_text().splitlines()[0] in ("#!/bin/sh", "# shellcheck shell=sh") or path.name == "change.sh"
    subprocess.run(["sh", "-n", path], check=True)


@pytest.mark.parametrize("path", ALL, **ids)  # type: ignore[arg-type]
def test_each_has_all_that_it_shares_with_it_where_it_travels_alone(path: Path) -> None:
    assert '. "${0%/*}' not in script_text(str(path.relative_to(SCRIPTS)))


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


PUT_FILES = ("sh", SCRIPTS / "put-files.sh")


def put(path: Path, text: str, mode: str = "0644") -> None:
    there = next(folder for folder in path.parents if folder.exists())
    line = f"{mode} ./{path.relative_to(there)} {b64encode(text.encode()).decode()}\n"
    subprocess.run([*PUT_FILES, there.with_name(f"{there.name}.noted")], input=line, text=True, check=True, cwd=there)


def test_a_file_is_put_with_its_folders_and_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "file"
    put(file, "text\n", "0600")
    assert (file.read_text(), oct(file.stat().st_mode)[-4:]) == ("text\n", "0600")
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_what_is_somebodys_own_is_read_by_nobody_new(tmp_path: Path) -> None:
    """A daemon.json may hold a proxy's password, and is put with what was in it."""
    file = tmp_path / "daemon.json"
    file.write_text("{}")
    file.chmod(0o600)
    put(file, '{"proxies": {}}', "as-it-is")
    assert (file.read_text(), oct(file.stat().st_mode)[-3:]) == ('{"proxies": {}}', "600")
    put(tmp_path / "new.json", "{}", "as-it-is")
    assert oct((tmp_path / "new.json").stat().st_mode)[-3:] == "644"


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


def test_what_somebody_has_changed_of_our_own_text_is_kept(tmp_path: Path) -> None:
    """Another runtime class in containerd's config.toml, say: the next text of ours does not have it."""
    file = tmp_path / "config.toml"
    put(file, "# Written by kubefab.\n")
    file.write_text("# Written by kubefab.\n[theirs]\n")
    put(file, "# Written by kubefab.\n")
    put(file, "# Written by kubefab: anew.\n")
    (kept,) = tmp_path.glob("config.toml.before-kubefab*")
    assert kept.read_text() == "# Written by kubefab.\n[theirs]\n"


def test_what_an_earlier_kubefab_has_written_without_a_note_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("# Written by kubefab.\n")
    put(file, "# Written by kubefab: anew.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_keyring_of_ours_that_upstream_has_prolonged_is_not_kept(tmp_path: Path) -> None:
    """It has no line that says whose it is, but a note does."""
    file = tmp_path / "keyring.gpg"
    put(file, "until 2026")
    put(file, "until 2028")
    assert [path.name for path in tmp_path.iterdir()] == ["keyring.gpg"]


def test_every_text_of_somebody_elses_is_kept_and_none_of_them_twice(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in ("the first", "the second", "the first", "the third"):
        file.write_text(text)
        put(file, "# Written by kubefab.\n")
    kept = [path.read_text() for path in sorted(tmp_path.glob("file.before-kubefab*"))]
    assert kept == ["the first", "the second", "the third"]


def test_a_keyring_that_somebody_else_put_there_is_kept_too(tmp_path: Path) -> None:
    file = tmp_path / "keyring.gpg"
    file.write_bytes(b"\x99old")
    put(file, "new")
    assert (tmp_path / "keyring.gpg.before-kubefab").read_bytes() == b"\x99old"


def test_what_is_there_already_is_nobody_elses(tmp_path: Path) -> None:
    """A keyring has no line that says whose it is."""
    file = tmp_path / "keyring.gpg"
    for _ in range(2):
        put(file, "the same")
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
    noted = tmp_path.with_name("noted")
    ended = subprocess.run(
        [*PUT_FILES, noted], input="0644 ./file !!!\n", text=True, capture_output=True, check=False, cwd=tmp_path
    )
    assert (ended.returncode != 0, file.read_text()) == (True, "old")


# --- what is written reaches the disk

BUNDLE = "mkdir /mnt/b\ncd /mnt/b\necho x >file\nsha256sum file >SHA256SUMS\ntar -cf /mnt/bundle .\n"
ARCHIVE = "mkdir -p /mnt/cri-dockerd\necho x >/mnt/cri-dockerd/cri-dockerd\ntar -czf /mnt/a.tgz -C /mnt cri-dockerd\n"
HELPER = "mkdir -p /mnt/apt\nmount -t tmpfs x /usr/lib/apt\nmount -t tmpfs x /usr/local/bin\n" + sandbox.file(
    "/usr/lib/apt/apt-helper", '#!/bin/sh\ncp /mnt/a.tgz "$3"\n'
)
SCHEDULER = "/etc/kubernetes/manifests/kube-scheduler.yaml"
POD = f"mkdir /run/kubefab\n{sandbox.file(SCHEDULER, 'x')}"
CONFIG = "/var/lib/kubelet/config.yaml"
NODE = sandbox.file(CONFIG, "x")
# It is moved on by sleep alone.
CLOCK = """echo 1000 >/mnt/clock
stub sleep 'echo $(($(cat /mnt/clock) + $1)) >/mnt/clock'
stub date 'cat /mnt/clock'
"""
WRITES = f"""stub kubeadm 'case "$1 $2" in
    "join --config" | upgrade* | "init phase") mkdir -p {SCHEDULER.rpartition("/")[0]}; echo made >{SCHEDULER} ;;
esac'
"""
PKI = "mkdir -p /run/kubefab /etc/kubernetes/pki/etcd\ntouch /etc/kubernetes/pki/ca.crt /etc/kubernetes/pki/ca.key\n"
ETCD = sandbox.file("/etc/kubernetes/manifests/etcd.yaml", "    - --data-dir=/var/lib/etcd\n") + "stub pgrep 'exit 1'\n"
TOOL = "/run/kubefab/etcd-image/usr/local/bin/etcdutl"
UTL = (
    sandbox.file(TOOL, "#!/bin/sh\nmkdir -p /var/lib/etcd/kubefab-restore.part/member\n")
    + f"chmod +x {TOOL}\nmkdir /var/lib/kubefab-etcd.restore\n"
)
BACKUP = (
    sandbox.file("/mnt/leads", status("m1", leader=IDS["m1"]))
    + sandbox.file("/etc/kubernetes/manifests/kube-apiserver.yaml", "")
    + etcd(status_="cat /mnt/leads")
)
RESTORED = "mkdir -p /var/lib/etcd/member /var/lib/etcd/kubefab-restore/member\n"
# script -> what has to be there, its arguments and what it reads
RENAMING = {
    "put-files.sh": ("", "", f"0644 /etc/motd {b64encode(b'text').decode()}"),
    "set-endpoint.sh": ("", "lab.kubefab.internal 10.0.0.1", ""),
    "swap-off.sh": ("", "", ""),
    "set-etcd-image.sh": (
        sandbox.file("/etc/kubernetes/manifests/etcd.yaml", "    image: registry.k8s.io/etcd:3.6.8-0\n"),
        "registry.k8s.io/etcd:3.6.16-0",
        "",
    ),
    "settle-etcd.sh": (sandbox.file("/etc/kubernetes/manifests/etcd.yaml", "    - --initial-cluster=a=b\n"), "", ""),
    "remake-manifest.sh": (f"{POD}{WRITES}stub kubectl 'echo same'\n", "9 kube-scheduler scheduler", ""),
    "upload-configuration.sh": (
        sandbox.file("/var/lib/kubefab-manifests/etcd.mark", "stored --x\n"),
        "kubeadm etcd:",
        "",
    ),
    "remake-kubelet-config.sh": (f"{NODE}{CLOCK}stub kubeadm 'echo made >{CONFIG}'\n", "60 /etc/mine", ""),
    "join.sh": (f"{NODE}mkdir -p /run/kubefab\n", "/run/kubefab/d validate", "\n"),
    "upgrade-kubelet.sh": (f"{NODE}mkdir /run/kubefab\nstub kubeadm 'echo made >{CONFIG}'\n", "1.37.2 ''", ""),
    "init.sh": (POD, "validate 1", ""),
    "join-master.sh": (f"mkdir /run/kubefab\n{WRITES}", "/run/kubefab/d validate 0", "\n"),
    "upgrade.sh": (f"{POD}{WRITES}", "1.37.2 '' node", ""),
    "stage-restore.sh": (ETCD + UTL, "id /var/lib/kubefab-etcd.restore/snapshot.db containerd a=b 1", ""),
    "stop-control-plane.sh": (ETCD, "id digest", ""),
    "swap-etcd.sh": (f"{ETCD}{RESTORED}echo id >/var/lib/etcd/kubefab-restore/member/kubefab-restored\n", "id", ""),
    "start-control-plane.sh": (
        f"{ETCD}{RESTORED}echo id >/var/lib/etcd/member/kubefab-restored\n"
        "cd /etc/kubernetes; mkdir kubefab-restore; mv manifests/etcd.yaml kubefab-restore/\n",
        "id",
        "",
    ),
    "give-up-restore.sh": (
        f"{ETCD}cd /etc/kubernetes; mkdir kubefab-restore; mv manifests/etcd.yaml kubefab-restore/\n",
        "",
        "",
    ),
    "backup-etcd.sh": (BACKUP, "8", ""),
    "put-keys.sh": ("", "", "pki/ca.key QUJD"),
    "put-endpoint.sh": ("stub haproxy ''\n", "", "QUJD"),
    "put-kubeconfig.sh": (sandbox.file("/etc/kubernetes/admin.conf", "admin"), "", ""),
    "renew-kubeconfig.sh": (
        sandbox.file("/etc/kubernetes/admin.conf", "client-certificate-data: a\nclient-key-data: a\n")
        + sandbox.file("/root/.kube/config", "x: y\n"),
        "b",
        "",
    ),
    "put-manifests.sh": (
        "cd /etc; mkdir -p kubernetes/manifests kubernetes/tmp/kubeadm-backup-manifests-1; cd kubernetes/tmp\n"
        "echo x >kubeadm-backup-manifests-1/etcd.yaml\n",
        "etcd.yaml",
        "",
    ),
    "renew-certificates.sh": (f"{PKI}touch /etc/kubernetes/x.conf\nstub kubeadm ''\n", "renew x.conf", ""),
    "remake-server-certificate.sh": (
        f"{PKI}stub kubeadm 'touch /etc/kubernetes/new/apiserver.crt /etc/kubernetes/new/apiserver.key'\n",
        "/etc/kubernetes/new",
        "",
    ),
    "restart-static-pod.sh": (
        sandbox.file("/etc/kubernetes/manifests/x.yaml", "metadata:\n  name: x\n"),
        "manifest x",
        "",
    ),
    "use-bundle.sh": (BUNDLE, "/mnt/bundle $(sha256sum SHA256SUMS | cut -c1-64)", ""),
    "install-cri-dockerd.sh": (
        f"{ARCHIVE}{HELPER}chmod +x /usr/lib/apt/apt-helper\nmkdir /run/kubefab\n",
        "url sum",
        "",
    ),
}


@sandbox.program_needed("strace")
@pytest.mark.parametrize("name", RENAMING)
def test_a_file_is_on_the_disk_before_it_takes_its_name_and_its_folder_after(name: str) -> None:
    before, arguments, read = RENAMING[name]
    watched = "strace -f -y -qq -e trace=fsync,syncfs,/^rename -o /mnt/trace"
    calls = sandbox.run(
        f"{before}echo '{read}' | {watched} sh {SCRIPTS / name} {arguments} >/mnt/said\ncat /mnt/trace"
    ).splitlines()
    synced = [re.search(r"sync(?:fs)?\(\d+<([^>]*)>", call) for call in calls]
    renamed = [re.search(r'rename.*?"([^"]*)".*?"([^"]*)"', call) for call in calls]
    assert any(renamed)
    for at, found in enumerate(renamed):
        if found and not found[1].startswith("/mnt"):
            assert found[1] in [one[1] for one in synced[:at] if one], f"{found[1]} is not synced: {calls}"
            assert found[2].rpartition("/")[0] in [one[1] for one in synced[at:] if one], calls


def test_every_script_that_renames_is_looked_at() -> None:
    mine = {path.name for path in OWN if re.search(r"^\s*(\[.*\|\| )?mv ", script_text(path.name), re.MULTILINE)}
    # Those write nothing that stays; and one renames a link, which nobody can sync: see test_renewal_scripts.py.
    assert mine - {"pack-packages.sh", "tear-down.sh", "admit-kubelet.sh"} == set(RENAMING)


@sandbox.needed
def test_a_cri_dockerd_that_somebody_has_installed_is_kept_and_ours_is_not() -> None:
    before, arguments, _ = RENAMING["install-cri-dockerd.sh"]
    place, install = "/usr/local/bin/cri-dockerd", sandbox.script("install-cri-dockerd.sh", *arguments.split())
    newer = "echo newer >/mnt/cri-dockerd/cri-dockerd\ntar -czf /mnt/a.tgz -C /mnt cri-dockerd\n"
    shown = f"cat {place}.before-kubefab {place}; ls {place}*"
    said = sandbox.run(f"{before}echo theirs >{place}\n{install} >/mnt/said\n{newer}{install}\n{shown}")
    assert said.split() == ["theirs", "newer", place, f"{place}.before-kubefab"]


# Those that write where others have files of their own: what they replace there, and what has them do so.
BESIDE_OTHERS = {
    "put-files.sh": ("/etc/motd", ""),
    "put-keys.sh": ("/etc/kubernetes/pki/ca.key", ""),
    "install-cri-dockerd.sh": ("/usr/local/bin/cri-dockerd", ""),
    "renew-certificates.sh": ("/etc/kubernetes/x.conf", "stub kubeadm 'exit 1'\n"),
    "remake-kubelet-config.sh": (CONFIG, "stub kubeadm 'exit 1'\n"),
}


@sandbox.needed
@pytest.mark.parametrize("name", BESIDE_OTHERS)
def test_somebodys_draft_beside_a_file_that_is_replaced_stays(name: str) -> None:
    (before, arguments, read), (path, fails) = RENAMING[name], BESIDE_OTHERS[name]
    theirs = sandbox.file(f"{path}.new", "theirs\n")
    run = f"echo '{read}' | sh {SCRIPTS / name} {arguments} >/mnt/said 2>&1 || true\n"
    shown = f"cat {path}.new; cd {path.rpartition('/')[0]}; test -e {path}; ls *.kubefab 2>/dev/null || true"
    assert sandbox.run(f"{before}{fails}{theirs}{run}{shown}") == "theirs\n"


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
def test_swap_is_off_as_well_where_there_is_no_fstab() -> None:
    ended = sandbox.run(f"rm /etc/fstab\n{sandbox.script('swap-off.sh')}\nls /etc/fstab* || true; tail -n 1 /mnt/calls")
    assert ended.strip() == "swapoff -a"


@sandbox.needed
def test_every_unit_that_somebody_wrote_is_kept() -> None:
    unit, kept = "/etc/systemd/system/mine.swap", "/etc/systemd/system/mine.swap.before-kubefab"
    made = f"{sandbox.file(kept, 'first')}{sandbox.file(unit, 'second')}{sandbox.script('swap-off.sh')}"
    assert sandbox.run(f"{made}\ncat {kept}*") == "firstsecond"


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
    patience = f"""stub timeout 'shift; exec /usr/bin/timeout {5 if well == "yes" else 0.1} "$@"'\n"""
    stubs = f"mount --bind /mnt/swaps /proc/swaps\nstub swapoff 'exit 32'\n{patience}"
    before = sandbox.file("/mnt/swaps", swaps) + stubs
    assert sandbox.run(f"{before}if {sandbox.script('swap-off.sh')}; then echo yes; else echo no; fi") == f"{well}\n"


# --- packages


@sandbox.needed
def test_lists_are_refreshed_only_where_a_package_is_not_found() -> None:
    install = (
        f"{sandbox.file('/var/lib/apt/lists/deb_Packages', '')}{sandbox.script('install-packages.sh', 'containerd')}"
    )
    (once,) = sandbox.run(f"{install}\ncat /mnt/calls").splitlines()
    assert once.endswith("install --no-remove --no-install-recommends --allow-change-held-packages containerd")
    stub = (
        "stub apt-get '[ -e /mnt/updated ] || { case \"$*\" in *update) touch /mnt/updated ;; *) exit 100 ;; esac; }'\n"
    )
    calls = sandbox.run(f"{stub}{install}\ncat /mnt/calls").splitlines()
    assert [call.split()[-1] for call in calls] == ["containerd", "update", "containerd"]


@sandbox.needed
@pytest.mark.parametrize("script", ["install-packages.sh", "install-kubernetes.sh", "mend-plugins.sh"])
def test_a_source_of_somebodys_that_is_gone_keeps_nobody_from_what_the_others_have(script: str) -> None:
    """apt-get update then fails, and has refreshed all that it could."""
    stub = (
        'stub apt-get \'case "$*" in *sourceparts*) ;; *" update"*) touch /mnt/updated; exit 100 ;; '
        "*) [ -e /mnt/updated ] ;; esac'\nstub dpkg-query 'echo 1.4.0-1.1'\n"
    )
    calls = sandbox.run(f"{stub}{sandbox.script(script, '1.37.2')} >/dev/null\ncat /mnt/calls").splitlines()
    asked = [call for call in calls if call.startswith("apt-get")]
    assert (" update" in asked[-2], " install " in asked[-1]) == (True, True)


@sandbox.needed
def test_kubernetes_is_installed_at_one_version_and_held() -> None:
    calls = sandbox.run(f"{sandbox.script('install-kubernetes.sh', '1.37.2')}\ncat /mnt/calls").splitlines()
    assert "update" in calls[0]
    assert calls[1].endswith("kubelet=1.37.2-* kubeadm=1.37.2-* kubectl=1.37.2-* kubernetes-cni bash-completion")
    assert calls[2:] == ["apt-mark hold kubelet kubeadm kubectl kubernetes-cni"]


@sandbox.needed
def test_kubernetes_is_downloaded_and_not_installed() -> None:
    calls = sandbox.run(f"{sandbox.script('fetch-kubernetes.sh', '1.37.2')}\ncat /mnt/calls").splitlines()
    assert calls[0].split()[-1] == "APT::Get::List-Cleanup=0"
    (get,) = calls[1:]
    assert get.endswith("--download-only kubelet=1.37.2-* kubeadm=1.37.2-* kubectl=1.37.2-* kubernetes-cni")


UPGRADE = (
    'stub kubeadm \'cat $(printf "%s\\n" "$@" | tail -n 1) >>/mnt/read\'\nmkdir -p /run/kubefab\n'
    + sandbox.file("/etc/kubernetes/manifests/etcd.yaml", "old")
    + sandbox.file("/etc/kubernetes/manifests/kube-apiserver.yaml", "old")
)


@sandbox.needed
def test_a_kubelet_is_installed_after_its_configuration_and_both_by_a_kubeadm_of_its_version() -> None:
    run = (
        f"{UPGRADE}echo 'kind: UpgradeConfiguration' | {sandbox.script('upgrade-kubelet.sh', '1.37.2', '')} >/dev/null"
    )
    *calls, read, left = sandbox.run(f"{run}\ncat /mnt/calls /mnt/read; ls -1 /run/kubefab | wc -l").splitlines()
    assert [call.split(" --")[-1].partition(" ")[2] or call for call in calls if not call.startswith("apt-mark")] == [
        "kubeadm=1.37.2-*",
        calls[2].partition(" --config ")[2],
        "kubelet=1.37.2-* kubectl=1.37.2-* kubernetes-cni",
    ]
    assert calls[2].startswith("kubeadm upgrade node --config /run/kubefab/upgrade.")
    assert (read, left) == ("kind: UpgradeConfiguration", "0")


@sandbox.needed
def test_what_comes_with_a_kubelet_is_installed_and_held_without_a_word_to_kubeadm() -> None:
    get, hold = sandbox.run(f"{sandbox.script('finish-packages.sh', '1.37.2')}\ncat /mnt/calls").splitlines()
    assert get.endswith(
        "--allow-change-held-packages kubelet=1.37.2-* kubeadm=1.37.2-* kubectl=1.37.2-* kubernetes-cni"
    )
    assert hold == "apt-mark hold kubelet kubeadm kubectl kubernetes-cni"


@sandbox.needed
@pytest.mark.parametrize("script", ["upgrade.sh", "upgrade-kubelet.sh"])
def test_kubeadm_finds_somebodys_patches_beside_ours_in_the_one_folder_that_it_takes(script: str) -> None:
    """Of files of the same name none is lost, and what an earlier run has left there is of no account."""
    files = {
        "/etc/kubefab/patches/etcd+json.yaml": "ours",
        "/etc/mine/etcd+json.yaml": "theirs",
        "/run/kubefab/upgrade-patches/kubelet.yaml": "gone",
    }
    made = "".join(sandbox.file(path, text) for path, text in files.items())
    words = ["node"] if script == "upgrade.sh" else []
    run = f"{UPGRADE}{made}{sandbox.script(script, '1.37.2', '/etc/mine', *words)} </dev/null >/dev/null"
    assert sandbox.run(f"{run}\ncd /run/kubefab/upgrade-patches; grep '' *") == (
        "etcd+json.yaml:theirs\netcd-kubefab+json.yaml:ours\n"
    )


@sandbox.needed
def test_what_was_fetched_is_installed_without_asking_anybody_and_asked_for_where_it_is_gone() -> None:
    gone = "stub apt-get 'case \"$*\" in *update*) touch /mnt/updated ;; *) [ -e /mnt/updated ] ;; esac'\n"
    for before, updates in (("", 0), (gone, 1)):
        run = f"{before}{UPGRADE}{sandbox.script('upgrade.sh', '1.37.2', '', 'node')} </dev/null >/dev/null"
        calls = sandbox.run(f"{run}\ncat /mnt/calls").splitlines()
        assert sum("update" in call for call in calls) == updates
        assert calls[-1].startswith("kubeadm upgrade node --config ")


# Static pods, by processes that sleep. ss says of each that it listens, until the file says otherwise.
PODS = """
stub grep 'case "$*" in *kubepods*) exit 0 ;; esac; exec /bin/grep "$@"'
for name in etcd kube-apiserver; do
    cp "$(command -v sleep)" /mnt/bin/$name && { /mnt/bin/$name 60 & }
    until pgrep -x $name; do sleep 0.05; done
    eval "$(echo $name | tr -d -)=$!"
    echo "LISTEN 0 1 *:1 *:* users:((\\"$name\\",pid=$!,fd=3))" >>/mnt/sockets
done >/dev/null
unshare --net /mnt/bin/kube-apiserver 60 & theirs=$! # another cluster's
stub ss 'cat /mnt/sockets'
export etcd kubeapiserver
"""
SERVES = "{ [ -e /proc/$kubeapiserver/stat ] && ! grep -q ' Z ' /proc/$kubeapiserver/stat; }"
CHANGED = "echo new >/etc/kubernetes/manifests/{}.yaml"


@sandbox.program_needed("pgrep")
@pytest.mark.parametrize(
    ("kubeadm", "end"),
    [
        (
            f"{CHANGED.format('etcd')}; kill $etcd; for _ in $(seq 300); do {SERVES} || exit 0; sleep 0.1; done",
            "is gone",
        ),
        (
            f"{CHANGED.format('kube-apiserver')}; sleep 1; {SERVES} || exec touch /mnt/early; : >/mnt/sockets; "
            f"for _ in $(seq 300); do {SERVES} || exit 0; sleep 0.1; done",
            "is gone",
        ),
        (f"{CHANGED.format('kube-apiserver')}; sleep 5", "serves"),  # what listens may still answer
        (f"{CHANGED.format('etcd')}; sleep 2", "serves"),  # etcd has not ended
        ("kill $etcd; sleep 2", "serves"),  # nothing is replaced
    ],
)
def test_an_upgrade_ends_an_api_server_that_only_holds_it_up(kubeadm: str, end: str) -> None:
    stub = f"stub kubeadm {shlex.quote(kubeadm)}\n"
    run = f"{UPGRADE}{PODS}{stub}{sandbox.script('upgrade.sh', '1.37.2', '', 'node')} </dev/null >/dev/null 2>&1"
    told = f"if [ -e /mnt/early ]; then echo gone early; elif {SERVES}; then echo serves; else echo is gone; fi"
    said = sandbox.run(f"{run}\n{told}; pkill -x kube-apiserver --ns $theirs --nslist net; ls /run/kubefab")
    assert said == f"{end}\n"


@sandbox.needed
def test_the_newest_whole_copy_of_a_manifest_is_put_back() -> None:
    copies = "".join(
        sandbox.file(f"/etc/kubernetes/tmp/kubeadm-backup-manifests-{when}/etcd.yaml", text)
        for when, text in (("2026-11-26-05", "old"), ("2026-11-26-06", "new"), ("2026-11-26-07", ""))
    )
    put = f"mkdir -p /etc/kubernetes/manifests\n{copies}{sandbox.script('put-manifests.sh', 'etcd.yaml')}"
    assert sandbox.run(f"{put}\ncat /etc/kubernetes/manifests/*; ls /etc/kubernetes") == "newmanifests\ntmp\n"


@sandbox.needed
def test_of_kubeadms_folder_only_its_copies_go() -> None:
    tmp = "/etc/kubernetes/tmp"
    made = f"mkdir -p {tmp}/kubeadm-backup-etcd-1 {tmp}/kubeadm-kubelet-config2 {tmp}/kubeadm-init-dryrun3 {tmp}/mine\n"
    assert sandbox.run(f"{made}{sandbox.script('forget-copies.sh')}\nls {tmp}") == "kubeadm-init-dryrun3\nmine\n"


# list-images.sh installs nothing: its apt has one source, and nothing of the host's.
CALLS_APT = [path.name for path in OWN if "apt-get" in script_text(path.name) and path.name != "list-images.sh"]
ASKED = "stub apt-get 'echo ${APT_CONFIG-} >>/mnt/asked; exit 100'\n"
OUT_OF_A_BUNDLE = sandbox.file(
    "/etc/apt/sources.list.d/kubernetes.list", "deb [trusted=yes] file:/var/lib/kubefab-bundle/packages ./\n"
)


@sandbox.needed
@pytest.mark.parametrize("name", CALLS_APT)
@pytest.mark.parametrize(("source", "told"), [("", ""), (OUT_OF_A_BUNDLE, "/var/lib/kubefab-bundle/apt.conf")])
def test_where_a_bundle_is_in_use_apt_asks_it_and_nobody_else(name: str, source: str, told: str) -> None:
    gone = "rm -f /etc/apt/sources.list.d/kubernetes.list\nmkdir -p /run/kubefab\n"
    stubs = f"{gone}{ASKED}stub dpkg 'exit 0'\nstub dpkg-query 'echo 1'\n"
    run = f"{stubs}{source}{sandbox.script(name, 'x', '')} </dev/null >/dev/null 2>&1 || true\ncat /mnt/asked"
    assert set(sandbox.run(run).splitlines()) == {told}


@sandbox.needed
def test_a_newer_package_that_was_half_unpacked_is_installed_again_by_its_name() -> None:
    """apt calls it broken, fixes nothing of it by itself, and ends with 0."""
    stubs = "stub dpkg-query 'printf \"ok containerd\\nreinstreq kubeadm\\n\"'\nstub dpkg ''\n"
    calls = sandbox.run(f"{stubs}{sandbox.script('mend-dpkg.sh')}\ncat /mnt/calls").splitlines()
    [fixed] = [call for call in calls if "--fix-broken" in call]
    assert fixed.endswith("--no-remove --fix-broken install --allow-change-held-packages --reinstall kubeadm")


@sandbox.needed
def test_what_lacks_another_package_is_finished_by_apt_with_new_lists_and_nothing_is_taken_away() -> None:
    """A package of somebody else's that apt knows no other of would be removed, and nobody was asked."""
    stubs = "stub dpkg 'exit 1'\nstub apt-get 'case \"$*\" in *--no-remove*) exit 100 ;; esac'\n"
    calls = sandbox.run(f"{stubs}! {sandbox.script('mend-dpkg.sh')}\ncat /mnt/calls").splitlines()
    assert [" ".join(call.split()[-2:]) for call in calls] == [
        "--configure -a",
        "--fix-broken install",
        "DPkg::Lock::Timeout=600 update",
        "--fix-broken install",
    ]
    assert ["--no-remove" in call for call in calls] == [False, True, False, True]


@sandbox.needed
@pytest.mark.parametrize("name", sorted({*CALLS_APT} - {"pack-packages.sh"}))  # which installs nothing
def test_no_installation_takes_a_package_away(name: str) -> None:
    """Debian's docker.io would have apt remove Docker's own containerd.io, under whatever runs in it."""
    stubs = "stub dpkg 'exit 0'\nstub dpkg-query 'echo 1'\nstub apt-cache 'echo x'\nmkdir -p /run/kubefab\n"
    run = f"{stubs}{sandbox.script(name, 'x', '')} </dev/null >/dev/null"
    calls = sandbox.run(f"{run}\ngrep ' install' /mnt/calls").splitlines()
    assert calls
    assert all(" --no-remove " in call for call in calls)


@sandbox.needed
def test_plugins_that_are_gone_come_back_at_the_version_that_dpkg_knows() -> None:
    stub = "stub dpkg-query 'echo 1.8.0-1.1'\n"
    calls = sandbox.run(f"{stub}{sandbox.script('mend-plugins.sh')}\ncat /mnt/calls").splitlines()
    assert calls[1].endswith("install --no-remove --reinstall --allow-change-held-packages kubernetes-cni=1.8.0-1.1")
    assert calls[-1] == "apt-mark hold kubernetes-cni"


@sandbox.needed
@pytest.mark.parametrize(
    ("file", "told"),
    [('HTTP_PROXY="http://p"\nNO_PROXY="a,10.0.0.0/8,.svc,.example.org"\n', ".svc,.example.org"), ("", "")],
)
def test_apt_hears_of_the_domains_that_it_reaches_directly(file: str, told: str) -> None:
    """Its settings know names alone: Debian's own mirror in .example.org would be asked for by way of the proxy."""
    made = sandbox.file("/etc/default/kubefab-proxy", file) if file else ""
    stub = "stub apt-get 'echo \"no_proxy=${no_proxy-}\" >>/mnt/said'\n"
    install = f"{sandbox.script('install-packages.sh', 'x')} >/dev/null\ncat /mnt/said"
    assert {*sandbox.run(f"{made}{stub}{install}").splitlines()} == {f"no_proxy={told}"}
    both = ",".join(filter(None, ("deb.corp", told)))  # and of what the login says
    assert {*sandbox.run(f"export no_proxy=deb.corp\n{made}{stub}{install}").splitlines()} == {f"no_proxy={both}"}


@sandbox.needed
def test_the_kernel_is_told_without_procps() -> None:
    text = "# Written by kubefab: a reason.\nnet.ipv4.ip_forward = 1\n\nnet.ipv4.conf.all.rp_filter=2\n"
    told = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/rp_filter"
    before = f"{sandbox.file('/etc/sysctl.d/99-zz-kubernetes.conf', text)}stub sysctl 'exit 1'\n"
    assert sandbox.run(f"{before}{sandbox.script('apply-sysctl.sh')}\n{told}") == "1\n2\n"


# --- images

UNIT = """stub systemd-run 'while [ "$1" != /bin/sh ]; do shift; done; exec "$@"'
stub sleep :
stub sync :
"""


def fetched(stubs: str, *args: str) -> list[str]:
    """What is called, and last the exit status of the unit."""
    run = f"{sandbox.script('fetch-images.sh', 'containerd', 'registry.k8s.io', '1.37.2', *args)} >/dev/null 2>&1"
    return sandbox.run(
        f"{UNIT}{stubs}{run} && echo 0 >>/mnt/calls || echo $? >>/mnt/calls\ncat /mnt/calls"
    ).splitlines()


LISTED = "stub kubeadm 'echo registry.k8s.io/kube-proxy:v1.37.2; echo registry.k8s.io/etcd:3.6'\n"


@sandbox.needed
def test_the_images_that_kubeadm_names_and_are_wanted_are_fetched() -> None:
    calls = fetched(LISTED, "kube-proxy|pause", "docker.io/a:1")
    pulled = [call.split()[-1] for call in calls if call.startswith("ctr") and " pull " in call]
    assert (pulled, calls[-1]) == (["registry.k8s.io/kube-proxy:v1.37.2", "docker.io/a:1"], "0")


@sandbox.needed
@pytest.mark.parametrize(
    "stubs",
    ["stub kubeadm 'exit 1'\n", "stub kubeadm 'echo registry.k8s.io/etcd:3.6'\n", f"{LISTED}stub ctr 'exit 1'\n"],
    ids=["no kubeadm", "none like it", "none to be had"],
)
def test_images_that_cannot_be_had_make_the_unit_fail(stubs: str) -> None:
    assert fetched(stubs, "kube-proxy|pause")[-1] == "1"


@sandbox.needed
@pytest.mark.parametrize("runtime", ["containerd", "docker"])
def test_a_registry_that_says_nothing_is_given_up_and_keeps_no_run_for_ever(runtime: str) -> None:
    """A run of an upgrade waits for the unit's end, and containerd keeps a layer for who began to pull it."""
    ends = "stub timeout 'while [ \"$1\" != 900 ]; do shift; done; exit 124'\n"
    stubs = f"{UNIT}{ends}stub docker 'case $1 in info) echo /x ;; *) exit 1 ;; esac'\n"
    script = sandbox.script("fetch-images.sh", runtime, "", "", "", "r/a:1", "r/b:1")
    said = sandbox.run(f"{stubs}{{ {script} || echo $?; }} 2>&1; grep -c ^timeout /mnt/calls")
    assert said == "r/a:1: not here after 900 s; is its registry silent, or the line too slow?\n1\n1\n"


@sandbox.needed
@pytest.mark.parametrize(("runtime", "store"), [("containerd", "/var/lib/containerd"), ("docker", "/mnt/elsewhere")])
@pytest.mark.parametrize("verb", ["load", "pull"])
def test_an_image_that_was_loaded_or_pulled_is_on_the_disk_before_it_counts(
    runtime: str, store: str, verb: str
) -> None:
    """After a power cut it would be there, and its files empty: the host of a bundle would never load it again."""
    stubs = "stub ctr 'cat'\nstub docker 'case $1 in info) echo /mnt/elsewhere ;; esac'\nstub sync :\n"
    words = ["/mnt/a.tar", "/mnt/b.tar"] if verb == "load" else ["r/a:1"]
    run = f"{stubs}echo a | tee /mnt/a.tar >/mnt/b.tar\n{sandbox.script('move-images.sh', runtime, verb, *words)}"
    calls = sandbox.run(f"{run} </dev/null >/dev/null\ncat /mnt/calls").splitlines()
    assert [call for call in calls if call.startswith("sync")] == [f"sync -f {store}"] * len(words)
    assert calls[-1] == f"sync -f {store}"


@sandbox.needed
@pytest.mark.parametrize(("options", "place"), [("exec", "/var/tmp"), ("noexec", "/var/lib")])
def test_a_kubeadm_that_goes_away_again_is_run_where_programs_may_be_run(options: str, place: str) -> None:
    deb = 'stub dpkg-deb \'mkdir -p "$3/usr/bin"; cp /mnt/kubeadm "$3/usr/bin"\'\n'
    kubeadm = f"{sandbox.file('/mnt/kubeadm', '#!/bin/sh' + chr(10) + 'echo $0' + chr(10))}chmod +x /mnt/kubeadm\n"
    mounted = f"mount -t tmpfs -o {options} x /var/tmp\n"
    run = f"{sandbox.script('list-images.sh', '1.37.2', 'http://x', '/', 'a2V5', '')} </dev/null 2>/mnt/said"
    assert sandbox.run(f"{deb}{kubeadm}{mounted}{run}").startswith(f"{place}/kubefab-images.")


A_REPOSITORY = r"""rm /mnt/bin/apt-get
mkdir -p /mnt/pkg/DEBIAN /mnt/pkg/usr/bin /mnt/repo /etc/apt/apt.conf.d
printf '#!/bin/sh\necho r/pause:3\n' >/mnt/pkg/usr/bin/kubeadm
chmod 755 /mnt/pkg/DEBIAN /mnt/pkg/usr/bin/kubeadm
about='Package: kubeadm\nVersion: 1.37.2-1.1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n'
printf "$about" >/mnt/pkg/DEBIAN/control
dpkg-deb -b /mnt/pkg /mnt/repo/kubeadm_1.37.2-1.1_all.deb >/dev/null
cd /mnt/repo
{
    cat /mnt/pkg/DEBIAN/control
    echo "Filename: ./kubeadm_1.37.2-1.1_all.deb"
    echo "Size: $(stat -c %s kubeadm*.deb)"
    echo "SHA256: $(sha256sum kubeadm*.deb | cut -d ' ' -f 1)"
} >Packages
echo 'APT::Default-Release "stable";' >/etc/apt/apt.conf.d/99release
"""
UNSIGNED = b'Acquire::AllowInsecureRepositories "true"; APT::Get::AllowUnauthenticated "true";'


@sandbox.needed
def test_a_kubeadm_is_fetched_where_apt_is_told_of_a_default_release() -> None:
    """No source that its apt knows just then has that release, by which apt ends every download."""
    words = ("1.37.2", "file:/mnt/repo", "/", "a2V5", b64encode(UNSIGNED).decode())
    assert sandbox.run(f"{A_REPOSITORY}{sandbox.script('list-images.sh', *words)} </dev/null") == "r/pause:3\n"


JUDGES = (
    'stub kubeadm \'case $* in *validate*) grep -q Gone "$4" || exit 0; echo unrecognized: Gone >&2; exit 1 ;; esac; '
    "echo r/pause:3'\n"
)


@sandbox.needed
@pytest.mark.parametrize(
    ("documents", "told"), [("gates: Gone", "refused\nunrecognized: Gone\n"), ("gates: none", "r/pause:3\n")]
)
def test_a_kubeadm_judges_documents_before_it_lists_their_images(documents: str, told: str) -> None:
    run = f"echo '{documents}' | {sandbox.script('list-images.sh', '--judge')}"
    assert sandbox.run(f"{JUDGES}{run}") == told


# --- wipe-disks.sh, on loop devices, beside what a look says of the same disk

DISKS = """export LVM_SUPPRESS_FD_WARNINGS=1
disk() { # disk: another one
    truncate -s 70M "/mnt/$1"
    losetup --find --show "/mnt/$1"
}
volume() { # volume NAME OPTION…
    lvcreate --driverloaded n -an -Zn -Wn -L 4M -n "$@" "$group"
}
one=$(disk one) two=$(disk two)
group=ceph-${one#/dev/} # LVM sees the disks of everybody who tests on this computer
trap 'umount -q /mnt/x || :; losetup -d "$one" "$two"' EXIT
"""
CEPHS_LVM = "vgcreate $group $one\nvolume osd-block-1 --addtag ceph.osd_id=0 --addtag ceph.type=block\n"
BLUESTORE = "echo 'bluestore block device' | dd of=$one conv=notrunc\n"


def tried_on_disks(before: str, then: str) -> str:
    """What this text prints on a computer with the disks $one and $two, prepared so."""
    return sandbox.run(f"{DISKS}{{ {before}:; }} >/dev/null 2>&1\n{then}")


def state(before: str) -> str:
    """What a look says of the disk $one."""
    look = sandbox.file("/mnt/look", look_program(Questions()))
    told = 'sh /mnt/look disks 2>&1 | sed -n "s,^disk $one ,,p" | sort -u'
    return tried_on_disks(f"{look}{before}", told).strip()


def outcome(before: str) -> str:
    """What becomes of the disk $one: "wiped", or left as it was, and why."""
    asked = f"sh {SCRIPTS}/wipe-disks.sh $one 2>/mnt/why >/dev/null"
    same = '[ "$sum" = "$(sha256sum <$one)" ] && sed "s,$one,the disk,; s/ *$//" /mnt/why || echo spoilt'
    empty = "! blkid -p $one && cmp -n 204800 $one /dev/zero && echo wiped"
    return tried_on_disks(before, f"sum=$(sha256sum <$one)\nif {asked}; then {empty}; else {same}; fi").strip()


@sandbox.disks_needed
@pytest.mark.parametrize(("before", "told"), [("", "empty"), (BLUESTORE, "Ceph's")], ids=["empty", "bluestore"])
def test_a_disk_that_is_empty_or_cephs_is_wiped(before: str, told: str) -> None:
    assert (state(before), outcome(before)) == (told, "wiped")


@sandbox.disks_needed
@sandbox.program_needed("lvcreate")
def test_cephs_volumes_are_known_by_their_tags_and_deactivated_before_their_disk_is_wiped() -> None:
    assert (state(CEPHS_LVM), outcome(CEPHS_LVM)) == ("Ceph's", "wiped")
    stub = "stub lvchange :\n"
    asked = f'sh {SCRIPTS}/wipe-disks.sh $one >/dev/null\ngrep -qx "lvchange .* n /dev/$group/osd-block-1" /mnt/calls\n'
    tried_on_disks(f"{stub}{CEPHS_LVM}", asked)


@sandbox.disks_needed
@sandbox.program_needed("lvcreate")
def test_a_volume_that_only_has_a_name_like_cephs_is_somebody_elses() -> None:
    for volumes in (f"{CEPHS_LVM}volume mine\n", "vgcreate $group $one\nvolume osd-block-2\n", "pvcreate $one\n"):
        assert state(volumes) == "LVM2_member"
        assert outcome(volumes).startswith("the disk is not wiped: it ")


def number(name: str, value: int) -> bytes:
    """A pair of an nvlist in XDR, as ZFS labels a disk with: sizes, name, type, count, value."""
    padded = name.encode() + bytes(-len(name) % 4)
    return struct.pack(">III", 28 + len(padded), 48, len(name)) + padded + struct.pack(">IIQ", 8, 1, value)


# What older versions of blkid know ZFS by is at its uberblocks; util-linux 2.41 reads the label.
ZFS = struct.pack("BBxxII", 1, 1, 0, 0) + number("state", 0) + number("txg", 4) + number("guid", 7)
SOMETHING = {
    "swap": ("mkswap $one", "swap"),
    "a file system": ("mkfs.ext4 -q $one", "ext4"),
    "LUKS": (r"printf 'LUKS\272\276\0\1' | dd of=$one conv=notrunc", "crypto_LUKS"),
    "ZFS": (
        sandbox.file("/mnt/label", ZFS)
        + r"""dd if=/mnt/label of=$one bs=1024 seek=16 conv=notrunc
        for n in 0 1 2 3 4 5 6 7; do
            printf '\14\261\272\0\0\0\0\0' | dd of=$one bs=1024 seek=$((128 + n)) conv=notrunc
        done""",
        "zfs_member",
    ),
    "a table of partitions": (
        r"""printf '\0\0\0\0\203\0\0\0\0\10\0\0\0\10\0\0' | dd of=$one bs=1 seek=446 conv=notrunc
            printf '\125\252' | dd of=$one bs=1 seek=510 conv=notrunc""",
        "dos",
    ),
    "two things": (f"mkswap $one\n{BLUESTORE}", "several signatures"),
}


MADE_BY = {"a file system": [sandbox.program_needed("mkfs.ext4")]}


@sandbox.disks_needed
@pytest.mark.parametrize("name", [pytest.param(name, marks=MADE_BY.get(name, [])) for name in SOMETHING])
def test_a_disk_with_anything_else_is_not_wiped(name: str) -> None:
    before, told = SOMETHING[name]
    assert state(f"{before}\n") == told
    assert outcome(f"{before}\n") == f"the disk is not wiped: it holds {told.replace('signatures', 'things')}"


@sandbox.disks_needed
@pytest.mark.parametrize(
    ("blkid", "told", "why"),
    [
        ("exit 0", "a partition, and no whole disk", "it is a partition, and no whole disk"),  # an empty one
        ("exit 8", "several signatures", "it holds several things"),
        ("echo bad; exit 1", "blkid does not tell what is on it", "it holds several things"),
    ],
)
def test_what_blkid_does_not_call_empty_is_not_wiped(blkid: str, told: str, why: str) -> None:
    before = f"stub blkid '{blkid}'\n"
    assert (state(before), outcome(before)) == (told, f"the disk is not wiped: {why}")


@sandbox.disks_needed
def test_several_things_are_not_wiped_though_blkid_says_of_them_what_it_says_of_none() -> None:
    """That of util-linux 2.41, as Debian 13 has it."""
    before = f"mkswap $one\n{BLUESTORE}stub blkid 'exit 2'\n"
    assert (state(before), outcome(before)) == ("several signatures", "the disk is not wiped: it holds several things")


@sandbox.disks_needed
def test_a_wipefs_that_says_nothing_since_it_was_killed_has_not_said_that_a_disk_is_empty() -> None:
    before = f"mkswap $one\n{BLUESTORE}stub blkid 'exit 2'\nstub wipefs 'exit 137'\n"
    told = ("wipefs does not tell what is on it", "the disk is not wiped: it holds several things")
    assert (state(before), outcome(before)) == told


@sandbox.disks_needed
@sandbox.program_needed("mkfs.ext4")
def test_a_disk_that_is_mounted_is_not_wiped() -> None:
    assert (
        outcome("mkfs.ext4 -q $one\nmkdir /mnt/x\nmount -o ro $one /mnt/x\n") == "the disk is not wiped: it holds ext4"
    )


@sandbox.disks_needed
@sandbox.program_needed("mkfs.btrfs")
def test_the_second_disk_of_a_mounted_btrfs_is_not_wiped() -> None:
    before = "mkfs.btrfs -q --mixed $two $one\nmkdir /mnt/x\nmount -o ro $two /mnt/x\n"
    assert outcome(before) == "the disk is not wiped: it holds btrfs"


@sandbox.disks_needed
@pytest.mark.parametrize("before", ["", BLUESTORE], ids=["empty", "bluestore"])
def test_what_somebody_uses_under_whatever_name_is_not_wiped(before: str) -> None:
    """As a volume of LVM, a multipath or ZFS would: the kernel lets one user alone have it for itself."""
    user = "import os, sys, time; os.open(sys.argv[1], os.O_EXCL); print(flush=True); time.sleep(9)"
    held = f"{sys.executable} -c '{user}' $one >/mnt/held &\nuntil [ -s /mnt/held ]; do sleep 0.05; done\n"
    assert "busy" in outcome(f"{before}{held}")


@sandbox.disks_needed
def test_one_disk_that_may_not_be_wiped_saves_them_all() -> None:
    asked = f"sh {SCRIPTS}/wipe-disks.sh $one $two 2>&1 || blkid -p -o value -s TYPE $one $two"
    told = tried_on_disks(f"{BLUESTORE}mkswap $two\n", asked).splitlines()
    assert told[1:] == ["ceph_bluestore", "swap"]


@sandbox.needed
def test_a_disk_that_is_not_there_is_not_wiped() -> None:
    text = f"{sandbox.script('wipe-disks.sh', '/dev/none')} 2>&1 || true"
    assert sandbox.run(text) == "/dev/none is not wiped: there is no such disk\n"


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
def test_a_kubeconfig_takes_its_place_once_it_is_its_users_and_nothing_else_there_is_touched() -> None:
    """Root's own would be the same as the admin's for ever, and its user locked out."""
    theirs = sandbox.file("/root/.kube/config.new", "theirs")
    put = f"{ADMIN}{theirs}{sandbox.script('put-kubeconfig.sh')}"
    assert sandbox.run(f"{put}\ncat /root/.kube/config.new; ls /root/.kube") == "theirsconfig\nconfig.new\n"
    cut = f"stub chown 'exit 1'\n{ADMIN}! {sandbox.script('put-kubeconfig.sh')}"
    assert sandbox.run(f"{cut}\nls /root/.kube/config 2>/dev/null || echo none") == "none\n"


@sandbox.needed
def test_the_kubeconfig_is_taken_away() -> None:
    text = sandbox.file("/root/.kube/config", "ours") + sandbox.script("take-kubeconfig.sh")
    assert sandbox.run(f"{text}\nls /root/.kube/config 2>&1 || echo gone").splitlines()[-1] == "gone"


@sandbox.needed
def test_a_configuration_from_the_future_is_of_now_before_its_service_starts_anew() -> None:
    """Else it would be newer than the service for ever, and each run would start that anew."""
    files = sandbox.file("/etc/future", "a") + sandbox.file("/etc/past", "b")
    made = f"{files}touch -d '+2 hours' /etc/future; touch -d 2020-01-01 /etc/past\n"
    asked = "stat -c %Y /etc/future; stat -c %Y /etc/past; date +%s; grep restart /mnt/calls"
    text = f"{made}{sandbox.script('restart-service.sh', 'x', '/etc/future', '/etc/past', '/etc/none')}\n{asked}"
    future, past, now, called = sandbox.run(text).splitlines()
    assert int(future) <= int(now)
    assert int(past) < int(now) - 100_000_000
    assert called == "systemctl restart x"


@sandbox.needed
def test_mirrors_that_hosts_yml_names_no_more_are_forgotten_and_nobody_elses() -> None:
    folder = "/etc/containerd/certs.d"
    ours, theirs = "# Written by kubefab from hosts.yml's mirrors.\n", "server = 'https://x'\n"
    texts = {"quay.io": ours, "ghcr.io": ours, "mine.example.org": theirs}
    made = "".join(sandbox.file(f"{folder}/{name}/hosts.toml", text) for name, text in texts.items())
    for name in ("quay.io", "ghcr.io"):
        path = f"{folder}/{name}/hosts.toml"
        made += f'echo "$(sha256sum <{path} | cut -c -64) {path}" >>/var/lib/kubefab-files\n'
    kept = f"touch {folder}/ghcr.io/ca.crt\nmkdir {folder}/empty\n"
    left = sandbox.run(
        f"{made}{kept}{sandbox.script('forget-mirrors.sh', 'quay.io')}\ncd {folder}; find . -type f | sort"
    )
    assert left.splitlines() == ["./ghcr.io/ca.crt", "./mine.example.org/hosts.toml", "./quay.io/hosts.toml"]


@sandbox.needed
def test_a_mirror_that_somebody_has_made_of_a_copy_of_ours_is_kept_where_it_is_forgotten() -> None:
    folder = "/etc/containerd/certs.d/docker.io"
    made = sandbox.file(f"{folder}/hosts.toml", "# Written by kubefab from hosts.yml's mirrors.\nserver = 'mine'\n")
    left = sandbox.run(f"{made}{sandbox.script('forget-mirrors.sh', 'quay.io')}\ntail -n 1 {folder}/*; ls {folder}")
    assert left.splitlines()[1:] == ["server = 'mine'", "hosts.toml.before-kubefab"]


@sandbox.needed
def test_what_somebody_has_changed_of_a_mirror_is_kept_where_it_is_forgotten() -> None:
    place = "/etc/containerd/certs.d/quay.io/hosts.toml"
    line = f"0644 {place} {b64encode(b'# Written by kubefab.').decode()}"
    put_and_changed = f"echo '{line}' | sh {SCRIPTS / 'put-files.sh'}\necho 'ca = \"mine\"' >>{place}\n"
    left = f"cat {place}.before-kubefab; ls {place.rpartition('/')[0]}"
    said = sandbox.run(f"{put_and_changed}{sandbox.script('forget-mirrors.sh')}\n{left}").splitlines()
    assert said[0] == f"what was there is now {place}.before-kubefab"
    assert said[1:] == ['# Written by kubefab.ca = "mine"', "hosts.toml.before-kubefab"]
