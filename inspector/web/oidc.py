"""Sign-in at a provider of identities: OpenID Connect, authorization code with PKCE.

Enters: the station file's ``oidc`` and what the provider sends. Leaves: a principal whose roles the
provider's groups translate to, or ``Unauthenticated`` with what was wrong. `login` has the routes.
Sources: OpenID Connect Core 1.0 §3.1, RFC 7636 (PKCE), RFC 9700 (what to check).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from inspector.config import Oidc
from inspector.identity import USER_PATTERN, Principal, Role, Unauthenticated
from inspector.web.door import same

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
"""Signatures that are accepted; never ``none``, never one with a shared key."""
TIMEOUT_S = 5.0
KNOWN_S = 3600.0
"""How long the provider's own description and keys are kept."""
FLIGHT_S = 600.0
"""How long somebody may take at the provider."""
FLIGHTS_MAX = 256
SKEW_S = 60


@dataclass(frozen=True, slots=True)
class Flight:
    """Somebody who is at the provider now."""

    state: str
    nonce: str
    verifier: str
    back: str
    """The page to go to then."""
    redirect: str
    begun: float


class Provider:
    """One provider. For one event loop."""

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._secret = settings.client_secret
        self._facts: Mapping[str, Any] = {}
        self._keys: KeySet | None = None
        self._read = 0.0
        self._flights: OrderedDict[str, Flight] = OrderedDict()

    async def leave(self, redirect: str, back: str) -> tuple[str, str]:
        """Where to send somebody, and the ``state`` to bind to the browser by a cookie.

        Raises ``Unauthenticated`` if the provider does not answer.
        """
        facts = await self._describe()
        there = str(facts.get("authorization_endpoint") or "")
        if not there:
            raise Unauthenticated("the provider names no authorization_endpoint")
        flight = Flight(
            secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), back,
            redirect, time.monotonic(),
        )  # fmt: skip
        self._flights[flight.state] = flight
        while len(self._flights) > FLIGHTS_MAX:
            self._flights.popitem(last=False)
        digest = hashlib.sha256(flight.verifier.encode()).digest()
        question = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect,
            "scope": "openid profile",
            "state": flight.state,
            "nonce": flight.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in there else "?"  # some have a question of their own in it
        return f"{there}{joint}{urlencode(question)}", flight.state

    async def come_back(self, state: str, bound: str, code: str) -> tuple[Principal, str]:
        """Who has come back with ``code``, and to which page.

        Args:
            state: as the provider repeats it.
            bound: as the browser's cookie has it.

        Raises ``Unauthenticated``.
        """
        flight = self._flights.pop(state, None)
        if flight is None or time.monotonic() - flight.begun > FLIGHT_S:
            raise Unauthenticated("this sign-in is over; begin it again")
        if not same(state, bound):
            raise Unauthenticated("this sign-in began in another browser; begin it again here")
        token = await self._exchange(flight, code)
        claims = await self._verified(token, flight.nonce)
        return self._principal(claims), flight.back

    async def _describe(self) -> Mapping[str, Any]:
        if self._facts and time.monotonic() - self._read < KNOWN_S:
            return self._facts
        issuer = self._settings.issuer
        facts = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if facts.get("issuer") != issuer:
            raise Unauthenticated(
                f"the provider calls itself {facts.get('issuer')!r}, the station file {issuer!r}"
            )
        keys = await self._get(str(facts.get("jwks_uri", "")))
        try:
            self._keys = KeySet.import_key_set(keys)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unauthenticated(f"the provider's keys cannot be used: {error}") from None
        self._facts, self._read = facts, time.monotonic()
        return facts

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                answer = await client.get(url)
                answer.raise_for_status()
                found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise Unauthenticated(f"the provider does not answer: {error or url}") from None
        if not isinstance(found, dict):
            raise Unauthenticated(f"the provider's answer at {url} is no object")
        return found

    async def _exchange(self, flight: Flight, code: str) -> str:
        facts = await self._describe()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flight.redirect,
            "client_id": self._settings.client_id,
            "code_verifier": flight.verifier,
        }
        auth: tuple[str, str] | None = None
        if self._secret is not None:
            try:
                auth = (self._settings.client_id, self._secret.read_text().strip())
            except (OSError, UnicodeDecodeError) as error:
                raise Unauthenticated(f"the station cannot read its secret: {error}") from None
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                sent = client.post(
                    str(facts["token_endpoint"]), data=form,
                    auth=httpx.BasicAuth(*auth) if auth else None,
                )  # fmt: skip
                answer = await sent
                answer.raise_for_status()
                return str(answer.json()["id_token"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            raise Unauthenticated("the provider does not accept this sign-in") from None

    async def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        claims = self._decoded(token)
        if claims is None:
            # its keys may have changed since we read them: once more with fresh ones
            self._read = 0.0
            self._facts = {}
            await self._describe()
            claims = self._decoded(token)
        if claims is None:
            raise Unauthenticated("the provider's token is not signed by the provider")
        settings = self._settings
        rules = JWTClaimsRegistry(
            leeway=SKEW_S,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            rules.validate(claims)
        except JoseError as error:
            raise Unauthenticated(f"the provider's token is not for us: {error}") from None
        audience = claims["aud"]
        shared = isinstance(audience, list) and len(audience) > 1
        if shared and claims.get("azp") != settings.client_id:
            raise Unauthenticated("the provider's token is for another application")
        return claims

    def _decoded(self, token: str) -> dict[str, Any] | None:
        assert self._keys is not None
        try:
            return dict(jwt.decode(token, self._keys, algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError, KeyError, TypeError):
            return None

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        settings = self._settings
        name = claims.get(settings.user_claim)
        if not isinstance(name, str) or not USER_PATTERN.fullmatch(name):
            raise Unauthenticated(f"the provider gives no usable name in {settings.user_claim!r}")
        groups = claims.get(settings.role_claim) or []
        groups = groups if isinstance(groups, list) else [groups]
        roles = {Role(role) for group in groups for role in settings.roles.get(str(group), ())} - {
            Role.SYSTEM
        }
        if not roles:
            raise Unauthenticated(f"{name} has no role at this station; ask its administrator")
        return Principal(name, frozenset(roles))
