"""What the proofs on a machine with a kernel of its own share: a whole cluster of it, and nothing said for the lab."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import vm
from lab.machines import existing
from tests.e2e.harness import (
    COUNTED,
    MASTER,
    Done,
    Kubefab,
    cut_power,
    eventually,
    fresh,
    hosts_file,
    kubectl,
    power_on,
)

VM = "vm1"
# kubeadm's own, doubled: emulation is some ten times slower than a processor.
TIMEOUTS = {
    "kubeletHealthCheck": "8m",
    "controlPlaneComponentHealthCheck": "8m",
    "etcdAPICall": "4m",
    "kubernetesAPICall": "2m",
}
# Who has not renewed its lease within 10 s begins anew, which is work for minutes there: so the next one is late, too.
LEASES = {"extraArgs": {"leader-elect-lease-duration": "90s", "leader-elect-renew-deadline": "60s"}}
PATIENT = {
    "InitConfiguration": {"timeouts": TIMEOUTS},
    "ClusterConfiguration": {"controllerManager": LEASES, "scheduler": LEASES},
}
SECONDS = 1500  # that a whole cluster may take there: more than any one command elsewhere
RUNS = 3  # of the same command
SILENCE = ("the API server gives no answer", "cannot be read")
PAGE = "answered by a pod"
POD = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: page, labels: {{app: page}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: page
      image: IMAGE
      command: [sh, -c, "echo {PAGE} >/tmp/index.html && exec busybox httpd -f -p 8080 -h /tmp"]
---
apiVersion: v1
kind: Service
metadata: {{name: page}}
spec: {{selector: {{app: page}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


def machine_as_new() -> None:
    if VM in vm.existing():
        fresh(VM)
    switched_on()


def switched_on() -> None:
    """And it alone runs, so that both processors are its own: the lab switches at least one other on with it."""
    power_on("--kernels", "1", machines=(MASTER,))
    for name, machine in existing().items():
        if name != VM and machine.runs:
            cut_power(name)


def switched_off() -> None:
    """And the others run again."""
    cut_power(VM)
    power_on()


def of_one(path: Path, cluster: Mapping[str, Any], mirrors: Mapping[str, Any]) -> Path:
    """A hosts.yml of this machine alone, without any of the overlays that the lab's containers need."""
    wanted = {"kubeadm": PATIENT if vm.VM(VM).kind == "emulation" else {}, **cluster}
    return hosts_file(path, VM, cluster=wanted, mirrors=mirrors, hosts={VM: {"schedulable": True}})


def brought_up(inv: Kubefab, hosts: Path) -> Done:
    """By the same command again, where nobody answered it: emulated, an API server may be busy for minutes."""
    runs = list[Done]()
    while len(runs) < RUNS and (not runs or is_unanswered(runs[-1])):
        with inv.started("cluster.up", hosts=hosts) as run:
            runs.append(run.ends(SECONDS))
    COUNTED.append(f"cluster.up on one machine ({vm.VM(VM).kind}): {len(runs)} runs of the same command")
    return runs[-1]


def is_unanswered(done: Done) -> bool:
    return done.status != 0 and any(words in done.stderr for words in SILENCE)


def a_pod_answers(image: str) -> None:
    """By its Service's name, asked from another pod."""
    kubectl("apply", "-f", "-", master=VM, stdin=POD.replace("IMAGE", image))
    kubectl("wait", "--for=condition=Ready", "pod/page", "--timeout=600s", master=VM)
    asked = ("exec", "page", "--", "curl", "--silent", "http://page.default.svc.cluster.local")
    assert eventually(lambda: kubectl(*asked, master=VM), 600).strip() == PAGE
