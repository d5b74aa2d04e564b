"""Request and response bodies of standing."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.core.validation import networks
from app.core.validation.schemas import LINE, Body, Query, Resource, Timestamp, domain_validator
from app.registrations.rules import Status
from app.registrations.schemas import RECEIPT
from app.standing.rules import State
from app.standing.texts import Language

# Of any length and any characters: a malformed receipt is no more than unknown.
ReceiptText = Annotated[str, Field(description="As it was given; small letters and spaces do not matter")]
AddressText = Annotated[
    str, LINE, Field(max_length=60), domain_validator(lambda text: str(networks.parse_address(text)))
]


class StandingQuestion(Body):
    """A receipt, and an address that may be one of its registration."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"receipt": RECEIPT, "address": "203.99.50.5"}]})

    receipt: ReceiptText
    address: Annotated[
        AddressText | None, Field(description="`address_matches` says whether it is one of the registration")
    ] = None


class AnnouncedNotice(Resource):
    """A suspension or revocation that is announced."""

    action: Literal["suspend", "revoke"]
    effective_at: Timestamp


class OperatorStep(Resource):
    """The operator of the registration."""

    code: str
    in_step: Annotated[
        bool | None, Field(description="Whether it has loaded the newest list; null while it is not known")
    ]


class RegistrationStanding(Resource):
    """The standing of a registration, without anything that tells whose it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "approved",
                    "standing": "in_force",
                    "since": "2026-11-21T11:00:02.000000Z",
                    "until": "2027-11-21T11:00:00.000000Z",
                    "reason_codes": [],
                    "hints": ["If the connection is blocked all the same, tell your association the address."],
                    "due_at": None,
                    "overdue": False,
                    "expires_at": "2027-11-21T11:00:00.000000Z",
                    "renewable_from": None,
                    "ends_at": None,
                    "notice": None,
                    "operator": {"code": "nayatel", "in_step": None},
                    "address_matches": True,
                    "next_step": "Nothing is to be done.",
                }
            ]
        }
    )

    status: Status
    standing: Annotated[State, Field(description="Of the address, if it is one of the registration; else of it all")]
    since: Timestamp | None
    until: Annotated[Timestamp | None, Field(description="The end that is known, as of an approval")]
    reason_codes: Annotated[Sequence[str], Field(description="Reasons of the last decision")]
    hints: Annotated[Sequence[str], Field(description="In the language of `Accept-Language`: `en` or `ur`")]
    due_at: Annotated[Timestamp | None, Field(description="When a decision is due, while one is awaited")]
    overdue: bool
    expires_at: Timestamp | None
    renewable_from: Timestamp | None
    ends_at: Annotated[Timestamp | None, Field(description="The end of the days of grace after `expires_at`")]
    notice: AnnouncedNotice | None
    operator: OperatorStep
    address_matches: Annotated[bool | None, Field(description="Null when no address was asked for")]
    next_step: Annotated[str, Field(description="For the registrant, in the language of `Accept-Language`")]


class TransferCodeQuestion(Body):
    """The receipt of the registration that is to be transferred."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"receipt": RECEIPT}]})

    receipt: ReceiptText


class TransferCode(Resource):
    """A one-time code, for which another association may take the registration over; shown once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"code": "TC-7H3K-Q9M2-QXW8-RT5A", "expires_at": "2026-11-24T09:00:00.000000Z"}]
        }
    )

    code: str
    expires_at: Timestamp


class StatusPageQuery(Query):
    """The language of the page."""

    lang: Language | None = None
