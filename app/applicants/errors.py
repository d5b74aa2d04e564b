"""Errors of applicants and their details."""

from app.core.errors import Conflict, Invalid


class EmailMalformed(Invalid):
    """Not an e-mail address."""

    code = "email_malformed"
    title = "Not an e-mail address"
    remedy = "Write one address of at most 254 characters, such as it@company.example.pk."


class MobileMalformed(Invalid):
    """Not a Pakistani mobile number in international form."""

    code = "mobile_malformed"
    title = "Not a mobile number in international form"
    remedy = "Write +92 and ten digits that begin with 3, without spaces or dashes: +923001234567."


class CnicMalformed(Invalid):
    """Not a CNIC."""

    code = "cnic_malformed"
    title = "Not a CNIC"
    remedy = "Write 13 digits as 12345-1234567-1."


class NtnMalformed(Invalid):
    """Not an NTN."""

    code = "ntn_malformed"
    title = "Not an NTN"
    remedy = "Write seven digits, a dash and the check digit: 1234567-8."


class ApplicantConflict(Invalid):
    """The NTN, the CNIC and the name do not belong to one applicant, by what the partner has recorded before."""

    code = "applicant_conflict"
    title = "The NTN, the CNIC and the name belong to different applicants"
    remedy = (
        "The detail names what differs from your records; correct it there or here. Register a company by its NTN and "
        "an individual by the CNIC, and leave out the number that belongs to another. If an applicant of an upload has "
        "a new name, send the file with ?rename=true."
    )


class ApplicantErased(Conflict):
    """The personal data of this record was erased, and the record cannot be changed any more."""

    code = "applicant_erased"
    title = "This record was erased"
    remedy = "Create a new record with POST /v1/applicants; it has no connection with the erased one."
