"""Whether the internet is at hand: each public name that a cluster comes from is asked once, all of them together.

Asked is what kubefab or its machines ask later, directly as the machines do, and an answer counts only where its
content says that it is one: a network that wants a login first greets whoever asks, with status 200.
"""

import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from kubefab import downloads, mirrors
from kubefab.errors import reason
from kubefab.inventory import Inventory
from kubefab.steps import addons, network

SECONDS = 5  # for all names together
MOST_BYTES = 2**20
IMAGE_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True)
class Answer:
    """What came back, after all redirections; header names in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Question:
    """The URL that will be asked for, and what tells a real answer from any other."""

    url: str
    is_real: Callable[[Answer], bool]

    @property
    def name(self) -> str:
        return urlsplit(self.url).netloc


def questions(inventory: Inventory) -> list[Question]:
    """One for each public name that a cluster of this inventory comes from."""
    key = Question(mirrors.repository(inventory)[0].key, partial(is_key, downloads.signer(inventory)))
    files = [Question(url, partial(is_file, sha256)) for url, sha256 in addons.all_manifests(inventory).items()]
    images = [Question(registered(image), is_image) for image in (mirrors.pause(inventory), *network.images(inventory))]
    return list({question.name: question for question in (key, *files, *images)}.values())


def registered(image: str) -> str:
    """Where a registry tells of an image (OCI distribution specification, "Pulling manifests")."""
    name, _, tag = image.rpartition(":")
    registry, _, path = name.partition("/")
    return f"https://{registry}/v2/{path}/manifests/{tag}"


def is_key(fingerprint: str, answer: Answer) -> bool:
    return answer.status == 200 and fingerprint in downloads.fingerprints(downloads.dearmored(answer.body))


def is_file(sha256: str, answer: Answer) -> bool:
    return answer.status == 200 and hashlib.sha256(answer.body).hexdigest() == sha256


def is_image(answer: Answer) -> bool:
    """The image, or where to get the token that everybody is given (distribution's "Token Authentication")."""
    if answer.status == 401:
        return answer.headers.get("www-authenticate", "").startswith("Bearer realm=")
    return answer.status == 200 and answer.headers.get("content-type") in IMAGE_TYPES


def ask(asked: Sequence[Question], seconds: float = SECONDS) -> dict[str, str]:
    """By name, why it counts as silent; "" for one that gave a real answer. Takes no longer than these seconds."""
    found = {question.name: f"no answer in {seconds:.0f} s" for question in asked}

    def put(question: Question) -> None:
        found[question.name] = silence(question, seconds)

    # Whoever hangs is left behind: a pool would wait for its threads, and a timeout is for each packet alone.
    threads = [threading.Thread(target=put, args=(question,), daemon=True) for question in asked]
    end = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
    return dict(found)


def silence(question: Question, seconds: float) -> str:
    try:
        answer = get(question.url, seconds)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: of a URL that a redirection led to
        return reason(error).strip()
    if not answer.url.startswith("https://"):
        return "it leads to a page without encryption"
    return "" if question.is_real(answer) else f"status {answer.status}, and not what is published there"


def get(url: str, seconds: float) -> Answer:
    """By no proxy, and with TLS by this computer's own authorities. OSError where there is no answer."""
    trust = HTTPSHandler(context=ssl.create_default_context())
    request = Request(url, headers={"Accept": ", ".join((*IMAGE_TYPES, "*/*"))})  # noqa: S310  https, by `registered`
    try:
        got = build_opener(ProxyHandler({}), trust).open(request, timeout=seconds)
    except HTTPError as error:
        got = error
    with got:
        headers = {name.lower(): value for name, value in got.headers.items()}
        return Answer(got.url, got.status, headers, got.read(MOST_BYTES))
