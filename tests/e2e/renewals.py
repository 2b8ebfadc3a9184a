"""What the tests of renewals share: certificates that have become old, and how all is once they are new."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from kubefab.certificates import CLIENT, SIGNED
from lab.settings import address

from .harness import Kubefab, all_is_well, at_once, eventually, nodes, on, ready_nodes, true_on

SOON, OVER = timedelta(days=20), timedelta(days=-1)  # until their end, of a year
PORTS = {"6443": "pki/apiserver.crt", "2379": "pki/etcd/server.crt", "2380": "pki/etcd/peer.crt"}
CONTROL_PLANE = "etcd kube-apiserver kube-controller kube-scheduler"
Authorities = Mapping[str, tuple[x509.Certificate, RSAPrivateKey]]


def authorities(master: str) -> Authorities:
    """The cluster's own, with their keys."""
    return {name: _authority(master, name) for name in dict.fromkeys(SIGNED.values())}


def _authority(master: str, name: str) -> tuple[x509.Certificate, RSAPrivateKey]:
    certificate, key = (on(master, f"cat /etc/kubernetes/pki/{name}.{end}").encode() for end in ("crt", "key"))
    private = load_pem_private_key(key, None)
    assert isinstance(private, RSAPrivateKey)
    return x509.load_pem_x509_certificate(certificate), private


def aged(ours: Authorities, hosts: Iterable[str], left: timedelta, kubelets: bool = False) -> None:
    """Every certificate of kubeadm's there becomes one of the same name and key that ends so soon, and is used.

    The login's kubeconfig is a copy, as it was before.
    """
    at_once(*(lambda host=host: _age(ours, host, left, kubelets) for host in hosts))


def _age(ours: Authorities, host: str, left: timedelta, kubelets: bool) -> None:
    for name in _there(host):
        path, (ca, key) = f"/etc/kubernetes/{name}", ours[SIGNED[name]]
        change = _conf if name.endswith(".conf") else _pem
        on(host, f"cat >{path}", stdin=change(on(host, f"cat {path}"), ca, key, left))
    on(host, "cd /etc/kubernetes; [ ! -e admin.conf ] || cp admin.conf /root/.kube/config")
    if kubelets:
        on(host, f"cat >{CLIENT}", stdin=_pem(on(host, f"cat {CLIENT}"), *ours["ca"], left))
    # Its kubelet starts them anew. Killed, since an API server that is asked to end waits for its etcd, which is gone.
    on(host, f"for name in {CONTROL_PLANE}; do pkill -KILL -x $name; done; systemctl restart kubelet")


def _there(host: str) -> list[str]:
    return on(host, f"cd /etc/kubernetes && ls -d {' '.join(SIGNED)} 2>/dev/null; true").split()


def ends(host: str) -> dict[str, datetime]:
    """Until when each certificate of kubeadm's there is good."""
    texts = {name: on(host, f"cat /etc/kubernetes/{name}") for name in _there(host)}
    for name, text in texts.items():
        if name.endswith(".conf"):
            user = yaml.safe_load(text)["users"][0]["user"]
            texts[name] = b64decode(user["client-certificate-data"]).decode()
    return {name: x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc for name, text in texts.items()}


def _pem(text: str, ca: x509.Certificate, key: RSAPrivateKey, left: timedelta) -> str:
    """Whatever follows the certificate, as a key, stays."""
    end = "-----END CERTIFICATE-----\n"
    certificate, _, rest = text.partition(end)
    return signed_anew(f"{certificate}{end}", ca, key, left) + rest


def _conf(text: str, ca: x509.Certificate, key: RSAPrivateKey, left: timedelta) -> str:
    document = yaml.safe_load(text)
    user = document["users"][0]["user"]
    before = b64decode(user["client-certificate-data"]).decode()
    user["client-certificate-data"] = b64encode(signed_anew(before, ca, key, left).encode()).decode()
    return yaml.safe_dump(document, sort_keys=False)


def signed_anew(text: str, ca: x509.Certificate, key: RSAPrivateKey, left: timedelta) -> str:
    """A certificate of the same name and key, of a year that ends so soon."""
    was, end = x509.load_pem_x509_certificate(text.encode()), datetime.now(UTC) + left
    begin, serial = end - timedelta(days=365), x509.random_serial_number()
    made = x509.CertificateBuilder(ca.subject, was.subject, was.public_key(), serial, begin, end)
    for one in was.extensions:
        made = made.add_extension(one.value, one.critical)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def served(host: str) -> dict[str, str]:
    """The serial that each port shows, by the host's own openssl."""
    ask = "timeout 5 openssl s_client -connect {}:{} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    return {port: on(host, f"{ask.format(address(host), port)}; true").strip() for port in PORTS}


def in_files(host: str) -> dict[str, str]:
    read = "openssl x509 -noout -serial -in /etc/kubernetes/{}"
    return {port: on(host, read.format(file)).strip() for port, file in PORTS.items()}


def ages(host: str) -> dict[str, int]:
    """The process ids of the control plane's programs."""
    return {name: int(on(host, f"pgrep -xo {name}")) for name in CONTROL_PLANE.split()}


def answers(master: str) -> bool:
    """Whether its API server lets its admin in."""
    return true_on(
        master, "timeout 10 kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz >/dev/null 2>&1"
    )


def is_renewed(inv: Kubefab, masters: Sequence[str], workers: Sequence[str]) -> None:
    """All is well, what is served is what is in the files, nothing is left to do, and nothing lies about."""
    told = json.loads(inv("certs.status", "--json").well().stdout)
    assert told["healthy"], told["problems"]
    for host in masters:
        assert served(host) == in_files(host)
        assert true_on(host, "cmp -s /etc/kubernetes/admin.conf /root/.kube/config")
        assert on(host, "ls -d /etc/kubernetes/manifest.* /etc/kubernetes/pki-remade 2>/dev/null; true") == ""
    for host in (*masters, *workers):
        assert on(host, "ls /var/lib/kubefab 2>/dev/null; true") == ""
    assert ready_nodes(masters[0]) == set(nodes(masters[0])) == {*masters, *workers}
    assert json.loads(all_is_well(inv, "--json").stdout)["state"] == "well"
    for task in ("certs.renew", "cluster.up"):
        assert "nothing to do" in inv(task).well().stdout


def is_dead(masters: Iterable[str]) -> None:
    """No API server lets anybody in."""
    for master in masters:
        eventually(lambda master=master: not answers(master))  # type: ignore[misc]
