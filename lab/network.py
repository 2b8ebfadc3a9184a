"""The machines' network, and every trace of it in the kernel."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from lab.settings import GATEWAY, MOST_KERNELS, NETWORK, SUBNET, address, kernel_names
from lab.shell import attempt, run

# Where podman's CNI backend notes which address is taken.
LEASES = Path("/var/lib/cni/networks") / NETWORK
NAMESPACES = Path("/run/netns")
# In chains of podman's, or into them; CNI-ADMIN is there for people.
PODMANS = re.compile(r"^-A (CNI-(?!ADMIN )|NETAVARK)| -j (CNI-|NETAVARK)")
ADDRESSES = re.compile(r" 10\.250\.0\.(0/24|\d+/32) ")


def bridge() -> str | None:
    """The bridge's name, chosen by podman; None where there is no such network."""
    found = attempt("podman", "network", "inspect", NETWORK)
    if found.returncode:
        return None
    described = json.loads(found.stdout)[0]
    return str(described.get("network_interface") or described["plugins"][0]["bridge"])


def ensure() -> None:
    """The network and its bridge."""
    if not bridge():
        run("podman", "network", "create", "--disable-dns", "--subnet", SUBNET, "--gateway", GATEWAY, NETWORK)
    # Services bind to the gateway's address: it has to be there before the first machine is.
    ensure_bridge(bridge() or NETWORK)


def ensure_bridge(name: str) -> None:
    attempt("ip", "link", "add", name, "type", "bridge")
    attempt("ip", "address", "add", f"{GATEWAY}/24", "dev", name)
    run("ip", "link", "set", name, "up")


def exits(address: str) -> list[list[str]]:
    """What podman sets up for a container's address, for one that podman does not know: a way out, and back."""
    return [
        ["-t", "nat", "POSTROUTING", "-s", f"{address}/32", "!", "-d", SUBNET, "-j", "MASQUERADE"],
        ["-t", "filter", "FORWARD", "-s", f"{address}/32", "-j", "ACCEPT"],
        ["-t", "filter", "FORWARD", "-d", f"{address}/32", "-j", "ACCEPT"],
    ]


def plug_in(tap: str, address: str) -> None:
    """A cable into the machines' network, for a program of this computer."""
    attempt("ip", "tuntap", "add", "dev", tap, "mode", "tap")
    run("ip", "link", "set", tap, "master", bridge() or NETWORK, "up")
    for table, name, chain, *rule in exits(address):
        if attempt("iptables", table, name, "-C", chain, *rule).returncode:
            run("iptables", table, name, "-I", chain, *rule)


def unplug(tap: str, address: str) -> None:
    attempt("ip", "link", "delete", tap)
    for table, name, chain, *rule in exits(address):
        attempt("iptables", table, name, "-D", chain, *rule)


def forget_lease(address: str) -> None:
    """A machine that died without podman's knowledge keeps its address taken."""
    (LEASES / address).unlink(missing_ok=True)


def is_ours(rule: str) -> bool:
    """Of podman for the lab's network, or of `plug_in`: people have rules for 10.250.0.0/16, or for the lab."""
    made = {" ".join(["-A", *words]) for name in kernel_names(MOST_KERNELS) for _, _, *words in exits(address(name))}
    named = f'--comment "name: \\"{NETWORK}\\" id: ' in rule
    return rule in made or named or bool(PODMANS.search(rule) and ADDRESSES.search(rule))


def delete_rules(tables: Sequence[str] = ("nat", "filter")) -> None:
    """Firewall rules of machines whose end podman never saw."""
    for table in tables:
        saved = attempt("iptables-save", "-t", table).stdout.splitlines()
        delete_chains(table, [line for line in saved if is_ours(line)])


def delete_chains(table: str, rules: Sequence[str]) -> None:
    for rule in rules:
        attempt("sh", "-c", f"iptables -t {table} -D {rule.removeprefix('-A ')}")
    for chain in dict.fromkeys(re.findall(r"-A (CNI-[0-9a-f]{24})", "\n".join(rules))):
        attempt("iptables", "-t", table, "-X", chain)


def delete_leftover_chains() -> None:
    """podman's own chains, once nothing of anyone's is in them."""
    if re.search(r"-A CNI-(FORWARD (?!.*CNI-ADMIN)|ADMIN)", attempt("iptables-save", "-t", "filter").stdout):
        return
    comment = ("-m", "comment", "--comment")
    attempt("iptables", "-D", "FORWARD", *comment, "CNI firewall plugin rules", "-j", "CNI-FORWARD")
    for chain in ("CNI-FORWARD", "CNI-ADMIN"):
        attempt("iptables", "-F", chain)
        attempt("iptables", "-X", chain)


def delete_leases() -> None:
    for path in LEASES.glob("*"):
        path.unlink()
    if LEASES.is_dir():
        LEASES.rmdir()


def delete_empty_namespaces() -> None:
    if NAMESPACES.is_dir() and not any(NAMESPACES.iterdir()):
        attempt("umount", NAMESPACES)


def delete() -> None:
    name = bridge()
    if name:
        run("podman", "network", "rm", "--force", NETWORK)
        attempt("ip", "link", "delete", name)
    delete_rules()
    delete_leftover_chains()
    delete_leases()
    delete_empty_namespaces()
