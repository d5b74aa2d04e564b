"""What can go wrong with the list and its publication."""

from app.core.errors import Gone, Invalid


class NetworkTaken(Invalid):
    """The network is granted to someone else."""

    code = "network_taken"
    title = "The network is granted to another registrant"
    mend = (
        "One address has one accountable registrant. If your operator assigned it to you, send the regulator the "
        "operator's letter and ask for the old grant to be revoked."
    )


class SnapshotRequired(Gone):
    """The caller's session or serial is not served any more."""

    code = "snapshot_required"
    title = "Take the whole list: what led here from your serial is not kept"
    mend = "Fetch GET /v1/allowlist, forget what you held if its session is another, and go on from its serial."


class PublicationRefused(Exception):
    """A check refused the publication; the last good one stays. ``check`` names the check."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail
