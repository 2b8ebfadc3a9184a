"""Prints hosts.schema.json: `python -m kubefab.inventory`."""

from kubefab.inventory import schema

print(schema(), end="")
