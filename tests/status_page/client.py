"""The status page without Airflow's login."""

from __future__ import annotations

from fastapi.testclient import TestClient

from airflow_provider_alvys.status_page.app import build_app


def client_without_login() -> TestClient:
    """Return a client of the app that lets everybody in."""
    app = build_app()
    for dependency in app.router.dependencies:
        app.dependency_overrides[dependency.dependency] = lambda: None
    return TestClient(app)
