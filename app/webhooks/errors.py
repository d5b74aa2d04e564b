"""Errors of webhooks."""

from app.core.errors import Conflict


class WebhookLimit(Conflict):
    """The partner has the largest allowed number of webhooks."""

    code = "webhook_limit"
    title = "Too many webhooks"
    remedy = "Delete a webhook that you no longer need, or let several of your systems share one."


class WebhookDisabled(Conflict):
    """The webhook is disabled; nothing is sent to it."""

    code = "webhook_disabled"
    title = "The webhook is disabled"
    remedy = "Enable it first by status active: PATCH /v1/webhooks/{id}."
