"""What can go wrong with webhooks."""

from app.core.errors import Conflict


class WebhookLimit(Conflict):
    """The partner has as many webhooks as a partner may have."""

    code = "webhook_limit"
    title = "No more webhooks can be made"
    mend = "Delete a webhook that you no longer need, or let one receive for several of your systems."


class WebhookDisabled(Conflict):
    """Nothing is sent to a disabled webhook."""

    code = "webhook_disabled"
    title = "The webhook is disabled"
    mend = "Set its status to active first: PATCH /v1/webhooks/{id}."
