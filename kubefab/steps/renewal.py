"""Certificates that end soon are renewed, and programs that have read the older ones begin anew.

A master's are renewed from its files alone, so that it works where they have ended and no API server answers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from kubefab import certificates, kubeadm
from kubefab.certificates import PKI, SERVER, SIGNED, Certificate
from kubefab.cluster import Cluster
from kubefab.facts import ClusterFacts, Configuration, Facts
from kubefab.host import Host
from kubefab.inventory import Inventory
from kubefab.step import Gap, Step, complaint, notice, on_cluster, script, service, when
from kubefab.steps import health, masters

SECONDS = 120  # without a change of a static pod that is begun anew
NODE_SECONDS = 60  # until a kubelet that was let in again reports to the API server
KUBELETS = "10250"  # the port of each
REMADE = "/etc/kubernetes/pki-remade"  # where kubeadm makes one beside the one that is there


@dataclass(frozen=True)
class Pod:
    """A static pod: the certificate files that it reads as it starts, and the ports that serve one."""

    name: str
    files: tuple[str, ...]
    ports: tuple[str, ...] = ()


ETCD = Pod("etcd", tuple(f"{PKI}/etcd/{name}.crt" for name in ("server", "peer")), ("2379", "2380"))
API_SERVER = Pod(
    "kube-apiserver",
    (SERVER, *(f"{PKI}/{one}-client.crt" for one in ("apiserver-kubelet", "apiserver-etcd", "front-proxy"))),
    ("6443",),
)
CLIENTS = tuple(Pod(name, (f"/etc/kubernetes/{conf}",)) for name, conf in certificates.OWN.values())


def not_ended(cluster: Cluster, host: Host) -> list[Step]:
    """Has to hold on every master before any can be judged: members of etcd, say, answer only with valid ones."""
    if host.wanted.role != "master":
        return []
    return [
        *_possible(cluster.inventory),
        _renewed(cluster, "no certificate of kubeadm's has ended", renewable(cluster.inventory, ended)),
        *kubelet(cluster, host),
    ]


def renewed(cluster: Cluster, host: Host) -> list[Step]:
    """A master's certificates do not end soon, and all of its programs use them; it is then as healthy as before."""
    if host.wanted.role != "master":
        return []

    def follow(host: Host) -> None:
        host.change("renew-kubeconfig.sh", *certificates.former(cluster.facts(host).certificates))

    names, joined = cluster.master_names, cluster.facts(host).local.control_plane
    return [
        *_possible(cluster.inventory),
        Step(
            "the API server's certificate has all of its names",
            nameless(cluster.inventory),
            lambda host: remake(cluster, host),
            parts=("certificates", "node"),
        ),
        _renewed(
            cluster, "kubeadm's certificates do not end soon", renewable(cluster.inventory, due(cluster.inventory))
        ),
        *kubelet(cluster, host),
        *when(joined, service("kubelet")),  # without it no static pod begins anew
        Step(
            "the other masters' members of etcd answer",
            others_silent([name for name in names if name != host.name]),
            None,
            hint="see what etcd says: inv etcd.status",
            within=SECONDS,
            touches="masters",
            parts=("certificates", "node", "etcd"),
        ),
        *_begun_anew(cluster, ETCD),
        Step(
            "its member of etcd answers",
            silent_etcd,
            None,
            hint="see what it says: ls /var/log/containers/etcd*",
            within=SECONDS,
            parts=("etcd", "node"),
        ),
        *_begun_anew(cluster, API_SERVER),
        *when(joined, health.api_server()),
        *when(len(names) > 1, masters.up_to_date(names)),
        *(step for pod in CLIENTS for step in _begun_anew(cluster, pod)),
        Step(
            "~/.kube/config of the login has the admin's certificate of now",
            lambda facts: "an earlier one" if certificates.former(facts.certificates) else None,
            follow,
            parts=("certificates",),
        ),
        notice(
            "~/.kube/config of the login has no other certificate of before",
            lambda facts: certificates.behind(facts.certificates),
            certificates.REWRITE,
            ("certificates",),
        ),
    ]


def admitted(cluster: Cluster, host: Host) -> list[Step]:
    """The API server lets the node's kubelet in, and what that serves does not end soon."""
    return [
        *kubelet(cluster, host),
        *when(cluster.facts(host).local.kubelet_ca, service("kubelet")),
        Step(
            "the certificate that the kubelet has made does not end soon",
            lambda facts: _told([one for one in certificates.self_made(facts) if one.is_soon(_now(facts))], facts),
            script("remake-kubelet-certificate.sh"),
            within=NODE_SECONDS,
            parts=("certificates",),
        ),
        Step(
            "the kubelet serves no other certificate than its file's",
            another,
            script("restart-service.sh", "kubelet"),
            hint=f"see what it says: journalctl -u kubelet, on {host.name}",
            parts=("certificates",),
        ),
        Step(
            "the kubelet serves the certificate of its file",
            unshown,
            None,
            hint=f"see what it says: journalctl -u kubelet, on {host.name}; one that it has asked for may wait for "
            "somebody's word: kubectl get csr",
            within=NODE_SECONDS,
            parts=("certificates",),
        ),
        # Asked of the kubelet's own login: the API server reports a Node as before for most of a minute.
        Step(
            "the API server lets the kubelet in",
            lambda facts: facts.kubelet.refused or None,
            None,
            hint="see why, there: kubectl --kubeconfig /etc/kubernetes/kubelet.conf get --raw /readyz",
            within=NODE_SECONDS,
            parts=("kubelet",),
        ),
        Step(
            "the API server hears of the kubelet",
            unheard,
            None,
            hint=f"see what it says: journalctl -u kubelet, on {host.name}",
            within=NODE_SECONDS,
            touches="cluster",
            parts=(),
        ),
    ]


def kubelet(cluster: Cluster, host: Host) -> list[Step]:
    """A kubelet renews its certificate by itself, but not once that has ended: no API server accepts it then."""

    def admit(host: Host) -> None:
        signer, command = _signer(cluster, host), cluster.release.renews[1]
        document = documents(cluster, signer, cluster.facts(signer))
        signing = signer.during(f"a certificate for {host.name}")
        name = user(cluster.inventory, cluster.facts(host), cluster.facts(signer))
        signed = signing.ask("sign-kubelet.sh", command, name, payload=document, secret=True)
        host.change("admit-kubelet.sh", payload=signed)

    return [
        complaint(
            "a master can sign for the kubelet",
            unsigned_kubelet(_signer(cluster, host).name, cluster.release.renews[1]),
            ELSEWHERE,
        ),
        Step(
            "the kubelet's client certificate has not ended",
            lambda facts: _told(over(facts), facts),
            admit,
            hint=f"see what it says: journalctl -u kubelet, on {host.name}",
            parts=("certificates",),
        ),
    ]


def _possible(wanted: Inventory) -> list[Step]:
    return [
        complaint("the authorities have not ended", lapsed(wanted), certificates.AUTHORITY),
        complaint("the authorities' keys are on the master", unsigned(wanted), ELSEWHERE),
    ]


def _renewed(cluster: Cluster, title: str, gap: Gap) -> Step:
    def renew(host: Host) -> None:
        facts, command = cluster.facts(host), cluster.release.renews[0]
        names = [one.name for one in due(cluster.inventory)(facts)]
        host.change("renew-certificates.sh", command, *names, payload=documents(cluster, host, facts))

    return Step(title, gap, renew, hint=_AGAIN, parts=("certificates", "kubeadm"))


def remake(cluster: Cluster, host: Host) -> None:
    document = documents(cluster, host, cluster.facts(host), REMADE)
    host.change("remake-server-certificate.sh", REMADE, payload=document)


def _begun_anew(cluster: Cluster, pod: Pod) -> Iterator[Step]:
    def restart(host: Host) -> None:
        how = "process" if cluster.facts(host).kubelet.refused else "manifest"
        host.change("restart-static-pod.sh", how, pod.name, *pod.files)

    hint = f"see what it says: journalctl -u kubelet; ls /var/log/containers/{pod.name}*"
    yield Step(
        f"{pod.name} is younger than its certificates",
        older(pod),
        restart,
        hint=hint,
        within=SECONDS,
        anew=True,  # meanwhile the pod may have restarted, and the kubelet been let in or refused
        parts=("certificates", "node", "kubelet"),
    )
    if pod.ports:
        title = f"{pod.name} serves the certificate of its file"
        yield Step(title, other(pod), None, hint=hint, within=SECONDS, parts=("certificates", "node"))


def documents(cluster: Cluster, host: Host, facts: Facts, folder: str = "") -> str:
    """What kubeadm reads for certificates on this master. The API server's keeps all of its names."""
    wanted = cluster.inventory
    told = stored(wanted, facts)
    names = sorted({*certificates.names(facts.certificates.issued.get(SERVER, "")), *wanted_names(wanted, told)})
    text = told.text if told else ""
    life = timedelta() if unsaid(wanted, facts) else _life(facts)
    return kubeadm.certificate_documents(wanted, host.wanted, text, names, life, folder)


def unsaid(wanted: Inventory, facts: Facts) -> bool:
    """Whether only kubeadm's default says how long new ones are good. A life below 30 days, of a test, is no wish."""
    said = stored(wanted, facts) or wanted.told(f"ClusterConfiguration.{certificates.PERIOD}")
    return wanted.release.limits_validity and not said and _life(facts) < certificates.SOON


def _life(facts: Facts) -> timedelta:
    return certificates.life(facts.certificates.issued.get(SERVER, ""))


def stored(wanted: Inventory, facts: Facts) -> Configuration | None:
    """kubeadm's own configuration, by whichever master could read it."""
    ours = (facts.everyone[one.name] for one in wanted.masters if one.name in facts.everyone)
    return next((one.kubeadm.configuration for one in ours if one.kubeadm.configuration), None)


def wanted_names(wanted: Inventory, told: Configuration | None) -> set[str]:
    """What hosts.yml, or kubeadm's own configuration, names for API servers besides what kubeadm always does."""
    own = wanted.told("ClusterConfiguration.apiServer.certSANs") or ()
    endpoints = [wanted.cluster.endpoint or "", told.endpoint if told else ""]
    hosts = [one.rpartition(":")[0].strip("[]") for one in endpoints]
    return {_spelt(name) for name in (*own, *(told.sans if told else ()), *hosts) if name}


def user(wanted: Inventory, facts: Facts, signer: Facts) -> str:
    """The user that the cluster has signed for this host's kubelet, since the node's name may differ from the host's.

    Names of other hosts are left out: nobody becomes another host by a file that he has.
    """
    authority = signer.certificates.issued.get(f"{PKI}/ca.crt", "")
    others = {f"{certificates.NODE}{host.name}" for host in wanted.hosts if host.name != facts.name}
    for one in facts.others.values():
        others.update(certificates.kubelet_users(one, authority))
    found = [name for name in certificates.kubelet_users(facts, authority) if name not in others]
    return found[0] if found else f"{certificates.NODE}{facts.name}"


def _signer(cluster: Cluster, host: Host) -> Host:
    """A master signs for itself, since no other may answer."""
    return host if host.wanted.role == "master" else cluster.speaker


# --- what is so instead


def renewable(wanted: Inventory, gap: Callable[[Facts], list[Certificate]]) -> Gap:
    """Certificates that kubeadm renews; also a renewal that was broken off, which may have spoilt some."""

    def told(facts: Facts) -> str | None:
        found = certificates.BEGUN if facts.certificates.renewal_begun else _told(gap(facts), facts)
        return _with_life(wanted, facts, found)

    return told


def _with_life(wanted: Inventory, facts: Facts, found: str | None) -> str | None:
    return f"{found}; {_UNSAID}" if found and unsaid(wanted, facts) else found


def ended(facts: Facts) -> list[Certificate]:
    return [one for one in _kubeadms(facts) if one.is_over(_now(facts))]


def due(wanted: Inventory) -> Callable[[Facts], list[Certificate]]:
    """One that cannot be read counts as due."""

    def found(facts: Facts) -> list[Certificate]:
        asked = certificates.validity(wanted, facts.everyone.values())
        return [one for one in _kubeadms(facts) if not one.ends or one.is_soon(_now(facts), asked)]

    return found


def _kubeadms(facts: Facts) -> list[Certificate]:
    """Those that kubeadm renews, without those of an etcd that is elsewhere: they are its owner's."""
    found = certificates.kubeadms(facts)
    return [one for one in found if not (facts.etcd.elsewhere and SIGNED[one.name] == "etcd/ca")]


def over(facts: Facts) -> list[Certificate]:
    """The kubelet's client certificates that have ended."""
    return [one for one in certificates.kubelets(facts) if one.is_over(_now(facts))]


def nameless(wanted: Inventory) -> Gap:
    """It lacks names, which a renewal would not add. If it was being remade and that was broken off, it is remade."""

    def gap(facts: Facts) -> str | None:
        told = facts.certificates
        if not facts.local.control_plane:
            return None
        if told.remake_begun:
            return _with_life(wanted, facts, certificates.BEGUN)
        if "6443" in told.otherwise:
            return None
        if SERVER not in told.issued:
            return _with_life(wanted, facts, f"{SERVER} is missing")
        lacking = wanted_names(wanted, stored(wanted, facts)) - certificates.names(told.issued[SERVER])
        return _with_life(wanted, facts, f"without {', '.join(sorted(lacking))}") if lacking else None

    return gap


def _needed(wanted: Inventory, facts: Facts) -> set[str]:
    """The authorities that are to sign something."""
    signing = {SIGNED[one.name] for one in due(wanted)(facts)}
    return signing | ({"ca"} if nameless(wanted)(facts) else set())


def lapsed(wanted: Inventory) -> Gap:
    def gap(facts: Facts) -> str | None:
        found = [certificates.authority(facts, name) for name in sorted(_needed(wanted, facts))]
        return _told([one for one in found if one and one.is_over(_now(facts))], facts)

    return gap


def unsigned(wanted: Inventory) -> Gap:
    def gap(facts: Facts) -> str | None:
        return _keyless(facts, _needed(wanted, facts))

    return gap


def unsigned_kubelet(signer: str, command: str) -> Gap:
    """`signer`: the master that is to sign; `command`: kubeadm's for that, "" where it has none."""

    def gap(facts: Facts) -> str | None:
        if not over(facts):
            return None
        return _keyless(facts.everyone[signer], {"ca"}) if command else "this kubeadm cannot be told for which cluster"

    return gap


def _keyless(facts: Facts, authorities: set[str]) -> str | None:
    missing = [name for name in sorted(authorities) if f"{name}.key" in facts.kubeadm.keys_missing]
    return f"{facts.name} is without {', '.join(f'{PKI}/{name}.key' for name in missing)}" if missing else None


def older(pod: Pod) -> Gap:
    """A program that began before its files were written may use older ones. Clocks of seconds differ by one."""

    def gap(facts: Facts) -> str | None:
        told, began = facts.certificates, facts.certificates.began.get(pod.name)
        if f"{pod.name}.yaml" not in facts.local.manifests:
            return None
        if began is None:
            return "it does not run"
        newer = [file for file in pod.files if told.written.get(file, 0) > began + 2]
        return f"it began before {', '.join(newer)}" if newer else None

    return gap


def other(pod: Pod) -> Gap:
    """What its ports serve is not what its files have."""

    def gap(facts: Facts) -> str | None:
        if f"{pod.name}.yaml" not in facts.local.manifests:
            return None
        found = [port for port in pod.ports if not certificates.is_served(facts.certificates, port)]
        return f"another one, or none, at {', '.join(found)}" if found else None

    return gap


def another(facts: Facts) -> str | None:
    return f"another one, at {KUBELETS}" if certificates.is_another(facts.certificates, KUBELETS) else None


def unshown(facts: Facts) -> str | None:
    return None if certificates.is_served(facts.certificates, KUBELETS) else f"another one, or none, at {KUBELETS}"


def others_silent(names: Sequence[str]) -> Gap:
    """Asked before a member that answers is restarted: with another one silent, the majority could be lost."""

    def gap(facts: Facts) -> str | None:
        if not facts.etcd.member or not older(ETCD)(facts):
            return None
        theirs = [facts.others[name] for name in names if name in facts.others]
        found = [one.name for one in theirs if one.local.control_plane and not (one.etcd.member or one.etcd.elsewhere)]
        return f"no answer from {', '.join(found)}" if found else None

    return gap


def silent_etcd(facts: Facts) -> str | None:
    found = facts.etcd
    if found.elsewhere or found.member or "etcd.yaml" not in facts.local.manifests:
        return None
    return f"it gives no answer: {found.etcd_silent}" if found.etcd_runs else "it does not run"


@on_cluster
def unheard(_: ClusterFacts, facts: Facts) -> str | None:
    return facts.node.trouble if facts.node and _STOPPED in facts.node.trouble else None


def _told(them: list[Certificate], facts: Facts) -> str | None:
    """The first to end, and how many more there are: `inv certs.status` shows all."""
    if not them:
        return None
    first, *rest = sorted(them, key=lambda one: (one.ends.timestamp() if one.ends else 0, one.name))
    return _when(first, _now(facts)) + (f", and {len(rest)} more" if rest else "")


def _when(one: Certificate, now: datetime) -> str:
    if not one.ends:
        return f"{one.name} cannot be read"
    return f"{one.name} {'ended' if one.is_over(now) else 'ends'} {one.ends:%Y-%m-%d %H:%M} UTC"


def _now(facts: Facts) -> datetime:
    """By the host's own clock, as its programs see it."""
    return datetime.fromtimestamp(facts.system.clock, UTC)


def _spelt(name: str) -> str:
    """The name as a certificate spells it."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower()


_UNSAID = "nobody says how long new ones are to be good: a year, as kubeadm has it"
_STOPPED = "stopped posting"  # of a node whose kubelet is not heard of: k8s.io/kubernetes, pkg/controller/nodelifecycle
_AGAIN = "what was there before is there again, where kubeadm has failed: see what it said"
ELSEWHERE = (
    "sign them where that key is kept: "
    "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#external-ca-mode"
)
