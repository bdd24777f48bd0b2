"""Airflow's simple users, of whom one may read no DAG."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

from tests.ui.users import OUTSIDER


class AuthManagerOfTests(SimpleAuthManager):
    """The manager of a team that gives rights by DAG."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **kwargs: Any) -> bool:
        """Return whether a user may do something with a DAG, or with some DAGs."""
        if user.username == OUTSIDER and details is not None and details.id is not None:
            return False
        return bool(super().is_authorized_dag(user=user, details=details, **kwargs))
