"""What a running cluster is made of, for people to understand: what kubeadm made, whom it serves, until when."""

import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from kubefab.certificates import PKI, SOON, UNREADABLE
from kubefab.facts import ClusterFacts, Facts

if TYPE_CHECKING:
    from rich.tree import Tree

UNCUT = 1000  # columns, where no terminal would fold a line
SERVES = {
    "admin.conf": "kubectl, as the cluster's administrator",
    "super-admin.conf": "kubectl without RBAC, in case RBAC locks everybody out",
    "controller-manager.conf": "kube-controller-manager",
    "scheduler.conf": "kube-scheduler",
    "kubelet.conf": "this machine's kubelet",
    "bootstrap-kubelet.conf": "a kubelet that joins, until it has a certificate of its own",
}
CHAPTERS = {
    "certificates": "what every component trusts; made by kubeadm init, in {pki}",
    "confs": "who may use the API server, and as whom",
    "static_pods": "what the kubelet runs without an API server: the control plane itself",
    "tokens": "lets a machine ask for a certificate and join",
    "cluster_info": "what a joining machine may read before it is known",
    "addons": "what runs for the whole cluster",
    "taints": "which pods a node turns away",
}
TOLD_BY_THE_API_SERVER = ("tokens", "cluster_info", "addons", "taints")


def explained(facts: Facts, now: datetime) -> dict[str, Any]:
    """All of it, as plain data; `facts` are the master's, with the look's part "explain"."""
    live = facts.cluster
    assert live
    return {
        "version": live.version,
        "readyz": facts.api.readyz,
        "silent": live.silent or None,
        "certificates": [
            {"file": path, **_certificate(x509.load_der_x509_certificate, body, now)}
            for path, body in facts.explain.certificates.items()
            if path.startswith("/etc/")
        ],
        "confs": [_conf(path, rest, facts, now) for path, rest in facts.explain.confs.items()],
        "static_pods": [{"file": path, "image": image} for path, image in facts.explain.static_pods.items()],
        **(dict.fromkeys(TOLD_BY_THE_API_SERVER) if live.silent else _told_by_the_api_server(facts, live, now)),
    }


def _told_by_the_api_server(facts: Facts, live: ClusterFacts, now: datetime) -> dict[str, Any]:
    said = facts.explain
    info = {"server": said.info_server, "trusts_this_ca": said.info_ca == facts.local.admin_ca}
    return {
        "tokens": [_token(token, rest, now) for token, rest in said.tokens.items()] if said.tokens_told else None,
        "cluster_info": (info if said.info_server else {}) if said.info_told else None,
        "addons": [
            {"name": name, "wanted": one.wanted, "ready": one.ready, "images": list(one.images)}
            for name, one in live.workloads.items()
        ],
        "taints": [{"node": name, "taints": dict(node.taints)} for name, node in live.nodes.items()],
    }


def as_tree(name: str, told: Mapping[str, Any]) -> str:
    """The same for people."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    well = told["silent"] or f"/readyz says {told['readyz'] or 'nothing'}"
    tree = Tree(Text(f"{name}: Kubernetes {told['version']}, {well}", style="bold"))
    for chapter, about in CHAPTERS.items():
        title = Text(chapter.replace("_", "-"), style="bold").append(f"  {about.format(pki=PKI)}", style="dim")
        branch = tree.add(title)
        if told[chapter] is None:
            _line(branch, "not known", "the API server gives no answer")
        else:
            _LINES[chapter](branch, told[chapter])
    console = Console(width=None if sys.stdout.isatty() else UNCUT)
    with console.capture() as captured:
        console.print(tree)
    return captured.get().rstrip()


def _certificate(load: Callable[[bytes], x509.Certificate], body: str, now: datetime) -> dict[str, Any]:
    try:
        read = load(b64decode(body))
        return {
            "subject": _name(read.subject, NameOID.COMMON_NAME),
            "groups": _name(read.subject, NameOID.ORGANIZATION_NAME),
            "issuer": _name(read.issuer, NameOID.COMMON_NAME),
            "names": _names(read),
            **_until(read.not_valid_after_utc, now),
        }
    except UNREADABLE:
        return {"subject": "unreadable", "groups": "", "issuer": "", "names": [], "expires": None, "days": None}


def _names(read: x509.Certificate) -> list[str]:
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in names]


def _name(name: x509.Name, kind: x509.ObjectIdentifier) -> str:
    return ", ".join(str(one.value) for one in name.get_attributes_for_oid(kind))


def _until(end: datetime, now: datetime) -> dict[str, Any]:
    return {"expires": end.isoformat(), "days": (end - now).days}


def _conf(path: str, rest: str, facts: Facts, now: datetime) -> dict[str, Any]:
    """A kubeconfig names its user's certificate by path, or holds it, its armour and all, in base64."""
    server, _, user = rest.partition(" ")
    found = {"file": path, "serves": SERVES.get(PurePath(path).name, ""), "server": server}
    if user.startswith("/"):
        return found | _certificate(x509.load_der_x509_certificate, facts.explain.certificates.get(user, ""), now)
    return found | (_certificate(x509.load_pem_x509_certificate, user, now) if user else {})


def _token(token: str, rest: str, now: datetime) -> dict[str, Any]:
    end, _, description = (_plain(part) for part in rest.partition(" "))
    try:
        until = _until(_in_utc(datetime.fromisoformat(end)), now) if end else {"expires": None, "days": None}
    except ValueError:  # the API server does not check what somebody wrote there
        until = {"expires": end, "days": None}
    return {"id": _plain(token), "description": description, **until}


def _plain(text: str) -> str:
    try:
        return b64decode(text).decode(errors="replace")
    except ValueError:
        return "unreadable"


def _in_utc(time: datetime) -> datetime:
    """RFC 3339 wants a zone."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


# --- for people


def _line(branch: "Tree", what: str, *about: str, days: int | None = None) -> "Tree":
    from rich.text import Text

    soon = days is not None and days < SOON.days
    return branch.add(Text(what).append("  " + "; ".join(filter(None, about)), style="red" if soon else "cyan"))


def _ends(one: Mapping[str, Any]) -> str:
    if not one.get("expires"):
        return ""
    if one["days"] is None:
        return f"its end cannot be read: {one['expires']}"
    end = datetime.fromisoformat(one["expires"]).astimezone(UTC)
    return f"until {end:%Y-%m-%d %H:%M} UTC, {one['days']} days"


def _certificates(branch: "Tree", told: Iterable[Mapping[str, Any]]) -> None:
    """Each below the authority that signed it."""
    branches = {
        one["subject"]: _line(branch, _short(one["file"]), f"the authority {one['subject']}", _ends(one))
        for one in told
        if one["subject"] == one["issuer"]
    }
    for one in told:
        if one["subject"] != one["issuer"]:
            names = f"for {', '.join(one['names'])}" if one["names"] else ""
            signer = branches.get(one["issuer"], branch)
            _line(signer, _short(one["file"]), one["subject"], names, _ends(one), days=one["days"])


def _short(path: str) -> str:
    return path.removeprefix(f"{PKI}/")


def _confs(branch: "Tree", told: Iterable[Mapping[str, Any]]) -> None:
    for one in told:
        who = f"as {one['subject']} ({one['groups'] or 'in no group'})" if "subject" in one else "by a token"
        serves = f"for {one['serves']}" if one["serves"] else ""
        who = f"{who} to {one['server']}"
        _line(branch, PurePath(one["file"]).name, serves, who, _ends(one), days=one.get("days"))


def _static_pods(branch: "Tree", told: Iterable[Mapping[str, Any]]) -> None:
    for one in told:
        _line(branch, one["file"], one["image"])


def _tokens(branch: "Tree", told: Iterable[Mapping[str, Any]]) -> None:
    for one in told:
        _line(branch, f"{one['id']}.(its secret is not shown)", one["description"], _ends(one) or "never ends")
    if not told:
        _line(branch, "none", "each join gets one of its own, valid for 15 minutes")


def _cluster_info(branch: "Tree", told: Mapping[str, Any]) -> None:
    if told:
        whom = "the CA of this cluster" if told["trusts_this_ca"] else "ANOTHER CA than this cluster's"
        _line(branch, told["server"], whom)
    else:
        _line(branch, "none", "kubeadm join by token alone does not work")


def _addons(branch: "Tree", told: Iterable[Mapping[str, Any]]) -> None:
    for one in told:
        _line(branch, one["name"], f"{one['ready']} of {one['wanted']} answer", ", ".join(one["images"]))


def _taints(branch: "Tree", told: Iterable[Mapping[str, Any]]) -> None:
    for one in told:
        _line(branch, one["node"], ", ".join(f"{key}:{effect}" for key, effect in one["taints"].items()) or "none")


_LINES: Mapping[str, Callable[["Tree", Any], None]] = {
    "certificates": _certificates,
    "confs": _confs,
    "static_pods": _static_pods,
    "tokens": _tokens,
    "cluster_info": _cluster_info,
    "addons": _addons,
    "taints": _taints,
}
