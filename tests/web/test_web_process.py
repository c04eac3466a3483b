"""The web process from outside: headers, health, metrics, and what it costs the line."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from inspector.display import Display, Topic, unpack
from inspector.line.counters import STAGES
from inspector.part import Outcome

Line = Callable[..., BaseProcess]


def get(url: str) -> tuple[int, Any, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def until(condition: Callable[[], object], seconds: float = 4.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def socket_of(url: str) -> str:
    return url.replace("http", "ws", 1) + "ws/live"


def test_every_answer_carries_the_security_headers(web: Any) -> None:
    for path in ("", "healthz", "metrics", "static/live.js", "nothing"):
        _, headers, _ = get(web.url + path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "server" not in headers


def test_health_follows_the_lines_heartbeat(web: Any, line: Line) -> None:
    until(lambda: get(web.url + "healthz")[0] == 503)
    process = line("--rate", "10")
    until(lambda: get(web.url + "healthz")[0] == 200)
    assert '"ready":true' in get(web.url + "healthz")[2]
    process.kill()
    until(lambda: get(web.url + "healthz")[0] == 503)


def test_metrics_are_the_lines_figures(web: Any, line: Line) -> None:
    line("--rate", "20", "--reject-every", "5", "--parts", "20", "--alarm", "jam")
    until(lambda: 'frames_total{camera="side"} 20.0' in get(f"{web.url}metrics")[2])
    text = get(web.url + "metrics")[2]
    for row in (
        "inspector_line_up 1.0",
        "inspector_ready 1.0",
        'inspector_batch_parts_total{outcome="passed"} 16.0',
        'inspector_latency_seconds{quantile="0.99"} 0.0246',
        'inspector_healthy{kind="plc",name="plc"} 1.0',
        'inspector_alarm{code="jam"} 1.0',
        'inspector_batch_parts_total{outcome="rejected"} 4.0',
        'inspector_frames_total{camera="side"} 20.0',
        "inspector_queue 0.0",
    ):
        assert row in text, text


def test_each_stage_is_a_histogram_in_seconds_and_every_name_as_prometheus_wants_it(
    web: Any, line: Line
) -> None:
    """Base units, ``_total`` behind what only grows, buckets that end with the count."""
    line("--rate", "50", "--parts", "20")
    counted = 'inspector_stage_seconds_count{stage="total"} 20.0'
    until(lambda: counted in get(f"{web.url}metrics")[2], 30)
    families = {f.name: f for f in text_string_to_metric_families(get(f"{web.url}metrics")[2])}
    stages = families["inspector_stage_seconds"]
    assert stages.type == "histogram"
    for stage in STAGES:
        rows = [s for s in stages.samples if s.labels["stage"] == stage]
        buckets = {float(s.labels["le"]): s.value for s in rows if s.name.endswith("_bucket")}
        assert buckets[0.01] == 0 and buckets[0.015] == buckets[float("inf")] == 20
        assert list(buckets.values()) == sorted(buckets.values())
        values = {s.name.rsplit("_", 1)[1]: s.value for s in rows}
        assert values["count"] == 20 and values["sum"] == pytest.approx(20 * 0.012)
    for name, family in families.items():
        assert not name.endswith(("_ms", "_us", "_mb", "_c")), name
        ends = all(s.name.endswith("_total") for s in family.samples)
        assert family.type != "counter" or ends, name
        assert family.documentation
    assert families["inspector_camera_lost_frames"].type == "counter"
    assert families["inspector_camera_temperature_celsius"].type == "gauge"
    assert {s.labels["quantile"] for s in families["inspector_latency_seconds"].samples} == {
        "0.5", "0.95", "0.99", "1",
    }  # fmt: skip


def test_a_lost_line_has_no_figures(web: Any) -> None:
    until(lambda: "inspector_line_up 0.0" in get(web.url + "metrics")[2])
    assert "inspector_ready" not in get(web.url + "metrics")[2]


def test_another_sites_page_may_not_listen(web: Any) -> None:
    with pytest.raises(InvalidStatus), connect(socket_of(web.url), origin="http://evil.example"):  # type: ignore[arg-type]
        pass
    with connect(socket_of(web.url), origin=web.url.rstrip("/")):
        pass


def test_messages_are_not_deflated(web: Any) -> None:
    with connect(socket_of(web.url)) as socket:
        assert socket.protocol.extensions == []


def test_passes_are_encoded_only_while_a_page_is_open(web: Any) -> None:
    display = Display(web.run)
    try:
        until(lambda: display.wants(Outcome.REJECT))
        assert not display.wants(Outcome.PASS)
        with connect(socket_of(web.url)):
            until(lambda: display.wants(Outcome.PASS))
        until(lambda: not display.wants(Outcome.PASS))
    finally:
        display.close()


def test_a_page_that_draws_nothing_has_two_pictures_in_flight_and_then_the_newest(
    web: Any, line: Line
) -> None:
    with connect(socket_of(web.url), compression=None) as socket:
        line("--rate", "40", "--parts", "60")
        parts: list[int] = []
        drawn = False
        deadline = time.monotonic() + 6.0
        while not parts or parts[-1] < 50:
            assert time.monotonic() < deadline
            message = unpack(socket.recv(timeout=4))  # type: ignore[arg-type]
            if message.topic is Topic.PASS:
                parts.append(message.part)
            elif message.topic is Topic.HISTORY:
                socket.send("drawn")
            elif (
                message.topic is Topic.STATUS
                and message.body["counts"]["parts"] == 60
                and not drawn
            ):
                drawn = True
                assert len(parts) <= 2
                socket.send("drawn")
        assert parts == sorted(parts)
