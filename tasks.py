"""The runbook: what `hosts.yml` asks for, task by task, each of them safe to run again."""

from invoke import Collection, Context, task

from kubefab.runbook import converge
from kubefab.steps import control_plane, health, network, packages, preflight as checks, runtime, system
from kubefab.steps import wanted, worker
from lab.tasks import ns as lab


@task
def preflight(c: Context) -> None:
    """Look at every host, and tell all that only you can change."""
    converge(c, "all", checks.steps)


@task(pre=[preflight])
def install_docker(c: Context) -> None:
    """Install the container runtime that hosts.yml names."""
    converge(c, "all", runtime.steps)


@task(pre=[install_docker])
def install_kubeadm(c: Context) -> None:
    """Install kubeadm, kubelet and kubectl at one version, on machines made fit for them."""
    converge(c, "all", system.steps, packages.steps)


@task(pre=[install_kubeadm])
def init_master(c: Context) -> None:
    """Create the control plane on the master."""
    converge(c, "master", control_plane.steps)


@task(pre=[init_master])
def install_flannel(c: Context) -> None:
    """Give the pods their network."""
    converge(c, "master", network.steps)


@task(pre=[install_flannel])
def join_worker(c: Context) -> None:
    """Join every worker of hosts.yml."""
    converge(c, "workers", worker.steps)


@task(pre=[preflight, install_docker, install_kubeadm, init_master, install_flannel, join_worker])
def up(c: Context) -> None:
    """Bring the cluster up, or finish what an earlier run began."""
    converge(c, "all", wanted.steps, health.steps)


ns = Collection(preflight, install_docker, install_kubeadm, init_master, install_flannel, join_worker)
ns.add_collection(Collection("cluster", up), name="cluster")
ns.add_collection(lab)
