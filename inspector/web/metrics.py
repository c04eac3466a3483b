"""``/metrics``: the line's last status message enters, Prometheus text leaves.

Nothing is counted here: the line counts. Only ``web/app.py`` imports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from inspector.web.feed import Feed

_FIGURE = re.compile(r"([a-z_][a-z0-9_]*)(?:\{(.*)\})?")
_OF_CAMERA = {"camera_temperature_c": "camera_temperature_celsius"}
"""What a camera says of itself and is no count since it was opened."""
QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99", "max": "1"}
HELP = {
    "stage_seconds": "Trigger to frame, frame to judging, judging, verdict to durable record,"
    " decision to acknowledgement, trigger to acknowledgement",
    "parts": "Verdicts by outcome and mode",
    "triggers": "Parts that the authority counted",
    "late": "Decisions acknowledged after their deadline",
    "gate_unacknowledged": "Decisions that the gate never acknowledged",
    "images_written": "Pictures in the archive",
    "images_dropped": "Pictures that the archive did not keep, by why",
    "images_waiting": "Parts whose pictures wait for the disk",
    "ledger_waiting": "Records that are not durable yet",
    "ledger_records": "Durable records of the line",
    "clock_offset_seconds": "How far UTC is off by the kernel's discipline",
    "clock_error_seconds": "The kernel's estimate of how wrong UTC is",
    "clock_synchronised": "1 while NTP or PTP disciplines UTC, or the station trusts it",
}
_LABEL = re.compile(r'([a-z_][a-z0-9_]*)="([^"]*)"')


class _Line(Collector):
    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterable[Metric]:
        """Every figure of the last heartbeat; of a lost line only that it is lost."""
        now = self._feed.now
        yield GaugeMetricFamily("inspector_line_up", "The line's heartbeat is fresh", bool(now))
        yield GaugeMetricFamily("inspector_pages", "Open live pages", self._feed.pages)
        if now:
            yield from _of_status(now)


def exposition(feed: Feed) -> bytes:
    """The text of a scrape, Prometheus format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Line(feed))
    return generate_latest(registry)


def _of_status(status: Mapping[str, Any]) -> Iterable[Metric]:
    batch = CounterMetricFamily("inspector_batch_parts", "Parts of the batch", labels=["outcome"])
    for name in ("passed", "rejected", "errors", "not_inspected"):
        batch.add_metric([name], status["counts"][name])
    yield batch
    yield GaugeMetricFamily("inspector_ready", "The station judges", float(status["ready"]))
    rate = "Parts per second over the last seconds"
    yield GaugeMetricFamily("inspector_parts_per_second", rate, status["parts_per_s"] or 0.0)
    latency = GaugeMetricFamily(
        "inspector_latency_seconds", "Trigger to acknowledged decision", labels=["quantile"]
    )
    for name, ms in status["latency_ms"].items():
        latency.add_metric([QUANTILES.get(name, name)], (ms or 0.0) / 1e3)
    yield latency
    health = GaugeMetricFamily("inspector_healthy", "1 is ok", labels=["name", "kind"])
    for item in status["health"]:
        health.add_metric([item["name"], item["kind"]], float(item["state"] == "ok"))
    yield health
    alarms = GaugeMetricFamily("inspector_alarm", "Alarms that are on", labels=["code"])
    for code in sorted({alarm["code"] for alarm in status["alarms"]}):
        alarms.add_metric([code], 1.0)
    yield alarms
    yield from _figures(status["figures"])


def _figures(figures: Mapping[str, float]) -> Iterable[Metric]:
    """The line's figures under Prometheus's names: base units, ``_total`` behind what only grows,
    and one histogram for what happens between a part's trigger and its gate."""
    families: dict[str, Metric] = {}
    for name, value in figures.items():
        match = _FIGURE.fullmatch(name)
        if match is None or value is None:
            continue
        base, labels = match[1], dict(_LABEL.findall(match[2] or ""))
        stage = base.removeprefix("stage_ms")
        if stage in ("_bucket", "_sum", "_count"):
            base, kind = "stage_seconds", "histogram"
            sample = f"inspector_{base}{stage}"
            if stage == "_sum":
                value /= 1e3
            elif stage == "_bucket" and labels["le"] != "+Inf":
                labels["le"] = str(float(labels["le"]) / 1e3)
        else:
            if base.startswith("camera_"):
                base = _OF_CAMERA.get(base, f"{base}_total")
            kind = "counter" if base.endswith("_total") else "gauge"
            sample, base = f"inspector_{base}", base.removesuffix("_total")
        family = families.get(base)
        if family is None:
            words = HELP.get(base, base.replace("_", " ").capitalize())
            family = families[base] = Metric(f"inspector_{base}", words, kind)
        family.add_sample(sample, labels, value)
    return families.values()
