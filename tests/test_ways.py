"""How OpenSSH would reach a host, by its own word: `ssh -G` with a HOME of the test's own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paramiko
import pytest

from kubefab import ways
from kubefab.errors import HostError
from kubefab.identities import Identities
from kubefab.inventory import Ssh
from kubefab.ssh import Link
from kubefab.sudo import Sudo
from kubefab.ways import Way
from tests.sshd import HOST_KEY, USER_KEY, Sshd, ssh_needed

pytestmark = ssh_needed
TARGET = "10.0.0.1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


def config(home: Path, text: str, name: str = "config") -> None:
    file = home / ".ssh" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def way(home: Path, text: str = "", **told: object) -> Way:
    config(home, text)
    return ways.way(Ssh.model_validate(told), TARGET)


def test_without_a_word_it_is_as_ssh_has_it(home: Path) -> None:
    found = way(home, user="admin")
    assert (found.host, found.port, found.user, found.name) == (TARGET, 22, "admin", TARGET)
    assert (found.jumps, found.command, found.agent, found.only_these) == ((), "", "", False)
    assert home / ".ssh/id_ed25519" in found.keys
    assert found.known_hosts[0] == home / ".ssh/known_hosts"


def test_what_hosts_yml_says_comes_first(home: Path) -> None:
    (home / "key").touch()
    found = way(
        home,
        "Host *\n  User eve\n  Port 33\n  IdentityFile ~/.ssh/other\n  ProxyJump far\n",
        user="admin",
        port=2222,
        key=str(home / "key"),
        known_hosts=str(home / "known"),
        jump="near",
    )
    assert (found.user, found.port, found.jumps) == ("admin", 2222, ("near",))
    assert (found.keys[0], found.known_hosts) == (home / "key", (home / "known",))


def test_included_files_count(home: Path) -> None:
    config(home, "Host 10.*\n  User root\n  IdentityFile ~/.ssh/lab\n", "lab.conf")
    found = way(home, f'Include "{home}/.ssh/*.conf"\n')
    assert (found.user, found.keys) == ("root", (home / ".ssh/lab",))


def test_so_does_match(home: Path) -> None:
    found = way(home, 'Match host 10.* exec "true"\n  Port 33\nMatch final all\n  User late\n')
    assert (found.port, found.user) == (33, "late")


def test_a_host_goes_by_its_alias_and_else_by_its_port(home: Path) -> None:
    assert way(home, "Port 2222\n").name == f"[{TARGET}]:2222"
    assert way(home, "Port 2222\nHostKeyAlias manager\n").name == "manager"
    assert way(home, "HostName 10.0.0.9\n").host == "10.0.0.9"


@pytest.mark.parametrize("word", ["ProxyJump none", "ProxyCommand none"])
def test_none_is_no_hosts_name(home: Path, word: str) -> None:
    found = way(home, f"Host {TARGET}\n  {word}\nHost *\n  ProxyJump bastion\n")
    assert (found.jumps, found.command) == ((), "")


def test_a_proxy_command_is_told_where_to_go(home: Path) -> None:
    assert way(home, "ProxyCommand nc -x 100%% %h %p as %r\nUser eve\n").command == f"nc -x 100% {TARGET} 22 as eve"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("a", ("a",)),
        ("eve@a:33,b", ("eve@a:33", "b")),
        ("ssh://eve@a:33", ("eve@a:33",)),
        ("[fd00::1]:33", ("[fd00::1]:33",)),
    ],
)
def test_jump_hosts_are_taken_in_their_order(home: Path, said: str, found: tuple[str, ...]) -> None:
    assert way(home, f"ProxyJump {said}\n").jumps == found


def test_each_jump_host_has_a_way_of_its_own(home: Path) -> None:
    text = "Host bastion\n  HostName 10.9.9.9\n  User jumper\n  ProxyJump first\nHost 10.0.*\n  ProxyJump bastion\n"
    found = way(home, text)
    assert found.jumps == ("bastion",)
    hop = ways.hop(Ssh(), found.jumps)
    assert (hop.who, hop.jumps) == ("jumper@10.9.9.9:22", ("first",))
    assert ways.hop(Ssh(), ("eve@one:33", "two")).jumps == ("eve@one:33",)


def test_a_jump_host_that_is_to_be_reached_by_way_of_itself_is_told(home: Path) -> None:
    config(home, "Host *\n  ProxyJump bastion\n")
    with pytest.raises(HostError, match="ssh cannot tell how it would get there") as told:
        ways.hop(Ssh(), ("bastion",))
    assert "jumphost loop via bastion" in told.value.lines


def test_keys_and_certificates_are_found_by_tokens_and_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "/srv/keys")
    text = 'User eve\nIdentityFile "~/.ssh/my key"\nIdentityFile ${KEYS}/%r@%h\nIdentityFile %d/100%%\n'
    found = way(home, f"{text}CertificateFile ~/.ssh/eve-cert.pub\nIdentitiesOnly yes\n")
    assert found.keys == (home / ".ssh/my key", Path(f"/srv/keys/eve@{TARGET}"), home / "100%")
    assert (found.certificates, found.only_these) == ((home / ".ssh/eve-cert.pub",), True)


def test_a_key_may_be_named_after_this_computer_or_in_no_utf_8(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "desk.example.org")
    (home / ".ssh/config").write_bytes(b"IdentityFile ~/.ssh/%L\nIdentityFile ~/.ssh/schl\xfcssel\n")
    assert ways.way(Ssh(), TARGET).keys == (home / ".ssh/desk", home / os.fsdecode(b".ssh/schl\xfcssel"))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", "/run/usual"),
        ("IdentityAgent none\n", ""),
        ("IdentityAgent ~/agent.sock\n", "{home}/agent.sock"),
        ("IdentityAgent SSH_AUTH_SOCK\n", "/run/usual"),
        ("IdentityAgent $OTHER\n", "/run/other"),
    ],
)
def test_the_agent_that_is_meant(home: Path, monkeypatch: pytest.MonkeyPatch, said: str, found: str) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/usual")
    monkeypatch.setenv("OTHER", "/run/other")
    assert way(home, said).agent == found.format(home=home)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('~/.ssh/one "/srv/keys of all/two"', ["{home}/.ssh/one", "/srv/keys of all/two"]),
        ("/dev/null", ["{home}/.ssh/known_hosts"]),
        ("none", ["{home}/.ssh/known_hosts"]),
    ],
)
def test_keys_are_known_from_files_that_keep_them(home: Path, said: str, found: list[str]) -> None:
    """A cure that ends: a key that /dev/null was given is asked for again by the next run."""
    files = list(map(str, way(home, f"StrictHostKeyChecking no\nUserKnownHostsFile {said}\n").known_hosts))
    assert files[: len(found)] == [file.format(home=home) for file in found]
    assert "/etc/ssh/ssh_known_hosts" in files


def test_what_ssh_cannot_read_is_told_in_its_own_words(home: Path) -> None:
    with pytest.raises(HostError, match="ssh cannot tell how it would get there") as told:
        way(home, "Foo bar\n")
    assert "Bad configuration option: foo" in told.value.lines
    assert told.value.hint == f"try the same by hand: ssh -G {TARGET}"


def test_where_there_is_no_ssh_its_config_is_not_read_and_that_is_said_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    ways._say_that_there_is_no_ssh.cache_clear()
    for _ in range(2):
        found = way(home, "Port 33\n", user="admin", jump="bastion")
    assert (found.who, found.jumps) == (f"admin@{TARGET}:22", ("bastion",))
    assert found.known_hosts[0] == home / ".ssh/known_hosts"
    assert capsys.readouterr().err == "there is no ssh on this computer: ~/.ssh/config is not read\n"


# --- keys, against a server that knows one


@pytest.fixture
def folder(server: Sshd) -> Path:
    (server.folder / ".ssh").mkdir(mode=0o700)
    return server.folder / ".ssh"


def by_config(server: Sshd, text: str) -> Link:
    """The server without a word in hosts.yml of keys."""
    (server.folder / ".ssh" / "config").write_text(text)
    wanted = server.host()
    return Link(wanted.model_copy(update={"ssh": wanted.ssh.model_copy(update={"key": None})}), Sudo())


def lets_in(link: Link) -> bool:
    try:
        return link.execute("echo well", b"", 10).output == "well\n"
    finally:
        link.close()


@contextmanager
def agent(folder: Path, *keys: Path) -> Iterator[Path]:
    """An ssh-agent with these keys; its socket."""
    socket = folder / "agent"
    started = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            pass
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", *keys], env=environment, check=True)
        yield socket
    finally:
        started.terminate()
        started.wait()


def public(folder: Path, key: paramiko.PKey) -> Path:
    file = folder / "held.pub"
    file.write_text(f"{key.get_name()} {key.get_base64()} comment\n")
    return file


def test_keys_that_are_not_there_or_not_readable_are_passed_over(server: Sshd, folder: Path) -> None:
    (folder / "spoilt").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    lines = "".join(
        f'IdentityFile "{file}"\n'
        for file in (folder / "none", folder / ("x" * 300), folder / "spoilt", server.folder / "key")
    )
    assert lets_in(by_config(server, lines))


def test_the_agent_that_the_config_names_is_asked(server: Sshd, folder: Path) -> None:
    with agent(folder, server.folder / "key") as socket:
        assert lets_in(by_config(server, f'IdentityAgent "{socket}"\n'))
        with pytest.raises(HostError, match="there is no key here"):
            lets_in(by_config(server, "IdentityAgent none\n"))


def test_of_an_agent_with_many_keys_the_named_one_alone_is_offered(server: Sshd, folder: Path) -> None:
    """Where IdentitiesOnly says so; the file may be the public one."""
    others = []
    for n in range(7):
        others.append(folder / f"other{n}")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", others[-1]], check=True)
    named = public(folder, USER_KEY)
    with agent(folder, *others, server.folder / "key") as socket:
        link = by_config(server, f'IdentityAgent "{socket}"\nIdentitiesOnly yes\nIdentityFile "{named}"\n')
        assert lets_in(link)
    assert server.offered == 1


def made(folder: Path, name: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    return folder / name


@pytest.mark.parametrize("held", [False, True])
def test_a_key_is_offered_with_the_certificate_that_is_about_it_first(server: Sshd, folder: Path, held: bool) -> None:
    """Whether the key is in a file or in an agent; a certificate about another key is not offered."""
    authority, mine, other = (made(folder, name) for name in ("authority", "mine", "other"))
    for key in (mine, other):
        subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "test", "-n", "root", f"{key}.pub"], check=True)
        Path(f"{key}-cert.pub").rename(f"{key}.certified")  # or ssh-add would take it along
    with ExitStack() as stack:
        socket = stack.enter_context(agent(folder, other)) if held else ""
        if held:
            subprocess.run(["ssh-add", "-q", mine], env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, check=True)
        certificates = (Path(f"{other}.certified"), Path(f"{mine}.certified"))
        way = Way("h", 22, "root", "h", (), "", (mine,), certificates, True, str(socket))
        kinds = [key.public_blob.key_type if key.public_blob else key.get_name() for key in Identities(way)._keys()]
    assert kinds == ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"]


def test_a_key_that_is_let_in_and_has_to_do_more_is_told(server: Sshd, folder: Path) -> None:
    server.besides = True
    with pytest.raises(HostError, match="does not let root in: a key is not enough there: it wants password besides"):
        lets_in(by_config(server, f'IdentityFile "{server.folder}/key"\n'))


def test_a_security_key_is_told_by_its_name(server: Sshd, folder: Path) -> None:
    (folder / "id_sk").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    (folder / "id_sk.pub").write_text("sk-ssh-ed25519@openssh.com AAAA comment\n")
    with pytest.raises(HostError, match=r"id_sk is of a security key \(sk-ssh-ed25519@openssh.com\)"):
        lets_in(by_config(server, f'IdentityFile "{folder}/id_sk"\n'))


def test_a_host_may_be_known_by_an_alias(server: Sshd, folder: Path) -> None:
    server.know(HOST_KEY, "manager")
    assert lets_in(by_config(server, f'HostKeyAlias manager\nIdentityFile "{server.folder}/key"\n'))
