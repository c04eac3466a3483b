"""The OpenAPI document is true: schemathesis asks what it allows and what it does not (S1, S16)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from inspector.config import load_station
from inspector.identity import Role
from inspector.plant.app import create_app

SHARES = 4
"""Each share of the operations is a test of its own, with its own limit of time."""
LEFT_OUT = ("/api/v1/events",)  # never ends


@pytest.fixture(scope="module")
def reviewer(plant: Any) -> Any:
    """May do all that a machine may, and review."""
    return plant.client(plant.key("fuzzer", Role.QA, Role.MACHINE))


async def asked(app: Any, path: str) -> Any:
    """What an application that is begun and ended as a server would answers to nobody's GET."""
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    living = asyncio.create_task(
        app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, said.get, heard.put)
    )
    await said.put({"type": "lifespan.startup"})
    assert (await heard.get())["type"] == "lifespan.startup.complete"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://station") as nobody:
        reply = await nobody.get(path)
    await said.put({"type": "lifespan.shutdown"})
    assert (await heard.get())["type"] == "lifespan.shutdown.complete"
    await living
    return reply.raise_for_status().json()


def test_the_document_is_openapi_31_and_open(plants: Any, tmp_path: Path) -> None:
    """Asked of the interface itself, without its process: a socket adds nothing here."""
    unstarted = plants(tmp_path)
    app = create_app(load_station(unstarted.file), unstarted.run)
    document = asyncio.run(asked(app, "/api/v1/openapi.json"))
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert set(paths) >= {
        "/api/v1/rejects",
        "/api/v1/parts/{id}",
        "/01/{gtin}/10/{lot}/21/{serial}",
    }
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["security"], f"{method} {path} has no security"
            assert operation.get("summary"), f"{method} {path}"
            assert "application/problem+json" in operation["responses"]["422"]["content"]


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("positive", [True, False], ids=["allowed", "not allowed"])
def test_nothing_that_is_sent_breaks_it(
    plant: Any, mes: Any, reviewer: Any, positive: bool, share: int
) -> None:
    schemathesis = pytest.importorskip(
        "schemathesis", reason="NO SCHEMATHESIS: the API is not fuzzed"
    )
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode, checks
    from schemathesis.specs.openapi import checks as openapi_checks

    schema = schemathesis.openapi.from_url(f"{plant.url}api/v1/openapi.json")
    mode = GenerationMode.POSITIVE if positive else GenerationMode.NEGATIVE
    proofs = [
        checks.not_a_server_error,
        openapi_checks.status_code_conformance,
        openapi_checks.content_type_conformance,
        openapi_checks.response_schema_conformance,
    ]
    asked = 0
    for number, operation in enumerate(schema.get_all_operations()):
        operation = operation.ok()
        if number % SHARES != share or operation.path in LEFT_OUT:
            continue

        @settings(
            max_examples=25,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            nonlocal asked
            # Who may set up webhooks would have the station post to whatever is dreamt up here.
            asker = mes if "webhooks" in case.operation.path else reviewer
            response = case.call(headers={"X-API-Key": asker.key})
            asked += 1
            if response.status_code == 503 and b"no-line" in response.content:
                return  # there is no line here, and it says so
            case.validate_response(response, checks=proofs)

        given(case=operation.as_strategy(generation_mode=mode))(ask)()
    assert asked > 50
    assert mes.get("/status").status == 200
