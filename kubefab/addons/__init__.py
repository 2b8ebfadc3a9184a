"""The add-ons, as data: what each is made of, what is edited in it, and what to wait for."""

from kubefab.addons.addon import Addon, Manifest, Version
from kubefab.addons.headlamp import HEADLAMP
from kubefab.addons.kubernetes_dashboard import KUBERNETES_DASHBOARD
from kubefab.addons.local_path import LOCAL_PATH
from kubefab.addons.metrics_server import METRICS_SERVER
from kubefab.addons.rook import ROOK

__all__ = ["ADDONS", "DASHBOARDS", "Addon", "Manifest", "Version"]

ADDONS = {addon.name: addon for addon in (METRICS_SERVER, LOCAL_PATH, HEADLAMP, KUBERNETES_DASHBOARD, ROOK)}
DASHBOARDS = (HEADLAMP, KUBERNETES_DASHBOARD)  # the first is meant where hosts.yml names none
