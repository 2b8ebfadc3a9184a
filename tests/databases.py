"""Databases as etcd's bbolt writes them, as small as can be."""

import hashlib
import struct
from collections.abc import Sequence

PAGE = 512
BRANCH, LEAF, META = 1, 2, 4


def key(revision: int) -> bytes:
    """How etcd calls one."""
    return struct.pack(">Q", revision) + b"_" + bytes(8)


def page(flags: int, elements: bytes = b"", count: int = 0, body: bytes = b"") -> bytes:
    return (struct.pack("<QHHI", 0, flags, count, 0) + elements + body).ljust(PAGE, b"\0")


def leaf(*pairs: tuple[bytes, bytes]) -> bytes:
    elements, body = b"", b""
    for n, (name, value) in enumerate(pairs):
        at = 16 * (len(pairs) - n) + len(body)
        elements += struct.pack("<IIII", 0, at, len(name), len(value))
        body += name + value
    return page(LEAF, elements, len(pairs), body)


def branch(*pairs: tuple[bytes, int]) -> bytes:
    elements, body = b"", b""
    for n, (name, child) in enumerate(pairs):
        elements += struct.pack("<IIQ", 16 * (len(pairs) - n) + len(body), len(name), child)
        body += name
    return page(BRANCH, elements, len(pairs), body)


def meta(root: int, written: int, magic: int = 0xED0CDAED) -> bytes:
    numbers = struct.pack("<IIIIQQQQQ", magic, 2, PAGE, 0, root, 0, 0, 0, written)
    return page(META, body=numbers)


def bucket(root: int) -> bytes:
    return struct.pack("<QQ", root, 0)


def small(*revisions: int, names: Sequence[str] = ()) -> bytes:
    """A bucket that is a page within its parent's; the values are of Nodes of these names."""
    value = b"".join(b"/registry/minions/" + name.encode() + b"\x10" for name in names) or b"v"
    inline = leaf(*((key(one), value) for one in revisions)).rstrip(b"\0") + bytes(8)
    root = leaf((b"cluster", bucket(9)), (b"key", bucket(0) + inline))
    return meta(2, 1) + meta(2, 0) + root


def authority_of(certificates: str, namespace: str = "kube-system") -> bytes:
    """The record of the ConfigMap in which Pods find their cluster's CA, as etcd and an API server write it."""
    name = f"/registry/configmaps/{namespace}/kube-root-ca.crt".encode()
    data = _field(2, _field(1, b"ca.crt") + _field(2, certificates.encode()))
    about = _field(1, _field(1, b"kube-root-ca.crt") + _field(2, b"") + _field(3, namespace.encode()))
    value = (
        b"k8s\0"
        + _field(1, _field(1, b"v1") + _field(2, b"ConfigMap"))
        + _field(2, about + data)
        + _field(3, b"")
        + _field(4, b"")
    )
    return _field(1, name) + b"\x10\x05\x18\x05\x20\x01" + _field(5, value)


def namespace_of(uid: str, name: str = "kube-system") -> bytes:
    """The record of a namespace, as etcd and an API server write it."""
    about = _field(1, name.encode()) + _field(2, b"") + _field(3, b"") + _field(4, b"") + _field(5, uid.encode())
    value = b"k8s\0" + _field(1, _field(1, b"v1") + _field(2, b"Namespace")) + _field(2, _field(1, about))
    key = f"/registry/namespaces/{name}".encode()
    return _field(1, key) + b"\x10\x05\x18\x05\x20\x01" + _field(5, value)


def _field(number: int, content: bytes) -> bytes:
    """Of a protobuf message."""
    size, varint = len(content), b""
    while size > 127:
        size, varint = size >> 7, varint + bytes([size & 127 | 128])
    return bytes([number << 3 | 2]) + varint + bytes([size]) + content


def deep(*revisions: int) -> bytes:
    """A bucket of two levels, two revisions a page."""
    pairs = [revisions[n : n + 2] for n in range(0, len(revisions), 2)]
    leaves = [leaf(*((key(one), b"v") for one in pair)) for pair in pairs]
    top = branch(*((key(pair[0]), 4 + n) for n, pair in enumerate(pairs)))
    return b"".join((meta(2, 0), meta(2, 7), leaf((b"key", bucket(3))), top, *leaves))


def snapshot(database: bytes) -> bytes:
    """As etcd sends it: its sha256 comes last."""
    return database + hashlib.sha256(database).digest()
