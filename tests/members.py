"""What three masters say of their members of etcd, as scripts/look/etcd.sh prints it."""

import json
from typing import Any

M = ("m1", "m2", "m3")
IDS = {name: 0xA0 + n for n, name in enumerate(M, start=1)}  # of 64 bits, as all of them
CLUSTER = 0xBABDA65A1F85D223


def status(name: str, **says: Any) -> str:
    """What `etcdctl endpoint status` prints for the member of this host."""
    header = {"cluster_id": says.pop("cluster", CLUSTER), "member_id": IDS[name], "revision": says.pop("revision", 9)}
    said = {"version": "3.7.0", "dbSize": 20480, "leader": IDS["m2"], "raftAppliedIndex": 12, "dbSizeQuota": 2 << 30}
    return json.dumps([{"Endpoint": "https://127.0.0.1:2379", "Status": {"header": header, **said, **says}}])


def membership(*names: str, learner: str = "") -> str:
    members = [
        {"ID": IDS[name], "name": name, "peerURLs": [f"https://{name}:2380"], "isLearner": name == learner}
        for name in names
    ]
    return json.dumps({"header": {"cluster_id": CLUSTER}, "members": members})


def look(name: str, *members: str, **says: Any) -> str:
    """What scripts/look/etcd.sh prints on this host."""
    said = (
        "servers https://127.0.0.1:2379",
        "etcd_runs yes",
        f"member {status(name, **says)}",
        f"membership {membership(*(members or M))}",
    )
    return "\n".join(said)


DEAD = "servers https://127.0.0.1:2379"
SILENT = f"{DEAD}\netcd_runs yes\netcd_silent context deadline exceeded"
