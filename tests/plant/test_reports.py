"""The MES asks for a batch's report and gets one PDF (S12, S14), while nobody else waits for it."""

from __future__ import annotations

from typing import Any


def test_a_report_over_http(mes: Any) -> None:
    batch = mes.get("/batches").json["items"][0]["id"]
    reply = mes.get(f"/batches/{batch}/report?language=zh")
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/pdf" and reply.body[:5] == b"%PDF-"
    assert mes.get("/batches/nothing/report").status == 404
    assert mes.get(f"/batches/{batch}/report?language=fr").status == 422
