"""What a person with ssh, or Ansible, is given: the same files and documents that kubefab renders."""

import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from kubefab import kubeadm, mirrors, render
from kubefab.inventory import Host, Inventory
from kubefab.releases import KEY, release
from kubefab.steps import network

SSH = """\
Host {name}
    HostName {address}
    IdentitiesOnly yes
    ControlMaster auto
    ControlPath {folder}/{name}.ssh
    ControlPersist 60
"""
OPTIONS = {
    "user": "User",
    "port": "Port",
    "key": "IdentityFile",
    "known_hosts": "UserKnownHostsFile",
    "jump": "ProxyJump",
}


def prepare(folder: Path, inventory: Inventory) -> None:
    """Writes all of it into this folder, before any clock runs."""
    write_tree(folder / "system", {**render.containerd(inventory), **render.kernel()})
    write_tree(folder / "kubernetes", {**render.apt(inventory), **render.completion()})
    if len(inventory.masters) > 1:
        write_tree(folder / "haproxy", {"/etc/haproxy/haproxy.cfg": render.haproxy(inventory)})
    (folder / "ssh_config").write_text("".join(ssh_config(folder, host) for host in inventory.hosts))
    (folder / "init.yaml").write_text(kubeadm.init_documents(inventory, inventory.founder))
    for host in inventory.hosts:
        (folder / f"join-{host.name}.yaml").write_text(join_document(inventory, host))
    (folder / "values.sh").write_text(shell(values(inventory)))
    (folder / "inventory.json").write_text(json.dumps(ansible(folder, inventory)))


def write_tree(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def ssh_config(folder: Path, host: Host) -> str:
    told = {OPTIONS[name]: value for name, value in host.ssh.model_dump().items() if value}
    lines = [f"    {option} {value}\n" for option, value in told.items()]
    return SSH.format(name=host.name, address=host.address, folder=folder) + "".join(lines)


def join_document(inventory: Inventory, host: Host) -> str:
    """kubefab's own, but with discovery by token, and the keys of masters by a Secret, as kubeadm offers both."""
    document = yaml.safe_load(kubeadm.join_documents(inventory, host, "TOKEN", ""))
    if "controlPlane" in document:
        document["controlPlane"]["certificateKey"] = "CERTIFICATE_KEY"
    server = f"{kubeadm.endpoint(inventory)}:{kubeadm.API_PORT}"
    by_token = {"token": "TOKEN", "apiServerEndpoint": server, "caCertHashes": ["CA_HASH"]}
    return yaml.safe_dump({**document, "discovery": {"bootstrapToken": by_token}}, sort_keys=False)


def values(inventory: Inventory) -> dict[str, str]:
    repository, own_key = mirrors.repository(inventory)
    flannel = release(inventory.cluster.kubernetes).flannel
    return {
        "version": inventory.cluster.kubernetes,
        "address": str(inventory.founder.address),
        "endpoint": kubeadm.endpoint(inventory),
        "repository": repository.url,
        "key": own_key or KEY,
        "keyring": render.KEYRING,
        "flannel": mirrors.mirrored(network.MANIFEST.format(flannel.version), inventory)[0],
        "flannel_sha256": flannel.sha256,
        "pod_subnet": str(inventory.cluster.pod_subnet),
    }


def shell(told: dict[str, str]) -> str:
    lines = ["set -eu", "export DEBIAN_FRONTEND=noninteractive"]
    return "\n".join([*lines, *(f"{name}={shlex.quote(value)}" for name, value in told.items()), ""])


def ansible(folder: Path, inventory: Inventory) -> dict[str, Any]:
    """An inventory in Ansible's own format."""
    by_role = {"master": "masters", "worker": "workers"}
    groups: dict[str, Any] = {
        group: {"hosts": {host.name: {} for host in inventory.hosts if host.role == role}}
        for role, group in by_role.items()
    }
    settings = {"ansible_ssh_common_args": f"-F {folder}/ssh_config", "folder": str(folder)}
    return {"all": {"children": groups, "vars": {**values(inventory), **settings}}}
