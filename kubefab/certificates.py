"""The certificates of a cluster's hosts: until when they are good, which ones ports serve, what is wrong. Pure."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from kubefab import differences
from kubefab.errors import NotAsked
from kubefab.facts import Certificates, Facts
from kubefab.inventory import Inventory

SOON = timedelta(days=30)
# What cryptography raises for a file that a power cut has truncated, or that somebody made by hand.
UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
YEAR = timedelta(days=365)  # what kubeadm makes them good for, where nobody asks for anything else
PERIOD = "certificateValidityPeriod"
PKI, KUBELETS = "/etc/kubernetes/pki", "/var/lib/kubelet/pki"
SERVER = f"{PKI}/apiserver.crt"
ROTATED, SELF_MADE = f"{KUBELETS}/kubelet-server-current.pem", f"{KUBELETS}/kubelet.crt"
CLIENT = f"{KUBELETS}/kubelet-client-current.pem"
KUBELET_CONF, ADMIN = "/etc/kubernetes/kubelet.conf", "/etc/kubernetes/admin.conf"
NODE = "system:node:"  # begins the name that a kubelet's certificate is for
BEGUN = "a renewal of certificates was begun and not finished"
SHOWN = "served at"  # a port: how what is no file begins
SERVED = {
    "6443": (SERVER,),
    "2379": (f"{PKI}/etcd/server.crt",),
    "2380": (f"{PKI}/etcd/peer.crt",),
    "10250": (ROTATED, SELF_MADE),
}
# These make their serving certificate at each start, in no file; what may be old is their client's, in a .conf.
OWN = {"10257": ("kube-controller-manager", "controller-manager.conf"), "10259": ("kube-scheduler", "scheduler.conf")}
# What kubeadm renews on a master: a file below /etc/kubernetes -> the authority that signs it.
SIGNED = {
    **dict.fromkeys(("pki/apiserver.crt", "pki/apiserver-kubelet-client.crt"), "ca"),
    **dict.fromkeys(("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"), "ca"),
    "pki/front-proxy-client.crt": "front-proxy-ca",
    "pki/apiserver-etcd-client.crt": "etcd/ca",
    **dict.fromkeys(("pki/etcd/server.crt", "pki/etcd/peer.crt", "pki/etcd/healthcheck-client.crt"), "etcd/ca"),
}
# The files below /etc/kubernetes that are the same on all masters.
SHARED = tuple(f"pki/{name}.{kind}" for name in ("ca", "front-proxy-ca", "etcd/ca") for kind in ("crt", "key"))
SHARED += ("pki/sa.key", "pki/sa.pub")
HEAD = ("host", "certificate", "of", "good until", "days")


@dataclass(frozen=True)
class Certificate:
    """A certificate on a host; `what`: its file, or where it is served; `ends`: None where it could not be read."""

    host: str
    what: str
    subject: str = ""
    authority: bool = False
    begins: datetime | None = None
    ends: datetime | None = None

    def left(self, now: datetime) -> timedelta | None:
        return self.ends - now if self.ends else None

    @property
    def name(self) -> str:
        """Its key in SIGNED."""
        return self.what.removeprefix("/etc/kubernetes/")

    def is_over(self, now: datetime) -> bool:
        return bool(self.ends and self.ends <= now)

    def is_soon(self, now: datetime, asked: timedelta = YEAR) -> bool:
        """Whether it ends in less than 30 days, or less than a part of its life: some kubelets' live for a day.

        `asked`: how long kubeadm's are to be good. It counts as their life: a shorter one is a mistake, and no wish.
        A kubelet renews its own with 10 to 30 % of it left (k8s.io/client-go, util/certificate: nextRotationDeadline).
        """
        if not (self.begins and self.ends):
            return False
        life = asked if self.name in SIGNED else self.ends - self.begins
        return self.ends - now < min(SOON, life / (12 if self.what in (CLIENT, ROTATED) else 5))


def validity(wanted: Inventory, hosts: Iterable[Facts]) -> timedelta:
    """How long kubeadm's are to be good: by hosts.yml, else by the configuration that kubeadm keeps, else a year."""
    kept = next((told for one in hosts if (told := _configuration(one))), "")
    stored = (yaml.safe_load(kept) or {}).get(PERIOD)
    seconds = differences.length(str(wanted.told(f"ClusterConfiguration.{PERIOD}") or stored or ""))
    return timedelta(seconds=float(seconds)) if seconds else YEAR


def _configuration(facts: Facts) -> str:
    try:
        return facts.kubeadm.configuration.text if facts.kubeadm.configuration else ""
    except NotAsked:
        return ""


def of_all(hosts: Iterable[Facts], now: datetime, asked: timedelta = YEAR) -> tuple[list[Certificate], list[str]]:
    """All certificates of all hosts; and what is wrong, or was not heard."""
    there: list[Certificate] = []
    wrong: list[str] = []
    for facts in hosts:
        try:
            there += found(facts)
            wrong += problems(facts, now, asked)
            wrong += [f"{facts.name}: {line}" for line in (*_unshown(facts.certificates), *_behind(facts.certificates))]
        except NotAsked as error:
            wrong.append(f"{facts.name}: {error.what}")
    return there, wrong


def found(facts: Facts) -> list[Certificate]:
    """All of a host's. NotAsked where they were not looked at."""
    told = facts.certificates
    own = [
        _read(facts.name, f"{SHOWN} {port}", told.served[port])
        for port in OWN
        if told.served.get(port, "none") != "none"
    ]
    return [*_kept(facts), *_fileless(facts), *own]


def _kept(facts: Facts) -> list[Certificate]:
    """Those that somebody has to renew: what is in files, and not what a program makes for itself at each start."""
    told = facts.certificates
    unused = ROTATED in told.issued and told.served.get("10250") != told.issued.get(SELF_MADE)
    files = [_read(facts.name, path, body) for path, body in told.issued.items() if not (unused and path == SELF_MADE)]
    confs = [_read(facts.name, path, body, x509.load_pem_x509_certificate) for path, body in told.clients.items()]
    return [*files, *confs]


def _fileless(facts: Facts) -> list[Certificate]:
    """What is served, and is in no file that was looked at: its program was told of another one."""
    told, etcds = facts.certificates, ("2379", "2380")
    otherwise = {*told.otherwise, *(port for port in etcds if "etcd" in told.began and not _files(told, port))}
    shown = {port: told.served.get(port, "none") for port in SERVED if port in otherwise}
    unknown = {port: body for port, body in shown.items() if body not in ("none", *told.issued.values())}
    return [_read(facts.name, f"{SHOWN} {port}", body) for port, body in unknown.items()]


def kubeadms(facts: Facts) -> list[Certificate]:
    """Those that kubeadm renews. NotAsked where they were not looked at."""
    return [one for one in _kept(facts) if one.name in SIGNED]


def authority(facts: Facts, name: str) -> Certificate | None:
    return next((one for one in _kept(facts) if one.what == f"{PKI}/{name}.crt"), None)


def kubelets(facts: Facts) -> list[Certificate]:
    """Its kubelet's client certificates; the first one that it got may be in its .conf."""
    return [one for one in _kept(facts) if one.what in (CLIENT, KUBELET_CONF)]


def self_made(facts: Facts) -> list[Certificate]:
    """The certificate that its kubelet has made for itself and serves; none where it serves another."""
    return [one for one in _kept(facts) if _is_self_made(one)]


def _is_self_made(one: Certificate) -> bool:
    """A kubelet serves what it finds there: what a person has put there is not called as its own is, NAME@SECONDS."""
    return one.what == SELF_MADE and bool(re.search(r"@\d+$", one.subject))


def former(told: Certificates) -> list[str]:
    """Former admin certificates in the login's ~/.kube/config: of the same user, and sooner to end."""
    return _former(told, told.login)


def behind(told: Certificates) -> str | None:
    """What a renewal leaves in that file for a person to change; None on a worker, where nothing is renewed.

    A certificate that is not understood counts, since it may be the admin's.
    """
    if ADMIN not in told.clients:
        return None
    if any(_read("", "", one, x509.load_pem_x509_certificate).ends is None for one in told.login_apart):
        return "a certificate that is not understood"
    if _former(told, told.login_apart):
        return "an older certificate of the admin's, in a form that kubefab does not change"
    return None


def _former(told: Certificates, bodies: Iterable[str]) -> list[str]:
    try:
        admin = x509.load_pem_x509_certificate(b64decode(told.clients.get(ADMIN, "")))
        authority = x509.load_der_x509_certificate(b64decode(told.issued.get(f"{PKI}/ca.crt", "")))
    except UNREADABLE:
        return []
    return [one for one in bodies if _is_former(one, admin, authority)]


def _is_former(body: str, admin: x509.Certificate, authority: x509.Certificate) -> bool:
    """The authority is asked for too: the admins of two clusters have the same name."""
    try:
        read = x509.load_pem_x509_certificate(b64decode(body))
        read.verify_directly_issued_by(authority)
    except (*UNREADABLE, InvalidSignature, TypeError):
        return False
    return read.subject == admin.subject and read.not_valid_after_utc < admin.not_valid_after_utc


def kubelet_users(facts: Facts, authority: str) -> list[str]:
    """The names that this authority (DER, in base64) has signed for its kubelet: a host's own word proves nothing."""
    told = facts.certificates
    bodies = [(told.issued.get(CLIENT), x509.load_der_x509_certificate)]
    bodies += [(told.clients.get(KUBELET_CONF), x509.load_pem_x509_certificate)]
    return [name for body, load in bodies if body for name in _users(body, load, authority)]


def _users(body: str, load: Callable[[bytes], x509.Certificate], authority: str) -> list[str]:
    try:
        read = load(b64decode(body))
        read.verify_directly_issued_by(x509.load_der_x509_certificate(b64decode(authority)))
    except (*UNREADABLE, InvalidSignature, TypeError):
        return []
    found = [str(one.value) for one in read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return [name for name in found if name.startswith(NODE)]


def life(body: str) -> timedelta:
    """From its beginning to its end; zero for what cannot be read."""
    one = _read("", "", body)
    return one.ends - one.begins if one.ends and one.begins else timedelta()


def names(body: str) -> set[str]:
    """What a certificate is good for: names in lower case, and addresses."""
    try:
        read = x509.load_der_x509_certificate(b64decode(body))
        found = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*UNREADABLE, x509.ExtensionNotFound):
        return set()
    dns = (one.lower() for one in found.get_values_for_type(x509.DNSName))
    return {*dns, *map(str, found.get_values_for_type(x509.IPAddress))}


def is_served(told: Certificates, port: str) -> bool:
    """Whether this port serves the certificate of one of its files. True where that cannot be told."""
    files = _files(told, port)
    return bool(told.unserved) or port in told.otherwise or not files or told.served.get(port) in files.values()


def is_another(told: Certificates, port: str) -> bool:
    """Whether this port serves a certificate that is in none of its files. False where it has shown none."""
    files, shown = _files(told, port), told.served.get(port, "none")
    return bool(files) and port not in told.otherwise and shown != "none" and shown not in files.values()


def _files(told: Certificates, port: str) -> dict[str, str]:
    """The certificates that it may serve, by their files, of those that are there."""
    return {file: told.issued[file] for file in SERVED[port] if file in told.issued}


def problems(facts: Facts, now: datetime, asked: timedelta = YEAR) -> list[str]:
    """What is wrong with a host's certificates, or soon will be. NotAsked where they were not looked at."""
    told = facts.certificates
    among, has_etcd = (*_kept(facts), *_fileless(facts)), _has_etcd(told)
    ends = [f"{one.host}: {line}" for one in among for line in _of_end(one, now, asked, has_etcd)]
    return [
        *ends,
        *(f"{facts.name}: {line}" for line in (*_of_served(told), *_of_began(told))),
        *([f"{facts.name}: {BEGUN}: inv certs.renew"] if is_begun(told) else []),
    ]


def _has_etcd(told: Certificates) -> bool:
    """Whether there is one of kubeadm's here, as far as certificates tell: those of another are its owner's."""
    return "etcd" in told.began or any(f"{PKI}/etcd/{name}.crt" in told.issued for name in ("server", "peer"))


def is_begun(told: Certificates) -> bool:
    return told.renewal_begun or told.remake_begun


def _of_end(one: Certificate, now: datetime, asked: timedelta, has_etcd: bool) -> Iterator[str]:
    if one.ends is None:
        yield f"{one.what} cannot be read"
    elif one.is_soon(now, asked):
        left = one.ends - now
        when = f"ends in {left.days} days" if left > timedelta() else "HAS ENDED"
        yield f"{one.what} {when} ({one.ends:%Y-%m-%d %H:%M} UTC): {_meaning(one, has_etcd)}"


def _meaning(one: Certificate, has_etcd: bool) -> str:
    if one.what.startswith(SHOWN):
        return _FILELESS
    if one.authority:
        return AUTHORITY
    if _is_self_made(one):
        return _SELF_MADE
    if SIGNED.get(one.name) == "etcd/ca" and not has_etcd:
        return _OF_ETCD
    return _KUBELET if one.what in (CLIENT, ROTATED) else _RENEW if one.name in (*SIGNED, "kubelet.conf") else _THEIRS


def _of_served(told: Certificates) -> Iterator[str]:
    """Served certificates are compared with their files, byte by byte, unless a program was given other files."""
    for port in told.served:
        if port in SERVED and is_another(told, port):
            yield f"port {port} serves another certificate than {next(iter(_files(told, port)))}: {_OLDER}"
    # An API server whose file has gone goes on with what it has read, and would not start again.
    if "kube-apiserver" in told.began and "6443" not in told.otherwise and SERVER not in told.issued:
        yield f"{SERVER} is missing: {_RENEW}"


def _unshown(told: Certificates) -> Iterator[str]:
    """Left out of a status: a machine that is busy for a moment shows no certificate in time."""
    if told.unserved:
        yield f"what is served is not known: {told.unserved}"
    yield from (f"port {port} has shown no certificate in time" for port, body in told.served.items() if body == "none")


def _behind(told: Certificates) -> Iterator[str]:
    if found := behind(told):
        yield f"~/.kube/config of the login has {found}: {REWRITE}"


def _of_began(told: Certificates) -> Iterator[str]:
    """A process that began before its .conf was written still uses the former one. Clocks of seconds differ by one."""
    for process, conf in OWN.values():
        began, written = told.began.get(process), told.written.get(f"/etc/kubernetes/{conf}", 0)
        if began is not None and began + 2 < written:
            yield f"{process} began before {conf} was written: {_OLDER}"


def _read(
    host: str, what: str, body: str, load: Callable[[bytes], x509.Certificate] = x509.load_der_x509_certificate
) -> Certificate:
    try:
        read = load(b64decode(body))
        names = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        begins, ends = read.not_valid_before_utc, read.not_valid_after_utc
        return Certificate(host, what, ", ".join(str(one.value) for one in names), _signs(read), begins, ends)
    except UNREADABLE:
        return Certificate(host, what)


def _signs(read: x509.Certificate) -> bool:
    try:
        return read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def as_data(cluster: str, certificates: Sequence[Certificate], wrong: Sequence[str], now: datetime) -> dict[str, Any]:
    """All of it as plain data, the first to end first."""
    ordered = sorted(certificates, key=lambda one: (one.ends or datetime.min.replace(tzinfo=UTC), one.host, one.what))
    return {
        "cluster": cluster,
        "healthy": not wrong,
        "problems": list(wrong),
        "certificates": [
            {
                "host": one.host,
                "certificate": one.what,
                "subject": one.subject,
                "authority": one.authority,
                "expires": one.ends.isoformat() if one.ends else None,
                "days": left.days if (left := one.left(now)) else None,
            }
            for one in ordered
        ],
    }


def rows(data: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The same for people."""
    return [
        (
            one["host"],
            one["certificate"].removeprefix("/etc/kubernetes/"),
            f"{one['subject']}{', an authority' if one['authority'] else ''}",
            datetime.fromisoformat(one["expires"]).strftime("%Y-%m-%d %H:%M") if one["expires"] else "unreadable",
            "?" if one["days"] is None else str(one["days"]),
        )
        for one in data["certificates"]
    ]


AUTHORITY = (
    "with it ends all that it has signed, and nobody renews it: a new authority has to be brought to every host by hand"
)
REWRITE = (
    "no renewal changes it there; have kubectl write that file anew, as that user on that host (comments go): (umask "
    "077; cd ~/.kube && kubectl --kubeconfig config config view --raw --flatten >config.kubefab && cat config.kubefab "
    ">config && rm config.kubefab), then inv certs.renew"
)
_SELF_MADE = "the kubelet made it for itself and does not renew it; inv certs.renew has it made anew"
_KUBELET = (
    "the kubelet renews it by itself, and has not: journalctl -u kubelet on that host says why; once its client "
    "certificate has ended, inv certs.renew lets it in again"
)
_RENEW = "inv certs.renew"
_OF_ETCD = "no etcd of kubeadm's is here: whoever looks after that etcd has to renew it, and inv certs.renew does not"
_FILELESS = "kubefab knows no file of it: whoever made it has to renew it, and to have what serves it read it again"
_THEIRS = "it is not kubeadm's: whoever made it has to renew it"
_OLDER = "what serves there is older than the file: inv certs.renew starts it anew"
