"""The API server's own word on its health, through an SSH tunnel."""

import binascii
import re
import tempfile
from base64 import b64decode
from typing import TYPE_CHECKING

import tenacity

from kubefab import tunnel
from kubefab.facts.api import FORBIDDEN
from kubefab.host import Host
from kubefab.kubeadm import API_PORT

if TYPE_CHECKING:
    import requests

PLACE = ("localhost", API_PORT)
REFUSED = ("401 ", "403 ")  # who has no credentials: --anonymous-auth=false, or a path that nobody else may ask for


def readyz(host: Host, ca: str, silent: bool = False) -> str:
    """What https://localhost:6443/readyz on a master answers: "ok", or why there is no such answer.

    `ca` is the cluster's own authority in base64, the only one believed here; "" where there is no cluster, and no
    answer. Where it tells nobody without credentials, the master asks it as the cluster's admin. Where sshd lets nobody
    ask, that is FORBIDDEN, cluster or not: it can be said before any change. It is waited for less where it was
    `silent` to kubectl. HostError where the connection is lost.
    """
    if not ca:
        return FORBIDDEN if tunnel.refusal(host.link, PLACE) == FORBIDDEN else ""
    patience = host.link.network.patience
    seconds = patience.silent_readyz if silent else patience.readyz
    try:
        with tempfile.NamedTemporaryFile() as authority, tunnel.held(host.link, PLACE) as port:
            authority.write(b64decode(ca))
            authority.flush()
            said = _get(f"https://localhost:{port}/readyz", authority.name, seconds)
    except binascii.Error:
        return _SPOILT_CA
    except OSError as error:
        return f"not asked: on this computer: {error.strerror or error}"
    if said.startswith(REFUSED):
        return host.ask("ask-readyz.sh", f"{seconds:g}", seconds=patience.silence).strip()
    return said or tunnel.refusal(host.link, PLACE) or "it hung up without an answer"


def _get(url: str, authority: str, seconds: float) -> str:
    """What it says, in words for people whatever it is; "" where nobody was reached."""
    import requests  # a fifth of the time of a run with nothing to do; not needed before there is a cluster

    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_passing),
        stop=tenacity.stop_after_attempt(2),
        wait=tenacity.wait_fixed(0.1),
        reraise=True,
    )
    try:
        answer = again(_ask, url, authority, seconds)
    except requests.Timeout:
        return f"no answer within {seconds:g} s"
    except requests.exceptions.SSLError as error:
        return _distrusted(str(error))
    except requests.RequestException:
        return ""
    return answer.text if answer.ok else f"{answer.status_code} {answer.reason}"


def _passing(error: BaseException) -> bool:
    import requests

    lasting = (requests.Timeout, requests.exceptions.SSLError)
    return isinstance(error, requests.ConnectionError) and not isinstance(error, lasting)


def _ask(url: str, authority: str, seconds: float) -> "requests.Response":
    import requests
    from requests.adapters import HTTPAdapter

    adapter = HTTPAdapter()
    # kubeadm puts this name into every certificate; localhost only into those that we asked for.
    adapter.init_poolmanager(1, 1, assert_hostname="kubernetes")
    with requests.Session() as session:
        session.trust_env = False  # a proxy is not for localhost
        session.mount("https://", adapter)
        return session.get(url, verify=authority, timeout=seconds, headers={"Connection": "close"})


def _distrusted(error: str) -> str:
    """A library's exception is no message; what matters in it is. "" where the other end hung up."""
    if "EOF" in error:
        return ""
    if found := re.search(r"certificate verify failed: ([^(]+)", error):
        return f"not believed: certificate verify failed: {found[1].strip()}"
    if found := re.search(r"hostname .* doesn't match [^\"]*", error):
        return f"not believed: {found[0].strip(chr(39))}"
    return _SPOILT_CA if "PEM" in error or "NO_CERTIFICATE" in error else "what answers there speaks no TLS"


_SPOILT_CA = "not asked: the CA in /etc/kubernetes/admin.conf cannot be read"
