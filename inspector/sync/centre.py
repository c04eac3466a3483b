"""The way to the centre: HTTPS to a pinned certificate, a session under the station's key.

Enters: the address, the certificate's authority, the station's key, the centre's. Leaves: answers
whose signatures were checked, or one of `enrol.SyncError`'s kinds. Only `inspector.sync` and what
fetches releases import this.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.store.errors import RecordError
from inspector.sync.enrol import Away, Centre, RefusedByCentre, SyncError
from inspector.sync.pace import Pace
from inspector.sync.receipt import Receipt, answer, check_receipt

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""A hub that takes a whole segment in answers within seconds; one that does not is away."""
CHUNK = 16 << 10
ANSWER_MAX = 8 << 20
"""Bytes of an answer in JSON; a longer one is none of the centre's."""


class Link:
    """One station's connection. Calls from one thread."""

    def __init__(
        self,
        centre: Centre,
        station: str,
        key: Ed25519PrivateKey,
        ca: Path | None = None,
        pace: Pace | None = None,
        shown: tuple[Path, Path] | None = None,
    ) -> None:
        """``shown``: a certificate and its key, where the centre asks for one."""
        self.centre = centre
        self._station = station
        self._key = key
        self._pace = pace or Pace()
        self._client = client(centre.hub, ca, shown)
        self._token = ""

    def state(self) -> Receipt:
        """How far the centre has this station's ledgers."""
        return self._receipt(self.ask("GET", "/api/v1/state"))

    def segment(self, content: bytes) -> tuple[Receipt, dict[int, bytes]]:
        """Hands a segment over; gives the receipt, and countersignatures by checkpoint."""
        body = self.ask("POST", "/api/v1/segments", content=content)
        try:
            signs = {int(at): bytes.fromhex(sign) for at, sign in body["countersigned"]}
        except (KeyError, TypeError, ValueError) as error:
            raise Away(f"{self.centre.hub}: half an answer to a segment") from error
        return self._receipt(body), signs

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        **query: Any,
    ) -> Any:
        """One request under the station's session.

        Raises:
            Away: no answer, or half of one; the same may be asked again.
            RefusedByCentre: the centre understood and refuses.
        """
        if not self._token:
            self._knock()
        try:
            return self._once(method, path, json, content, query)
        except RefusedByCentre as refused:
            if not refused.of_the_station:
                raise
        self._knock()  # the session is over, or another hub's database knows nothing of it
        return self._once(method, path, json, content, query)

    def stream(self, path: str) -> Iterator[bytes]:
        """The bytes of a file at the centre, as they come."""
        if not self._token:
            self._knock()
        try:
            yield from self._streamed(path)
            return
        except RefusedByCentre as refused:  # before the first byte
            if not refused.of_the_station:
                raise
        self._knock()
        yield from self._streamed(path)

    def close(self) -> None:
        """Lets go of the connection."""
        self._client.close()

    def _streamed(self, path: str) -> Iterator[bytes]:
        try:
            with self._client.stream("GET", path, headers=self._bearer()) as response:
                if response.status_code != 200:
                    response.read()
                    _checked(self.centre.hub, response)
                yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise _away(self.centre.hub, error) from error

    def _once(
        self, method: str, path: str, json: Any, content: bytes | None, query: dict[str, Any]
    ) -> Any:
        headers = self._bearer()
        body: Any = None
        if content is not None:
            headers |= {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(len(content)),
            }
            body = _paced(content, self._pace)
        return exchange(
            self._client, method, path, json=json, content=body, params=query, headers=headers
        )

    def _knock(self) -> None:
        self._token = ""
        asked = exchange(self._client, "POST", "/api/v1/challenge", json={"station": self._station})
        try:
            challenge = str(asked["challenge"])
            opened = exchange(
                self._client,
                "POST",
                "/api/v1/session",
                json={
                    "station": self._station,
                    "challenge": challenge,
                    "answer": answer(challenge, self._key),
                },
            )
            self._token = str(opened["token"])
        except (KeyError, TypeError) as error:
            raise Away(f"{self.centre.hub}: half an answer to a challenge") from error

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _receipt(self, body: Any) -> Receipt:
        document = body.get("receipt") if isinstance(body, dict) else None
        try:
            return check_receipt(document, self._station, self.centre.key)
        except RecordError as error:
            raise SyncError(f"{self.centre.hub}: {error}") from error


def client(hub: str, ca: Path | None, shown: tuple[Path, Path] | None = None) -> httpx.Client:
    """A client that believes only certificates under ``ca`` (None: what this machine believes),
    and shows its own where it is given one.

    Raises:
        SyncError: the file holds no certificate.
    """
    context: ssl.SSLContext | bool = False  # http:// is for a centre on this machine
    if hub.startswith("https:"):
        try:
            context = ssl.create_default_context(cafile=None if ca is None else str(ca))
            if shown is not None:
                ca = shown[0]
                context.load_cert_chain(*shown)
        except (OSError, ssl.SSLError) as error:
            raise SyncError(
                f"{ca}: no certificate in PEM that a centre could be known by, or be shown"
            ) from error
    return httpx.Client(
        base_url=hub, verify=context, timeout=TIMEOUT, trust_env=False, follow_redirects=False
    )


def post(
    hub: str,
    ca: Path | None,
    path: str,
    body: dict[str, Any],
    shown: tuple[Path, Path] | None = None,
) -> Any:
    """One request without a session."""
    with client(hub, ca, shown) as link:
        return exchange(link, "POST", path, json=body)


def exchange(link: httpx.Client, method: str, path: str, **given: Any) -> Any:
    """One request and its JSON. Raises as `Link.ask` does."""
    hub = str(link.base_url)
    try:
        with link.stream(method, path, **given) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > ANSWER_MAX:
                    raise Away(f"{hub}: an answer without an end")
            response._content = bytes(content)  # what `Response.read` would have kept
            return _checked(hub, response)
    except (httpx.HTTPError, httpx.StreamError, ssl.SSLError) as error:
        raise _away(hub, error) from error


def _checked(hub: str, response: httpx.Response) -> Any:
    try:
        body = response.json()
    except ValueError as error:
        raise Away(f"{hub}: answers {response.status_code}, and not as a centre does") from error
    if response.status_code == 200:
        return body
    code = body.get("code") if isinstance(body, dict) else None
    detail = str(body.get("detail") if isinstance(body, dict) else body)[:2000]
    if not isinstance(code, str) and response.status_code in (404, 405):
        asked = response.request.url.path
        raise Away(f"{hub}: knows no {asked}: it is older than this station, or no centre")
    if not isinstance(code, str) or response.status_code >= 500:
        raise Away(f"{hub}: answers {response.status_code}: {detail}")
    raise RefusedByCentre(code, detail)


def _away(hub: str, error: Exception) -> Away:
    words = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return Away(
            f"{hub}: shows a certificate that `sync.ca` does not vouch for ({words}); nothing was"
            " sent"
        )
    return Away(f"{hub}: {words}")


def _paced(content: bytes, pace: Pace) -> Iterator[bytes]:
    for at in range(0, len(content), CHUNK):
        chunk = content[at : at + CHUNK]
        pace.send(len(chunk))
        yield chunk
