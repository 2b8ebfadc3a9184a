"""What revision etcd's database has come to, out of its file: bbolt's pages, of whose keys the last one tells.

Sources: go.etcd.io/bbolt, internal/common (page.go, meta.go, bucket.go); etcd, server/storage/mvcc/revision.go and
server/storage/schema/schema.go.
"""

import mmap
import re
import struct
from pathlib import Path

_MAGIC = 0xED0CDAED
_BRANCH = 1  # of a page's flags
_HEADER = 16  # bytes of a page's header, of each of its elements, and of a bucket's
_REVISIONS = b"key"  # the bucket in which etcd has them: 8 bytes, "_", 8 bytes
_META, _STORAGE = b"meta", b"storageVersion"  # the bucket and the key of what minor's form it is, since etcd 3.6
_MINOR = re.compile(rb"\d{1,3}\.\d{1,3}(?=\.)")
_NODE = re.compile(rb"/registry/minions/([a-z0-9][a-z0-9.-]*)")
# What every namespace has of its cluster's CA, with its length (protobuf) or in JSON, up to the record's or text's end.
_AUTHORITY = re.compile(
    rb"/registry/configmaps/[a-z0-9-]+/kube-root-ca\.crt(?:(?!/registry/).){0,4000}?"
    rb"(?:\x06ca\.crt\x12[\x80-\xff]{0,3}[\x00-\x7f]|\"ca\.crt\":\")([^\x00-\x08\x0b\x0c\x0e-\x1f\"]+)",
    re.DOTALL,
)
_KUBE_SYSTEM = re.compile(
    rb"/registry/namespaces/kube-system(?![a-z0-9-])(?:(?!/registry/).){0,2000}?"
    rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    re.DOTALL,
)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_DEEP = 64  # levels, more than any such tree has: a damaged page may lead to itself


def revision(file: Path) -> int:
    """The newest one, 0 where there is none yet. ValueError where this is no database of etcd's."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _Database(data).revision()
        except (LookupError, struct.error) as error:
            raise ValueError(f"it is no database of etcd's: {error}") from None


def storage(file: Path) -> str:
    """The minor of etcd in whose form it is, 3.7 say; "" where it does not tell, as before etcd 3.6."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _Database(data).storage()
        except (LookupError, struct.error):
            return ""


def nodes(file: Path) -> set[str]:
    """The names of the Nodes that are anywhere in it, in a page that is free again too."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return {found[1].decode() for found in _NODE.finditer(data)}


def authorities(file: Path) -> set[str]:
    """The CAs, in PEM, that Pods were to believe their API server by; none where ConfigMaps are encrypted.

    Former ones too: they are looked for in every page, as Nodes are. A value that is longer than a page goes on in the
    next ones. Source: kubernetes/kubernetes, pkg/controller/certificates/rootcacertpublisher/publisher.go.
    """
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        texts = {found[1].replace(b"\\n", b"\n").decode(errors="replace") for found in _AUTHORITY.finditer(data)}
    return {one for text in texts for one in _CERTIFICATE.findall(text)}


def identities(file: Path) -> set[str]:
    """The UIDs that kube-system has anywhere in it: of one cluster one, none where namespaces are encrypted."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return {found[1].decode() for found in _KUBE_SYSTEM.finditer(data)}


class _Database:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        (self._page_size,) = self._numbers("I", _HEADER + 8)
        # There are two such pages; the one that was written last counts.
        metas = [self._numbers("IIIIQQQQQ", at + _HEADER) for at in (0, self._page_size)]
        self._root = max((meta[8], meta[4]) for meta in metas if meta[0] == _MAGIC)[1] if metas[0][0] == _MAGIC else 0

    def revision(self) -> int:
        if not self._root:
            raise LookupError("it does not begin as one")
        last = self._last(self._bucket(self._named(_REVISIONS)))
        return int.from_bytes(last[:8], "big")

    def storage(self) -> str:
        pairs = dict(self._leaves(self._bucket(self._named(_META))))
        found = _MINOR.match(self._data, pairs[_STORAGE])
        return found[0].decode() if found else ""

    def _named(self, name: bytes) -> int:
        """The address of what the database has by this name."""
        for key, value in self._leaves(self._root * self._page_size):
            if key == name:
                return value
        raise LookupError("it has no revisions")

    def _bucket(self, at: int) -> int:
        """The address of its first page; a small bucket is a page itself."""
        (root, _) = self._numbers("QQ", at)
        return root * self._page_size if root else at + _HEADER

    def _leaves(self, page: int, depth: int = 0) -> "list[tuple[bytes, int]]":
        """Keys below a page, and the addresses of their values."""
        found = []
        for key, place, is_branch in self._elements(page, depth):
            found += self._leaves(place, depth + 1) if is_branch else [(key, place)]
        return found

    def _last(self, page: int, depth: int = 0) -> bytes:
        elements = self._elements(page, depth)
        if not elements:
            return b""
        key, place, is_branch = elements[-1]
        return self._last(place, depth + 1) if is_branch else key

    def _elements(self, page: int, depth: int) -> "list[tuple[bytes, int, bool]]":
        """Of each its key, and the address of the page or of the value that it leads to."""
        if depth > _DEEP:
            raise LookupError("its pages lead to themselves")
        _, flags, count, _ = self._numbers("QHHI", page)
        at = [page + _HEADER * (n + 1) for n in range(count)]
        if flags & _BRANCH:
            return [
                (self._key(one + pos, size), child * self._page_size, True)
                for one in at
                for pos, size, child in [self._numbers("IIQ", one)]
            ]
        return [
            (self._key(one + pos, size), one + pos + size, False)
            for one in at
            for _, pos, size, _ in [self._numbers("IIII", one)]
        ]

    def _key(self, at: int, size: int) -> bytes:
        return self._data[at : at + size]

    def _numbers(self, format: str, at: int) -> "tuple[int, ...]":
        return struct.unpack_from(f"<{format}", self._data, at)
