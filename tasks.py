"""The runbook: what `hosts.yml` asks for, task by task, each of them safe to run again."""

from invoke import Collection, Context, task

from kubefab.access import A_DAY, Ttl, Wish
from kubefab.access import give as give_access
from kubefab.leaving import TEN_MINUTES, Seconds, of_node
from kubefab.leaving import drain as drain_node
from kubefab.leaving import remove as remove_node
from kubefab.losing import destroy, remove
from kubefab.passes import ALL, FOUNDER, IN_TURN, MASTERS, SPEAKER, WORKERS
from kubefab.putting_back import put_back as take_back
from kubefab.renewing import renew as renew_certificates
from kubefab.restoring import give_up
from kubefab.restoring import restore as restore_etcd
from kubefab.runbook import (
    ANY_PORT,
    admit,
    back_up,
    converge,
    defragment,
    fetch_backups,
    list_images,
    meant,
    preload,
    save_before_growing,
    show_certificates,
    show_etcd,
    show_explained,
    show_status,
    with_the_others,
)
from kubefab.shells import kubectl as run_kubectl
from kubefab.shells import log_in
from kubefab.steps import (
    addons,
    backups,
    bundle,
    control_plane,
    draining,
    drift,
    drift_nodes,
    drift_proxy,
    endpoint,
    health,
    masters,
    network,
    packages,
    reboot,
    removal,
    reset,
    runtime,
    system,
    wanted,
    worker,
)
from kubefab.steps import preflight as checks
from kubefab.steps import rook as rook_steps
from kubefab.upgrading import ONE, Workers, bring_up
from lab.tasks import ns as lab

MACHINE = (system.steps, endpoint.steps, packages.steps)


@task
def preflight(c: Context) -> None:
    """Check every host and list everything that only you can fix."""
    converge(c, ALL, checks.steps)


@task(pre=[preflight])
def install_docker(c: Context) -> None:
    """Install the container runtime that hosts.yml names."""
    converge(c, MASTERS, runtime.in_turn, how=IN_TURN)
    converge(c, ALL, runtime.at_once)


@task(pre=[install_docker])
def install_kubeadm(c: Context) -> None:
    """Prepare the hosts and install kubeadm, kubelet and kubectl at one version."""
    converge(c, ALL, *MACHINE)


@task(pre=[install_kubeadm])
def init_master(c: Context) -> None:
    """Create the control plane on the first master, and join the others to it."""
    save_before_growing(c)
    make_control_plane(c)


def make_control_plane(c: Context) -> None:
    """On one master first; then the others join it, one after the other, and each is told of all of them."""
    converge(c, FOUNDER, control_plane.steps)
    converge(c, MASTERS, endpoint.steps, masters.steps, endpoint.steps, how=IN_TURN)
    converge(c, MASTERS, masters.settled, how=IN_TURN)


@task(pre=[init_master])
def install_flannel(c: Context) -> None:
    """Install flannel, the pod network, and CoreDNS, which needs it."""
    converge(c, SPEAKER, network.steps)


A_MASTER = "a master in hosts.yml (default: all masters)"


@task(pre=[init_master], auto_shortflags=False, help={"host": A_MASTER})
def untaint(c: Context, host: str | None = None) -> None:
    """Let ordinary pods run on masters."""
    converge(c, meant(host, MASTERS), wanted.untainted)


@task(pre=[init_master], auto_shortflags=False, help={"host": A_MASTER})
def taint(c: Context, host: str | None = None) -> None:
    """Keep ordinary pods off masters again (kubeadm's default)."""
    converge(c, meant(host, MASTERS), wanted.tainted_again)


@task(pre=[install_flannel])
def join_worker(c: Context) -> None:
    """Join every worker in hosts.yml."""
    converge(c, WORKERS, endpoint.steps, worker.steps)


@task
def up(c: Context) -> None:
    """Bring the cluster up, or finish what an earlier run began."""
    # preflight, but for what a break has left half changed: it may be why no API server answers.
    converge(c, ALL, drift_nodes.taken_up, drift.taken_up, checks.steps)
    # No host waits for another but where it has to: the control plane for no worker's packages, and the
    # workers join while the master's pods get their network.
    spare_masters(c)
    converge(c, ALL, runtime.at_once, *MACHINE, control_plane.steps, network.begun)
    converge(c, MASTERS, endpoint.steps, masters.steps, endpoint.steps, how=IN_TURN)
    converge(c, ALL, network.steps, endpoint.steps, worker.steps, wanted.steps, health.ready)
    settle(c)
    converge(c, ALL, drift_proxy.proxy, health.steps, endpoint.proven, addons.steps, rook_steps.steps, backups.steps)


def spare_masters(c: Context) -> None:
    """Before all hosts are worked on at once: what masters may lose is kept, and what ends with Docker ends in turn."""
    save_before_growing(c)
    converge(c, MASTERS, runtime.in_turn, how=IN_TURN)


def settle(c: Context) -> None:
    """What masters have to know, and what hosts.yml says otherwise: a host is begun once the one before is well."""
    converge(
        c,
        MASTERS,
        runtime.in_turn,
        masters.settled,
        drift.readable,
        drift.control_plane,
        drift_nodes.kubelet,
        how=IN_TURN,
    )
    converge(c, WORKERS, drift_nodes.kubelet, how=IN_TURN)


ONE_HOST = "a host in hosts.yml (required)"


@task(positional=[], auto_shortflags=False, help={"host": ONE_HOST})
def join(c: Context, host: str = "") -> None:
    """Add one host in hosts.yml to the cluster; besides it only masters change."""
    converge(c, host, checks.steps, worker.invited)
    save_before_growing(c, host)
    joining = (network.flannel_applied, worker.steps, masters.steps, endpoint.steps)
    converge(c, host, runtime.steps, *MACHINE, *joining, health.steps, endpoint.proven, backups.steps)
    converge(c, with_the_others(c, host), masters.settled, how=IN_TURN)


NODE = "a host in hosts.yml, or a node of the cluster by its name there (required)"


@task(positional=[], auto_shortflags=False, help={"host": NODE})
def cordon(c: Context, host: str = "") -> None:
    """Keep new pods off a node, until you say otherwise."""
    of_node(c, host, draining.cordoned)


@task(positional=[], auto_shortflags=False, help={"host": NODE})
def uncordon(c: Context, host: str = "") -> None:
    """Let a node take pods again."""
    of_node(c, host, draining.uncordoned)


LIMIT = "how many seconds to wait, in all, until its pods have moved (default: 600)"
COST = "do not ask whether its pods may lose what is listed (needed without a terminal)"


@task(positional=[], auto_shortflags=False, help={"host": NODE, "timeout": LIMIT, "yes": COST})
def drain(c: Context, host: str = "", timeout: Seconds = TEN_MINUTES, yes: bool = False) -> None:
    """Move a node's pods elsewhere, as their budgets allow, and keep new ones off it."""
    drain_node(c, host, timeout, yes)


DEAD = "its machine is off and stays off: nothing is asked of it any more, and its volumes are taken from it"
LOSS = "do not ask before what is listed is lost (needed without a terminal)"
REMOVE = {"host": NODE, "timeout": LIMIT, "dead": DEAD, "yes": LOSS}


@task(name="remove", positional=[], auto_shortflags=False, help=REMOVE)
def node_remove(
    c: Context, host: str = "", timeout: Seconds = TEN_MINUTES, dead: bool = False, yes: bool = False
) -> None:
    """Take a node out of the cluster, a master too, and remove Kubernetes from its machine."""
    remove_node(c, host, timeout, dead, yes)


UPGRADE = {
    "host": "upgrade one host in hosts.yml alone, as far as the order of the hosts allows",
    "at_once": "how many workers are upgraded at one time (default: 1)",
    "ignore": "a workload that is not waited for, NAMESPACE/NAME; repeat it for more",
    "timeout": "how many seconds to wait, in all, until a node's pods have moved (default: 600)",
    "yes": "do not ask before the first change (needed without a terminal)",
}


@task(iterable=["ignore"], auto_shortflags=False, help=UPGRADE)
def upgrade(
    c: Context,
    ignore: list[str],
    host: str | None = None,
    at_once: Workers = ONE,
    timeout: Seconds = TEN_MINUTES,
    yes: bool = False,
) -> None:
    """Bring the cluster to the version in hosts.yml, node by node, or finish what an earlier run began."""
    bring_up(c, timeout, yes, at_once, ignore, host)


BACK = {
    "host": ONE_HOST,
    "yes": "do not ask before what is listed is taken back (needed without a terminal)",
}


@task(name="put-back", positional=[], auto_shortflags=False, help=BACK)
def put_back(c: Context, host: str = "", yes: bool = False) -> None:
    """Take back what was changed by hand in a host's static pods and kubelet, and in kube-proxy's configuration."""
    take_back(c, host, yes)


OPEN = "open a tunnel and print the URL; Ctrl-C ends it"
PORT = "the local port for --open (default: any free port)"


@task(pre=[join_worker], auto_shortflags=False, help={"open": OPEN, "port": PORT})
def dashboard(c: Context, open: bool = False, port: int = ANY_PORT) -> None:
    """Deploy the dashboard and create a one-hour login token."""
    converge(c, SPEAKER, addons.dashboard)
    admit(c, addons.addon_shown, open, port)


@task(pre=[join_worker])
def rook(c: Context) -> None:
    """Set up Ceph storage on the disks listed in hosts.yml."""
    converge(c, ALL, rook_steps.deployed)


@task
def fix_reboot(c: Context) -> None:
    """Bring all nodes back after a reboot: swap off, services up, every node Ready again."""
    converge(c, ALL, drift_nodes.taken_up, drift.taken_up, reboot.at_once)
    converge(c, MASTERS, reboot.in_turn, how=IN_TURN)
    converge(c, ALL, health.ready)
    converge(c, ALL, health.steps)


HOST = "a host in hosts.yml (default: all hosts)"
WIPE = "also wipe the disks that hosts.yml gives to rook"
YES = "do not ask for confirmation (needed without a terminal)"
UNHEARD = "go on although a host or an API server does not answer: what it holds may be lost"


@task(auto_shortflags=False, help={"host": HOST, "yes": YES, "unheard": UNHEARD, "wipe_disks": WIPE})
def restart(
    c: Context, host: str | None = None, yes: bool = False, unheard: bool = False, wipe_disks: bool = False
) -> None:
    """Remove Kubernetes from hosts (default: all), and all that kubeadm made there, so that they can join again."""
    may = (reset.spared(host), reset.wipeable(wipe_disks))
    destroy(c, meant(host, ALL), *may, reset.steps, reset.disks(wipe_disks), yes=yes, unheard=unheard)


@task(name="reset", auto_shortflags=False, help={"yes": YES, "unheard": UNHEARD, "wipe_disks": WIPE})
def reset_all(c: Context, yes: bool = False, unheard: bool = False, wipe_disks: bool = False) -> None:
    """Remove the cluster from all hosts: what will be lost is listed, and asked for."""
    destroy(c, ALL, reset.wipeable(wipe_disks), reset.steps, reset.disks(wipe_disks), yes=yes, unheard=unheard)


JSON = "print one JSON object and nothing else"


@task(auto_shortflags=False, help={"name": "an add-on that is no longer in hosts.yml (required)", "yes": YES})
def addon_remove(c: Context, name: str, yes: bool = False) -> None:
    """Remove an add-on and everything it provides."""
    remove(c, name, removal.steps, yes)


@task(help={"json": JSON})
def status(c: Context, json: bool = False) -> None:
    """Show nodes and what is wrong. Exit status: 0 all is well, 1 wrong or not known, 2 nothing can be written."""
    cluster = (checks.as_wanted, endpoint.steps, endpoint.proven, masters.settled, network.steps, health.steps)
    told = (drift.control_plane, drift_nodes.kubelet, drift_proxy.proxy)
    show_status(c, *cluster, addons.steps, rook_steps.steps, backups.steps, drift=told, as_json=json)


@task(help={"json": JSON})
def explain(c: Context, json: bool = False) -> None:
    """Show what the cluster is made of: certificates, .conf files, static pods, tokens, add-ons, taints."""
    show_explained(c, json)


KUBECONFIG = {
    "output": "a file of its own, instead of your kubeconfig ($KUBECONFIG, or ~/.kube/config)",
    "force": "write over what is another cluster's; a copy of your kubeconfig is kept",
    "use": "make it the current context",
    "remove": "take this cluster out of your kubeconfig again; with --user this user alone",
    "user": "let this user in, and not the admin: with a new key, and a certificate for it",
    "group": "a group that the user is in; repeat it for more",
    "ttl": "how long the certificate is good, as 90m, 24h or 7d; at least 10m (default: 24h)",
}


@task(iterable=["group"], auto_shortflags=False, help=KUBECONFIG)
def kubeconfig(
    c: Context,
    group: list[str],
    output: str | None = None,
    force: bool = False,
    use: bool = False,
    remove: bool = False,
    user: str | None = None,
    ttl: Ttl = A_DAY,
) -> None:
    """Let kubectl on this computer into the cluster, as its admin or as a user whose certificate ends."""
    give_access(c, Wish(output, force, use, remove, user, group, ttl))


@task
def kubectl(c: Context) -> None:
    """Run kubectl on a master that answers, with the files there: inv kubectl -- get nodes."""
    run_kubectl(c)


@task(positional=[], auto_shortflags=False, help={"host": ONE_HOST})
def shell(c: Context, host: str = "") -> None:
    """Log in to a host as hosts.yml says; what stands behind -- is run there instead of a shell."""
    log_in(c, host)


WHERE = "the folder in which the backup gets one of its own (default: ~/.local/state/kubefab/backups)"


@task(help={"output": WHERE})
def backup(c: Context, output: str | None = None) -> None:
    """Copy etcd and the control plane's keys to this computer; what it writes is secret."""
    back_up(c, output)


FETCHED = "the folder in which each backup gets one of its own (default: ~/.local/state/kubefab/backups)"


@task(help={"output": FETCHED})
def fetch(c: Context, output: str | None = None) -> None:
    """Copy the backups that the masters made by themselves to this computer; what it writes is secret."""
    fetch_backups(c, output)


SOURCE = "a folder that etcd.backup has made, or a snapshot of etcd (required)"
PRICE = "do not ask whether what was written since may be lost (needed without a terminal)"


@task(positional=[], auto_shortflags=False, help={"from_": SOURCE, "yes": PRICE})
def restore(c: Context, from_: str = "", yes: bool = False) -> None:
    """Bring etcd back to a snapshot, on all masters at once, or finish what an earlier run began."""
    restore_etcd(c, from_, yes, (make_masters,), (up,))


def make_masters(c: Context) -> None:
    """Where there is none, for a backup that is to go there: workers may have outlived theirs, and are left alone."""
    converge(c, MASTERS, checks.steps)
    converge(c, MASTERS, runtime.steps, *MACHINE)
    make_control_plane(c)


@task
def give_up_restore(c: Context) -> None:
    """End a restore that was interrupted, as long as no master has its data: the control plane runs on as before."""
    give_up(c)


@task(name="defragment")
def etcd_defragment(c: Context) -> None:
    """Have etcd give back unused room, and take writes again if full; a single master's API is away meanwhile."""
    defragment(c)


@task(name="status", help={"json": JSON})
def etcd_status(c: Context, json: bool = False) -> None:
    """Show the members of etcd and what is wrong. Exit status 0: all of them answer, and all is well."""
    show_etcd(c, json)


@task(name="status", help={"json": JSON})
def certs_status(c: Context, json: bool = False) -> None:
    """Show when certificates end, and whether servers use those of their files. Exit status 0: all well for 30 days."""
    show_certificates(c, json)


@task(name="renew")
def certs_renew(c: Context) -> None:
    """Renew certificates that end soon or have ended, master by master; a single master's API is away meanwhile."""
    renew_certificates(c)


@task(name="list")
def list_all(c: Context) -> None:
    """List the images that this cluster needs, by the names that kubeadm uses."""
    list_images(c, addons.all_images)


PRELOAD = {
    "host": "a host in hosts.yml; repeat it for more (default: all hosts)",
    "image": "only this image; not together with --from",
    "from_": "copy from this file of images, made by docker save or ctr images export, and not from a host",
}


@task(name="preload", iterable=["host"], auto_shortflags=False, help=PRELOAD)
def preload_images(c: Context, host: list[str], image: str | None = None, from_: str | None = None) -> None:
    """Copy images to hosts that cannot pull them, from one that can or from a file."""
    preload(c, host, addons.all_images, image, from_)


BUILDER = (
    "a host in hosts.yml with internet access; the runtime and Kubernetes' packages are installed there, and nowhere "
    "else (default: a master that answers)"
)


@task(auto_shortflags=False, help={"host": BUILDER, "output": "the file to write (required)"})
def make(c: Context, output: str, host: str | None = None) -> None:
    """Collect everything that the cluster needs in one file, for hosts without internet."""
    contents = bundle.gathered(output, packages.bundled, addons.all_images, addons.all_manifests)
    converge(c, meant(host, SPEAKER), checks.steps, runtime.steps, packages.steps, contents)


@task
def use(c: Context) -> None:
    """Copy the bundle named in hosts.yml to every host, as `cluster.up` does."""
    converge(c, ALL, checks.steps, bundle.named, bundle.steps)


ns = Collection(
    preflight,
    install_docker,
    install_kubeadm,
    init_master,
    install_flannel,
    untaint,
    taint,
    join_worker,
    dashboard,
    rook,
    restart,
    fix_reboot,
    kubectl,
)
ns.add_collection(
    Collection("cluster", up, upgrade, put_back, status, explain, reset_all, kubeconfig, auto_dash_names=True)
)
ns.add_collection(Collection("node", join, cordon, uncordon, drain, node_remove, shell))
ns.add_collection(
    Collection("etcd", backup, fetch, restore, give_up_restore, etcd_defragment, etcd_status, auto_dash_names=True)
)
ns.add_collection(Collection("certs", certs_status, certs_renew))
ns.add_collection(Collection("addon", remove=addon_remove))
ns.add_collection(Collection("bundle", make, use))
ns.add_collection(Collection("images", list_all, preload_images))
ns.add_collection(lab)
