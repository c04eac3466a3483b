"""The OpenAPI document is true: schemathesis asks what it allows, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from inspector.identity import Role

schemathesis = pytest.importorskip("schemathesis", reason="NO SCHEMATHESIS: the API is not fuzzed")

SHARES = 4
"""Each share of the operations is a test of its own, with its own limit of time."""
LEFT_OUT = ("/api/v1/events",)  # never ends


@pytest.fixture(scope="module")
def reviewer(plant: Any) -> Any:
    """May do all that a machine may, and review."""
    return plant.client(plant.key("fuzzer", Role.QA, Role.MACHINE))


def test_the_document_is_openapi_31_and_open(plant: Any, mes: Any) -> None:
    reply = plant.client("").get("/openapi.json")
    assert reply.status == 200 and reply.json["openapi"].startswith("3.1")
    paths = reply.json["paths"]
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
