"""Errors of erasure."""

from app.core.errors import Conflict


class ApplicantInUse(Conflict):
    """A case of the applicant is open, in force or still on the allowlist."""

    code = "applicant_in_use"
    title = "A case of this applicant is open or in force"
    remedy = (
        "The detail names the cases. Withdraw open cases, and wait until cases in force expire or are revoked; a "
        "network leaves the allowlist with the next publication, or when a held removal is released. Then try again."
    )
