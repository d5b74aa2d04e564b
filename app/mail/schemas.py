"""Request and response bodies of mail."""

from typing import Annotated

from pydantic import ConfigDict, Field

from app.core.validation.schemas import LINE, Body, Query, Resource
from app.mail import rules
from app.registrations.schemas import RECEIPT
from app.standing.schemas import ReceiptText
from app.standing.texts import Language

MAX_CODE = 20


class CodeRequest(Body):
    """A receipt, whose holder wants notices by mail."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"receipt": RECEIPT}]})

    receipt: ReceiptText


class CodeRequested(Resource):
    """The periods of codes, the same whether or not a mail was sent."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code_lifetime_seconds": 3600, "next_code_seconds": 3600}]}
    )

    code_lifetime_seconds: Annotated[int, Field(description="For which a code is good")] = int(
        rules.CODE_LIFETIME.total_seconds()
    )
    next_code_seconds: Annotated[int, Field(description="Between two codes to one address")] = int(
        rules.CODE_INTERVAL.total_seconds()
    )


class Verification(CodeRequest):
    """A receipt, and the code of the newest mail."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"receipt": RECEIPT, "code": "40271836"}]})

    code: Annotated[str, LINE, Field(max_length=MAX_CODE)]


class Verified(Resource):
    """An address that notices are sent to from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"verified": True}]})

    verified: bool = True


class MailPageQuery(Query):
    """Language of the page."""

    lang: Language | None = None
