"""What the proofs of drift share: three masters whose static pods and kubelets are kubefab's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import MACHINES, ROOT, Kubefab, all_is_well, fresh, hosts_file, power_on

MARKS = "/var/lib/kubefab-manifests"
ROLES = {name: {"role": "master"} for name in MACHINES}


def configured(path: Path, **kinds: Any) -> Path:
    """A hosts.yml of three masters, with these documents beside the committed one's."""
    overlays = yaml.safe_load((ROOT / "hosts.yml").read_text())["cluster"]["kubeadm"]
    merged = {kind: {**overlays.get(kind, {}), **fields} for kind, fields in kinds.items()}
    return hosts_file(path, *MACHINES, cluster={"kubeadm": {**overlays, **merged}}, hosts=ROLES)


@contextmanager
def own_masters(folder: Path) -> Iterator[Kubefab]:
    """The cluster; it is reset at the end."""
    inv = Kubefab(configured(folder / "hosts.yml"), folder)
    power_on()
    if inv("cluster.up").status:
        fresh(*MACHINES)
        inv("cluster.up").well()
    for name in MACHINES:
        inv("cluster.put-back", "--host", name, "--yes").well()
    all_is_well(inv)
    yield inv
    inv("cluster.reset", "--yes").well()
