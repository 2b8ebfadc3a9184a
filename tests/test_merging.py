"""A cluster's entries in a person's own kubeconfigs: put in, renewed, taken out, and nothing else touched."""

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from kubefab import merging
from kubefab.errors import KubefabError
from kubefab.merging import Access, Change, Place

ONE, TWO = Path("/home/me/.kube/config"), Path("/home/me/.kube/work")
USUAL = Place("https://10.250.0.10:6443", "kubernetes")
LAB = Access("lab", "QUJD", {"": USUAL}, {"client-certificate-data": "Y2VydA==", "client-key-data": "a2V5"})
SERVERS = [USUAL.server]
# Words that a parser would make something else of, a key that is no kubefab's, and comments.
FOREIGN = """\
# mine
apiVersion: v1
kind: Config
preferences: {colors: yes}
current-context: work
clusters:
- name: work  # the office
  cluster:
    server: https://work.example
    insecure-skip-tls-verify: yes
    extensions:
    - name: cluster_info
      extension: {last-update: 2024-01-01T00:00:00Z, version: 1.10, mode: 0777}
- name: "two\\u00e9"
  cluster: {server: 'https://two.example', certificate-authority: ca.crt, proxy-url: socks5://localhost:1080}
contexts:
- {name: work, context: {cluster: work, user: me, namespace: default}}
users:
- name: me
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: [--for, "007"], env: null}
- name: long
  user: {token: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy}
"""


def put(*texts: str, access: Access = LAB, use: bool = False, force: bool = False) -> Change:
    files = dict(zip((ONE, TWO), texts, strict=False))
    return merging.put(files, ONE, access, use, force)


def text(*texts: str, **how: Any) -> str:
    """The first file afterwards, whether it is another or not."""
    return put(*texts, **how).texts.get(ONE, texts[0])


def named(document: Any, kind: str, name: str) -> Any:
    found = [one for one in document[kind] or () if one["name"] == name]
    assert len(found) == 1, found
    return found[0][merging.BODY[kind]]


def without_ours(document: Any) -> Any:
    return document | {
        kind: [one for one in document.get(kind) or () if "lab" not in one["name"]] for kind in merging.BODY
    }


def as_words(document: str) -> Any:
    """Every scalar by its very text, of whatever type it is."""
    return yaml.load(document, Loader=yaml.BaseLoader)


def test_an_empty_file_becomes_a_kubeconfig_of_this_cluster() -> None:
    found = yaml.safe_load(text(""))
    assert named(found, "clusters", "lab")["server"] == USUAL.server
    assert named(found, "clusters", "lab")["certificate-authority-data"] == LAB.ca
    assert named(found, "clusters", "lab")["tls-server-name"] == "kubernetes"
    assert named(found, "contexts", "lab")["cluster"] == named(found, "contexts", "lab")["user"] == "lab"
    assert LAB.credentials.items() <= named(found, "users", "lab").items()
    assert (found["apiVersion"], found["kind"], found["current-context"]) == ("v1", "Config", "lab")


def test_what_others_have_is_equal_to_the_letter_when_parsed() -> None:
    assert without_ours(as_words(text(FOREIGN))) == as_words(FOREIGN)
    assert without_ours(yaml.safe_load(text(FOREIGN))) == yaml.safe_load(FOREIGN)


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda one: "lab" not in one
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(bodies=st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_whatever_others_have_is_equal_when_parsed(bodies: dict[str, Any]) -> None:
    document = {"clusters": [{"name": name, "cluster": body} for name, body in bodies.items()], "x": list(bodies)}
    before = yaml.safe_dump(document)
    found = yaml.safe_load(text(before))
    assert (without_ours(found)["clusters"], found["x"]) == (document["clusters"], document["x"])


@pytest.mark.parametrize("name", ["y", "N", "1e3", "0o17"])
def test_a_name_that_go_would_read_as_no_text_is_quoted(name: str) -> None:
    """kubectl would read none of the file's clusters any more: "cannot unmarshal number into Go struct field"."""
    whose = replace(LAB, cluster=name, user="" if name == "1e3" else name)
    for written in (text("", access=whose), whose.alone()):
        entries = [line for line in written.splitlines() if line.endswith((f" {name}", f" '{name}'"))]
        assert entries
        assert not [line for line in entries if line.endswith(f" {name}")]
    assert text(text("", access=whose), access=whose) == text("", access=whose)


def test_the_current_context_of_somebody_stays() -> None:
    assert yaml.safe_load(text(FOREIGN))["current-context"] == "work"
    assert put(FOREIGN).current == "work"


@pytest.mark.parametrize("null", ["null", "~", "", "NULL"])
def test_a_current_context_that_is_null_is_nobodys(null: str) -> None:
    change = put(f"current-context: {null}\n")
    assert (change.current, yaml.safe_load(change.texts[ONE])["current-context"]) == ("lab", "lab")
    assert put("", f"current-context: {null}\n").current == "lab"
    assert put(f"current-context: {null}\n", FOREIGN).current == "work"


def test_a_current_context_that_is_called_null_stays() -> None:
    assert put('current-context: "null"\n').current == "null"


def test_what_is_null_in_an_entry_is_not_there() -> None:
    entry = "clusters: [{name: lab, cluster: {server: null, certificate-authority-data: ~, tls-server-name: null}}]\n"
    book = merging._Book(ONE, entry + "users: [{name: null, user: {}}]\n")
    assert (book.place("lab"), book.entry("users", "null")) == (Place(""), None)


def test_the_current_context_is_changed_where_that_is_asked_for() -> None:
    assert yaml.safe_load(text(FOREIGN, use=True))["current-context"] == "lab"


def test_a_second_time_changes_nothing() -> None:
    assert put(text(FOREIGN)).texts == {}


def test_what_kubectl_has_written_since_in_an_order_of_its_own_is_so_already() -> None:
    assert put(yaml.safe_dump(yaml.safe_load(text("")), sort_keys=True)).texts == {}


def test_comments_and_layout_are_kept_elsewhere() -> None:
    assert put(FOREIGN).lost == {ONE: FOREIGN}


def test_where_nothing_but_ours_is_renewed_there_is_nothing_to_keep() -> None:
    renewed = Access("lab", LAB.ca, LAB.places, {"client-certificate-data": "bmV3", "client-key-data": "bmV3"})
    change = put(text(FOREIGN), access=renewed)
    assert (list(change.texts), change.lost) == ([ONE], {})
    assert put("").lost == {}


def test_old_credentials_go_and_what_a_person_set_stays() -> None:
    """Whatever is added first wins with kubectl: an old token would be asked with for ever."""
    found = yaml.safe_load(text(""))
    named(found, "users", "lab").update({"token": "old", "exec": {"command": "old"}})
    named(found, "contexts", "lab")["namespace"] = "mine"
    named(found, "clusters", "lab").update({"proxy-url": "socks5://localhost:1", "insecure-skip-tls-verify": True})
    found = yaml.safe_load(text(yaml.safe_dump(found, sort_keys=False)))
    assert set(named(found, "users", "lab")) == {*LAB.credentials, "extensions"}
    assert named(found, "contexts", "lab")["namespace"] == "mine"
    assert named(found, "clusters", "lab")["proxy-url"] == "socks5://localhost:1"
    assert "insecure-skip-tls-verify" not in named(found, "clusters", "lab")


def test_a_json_file_and_an_empty_list_are_taken_as_kubectl_takes_them() -> None:
    for before in ('{"clusters": [], "users": null, "contexts": []}', "{}", "# nothing yet\n", "clusters:\nusers:\n"):
        assert named(yaml.safe_load(text(before)), "users", "lab")


# --- a name that is somebody else's

OTHER = yaml.safe_dump({"clusters": [{"name": "lab", "cluster": {"server": "https://x", merging.CA: "T1RIRVI="}}]})
TAKEN = {
    "cluster": OTHER,
    "user": yaml.safe_dump({"users": [{"name": "lab", "user": {"token": "mine"}}]}),
    "context": yaml.safe_dump({"contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "somebody"}}]}),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_name_that_is_somebody_elses_is_refused(kind: str) -> None:
    with pytest.raises(KubefabError, match=f"the {kind} lab in {ONE} is not of this cluster, or not kubefab's"):
        put(TAKEN[kind])


@pytest.mark.parametrize("kind", TAKEN)
def test_by_force_it_is_taken_and_what_was_there_is_kept(kind: str) -> None:
    change = put(TAKEN[kind], force=True)
    assert change.lost == {ONE: TAKEN[kind]}
    assert named(yaml.safe_load(change.texts[ONE]), "clusters", "lab")["server"] == USUAL.server


def test_a_cluster_that_was_made_anew_is_another() -> None:
    anew = Access("lab", "QU5FVw==", LAB.places, LAB.credentials)
    with pytest.raises(KubefabError, match="is not of this cluster"):
        put(text(""), access=anew)
    assert put(text(""), access=anew, force=True).lost


def test_somebodys_own_entry_for_the_same_cluster_is_taken_over_by_force_alone_and_kept() -> None:
    """It may lead there by a tunnel."""
    own = yaml.safe_dump({"clusters": [{"name": "lab", "cluster": {"server": "https://tunnel", merging.CA: LAB.ca}}]})
    with pytest.raises(KubefabError, match="the cluster lab in"):
        put(own)
    change = put(own, force=True)
    assert (change.lost, named(yaml.safe_load(change.texts[ONE]), "clusters", "lab")["server"]) == (
        {ONE: own},
        USUAL.server,
    )


def test_another_cluster_of_the_same_name_in_another_file_keeps_what_it_has_there() -> None:
    other = replace(LAB, ca="b3RoZXI=")
    theirs = put(text(""), access=other, force=True).texts[ONE]
    change = put(text(""), theirs)
    assert TWO not in change.texts


def test_an_alias_does_not_carry_ours_into_somebodys_entry() -> None:
    one = f"&one {{server: https://x, {merging.CA}: QUJD}}"
    shared = f"clusters:\n- {{name: lab, cluster: {one}}}\n- {{name: o, cluster: *one}}\n"
    found = yaml.safe_load(text(shared, force=True))
    assert named(found, "clusters", "o") == {"server": "https://x", merging.CA: "QUJD"}


@pytest.mark.parametrize(
    "broken",
    [
        "[",
        "no kubeconfig",
        "- a list",
        "clusters: 5",
        "clusters: [5]",
        "clusters: [{name: x}]",
        "users: [{user: {}}]",
        "a: 1\n---\nb: 2\n",
        "a: {b",
        "- [" * 2000,
        "contexts: {a: b}",
        "clusters: [{name: [x], cluster: {}}]",
    ],
)
def test_what_is_no_kubeconfig_is_refused_and_stays(broken: str) -> None:
    with pytest.raises(KubefabError, match=f"{ONE} is no kubeconfig, and stays as it is"):
        put(broken)


def test_of_a_key_that_stands_twice_the_last_counts_as_it_does_for_kubectl() -> None:
    """Two files written one behind the other: what is put into the first list, kubectl does not see."""
    twice = f"{FOREIGN}\nclusters: [{{name: v, cluster: {{server: https://v}}}}]\ncurrent-context: other\n"
    found = yaml.safe_load(text(twice, use=True))
    assert [one["name"] for one in found["clusters"]] == ["v", "lab"]
    assert found["current-context"] == "lab"
    assert put(twice).current == "other"


def test_what_a_merge_key_brings_in_is_not_hidden_by_lists_of_ours() -> None:
    with pytest.raises(KubefabError, match="it has a merge key"):
        put("base: &base {clusters: [{name: w, cluster: {server: https://w}}]}\n<<: *base\n")


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\ufeff", "\xa0", "\t", "é", "\U0001f600"])
def test_no_character_is_lost(character: str) -> None:
    found = yaml.safe_load(text(yaml.safe_dump({"a": f"{character}b{character} ", character: 1})))
    assert (found["a"], found[character]) == (f"{character}b{character} ", 1)


ODD = {
    "? [a, b]\n: kept\n": "kept",
    "!own {a: !x b}": "!x",
    "clusters: [{name: x, cluster: {? {a: b} : kept}}]": "kept",
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_and_allowed_is_kept(odd: str) -> None:
    found = text(odd)
    assert ODD[odd] in found
    assert USUAL.server in found


# --- several masters

THREE = Access(
    "lab",
    LAB.ca,
    {"": USUAL, **{f"m{n}": Place(f"https://10.250.0.{n}:6443", "kubernetes") for n in (1, 2, 3)}},
    LAB.credentials,
)


def test_each_master_has_a_context_of_its_own() -> None:
    found = yaml.safe_load(text("", access=THREE))
    assert [one["name"] for one in found["contexts"]] == ["lab", "lab/m1", "lab/m2", "lab/m3"]
    assert named(found, "contexts", "lab/m2").items() >= {"cluster": "lab/m2", "user": "lab"}.items()
    assert named(found, "clusters", "lab/m2")["server"] == "https://10.250.0.2:6443"


def test_a_master_that_is_no_more_has_none() -> None:
    found = yaml.safe_load(text(text("", access=THREE)))
    assert [one["name"] for kind in merging.BODY for one in found[kind]] == ["lab", "lab", "lab"]


# --- several files


def test_an_entry_is_renewed_where_it_is_and_others_go_home() -> None:
    renewed = Access("lab", LAB.ca, LAB.places, {"token": "new"})
    change = put("", text(""), access=renewed)
    assert list(change.texts) == [TWO]
    assert named(yaml.safe_load(change.texts[TWO]), "users", "lab")["token"] == "new"


def test_a_file_that_is_not_there_is_not_made_beside_another() -> None:
    assert list(put(FOREIGN, "").texts) == [ONE]


def test_a_second_copy_of_ours_does_not_outlive_the_first() -> None:
    change = put(text(""), text(""))
    assert [one["name"] for one in yaml.safe_load(change.texts[TWO])["users"]] == []


def test_a_current_context_in_any_file_counts() -> None:
    change = put("", FOREIGN)
    assert (change.current, "current-context" in yaml.safe_load(change.texts[ONE])) == ("work", False)


# --- taken out


def taken_out(*texts: str, user: str | None = None, force: bool = False, servers: list[str] = SERVERS) -> Change:
    return merging.take_out(dict(zip((ONE, TWO), texts, strict=False)), "lab", servers, user, force)


def test_what_was_put_in_is_taken_out_and_all_else_stays() -> None:
    change = taken_out(text(FOREIGN, access=THREE))
    assert as_words(change.texts[ONE]) == as_words(FOREIGN)
    assert change.lost == {}


def test_it_is_taken_out_of_every_file() -> None:
    change = taken_out(text(""), text(FOREIGN))
    assert set(change.texts) == {ONE, TWO}
    assert change.current == "work"


def test_a_current_context_that_is_gone_is_none() -> None:
    change = taken_out(text(""))
    assert (change.current, yaml.safe_load(change.texts[ONE])["current-context"]) == ("", "")


def test_what_is_not_ours_is_not_taken_out_whatever_its_name() -> None:
    assert taken_out(TAKEN["user"], TAKEN["context"]).texts == {}
    assert taken_out("", FOREIGN).texts == {}


def test_another_cluster_of_this_name_is_not_taken_out() -> None:
    with pytest.raises(KubefabError, match=f"the cluster lab in {ONE} leads to {USUAL.server}, and not to a master"):
        taken_out(text(""), servers=["https://10.9.9.9:6443"])
    assert taken_out(text(""), servers=["https://10.9.9.9:6443"], force=True).lost == {ONE: text("")}


THEIRS = replace(LAB, ca="T1RIRVI=", places={"": Place("https://10.9.9.9:6443")}, credentials={"token": "theirs"})
STAYS = (
    f"the cluster lab in {TWO} leads to https://10.9.9.9:6443, and not to a master of this hosts.yml: "
    "it is another of that name, and stays; --force takes it out too"
)


def test_another_cluster_of_this_name_in_another_file_stays_and_is_told() -> None:
    for mine in (text(""), text("", access=THREE)):
        change = taken_out(mine, text(FOREIGN, access=THEIRS))
        assert list(change.texts) == [ONE]
        assert [yaml.safe_load(change.texts[ONE])[kind] for kind in merging.BODY] == [[], [], []]
        assert change.told == [STAYS]


def test_a_current_context_that_is_another_clusters_too_stays() -> None:
    assert taken_out(text(""), text("", access=THEIRS)).current == "lab"


def test_by_force_another_cluster_of_this_name_is_taken_out_too_and_a_copy_is_kept() -> None:
    theirs = text(FOREIGN, access=THEIRS)
    change = taken_out(text(""), theirs, force=True)
    assert set(change.texts) == {ONE, TWO}
    assert (change.lost, change.told) == ({TWO: theirs}, [])


def test_one_that_leads_to_a_master_that_is_left_is_this_one() -> None:
    assert taken_out(text("", access=THREE), servers=["https://10.250.0.2:6443"]).texts


def test_a_persons_own_context_that_led_there_stays_and_is_told() -> None:
    found = yaml.safe_load(text(""))
    found["contexts"].append({"name": "mine", "context": {"cluster": "lab", "user": "lab"}})
    change = taken_out(yaml.safe_dump(found, sort_keys=False))
    assert [one["name"] for one in yaml.safe_load(change.texts[ONE])["contexts"]] == ["mine"]
    assert change.told == ["the context mine is your own and stays; it led to what is gone"]


# --- users

ALICE = Access("lab", LAB.ca, LAB.places, {"client-certificate-data": "YQ=="}, "alice")


def test_a_user_has_a_context_beside_the_admins() -> None:
    found = yaml.safe_load(text(text(""), access=ALICE))
    assert [one["name"] for one in found["users"]] == ["lab", "alice@lab"]
    assert named(found, "contexts", "alice@lab").items() >= {"cluster": "lab", "user": "alice@lab"}.items()
    assert [one["name"] for one in found["clusters"]] == ["lab"]


def test_one_user_is_taken_out_alone() -> None:
    admin = text("")
    both = text(admin, access=ALICE)
    assert as_words(taken_out(both, user="alice").texts[ONE]) == as_words(admin)
    assert as_words(taken_out(both, user="").texts[ONE])["users"][0]["name"] == "alice@lab"


def test_with_the_last_user_the_cluster_goes() -> None:
    found = yaml.safe_load(taken_out(text("", access=ALICE), user="alice").texts[ONE])
    assert [found[kind] for kind in merging.BODY] == [[], [], []]


def test_a_kubeconfig_of_its_own_is_whole() -> None:
    found = yaml.safe_load(ALICE.alone())
    assert (found["current-context"], found["users"][0]["name"]) == ("alice@lab", "alice@lab")
    assert named(found, "clusters", "lab")["server"] == USUAL.server


# --- each master has an admin.conf of its own


class Issuer:
    """An authority as kubeadm makes one, and admins whom it signs."""

    def __init__(self) -> None:
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), self._named("kubernetes")
        self.ca = b64encode(self._signed(self.name, self.key, NOW + timedelta(days=3650))).decode()

    def admin(self, days: float, who: str = "kubernetes-admin") -> Access:
        """Good until then."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        made = self._signed(self._named(who), key, NOW + timedelta(days=days))
        pairs = {"client-certificate-data": made, "client-key-data": private}
        return replace(LAB, ca=self.ca, credentials={name: b64encode(data).decode() for name, data in pairs.items()})

    def _named(self, name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime) -> bytes:
        serial, begins = x509.random_serial_number(), end - timedelta(days=400)
        made = x509.CertificateBuilder(self.name, subject, key.public_key(), serial, begins, end)
        return made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


NOW = datetime.now(UTC)
US = Issuer()
MINE = US.admin(100)


@pytest.mark.parametrize("days", [90, 100, 100.02])
def test_credentials_of_another_master_that_are_no_better_change_nothing(days: float) -> None:
    before = text(FOREIGN, access=MINE)
    other = US.admin(days)
    assert merging.renew({ONE: before}, other).texts == {}
    assert put(before, access=other).texts == {}


@pytest.mark.parametrize(
    ("there", "given"),
    [
        (MINE, US.admin(101)),
        (US.admin(-1), US.admin(-2)),  # ended, though later than what came
        (Issuer().admin(100), US.admin(100)),  # of an authority that was of the same name
        (US.admin(100, "somebody"), US.admin(100)),
        (replace(MINE, credentials={**MINE.credentials, "client-key-data": "a2V5"}), US.admin(100)),
        (replace(MINE, credentials={"token": "x"}), US.admin(100)),
    ],
)
def test_credentials_that_are_worse_or_no_good_are_replaced(there: Access, given: Access) -> None:
    before = text(FOREIGN, access=replace(there, ca=US.ca))
    for change in (merging.renew({ONE: before}, given), put(before, access=given)):
        found = named(yaml.safe_load(change.texts[ONE]), "users", "lab")
        assert {key: found.get(key) for key in given.credentials} == given.credentials


def test_what_was_added_to_good_credentials_goes() -> None:
    found = yaml.safe_load(text("", access=MINE))
    named(found, "users", "lab")["token"] = "old"
    found = yaml.safe_load(text(yaml.safe_dump(found), access=US.admin(100)))
    assert {key: named(found, "users", "lab")[key] for key in MINE.credentials} == MINE.credentials
    assert "token" not in named(found, "users", "lab")


def test_a_users_are_always_those_that_were_asked_for() -> None:
    """Who asks for a shorter end is not to have the longer one."""
    alice = replace(MINE, user="alice")
    shorter = replace(US.admin(1), user="alice")
    found = yaml.safe_load(text(text("", access=alice), access=shorter))
    assert {key: named(found, "users", "alice@lab")[key] for key in shorter.credentials} == shorter.credentials


# --- the admin's certificate is another

NEW = replace(LAB, credentials={"client-certificate-data": "bmV3", "client-key-data": "bmV3"})


def renewed(text: str, access: Access = NEW) -> Change:
    return merging.renew({ONE: text}, access)


def test_where_ours_are_their_credentials_are_the_new_ones_and_all_else_stays() -> None:
    before = text(FOREIGN)
    after = renewed(before).texts[ONE]
    assert named(yaml.safe_load(after), "users", "lab")["client-key-data"] == "bmV3"
    assert after == before.replace("Y2VydA==", "bmV3").replace("a2V5", "bmV3")
    assert renewed(after).texts == {}


def test_what_is_not_ours_or_of_another_cluster_is_not_renewed() -> None:
    theirs = text(FOREIGN).replace(merging.MARK, "somebody")
    assert renewed(theirs).texts == {}
    assert renewed(text(FOREIGN), replace(NEW, ca="WFla")).texts == {}
