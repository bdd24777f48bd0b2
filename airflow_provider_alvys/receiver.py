"""Former module of :class:`airflow_provider_alvys.webhook_middleware.AlvysWebhookMiddleware`."""

from __future__ import annotations

from airflow_provider_alvys.webhook_middleware import AlvysWebhookMiddleware

__all__ = ["AlvysWebhookMiddleware"]
