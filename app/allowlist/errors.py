"""What can go wrong with the list and its publication."""

from app.core.errors import Invalid


class NetworkTaken(Invalid):
    """The network is granted to someone else."""

    code = "network_taken"
    title = "The network is granted to another registrant"
    mend = (
        "One address has one accountable registrant. If your operator assigned it to you, send the regulator the "
        "operator's letter and ask for the old grant to be revoked."
    )


class PublicationRefused(Exception):
    """A check refused the publication; the last good one stays. ``check`` names the check."""

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail
