"""`/metrics` for Prometheus: what the web processes and the queue are doing.

With several web processes each writes its numbers to files in PROMETHEUS_MULTIPROC_DIR, and whichever is
asked adds them up. The library reads that variable when it is imported, so it is imported by `serve`'s
children only.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping

from flask import Flask, Response, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from backend.errors import BackendError
from backend.service.engine.engine import Engine
from backend.service.jobs.jobs import TRAIN
from backend.service.jobs.memory import memory_use
from backend.service.jobs.report import JobReport, TrainingJobProgress
from backend.service.ports import JobQueue, JobRecord, Json
from backend.web.routing import Routes

PREFIX = "lsb"
LATENCY_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 45, 90)
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
JOBS_SHOWN = 200
DURATIONS_SHOWN = 50


class WebMetrics:
    """The numbers of one app; made per app, so that tests do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            f"{PREFIX}_requests_total",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.latency = Histogram(
            f"{PREFIX}_request_seconds",
            "Time to answer a request.",
            ["route"],
            buckets=LATENCY_S,
            registry=self.registry,
        )
        self.images = Counter(
            f"{PREFIX}_images_predicted_total", "Images that went through a network.", registry=self.registry
        )
        self.busy = Counter(
            f"{PREFIX}_network_seconds_total", "Seconds that networks were running.", registry=self.registry
        )
        self.cached = Counter(
            f"{PREFIX}_image_cache_requests_total",
            "Images asked for: hit, found in the cache on disk; miss, fetched.",
            ["result"],
            registry=self.registry,
        )
        self.memory = Gauge(
            f"{PREFIX}_web_memory_bytes",
            "Memory of the web processes: resident, and what torch holds of GPUs.",
            ["memory"],
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.in_flight = Gauge(
            f"{PREFIX}_requests_in_flight",
            "Requests being answered.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )


def count_requests(
    app: Flask, engine: Engine, queue: JobQueue, ledgers: Callable[[], Mapping[str, Json]]
) -> Routes:
    """Count every request of the app, and return the route that shows the numbers.

    ledgers: reads what predictions saved each project, by its key.
    """
    metrics = WebMetrics()
    growing = [
        _Growing(metrics.images, lambda: engine.batching.images_done),
        _Growing(metrics.busy, lambda: engine.batching.seconds_busy),
        _Growing(metrics.cached.labels("hit"), lambda: engine.images.cache_use().hits),
        _Growing(metrics.cached.labels("miss"), lambda: engine.images.cache_use().misses),
    ]

    @app.before_request
    def begin() -> None:
        g.metrics_started = time.perf_counter()
        metrics.in_flight.inc()

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "unknown"
        # Anybody may make up methods, without the password too, and each name would be kept for good.
        method = request.method if request.method in METHODS else "other"
        metrics.requests.labels(route, method, response.status_code).inc()
        metrics.latency.labels(route).observe(time.perf_counter() - g.get("metrics_started", 0.0))
        for source in growing:
            source.take()
        memory = memory_use()
        metrics.memory.labels("resident").set(memory.resident_bytes)
        metrics.memory.labels("device").set(memory.device_bytes)
        return response

    @app.teardown_request
    def leave(error: BaseException | None) -> None:
        if g.pop("metrics_started", None) is not None:
            metrics.in_flight.dec()

    routes = Routes("metrics", __name__, tag="pages")

    @routes.get("/metrics", content_type="text/plain")
    def show_metrics() -> Response:
        """Show the figures for Prometheus."""
        registry = metrics.registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        text = (
            generate_latest(registry) + generate_latest(_Shared(queue)) + generate_latest(_Ledgers(ledgers))
        )
        return Response(text, mimetype=CONTENT_TYPE_LATEST)

    return routes


class _Ledgers(Collector):
    """What predictions saved, as it was counted last; read when it is asked for."""

    def __init__(self, read: Callable[[], Mapping[str, Json]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the current values; none while the store is away."""
        try:
            ledgers = self._read()
        except BackendError:
            return
        regions = GaugeMetricFamily(
            f"{PREFIX}_ledger_regions",
            "Regions by what annotators did with them, in annotations that began with a prediction.",
            labels=["project", "version", "act"],
        )
        saved = GaugeMetricFamily(
            f"{PREFIX}_ledger_saved_seconds",
            "Seconds of labelling that predictions saved.",
            labels=["project"],
        )
        for key, ledger in ledgers.items():
            saved.add_metric([key], ledger["hours_saved"] * 3600)
            for version in ledger["by_version"]:
                for act, count in version["acts"].items():
                    regions.add_metric([key, version["version"], act], count)
        yield regions
        yield saved


class _Growing:
    """A counter that follows a number which somebody else counts up."""

    def __init__(self, counter: Counter, read: Callable[[], float]) -> None:
        self._counter = counter
        self._read = read
        self._seen = 0.0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Count on by what has been added since the last time."""
        with self._lock:
            now = self._read()
            self._counter.inc(max(0.0, now - self._seen))
            self._seen = now


class _Shared(Collector):
    """What all processes share, read when it is asked for: the queue and its jobs."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the current values; those of the queue are missing while Redis is away."""
        up = GaugeMetricFamily(f"{PREFIX}_redis_up", "Whether Redis answers.")
        try:
            state = self._queue.worker_state()
            waiting = self._queue.queue_lengths()
            records = self._queue.records(limit=JOBS_SHOWN)
        except BackendError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        workers = GaugeMetricFamily(f"{PREFIX}_queue_workers", "Workers that live.")
        workers.add_metric([], state.workers)
        yield workers
        busy = GaugeMetricFamily(f"{PREFIX}_queue_busy", "Jobs that run.")
        busy.add_metric([], state.busy)
        yield busy
        lengths = GaugeMetricFamily(
            f"{PREFIX}_queue_waiting", "Jobs that wait for a worker.", labels=["kind"]
        )
        for kind, count in sorted(waiting.items()):
            lengths.add_metric([kind], count)
        yield lengths
        yield from _job_metrics(records)


def _job_metrics(records: list[JobRecord]) -> Iterator[GaugeMetricFamily]:
    by_status = GaugeMetricFamily(
        f"{PREFIX}_jobs", f"The newest {JOBS_SHOWN} jobs by kind and status.", labels=["kind", "status"]
    )
    counts = Counts((record.kind, record.status) for record in records)
    for (kind, status), count in sorted(counts.items()):
        by_status.add_metric([kind, status], count)
    yield by_status
    duration = GaugeMetricFamily(
        f"{PREFIX}_job_seconds", "Duration of the newest ended jobs.", labels=["kind", "project", "job"]
    )
    loss = GaugeMetricFamily(f"{PREFIX}_training_loss", "Loss of trainings.", labels=["project", "job"])
    memory = GaugeMetricFamily(
        f"{PREFIX}_job_memory_bytes",
        "Memory of the worker of a running job: resident, and what torch holds of GPUs.",
        labels=["kind", "project", "job", "memory"],
    )
    for record in records[:DURATIONS_SHOWN]:
        labels = [record.kind, record.project_key, record.job_id]
        if record.ended_at is not None and record.started_at is not None:
            duration.add_metric(labels, record.ended_at - record.started_at)
        if record.kind == TRAIN:
            reached = TrainingJobProgress.from_json(record.progress).loss
            if reached is not None:
                loss.add_metric(labels[1:], reached)
        held = JobReport.from_json(record.details).memory
        if record.status == "started" and held is not None:
            memory.add_metric([*labels, "resident"], held.resident_bytes)
            memory.add_metric([*labels, "device"], held.device_bytes)
    yield duration
    yield loss
    yield memory
