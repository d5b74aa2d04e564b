"""What can stand against an erasure."""

from app.core.errors import Conflict


class ApplicantInUse(Conflict):
    """A case of the applicant is open, in force or still on the list."""

    code = "applicant_in_use"
    title = "Something of this applicant is open or in force"
    mend = (
        "The detail names the cases. Withdraw those that are open, and let those in force expire or be revoked; a "
        "network leaves the list with the next publication, or when a held removal is released. Then ask again."
    )
