from __future__ import annotations

import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

from airflow_provider_alvys import connection_form
from airflow_provider_alvys.hooks.alvys import AlvysHook

pytestmark = pytest.mark.every_airflow


def form():
    """Return the form as the installed Airflow's UI gets it."""
    return next(hook for hook in HookMetaService.hook_meta_data() if hook.connection_type == "alvys")


def test_the_ui_shows_every_field_with_its_label_and_hint() -> None:
    fields = form().extra_fields
    assert list(fields) == [field.name for field in connection_form.FIELDS]
    for field in connection_form.FIELDS:
        shown = fields[field.name]
        assert shown["schema"]["title"] == field.label
        assert shown["description"] == field.description
        # A default would be stored in every connection.
        assert shown["value"] is None
        assert "default" not in shown["schema"]
        assert "null" in shown["schema"]["type"]
    assert fields["allow_http"]["schema"]["type"] == ["boolean", "null"]
    assert fields["page_size"]["schema"]["type"] == ["integer", "null"]


def test_the_ui_relabels_and_hides_the_standard_fields() -> None:
    standard = form().standard_fields
    assert standard.host.title == "API base URL"
    assert standard.host.placeholder == "https://integrations.alvys.com"
    assert standard.login.title == "Client id"
    assert standard.password.title == "Client secret"
    assert standard.url_schema.hidden
    # The Test button of Airflow 3.3 fails without a port.
    assert not standard.port.hidden
    assert "443" in standard.port.title
    assert "Test" in standard.port.title
    assert standard.port.placeholder == "443"
    assert form().hook_name == "Alvys"


def test_no_field_has_a_name_that_airflow_masks() -> None:
    for field in connection_form.FIELDS:
        for word in ("password", "secret", "token", "bearer", "proxy", "key", "passphrase"):
            assert word not in field.name


def test_both_formats_have_the_same_fields() -> None:
    assert list(connection_form.build_conn_fields()) == [field.name for field in connection_form.FIELDS]
    assert AlvysHook.get_ui_field_behaviour()["hidden_fields"] == connection_form.HIDDEN_FIELDS
