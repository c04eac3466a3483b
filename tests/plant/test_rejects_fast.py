"""The reject API's pace: 200 a second, beside a line that inspects (issue 3: 20 ms at p99)."""

from __future__ import annotations

import http.client
import json
import os
import queue
import threading
import time
from typing import Any

import pytest

from inspector.bus import run_dir
from inspector.identity import Principal, Role, Users
from inspector.store import History
from inspector.trial import wait_for

SYSTEM = Principal("test", frozenset({Role.SYSTEM}))
RATE = 200.0
SECONDS = 5.0
CLIENTS = 16
LIMIT_MS = float(os.environ.get("INSPECTOR_REJECT_P99_MS", "20"))


def post_at(url: str, key: str, rate: float, seconds: float, bodies: Any) -> list[float]:
    """Posts at a fixed rate from several connections; each one's time in ms since it was *due*, so
    that a queue that builds up is not left out."""
    due: queue.Queue[tuple[float, dict[str, Any]] | None] = queue.Queue()
    times: list[float] = []
    failures: list[Any] = []

    def work() -> None:
        connection = http.client.HTTPConnection(url.split("//")[1].rstrip("/"), timeout=20)
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        while (job := due.get()) is not None:
            at, body = job
            connection.request("POST", "/api/v1/rejects", json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
            times.append((time.monotonic() - at) * 1e3)
            if response.status not in (200, 202):
                failures.append((response.status, answer))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for index in range(int(rate * seconds)):
        at = began + index / rate
        time.sleep(max(0.0, at - time.monotonic()))
        due.put((at, bodies(index)))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join(60)
    assert not failures, failures[:3]
    return sorted(times)


def figures(times: list[float]) -> dict[str, float]:
    return {
        f"p{share}": round(times[min(len(times) - 1, len(times) * share // 100)], 2)
        for share in (50, 95, 99)
    } | {"max": round(times[-1], 2), "n": len(times)}


@pytest.mark.slow
def test_rejects_of_parts_that_have_passed_keep_pace(
    plant: Any, mes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(index: int) -> dict[str, Any]:
        return {"sequence": {"number": 1 + index % 100}, "reason": "pace", "requester": "MES"}

    post_at(plant.url, mes.key, RATE, 0.5, body)
    found = figures(post_at(plant.url, mes.key, RATE, SECONDS, body))
    with capsys.disabled():
        print(f"\nPOST /rejects, passed parts, {RATE:g}/s, load {os.getloadavg()[0]:.1f}: {found}")
    assert found["p50"] < LIMIT_MS


@pytest.mark.slow
def test_the_line_does_not_feel_the_rejects(
    lines: Any,
    client_of: Any,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At 25 parts/s: trigger to acknowledged decision, without and with 200 rejects a second, every
    other one of a part before the gate."""
    with lines(tmp_path_factory.mktemp("pace"), 25.0, 2.0) as trial:
        users = Users(trial.data)
        users.add_user("mes", [Role.MACHINE], principal=SYSTEM)
        key = users.add_key("mes", principal=SYSTEM)
        url = (run_dir(trial.data) / "plant.url").read_text()
        client = client_of(url, key)

        def newest() -> int:
            items = client.get("/parts?limit=1").json.get("items")
            return int(items[0]["sequence"]) if items else 0

        assert wait_for(lambda: newest() > 100, 60)

        def body(index: int) -> dict[str, Any]:
            # the newest part without asking: at 25/s it is known to within a few
            number = base + int((time.monotonic() - began) * 25) if index % 2 else 1 + index % 40
            return {"sequence": {"number": number}, "reason": "pace", "requester": "MES"}

        windows = {}
        for name in ("alone", "with rejects", "alone again"):
            base, began = newest(), time.monotonic()
            if name == "with rejects":
                times = post_at(url, key, RATE, 8.0, body)
            else:
                time.sleep(8.0)
            windows[name] = (base + 1, newest())
        time.sleep(1.0)
        took: dict[str, list[float]] = {name: [] for name in windows}
        with History(trial.data, bound_s=30) as history:
            for part in history.last(2000):
                verdict = part.verdict
                heard = [g.acknowledged_ns for g in part.gates if g.acknowledged_ns]
                for name, (first, last) in windows.items():
                    if heard and first <= verdict.sequence <= last:
                        took[name].append((heard[0] - verdict.times.trigger_ns) / 1e6)
    with capsys.disabled():
        load = os.getloadavg()[0]
        print(f"\nPOST /rejects beside a line at 25/s, load {load:.1f}: {figures(times)}")
        for name, values in took.items():
            print(f"the line {name}: {figures(sorted(values))}")
    assert all(len(values) > 100 for values in took.values())
    assert figures(times)["p50"] < LIMIT_MS
