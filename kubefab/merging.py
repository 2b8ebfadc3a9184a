"""A cluster's entries in a person's own kubeconfigs: put in, renewed, taken out. All else stays what it is. Pure.

The texts are changed as YAML's nodes, not as values: what others wrote keeps its very words (a date, `yes`, 0777), of
which a parser would make something else; only comments and layout go. Several files count as kubectl has them: of
entries of one name the first file's is meant (k8s.io/client-go, tools/clientcmd/loader.go).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kubefab.errors import KubefabError, reason
from kubefab.kubeadm import dumped

CLUSTERS, USERS, CONTEXTS = "clusters", "users", "contexts"
BODY = {CLUSTERS: "cluster", USERS: "user", CONTEXTS: "context"}
EMPTY = "apiVersion: v1\nkind: Config\n"
MARK = "kubefab.internal"  # an extension of each entry of ours, which kubectl keeps
CA, SERVER, CURRENT = "certificate-authority-data", "server", "current-context"
_MADE = {"name": MARK, "extension": {"made-by": "kubefab"}}
_KEPT: Mapping[str, Callable[[str], bool]] = {  # what of an entry's body is its person's
    CLUSTERS: lambda key: (
        key not in (SERVER, CA, "tls-server-name", "certificate-authority", "insecure-skip-tls-verify")
    ),
    USERS: lambda key: key == "extensions",
    CONTEXTS: lambda key: key not in ("cluster", "user"),
}
Texts = Mapping[Path, str]


@dataclass(frozen=True)
class Place:
    """Where an API server is asked, and the name that its certificate is to have, where that is another."""

    server: str
    name: str = ""


@dataclass(frozen=True)
class Access:
    """What lets somebody into a cluster. `user` is "" for its admin."""

    cluster: str
    ca: str  # in base64
    places: Mapping[str, Place]  # "" the usual one; by a master's name, that one alone
    credentials: Mapping[str, str]  # as a kubeconfig's user has them
    user: str = ""
    answering: Sequence[Place] = ()  # each would do as the usual one

    @property
    def contexts(self) -> list[str]:
        """The usual one first."""
        return [called(self.cluster, self.user, place) for place in self.places]

    def entries(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Kind, name and body of each."""
        who = called(self.cluster, self.user)
        yield USERS, who, dict(self.credentials)
        for place, one in self.places.items():
            cluster = called(self.cluster, place=place)
            name = {"tls-server-name": one.name} if one.name else {}
            yield CLUSTERS, cluster, {SERVER: one.server, CA: self.ca, **name}
            yield CONTEXTS, called(self.cluster, self.user, place), {"cluster": cluster, "user": who}

    def alone(self) -> str:
        """A kubeconfig of its own."""
        found: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", CURRENT: self.contexts[0]}
        for kind, name, body in self.entries():
            found.setdefault(kind, []).append({"name": name, BODY[kind]: body})
        return dumped([found])


def called(cluster: str, user: str = "", place: str = "") -> str:
    """An entry's name: lab, lab/m1, alice@lab, alice@lab/m1."""
    return (f"{user}@" if user else "") + cluster + (f"/{place}" if place else "")


def _parted(name: str) -> tuple[str, str, str]:
    """User, cluster and place of an entry's name."""
    user, _, rest = name.rpartition("@")
    cluster, _, place = rest.partition("/")
    return user, cluster, place


@dataclass(frozen=True)
class Change:
    """What becomes of the files; `told` is what a person has to know besides."""

    texts: Mapping[Path, str]  # of those alone that change
    lost: Mapping[Path, str]  # the texts before, of files that lose something that is nowhere else
    current: str  # the context that counts then
    told: Sequence[str] = ()


def put(files: Texts, home: Path, access: Access, use: bool, force: bool) -> Change:
    """The files with these entries; new ones go to `home`. KubefabError where a name is somebody else's.

    The context is the current one where none is, or where that is asked for (`use`).
    """
    books = [_Book(path, text) for path, text in files.items()]
    access = _staying(books, access)
    wanted = list(access.entries())
    if not force:
        _check([told for kind, name, body in wanted if (told := _foreign(books, kind, name, body))])
    at_home = next(book for book in books if book.path == home)
    # Another cluster may have the same name in another file, and keeps what it has there.
    here = [book for book in books if not book.is_elsewhere(access)]
    for kind, name, body in wanted:
        first, *others = [book for book in books if book.entry(kind, name)] or [at_home]
        first.put(kind, name, body if kind != USERS else first.best(access))
        for book in others:
            if book in here:
                book.drop_ours(kind, name.__eq__)
    for kind in BODY:  # of masters that are no more
        _drop(here, kind, lambda name: _parted(name)[1] == access.cluster and _parted(name)[2] not in access.places)
    if use or not _current(books):
        at_home.set(CURRENT, access.contexts[0])
    return _change(books)


def _staying(books: Sequence["_Book"], access: Access) -> Access:
    """With the usual place that is there already, where that would do."""
    there = next((book.place(access.cluster) for book in books if book.entry(CLUSTERS, access.cluster)), None)
    return replace(access, places={**access.places, "": there}) if there and there in access.answering else access


def renew(files: Texts, access: Access) -> Change:
    """The files with these credentials in place of earlier ones of ours; where there are none, nothing changes."""
    books = [_Book(path, text) for path, text in files.items()]
    name = called(access.cluster, access.user)
    for book in books:
        if name in book.ours(USERS) and not any(one.is_elsewhere(access) for one in books):
            book.put(USERS, name, book.best(access))
    return _change(books)


def take_out(files: Texts, cluster: str, servers: Sequence[str], user: str | None, force: bool) -> Change:
    """The files without what was put in: all of the cluster's, or one user's.

    What leads to none of these servers is of another cluster of this name: its file stays, and that is told.
    KubefabError where no file's leads to one.
    """
    books = [_Book(path, text) for path, text in files.items()]

    def meant(name: str) -> bool:
        return _parted(name)[1] == cluster and user in (None, _parted(name)[0])

    here, told = _leading_here(books, cluster, servers, force)
    gone = [*_drop(here, CONTEXTS, meant), *_drop(here, USERS, meant)]
    if not any(_parted(name)[1] == cluster for book in here for name in book.ours(CONTEXTS)):
        gone += _drop(here, CLUSTERS, lambda name: _parted(name)[1] == cluster)
    if _current(books) in gone and not any(book.entry(CONTEXTS, _current(books)) for book in books):
        _forget_current(books, _current(books))
    return _change(books, [*told, *(_LEFT.format(name) for book in here for name in book.contexts_to(gone))])


def _leading_here(
    books: Sequence["_Book"], cluster: str, servers: Sequence[str], force: bool
) -> tuple[Sequence["_Book"], list[str]]:
    """The files to take this cluster out of, and what is told of the others.

    One server of a file's that leads here is enough: a master may have gone since.
    """
    leads = {book: [server for name, server in book.servers() if _parted(name)[1] == cluster] for book in books}
    others = [book for book, there in leads.items() if there and not {*there} & {*servers}]
    if force:
        for book in others:
            book.displaced = True
        return books, []
    told = [_ELSEWHERE.format(cluster, book.path, leads[book][0]) for book in others]
    if not any({*there} & {*servers} for there in leads.values()):
        _check(told)
    return [book for book in books if book not in others], [f"{one}{_STAYS}" for one in told]


def _check(problems: Sequence[str]) -> None:
    if problems:
        raise KubefabError("\n".join((*dict.fromkeys(problems), _FORCE)))


def _foreign(books: Sequence["_Book"], kind: str, name: str, body: Mapping[str, str]) -> str:
    """Why an entry of this name is not ours to change; "" where it is, or is not there."""
    book = next((book for book in books if book.entry(kind, name)), None)
    return book.foreign(kind, name, body) if book else ""


def _drop(books: Sequence["_Book"], kind: str, meant: Callable[[str], bool]) -> list[str]:
    """Takes out those of ours that are meant; their names."""
    return [name for book in books for name in book.drop_ours(kind, meant)]


def _current(books: Sequence["_Book"]) -> str:
    return next(filter(None, (_plain(book.root, CURRENT) for book in books)), "")


def _forget_current(books: Sequence["_Book"], name: str) -> None:
    for book in books:
        if _plain(book.root, CURRENT) == name:
            book.set(CURRENT, "")


def _change(books: Sequence["_Book"], told: Sequence[str] = ()) -> Change:
    changed = [book for book in books if book.text() != book.before]
    texts = {book.path: book.text() for book in changed}
    lost = {book.path: book.was for book in changed if book.displaced or not book.only_data}
    return Change(texts, lost, _current(books), told)


class _Book:
    """A kubeconfig's nodes. KubefabError for a file that is none: nothing is written then."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.was = text
        self.root = _root(path, text or EMPTY)
        self.only_data = self.text() == text or not text  # no comments, and the layout that it gets from us
        _fill(self.root)
        self.before = self.text()
        self.displaced = False  # whether something was written over that was not ours

    def text(self) -> str:
        return str(yaml.serialize(self.root, Dumper=yaml.SafeDumper, width=float("inf"), allow_unicode=True))

    def set(self, key: str, value: str) -> None:
        _set(self.root, key, _node(value))

    def entry(self, kind: str, name: str) -> MappingNode | None:
        return next((one for one in self._list(kind) if _plain(one, "name") == name), None)

    def ours(self, kind: str) -> list[str]:
        return [_plain(one, "name") for one in self._list(kind) if _is_marked(_body(one, kind))]

    def foreign(self, kind: str, name: str, body: Mapping[str, str]) -> str:
        there = _body(self.entry(kind, name), kind)
        marked, same = _is_marked(there), all(_plain(there, key) == value for key, value in body.items())
        ours = same or (marked and (kind != CLUSTERS or _authority(there) == body[CA]))
        return "" if ours else _FOREIGN.format(BODY[kind], name, self.path)

    def is_elsewhere(self, access: Access) -> bool:
        entry = self.entry(CLUSTERS, access.cluster)
        return entry is not None and _authority(_body(entry, CLUSTERS)) != access.ca

    def best(self, access: Access) -> Mapping[str, str]:
        """The admin's credentials that are there, where they are no worse: each master has some of its own."""
        from kubefab import users  # no other task than those that write a kubeconfig needs what reads keys

        if access.user:
            return access.credentials
        entry = self.entry(USERS, called(access.cluster))
        there = {key: "".join(_plain(_get(entry, BODY[USERS]), key).split()) for key in access.credentials}
        return there if users.are_as_good(there, access.credentials, access.ca) else access.credentials

    def place(self, cluster: str) -> Place:
        there = _body(self.entry(CLUSTERS, cluster), CLUSTERS)
        return Place(_plain(there, SERVER), _plain(there, "tls-server-name"))

    def servers(self) -> list[tuple[str, str]]:
        """Our clusters, and where each leads."""
        return [(name, _plain(_body(self.entry(CLUSTERS, name), CLUSTERS), SERVER)) for name in self.ours(CLUSTERS)]

    def put(self, kind: str, name: str, body: Mapping[str, str]) -> None:
        """What is its person's in the entry stays: a namespace, a proxy."""
        entry = self.entry(kind, name)
        if entry is None:
            entry = _node({"name": name, BODY[kind]: {}})
            self._list(kind).append(entry)
        elif not _is_marked(_body(entry, kind)) or self.foreign(kind, name, body):
            self.displaced = True
        there = _body(entry, kind)
        kept = [(key, value) for key, value in there.value if _word(key) in body or _KEPT[kind](_word(key))]
        # A node of its own: an alias may have made it somebody else's too.
        made = MappingNode(there.tag, kept, flow_style=there.flow_style)
        for key, value in body.items():
            _set(made, key, _node(value))
        _mark(made)
        _set(entry, BODY[kind], made)

    def drop_ours(self, kind: str, meant: Callable[[str], bool]) -> list[str]:
        gone = list(filter(meant, self.ours(kind)))
        entries = self._list(kind)
        entries[:] = [one for one in entries if not (_plain(one, "name") in gone and _is_marked(_body(one, kind)))]
        return gone

    def contexts_to(self, gone: Sequence[str]) -> list[str]:
        """The contexts that lead to what is gone: they are their person's."""
        bodies = {_plain(one, "name"): _body(one, CONTEXTS) for one in self._list(CONTEXTS)}
        return [name for name, body in bodies.items() if {_plain(body, "cluster"), _plain(body, "user")} & {*gone}]

    def _list(self, kind: str) -> list[MappingNode]:
        found: list[MappingNode] = _get(self.root, kind).value
        return found


def _root(path: Path, text: str) -> MappingNode:
    """KubefabError where kubectl could not read it either."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise KubefabError(_BROKEN.format(path, reason(error))) from error
    if root is None:  # nothing but comments
        root = yaml.compose(EMPTY, Loader=yaml.SafeLoader)
    if not isinstance(root, MappingNode):
        raise KubefabError(_BROKEN.format(path, "what is in it has no keys"))
    if any(key.tag.endswith(":merge") for key, _ in root.value):  # lists of ours would hide what comes by it
        raise KubefabError(_MERGED.format(path))
    if wrong := [kind for kind in BODY if not _is_list(_get(root, kind), BODY[kind])]:
        raise KubefabError(_BROKEN.format(path, f"its {wrong[0]} cannot be understood"))
    return root


def _fill(root: MappingNode) -> None:
    """Lists that are not there, null, or empty take what is to come."""
    for kind in BODY:
        if not getattr(_get(root, kind), "value", None) or not isinstance(_get(root, kind), SequenceNode):
            _set(root, kind, SequenceNode("tag:yaml.org,2002:seq", []))


def _is_list(node: Node | None, body: str) -> bool:
    """Entries with a name and a body each; also where there are none."""
    if node is None or _is_null(node):
        return True
    return isinstance(node, SequenceNode) and all(
        isinstance(_get(one, "name"), ScalarNode) and isinstance(_get(one, body), MappingNode) for one in node.value
    )


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag.endswith(":null")


def _word(node: Node) -> str:
    """A scalar's text; "" for what is none, and for null, as kubectl takes it."""
    return str(node.value) if isinstance(node, ScalarNode) and not _is_null(node) else ""


def _get(node: Any, key: str) -> Any:
    if not isinstance(node, MappingNode):
        return None
    # Of a key that stands twice the last counts, for kubectl too.
    return next((value for found, value in reversed(node.value) if _word(found) == key), None)


def _plain(node: Any, key: str) -> str:
    return _word(_get(node, key))


def _authority(cluster: Any) -> str:
    """A cluster's, without what YAML may break its lines by."""
    return "".join(_plain(cluster, CA).split())


def _set(node: MappingNode, key: str, value: Node) -> None:
    for place, (found, _) in reversed([*enumerate(node.value)]):
        if _word(found) == key:
            node.value[place] = (found, value)
            return
    node.value.append((_node(key), value))


def _node(value: Any) -> Any:
    """As PyYAML would write this value, with what kubectl would take for no text in quotes."""
    return yaml.compose(dumped([value]), Loader=yaml.SafeLoader)


def _body(entry: MappingNode | None, kind: str) -> MappingNode:
    found = _get(entry, BODY[kind])
    assert isinstance(found, MappingNode)
    return found


def _is_marked(body: MappingNode) -> bool:
    found = _get(body, "extensions")
    return isinstance(found, SequenceNode) and any(_plain(one, "name") == MARK for one in found.value)


def _mark(body: MappingNode) -> None:
    if _is_marked(body):
        return
    there = _get(body, "extensions")
    made = _node([_MADE])
    made.value[:0] = there.value if isinstance(there, SequenceNode) else []
    _set(body, "extensions", made)


_FORCE = "nothing was written; --force does it all the same, and a copy of the file is kept"
_FOREIGN = "the {0} {1} in {2} is not of this cluster, or not kubefab's"
_ELSEWHERE = "the cluster {0} in {1} leads to {2}, and not to a master of this hosts.yml: it is another of that name"
_STAYS = ", and stays; --force takes it out too"
_LEFT = "the context {0} is your own and stays; it led to what is gone"
_MERGED = "{0} stays as it is: it has a merge key (<<), which kubefab does not follow; write out what it stands for"
_BROKEN = "{0} is no kubeconfig, and stays as it is: {1}"
