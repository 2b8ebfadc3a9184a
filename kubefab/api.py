"""The API server's own word on its health, through an SSH tunnel."""

import socket
import tempfile
from base64 import b64decode
from contextlib import suppress

from invoke.exceptions import ThreadException

from kubefab.host import Host
from kubefab.kubeadm import API_PORT

SECONDS = 5


def healthz(host: Host, ca: str) -> str:
    """What https://localhost:6443/healthz on a master answers: "ok", or why there is no such answer.

    `ca` is the cluster's own authority in base64, the only one believed here.
    """
    said = "no answer"
    with tempfile.NamedTemporaryFile() as authority:
        authority.write(b64decode(ca))
        authority.flush()
        port = _free_port()
        # The tunnel complains of a server that hung up after its answer.
        with suppress(ThreadException), host.link.forward(port, API_PORT):
            said = _get(f"https://localhost:{port}/healthz", authority.name)
    return said


def _get(url: str, authority: str) -> str:
    import requests  # a fifth of the time of a run with nothing to do; not needed before there is a cluster
    from requests.adapters import HTTPAdapter, Retry

    # The tunnel's end here may not be listening yet.
    adapter = HTTPAdapter(max_retries=Retry(6, read=0, redirect=0, status=0, other=0, backoff_factor=0.01))
    # kubeadm puts this name into every certificate; localhost only into those that we asked for.
    adapter.init_poolmanager(1, 1, assert_hostname="kubernetes")
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy is not for localhost
            session.mount("https://", adapter)
            answer = session.get(url, verify=authority, timeout=SECONDS, headers={"Connection": "close"})
    except requests.RequestException as error:
        return str(error)
    return answer.text if answer.ok else f"{answer.status_code} {answer.reason}"


def _free_port() -> int:
    """fabric's forward_local never tells the port it bound, so it is told one."""
    with socket.socket() as chosen:
        chosen.bind(("localhost", 0))
        return int(chosen.getsockname()[1])
