"""A user of the cluster: a key that is made here and stays here, and a certificate for it that ends soon. Pure."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from kubefab.errors import KubefabError

MASTERS = "system:masters"
# The signer dates its beginning back by five minutes, and from eight hours on its end as well:
# k8s.io/kubernetes, pkg/controller/certificates/authority/policies.go
BACKDATED = timedelta(minutes=6)
TOGETHER = timedelta(hours=1)


@dataclass(frozen=True)
class Request:
    """Somebody's key, and the request for a certificate of it; both as PEM."""

    key: ec.EllipticCurvePrivateKey
    text: str


def check(user: str, groups: Sequence[str]) -> None:
    """KubefabError for what the cluster would refuse, or take for somebody of its own."""
    for option, name in (("user", user), *(("group", group) for group in groups)):
        if not (0 < len(name.encode()) <= 64 and name.isprintable()):
            raise KubefabError(f"--{option}: found {name!r}; allowed: 1 to 64 bytes of characters that can be printed")
    if MASTERS in groups:
        raise KubefabError(_MASTERS)
    if user.startswith("system:"):
        raise KubefabError("--user: names that begin with system: are Kubernetes' own components'")


def request(user: str, groups: Sequence[str]) -> Request:
    """A new key, and what asks for a certificate of this user in these groups."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in dict.fromkeys(groups)),
        x509.NameAttribute(NameOID.COMMON_NAME, user),
    ]
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    return Request(key, asked.public_bytes(Encoding.PEM).decode())


def certificate(asked: Request, text: str) -> x509.Certificate:
    """The certificate, of that very key. KubefabError where it is another, or none."""
    try:
        read = x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        raise KubefabError(_NONE) from error
    if read.public_key() != asked.key.public_key():
        raise KubefabError(_NONE)
    return read


def credentials(asked: Request, certificate: x509.Certificate) -> dict[str, str]:
    """As a kubeconfig has them."""
    key = asked.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pairs = {"client-certificate-data": certificate.public_bytes(Encoding.PEM), "client-key-data": key}
    return {name: b64encode(data).decode() for name, data in pairs.items()}


def are_as_good(there: Mapping[str, str], given: Mapping[str, str], authority: str) -> bool:
    """Whether a kubeconfig's credentials do for whom those that are given are for; all in base64.

    For masters that were made or renewed together an hour is no difference: each has an admin.conf of its own.
    """
    try:
        mine, other = (
            x509.load_pem_x509_certificate(b64decode(one["client-certificate-data"])) for one in (there, given)
        )
        mine.verify_directly_issued_by(x509.load_pem_x509_certificate(b64decode(authority)))
        key = load_pem_private_key(b64decode(there["client-key-data"]), None)
    except (LookupError, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    ends = mine.not_valid_after_utc
    well = mine.subject == other.subject and key.public_key() == mine.public_key() and ends > datetime.now(UTC)
    return well and ends + TOGETHER > other.not_valid_after_utc


def told_of_end(certificate: x509.Certificate, ttl: int) -> list[str]:
    """Until when it is good, and where that is less than was asked for, why. KubefabError where it is much more.

    Measured from its own beginning: the cluster's clock need not be this computer's.
    """
    end, wanted = certificate.not_valid_after_utc, timedelta(seconds=ttl)
    good = end - certificate.not_valid_before_utc
    if good > wanted + BACKDATED:
        raise KubefabError(_LONGER.format(f"{end:%Y-%m-%d %H:%M}"))
    lines = [f"good until {end:%Y-%m-%d %H:%M} UTC; until then nobody can take it back"]
    return [*lines, _SHORTER] if good < wanted else lines


def told_of_rights(answer: str, user: str, groups: Sequence[str]) -> str:
    """What RBAC lets them do, of which the API server's RoleBindings and ClusterRoleBindings tell."""
    bound = list(dict.fromkeys(_bound(json.loads(answer)["items"], user, groups)))
    if bound:
        return f"it may do what is in: {', '.join(bound)}"
    binding = f"{re.sub('[/%]', '-', user)}-view"  # the name of an object is a piece of a path
    return _NO_RIGHTS.format(quote(binding), quote(user))


def _bound(bindings: Sequence[Mapping[str, Any]], user: str, groups: Sequence[str]) -> Iterator[str]:
    wanted = {("User", user), *(("Group", group) for group in groups)}
    for one in bindings:
        if wanted & {(subject["kind"], subject["name"]) for subject in one.get("subjects") or ()}:
            role, where = one["roleRef"], one["metadata"].get("namespace")
            yield f"{role['kind']} {role['name']}" + (f" (namespace {where})" if where else "")


_MASTERS = (
    f"--group {MASTERS}: the API server signs none of these, since whoever is in it passes every rule, and no "
    "certificate can be taken back; for an administrator with an end: inv kubectl -- create clusterrolebinding NAME "
    "--clusterrole cluster-admin --user USER"
)
_NONE = (
    "the cluster gave no certificate for the key that was made here; nothing was written; run the same command again"
)
_LONGER = (
    "the cluster signed for longer than was asked, until {} UTC, and nobody could take that back: nothing was written, "
    "and the key is gone; is a controller manager older than 1.22 there?"
)
_SHORTER = "the cluster gives none that is longer (its authority's end, or --cluster-signing-duration)"
_NO_RIGHTS = (
    "RBAC lets it do nothing yet; as you choose: "
    "inv kubectl -- create clusterrolebinding {} --clusterrole view --user {}"
)
