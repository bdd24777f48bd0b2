"""What writes to webhooks do."""

from __future__ import annotations

import secrets

from airflow_provider_alvys.simulator.effects.write import Write
from airflow_provider_alvys.simulator.http import Answer


def create_webhook(write: Write) -> Answer:
    """Make a subscription, which is told of nothing until its address has proved itself."""
    columns = {"CompanyCode": write.tenant.options.tenant, "Status": "Pending", "ConsecutiveFailures": 0}
    number = write.add("webhooks", {**columns, **write.body, "Secret": secrets.token_hex(32)})
    return write.show(write.tenant.rows("webhooks"), number, 201)


def update_webhook(write: Write) -> Answer:
    """Change a subscription."""
    write.touch(write.rows, write.number, write.body)
    return write.show(write.rows, write.number)


def delete_webhook(write: Write) -> Answer:
    """End a subscription."""
    write.rows.remove([write.number])
    return Answer(204)
