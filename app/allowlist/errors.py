"""Errors of the allowlist and of its publication."""

from app.core.errors import Gone, Invalid


class NetworkTaken(Invalid):
    """The network is granted to another registrant."""

    code = "network_taken"
    title = "The network is granted to another registrant"
    remedy = (
        "One address has one accountable registrant. If your operator assigned it to you, send the regulator the "
        "operator's letter and ask for the old grant to be revoked."
    )


class SnapshotRequired(Gone):
    """The deltas that the caller needs are not kept, or its session has ended."""

    code = "snapshot_required"
    title = "The deltas from your serial are not available: fetch the whole list"
    remedy = "Fetch GET /v1/allowlist, discard your list if its session is another, and continue from its serial."


class PublicationRefused(Exception):
    """A check refused a publication, and the last valid one stays in force; ``check`` names the check."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail
