"""By which way a host's programs ask an API server."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, each, pairs


@dataclass(frozen=True)
class Endpoint(Part):
    kubelet_at: tuple[str, ...] = each("kubelet_at")  # the addresses to whose API servers its connections are
    proxy: str = ""  # whether kube-proxy's container runs here: "runs", "none"; "" where nothing on the host can tell
    proxy_has: Mapping[str, str] = pairs("proxy_has")  # names of ours in kube-proxy's own copy of /etc/hosts -> address
    sees: Mapping[str, str] = pairs("sees")  # master -> what haproxy makes of it: "UP; L7OK 200", "DOWN; L4CON "
    balancer: str = ""  # what /readyz of the user's own load balancer says to who is to join by way of it: "ok"
    haproxy_begun: bool = False  # whether haproxy.service may run because kubefab installed the package

    @property
    def blind(self) -> tuple[str, ...]:
        """The masters that haproxy takes for alive since they refuse it an answer."""
        return tuple(master for master, word in self.sees.items() if word.startswith("UP") and word.endswith(" 401"))
