"""The metrics of a sync, through Airflow's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_alvys.api.http.usage import LimitUsage
    from airflow_provider_alvys.landing.dataset.manifest import Manifest


def emit_metrics(manifest: Manifest, usage: LimitUsage, *, now: datetime) -> None:
    """Emit the metrics of a landed manifest. Airflow sends them if its configuration has ``[metrics]``."""
    from airflow_provider_alvys._compat import get_stats

    stats, tags = get_stats(), {"stream": manifest.stream, "tenant": manifest.tenant}
    stats.incr("alvys.sync.rows", manifest.rows, tags=tags)
    stats.incr("alvys.sync.requests", manifest.requests, tags=tags)
    stats.incr("alvys.sync.waited_seconds", round(usage.waited), tags=tags)
    stats.incr("alvys.sync.rate_limited", usage.refusals, tags=tags)
    if manifest.proof == "whole" and manifest.state_at is not None:
        stats.gauge("alvys.sync.age_seconds", (now - manifest.state_at).total_seconds(), tags=tags)
