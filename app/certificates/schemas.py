"""Schemas of certificates: the queries, and the forms of a certificate."""

from enum import StrEnum
from typing import Literal

from app.core.validation.schemas import Query


class Form(StrEnum):
    """A form of a certificate: signed text, a page to print, or its QR code."""

    JWS = "jws"
    PDF = "pdf"
    SVG = "svg"


MEDIA_TYPES = {Form.JWS: "application/jwt", Form.PDF: "application/pdf", Form.SVG: "image/svg+xml"}


class CertificateQuery(Query):
    """The form of a certificate; without one, `Accept` chooses."""

    format: Form | None = None


class PageQuery(Query):
    """The language of a page; without one, `Accept-Language` chooses."""

    lang: Literal["en", "ur"] | None = None
