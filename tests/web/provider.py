"""A small OpenID provider that keeps the rules: authorization code, PKCE, signed tokens.

``Provider()`` serves in a thread. ``person`` is who is signed in there, with the claims of the
token; ``spoil`` changes a token before it is signed, as an attacker or a mistaken provider would.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

CLIENT, SECRET = "station", "a secret of the station"


class Provider:
    """One, at ``issuer``."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"preferred_username": "mei", "groups": ["plant-qa"]}
        self.spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.key = ECKey.generate_key("P-256", {"kid": "1", "use": "sig", "alg": "ES256"})
        self.signs_with = self.key
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._server = uvicorn.Server(
            uvicorn.Config(self._app(), port=0, log_config=None, lifespan="off")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the provider does not start"
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.issuer = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """End it."""
        self._server.should_exit = True
        self._thread.join()

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def about() -> dict[str, str]:
            return {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }

        @app.get("/keys")
        def keys() -> dict[str, Any]:
            return KeySet([self.key]).as_dict(private=False)

        @app.get("/authorize")
        def authorize(request: Request) -> Response:
            asked = dict(request.query_params)
            self.asked.append(asked)
            fine = (
                asked["client_id"] == CLIENT
                and asked["response_type"] == "code"
                and asked["code_challenge_method"] == "S256"
                and "openid" in asked["scope"].split()
            )
            if not fine:
                return Response("not as agreed", 400)
            code = secrets.token_urlsafe(16)
            self._codes[code] = asked
            back = urlencode({"code": code, "state": asked["state"]})
            return RedirectResponse(f"{asked['redirect_uri']}?{back}", 303)

        @app.post("/token")
        async def token(request: Request) -> Response:
            form = {k: v[0] for k, v in parse_qs((await request.body()).decode()).items()}
            asked = self._codes.pop(form.get("code", ""), None)
            basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            fine = (
                asked is not None
                and request.headers.get("authorization") == f"Basic {basic}"
                and form.get("redirect_uri") == asked["redirect_uri"]
                and challenge == asked["code_challenge"]
            )
            if not fine or asked is None:
                return JSONResponse({"error": "invalid_grant"}, 400)
            now = int(time.time())
            claims = {
                "iss": self.issuer, "aud": CLIENT, "sub": "4711", "iat": now, "exp": now + 300,
                "nonce": asked["nonce"], **self.person,
            }  # fmt: skip
            header = {"alg": "ES256", "kid": "1"}
            signed = jwt.encode(header, self.spoil(claims), self.signs_with)
            return JSONResponse({"id_token": signed, "token_type": "Bearer"})

        return app
