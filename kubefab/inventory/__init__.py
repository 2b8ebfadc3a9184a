"""hosts.yml -> frozen, typed models; every problem at once, with its line. Pure: nothing here uses a host."""

from kubefab.errors import InventoryError
from kubefab.inventory.models import Host, Inventory, Mirror, Schedule, Ssh
from kubefab.inventory.reading import load, parse, schema

__all__ = ["Host", "Inventory", "InventoryError", "Mirror", "Schedule", "Ssh", "load", "parse", "schema"]
