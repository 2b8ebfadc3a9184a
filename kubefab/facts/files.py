"""The files that kubefab keeps on a host."""

from collections.abc import Mapping
from dataclasses import dataclass

from kubefab.facts.part import Part, pairs


@dataclass(frozen=True)
class Files(Part):
    digests: Mapping[str, str] = pairs("file")  # path -> sha256
    mtimes: Mapping[str, float] = pairs("mtime")
    contents: Mapping[str, str] = pairs("content")  # path -> base64, of keyrings, JSON and certificates
