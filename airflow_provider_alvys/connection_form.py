"""
The connection form, defined once.

Airflow 3.2 and later read it from the provider info (``conn-fields``, ``ui-field-behaviour``); Airflow 3.1 only from the hook's
``get_connection_form_widgets()`` and ``get_ui_field_behaviour()``. Both are built from ``FIELDS``. No field has a default: the
form would store it in every connection, and a later default would not reach them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

CONN_TYPE = "alvys"
HOOK_NAME = "Alvys"
# Not the port: the Test button of Airflow 3.3 fails for a connection that has none.
HIDDEN_FIELDS = ["schema"]
RELABELING = {"host": "API base URL", "login": "Client id", "password": "Client secret"}
PLACEHOLDERS = {"host": "https://integrations.alvys.com", "port": "443, for the Test button of Airflow 3.3"}


@dataclass(frozen=True)
class FormField:
    """An extra field of the form, stored under ``name`` in the connection's extra."""

    name: str
    label: str
    description: str
    kind: Literal["string", "integer", "number", "boolean"] = "string"


FIELDS = (
    FormField(
        "tenant_id",
        "Tenant id",
        "Only for credentials of the older kind: the company code. The token is then asked for at "
        "<host>/api/authentication/<tenant id>/token. Leave empty otherwise.",
    ),
    FormField(
        "auth_url",
        "Token endpoint",
        "Where to ask for a token. Leave empty for https://auth.alvys.com/oauth/token, or the tenant's own.",
    ),
    FormField("audience", "Audience", "Leave empty for https://api.alvys.com/public/ (with the slash)."),
    FormField(
        "api_version",
        "API version",
        "One version for every path, such as 1.0. Leave empty for the one that Alvys documents for each.",
    ),
    FormField(
        "requests_per_minute",
        "Requests per minute",
        "The pace for each endpoint. Leave empty for the limits that Alvys documents (10 or 5); 0 turns pacing off.",
        kind="number",
    ),
    FormField(
        "page_size",
        "Page size",
        "Rows asked for at once. Leave empty for 200, or 100 where Alvys takes no more.",
        kind="integer",
    ),
    FormField(
        "timeout",
        "Timeout",
        "Seconds to wait for an answer. Leave empty for 60. Connecting may take 10 of them.",
        kind="number",
    ),
    FormField(
        "allow_http",
        "Allow plain http",
        "Sends the credentials in clear text: only for a simulator on a private network.",
        kind="boolean",
    ),
    FormField(
        "web_url",
        "Page of a record",
        "The address of a record's page in Alvys's web app, with {stream}, {id} and {number} where they stand in it, such as "
        "https://<your Alvys>/{stream}/{id}. Tasks link to it. Leave empty for no link.",
    ),
)


def build_conn_fields() -> dict[str, dict[str, Any]]:
    """Return the extra fields in the provider info's ``conn-fields`` format (Airflow 3.2 and later)."""
    return {
        field.name: {
            "label": field.label,
            "description": field.description,
            "schema": {"type": [field.kind, "null"]},
        }
        for field in FIELDS
    }


def build_ui_field_behaviour(*, dashed: bool = False) -> dict[str, Any]:
    """
    Return what becomes of the standard fields.

    :param dashed: with the provider info's ``hidden-fields`` instead of the hook method's ``hidden_fields``.
    """
    return {
        "hidden-fields" if dashed else "hidden_fields": HIDDEN_FIELDS,
        "relabeling": RELABELING,
        "placeholders": PLACEHOLDERS,
    }


def build_form_widgets() -> dict[str, Any]:
    """
    Return the extra fields as WTForms fields, for Airflow 3.1.

    It calls this with WTForms, Flask-Babel and Flask-AppBuilder replaced by mocks, so the imports stay in here and use only what
    it mocks. It knows no field for numbers with a fraction: a text does.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, IntegerField, StringField
    from wtforms.validators import Optional

    classes = {"integer": IntegerField, "boolean": BooleanField}
    widgets = {}
    for field in FIELDS:
        field_class = classes.get(field.kind, StringField)
        look = {} if field.kind == "boolean" else {"widget": BS3TextFieldWidget()}
        widgets[field.name] = field_class(
            lazy_gettext(field.label), description=field.description, validators=[Optional()], **look
        )
    return widgets
