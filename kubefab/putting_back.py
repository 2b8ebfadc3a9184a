"""A host's static pods and kubelet become what kubeadm makes of hosts.yml: what goes is told first, and asked for.

By a master kube-proxy's configuration, of which there is one in a cluster, becomes what kubefab has left of it.
"""

from invoke import Context
from packaging.version import Version

from kubefab.converge import Engine
from kubefab.errors import KubefabError
from kubefab.executor import engine_of
from kubefab.facts import Manifest
from kubefab.host import Host
from kubefab.losing import Loss, agree
from kubefab.steps import drift, drift_nodes, drift_proxy, marked, proxy, versions


def put_back(c: Context, name: str, yes: bool) -> None:
    """KubefabError where it is no node of a cluster that answers, or nobody agrees; nothing was changed then."""
    run = engine_of(c)
    host = _heard(run, name)
    master = host.wanted.role == "master"
    _complete(run, host)
    if master:
        _of_one_version(run, host)
        _proxied(run, host)
    static = drift.put_back(_rendered(run, host)) if master else drift.control_plane

    def losses() -> list[Loss]:
        return run.losses([host], drift_nodes.taken_up, static, drift_nodes.put_back, drift_proxy.put_back_proxy)

    if not run.dry and losses():
        run.lock([host])
        agree(losses, yes, lambda: run.look_again([host]), _COST)
    kubelet = (drift_nodes.put_back, drift_nodes.kubelet)
    kube_proxy = (drift_proxy.put_back_proxy, drift_proxy.begun_proxy)
    run.converge(name, drift_nodes.taken_up, static, drift.control_plane, *kubelet, *kube_proxy)


def _heard(run: Engine, name: str) -> Host:
    host = run.cluster.require(name)
    run.look(name)
    run.stop_where_failed()
    facts = run.cluster.facts(host)
    if not facts.cluster or not (facts.local.control_plane or facts.trusted):
        raise KubefabError(f"{name} is no node of the cluster; `inv cluster.up` makes it one")
    return host


def _complete(run: Engine, host: Host) -> None:
    """Whoever has taken one away has it somewhere; and where a kubelet reads others, nothing is made for it."""
    facts = run.cluster.facts(host)
    pods = marked.PHASES if host.wanted.role == "master" else ()
    missing = [f"/etc/kubernetes/manifests/{pod}.yaml" for pod in pods if pod not in facts.manifests.now]
    missing += [marked.CONFIG] * marked.is_gone(facts, marked.KUBELET)
    if missing:
        what = f"{host.name}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        raise KubefabError(f"{what}: put back first what was there; as kubefab left it, it is below {_COPIES}")


def _of_one_version(run: Engine, host: Host) -> None:
    """Its static pods would be made of the version that kubeadm keeps: another one while an upgrade is not done."""
    facts = run.cluster.facts(host)
    told = facts.kubeadm.configuration
    kept = versions.upstream(told.version if told else "")
    for name, now in versions.control_plane(facts).items():
        if Version("0") not in (now, kept) and now != kept:  # an image without a tag tells none
            what = f"{host.name}: {name} is of {now}, and kubeadm keeps {kept} for the cluster"
            newest = f'with `kubernetes: "{max(now, kept)}"` in hosts.yml'
            raise KubefabError(f"{what}: bring the upgrade to its end first, {newest}: inv cluster.upgrade")


def _proxied(run: Engine, host: Host) -> None:
    """kubeadm hands on the proxy that the host knows, which has to be that of hosts.yml."""
    for _, step, gap in run.gaps([host], proxy.steps):
        raise KubefabError(f"{host.name}: expected: {step.title}; found: {gap}; first have it be so: inv cluster.up")


def _rendered(run: Engine, host: Host) -> dict[str, Manifest]:
    """What kubeadm would write there. Nothing is changed by it."""
    document = marked.documents(run.cluster.inventory, host, run.cluster.facts(host))
    words = [f"{pod}:{phase}" for pod, phase in marked.PHASES.items()]
    said = host.ask("render-manifests.sh", *words, payload=document, secret=True).splitlines()
    made = {pod: Manifest.read(text) for pod, _, text in (line.partition(" ") for line in said) if pod in marked.PHASES}
    if missing := [pod for pod in marked.PHASES if pod not in made]:
        raise KubefabError(f"{host.name}: kubeadm has told no manifest of {', '.join(missing)}")
    return made


_COPIES = "/var/lib/kubefab-manifests"
_COST = "what somebody has changed there is taken back, and what reads it restarts"
