"""
The connection form, defined once in ``FIELDS``.

Airflow 3.2 and later read it from the provider info (``conn-fields``, ``ui-field-behaviour``), Airflow 3.1
from the hook's ``get_connection_form_widgets()`` and ``get_ui_field_behaviour()``. No field has a default:
the form would store it in every connection, and a later default would not reach them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

CONN_TYPE = "alvys"
HOOK_NAME = "Alvys"
# Without a port, the Test button of Airflow 3.3 answers "Bad Request" before it calls the provider, even if
# the field is hidden. A standard field has no default and no help text, so its label says it.
HIDDEN_FIELDS = ["schema"]
RELABELING = {
    "host": "API base URL",
    "port": "Port (443 for Test button)",
    "login": "Client id",
    "password": "Client secret",
}
PLACEHOLDERS = {"host": "https://integrations.alvys.com", "port": "443"}


@dataclass(frozen=True)
class FormField:
    """A field of the form, stored under ``name`` in the connection's extra."""

    name: str
    label: str
    description: str
    kind: Literal["string", "integer", "number", "boolean"] = "string"


FIELDS = (
    FormField(
        "tenant_id",
        "Tenant id",
        "Only for older credentials: your company code. Tokens then come from "
        "<host>/api/authentication/<tenant id>/token. Leave empty otherwise.",
    ),
    FormField(
        "auth_url",
        "Token endpoint",
        "Leave empty to use https://auth.alvys.com/oauth/token, or the endpoint of the tenant id.",
    ),
    FormField(
        "audience",
        "Audience",
        "Leave empty to use https://api.alvys.com/public/ (the slash at the end is required).",
    ),
    FormField(
        "api_version",
        "API version",
        "One version for all paths, such as 1.0. Leave empty to use the documented version of each path.",
    ),
    FormField(
        "requests_per_minute",
        "Requests per minute",
        "What Alvys allows you in place of 10 a minute. Endpoints with a limit of 5 get half of it. Leave "
        "empty to use the documented limits (10 or 5); 0 turns pacing off.",
        kind="number",
    ),
    FormField(
        "page_size",
        "Page size",
        "Rows per request. Leave empty to use 200, or 100 if Alvys allows no more.",
        kind="integer",
    ),
    FormField(
        "timeout",
        "Timeout",
        "Seconds to wait for a response. Leave empty to use 60. Connecting has its own limit of 10 s.",
        kind="number",
    ),
    FormField(
        "max_response_mb",
        "Largest response",
        "Megabytes of one response, uncompressed; a larger one is an error. Leave empty to use 256.",
        kind="number",
    ),
    FormField(
        "allow_http",
        "Allow plain http",
        "Sends credentials unencrypted, and allows private download addresses. Only for a simulator on a "
        "private network.",
        kind="boolean",
    ),
    FormField(
        "allow_private_downloads",
        "Allow private download addresses",
        "Downloads documents from addresses in private networks, too. Only if the storage of your Alvys is "
        "reached through your own network.",
        kind="boolean",
    ),
    FormField(
        "web_url",
        "Link to Alvys",
        "Address of a record's page in Alvys, with the placeholders {stream}, {id} and {number}, such as "
        "https://<your Alvys>/{stream}/{id}. Tasks link to it. Leave empty for no links.",
    ),
)


def build_conn_fields() -> dict[str, dict[str, Any]]:
    """Return the fields in the provider info's ``conn-fields`` format (Airflow 3.2 and later)."""
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
    Return labels, placeholders and visibility of the standard fields.

    :param dashed: use the provider info's key ``hidden-fields`` instead of the hook's ``hidden_fields``.
    """
    return {
        "hidden-fields" if dashed else "hidden_fields": HIDDEN_FIELDS,
        "relabeling": RELABELING,
        "placeholders": PLACEHOLDERS,
    }


def build_form_widgets() -> dict[str, Any]:
    """
    Return the fields as WTForms fields, for Airflow 3.1.

    Airflow mocks WTForms, Flask-Babel and Flask-AppBuilder during the call. Import them here, and use only
    what it mocks. It has no field for decimal numbers: they use a text field.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from flask_babel import lazy_gettext
    from wtforms import BooleanField, IntegerField, StringField
    from wtforms.validators import Optional

    classes = {"integer": IntegerField, "boolean": BooleanField}
    widgets = {}
    for field in FIELDS:
        field_class = classes.get(field.kind, StringField)
        options = {} if field.kind == "boolean" else {"widget": BS3TextFieldWidget()}
        widgets[field.name] = field_class(
            lazy_gettext(field.label), description=field.description, validators=[Optional()], **options
        )
    return widgets
