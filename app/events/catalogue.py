"""The catalogue of events: every type, with who sees it and what its ``details`` hold.

The documentation, ``GET /v1/events/types`` and the filters by type are made from it.
"""

from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

from app.core.errors import InvalidValue

EVERYTHING = "*"
LONGEST_TYPE = 100
# ``partner``: the partner that the event belongs to; ``operator``: the operator that it names.
Reader = Literal["everyone", "regulator", "partner", "operator"]


class Detail(NamedTuple):
    """A field of an event's ``details``. Operators are not shown it when it is a remark; some events lack it."""

    name: str
    description: str
    example: Any
    is_optional: bool = False
    is_remark: bool = False


class EventType(NamedTuple):
    """A type of event. ``subject`` is the kind of resource that ``subject_id`` names; None when it names none."""

    name: str
    description: str
    subject: str | None
    seen_by: tuple[Reader, ...]
    details: tuple[Detail, ...] = ()


_ID = "019b2f6e-7a10-7c3e-9d55-0b8d7f3e2a22"
_CASE = (
    Detail("networks", "the networks of the case at that time", ["203.99.50.16/29"]),
    Detail("reference", "the partner's reference, until it is erased", "PSEB-2026-0417"),
    Detail("operator", "the operator of the networks", "nayatel"),
)
_VERDICT = (
    Detail("batch_id", "the batch that the decision was made in", _ID),
    Detail("reason_codes", "codes of GET /v1/review-decisions/reason-codes", ["document_missing"]),
    Detail("note", "the officer's note to the registrant", "The lease is of another year.", is_remark=True),
    Detail("legal_basis", "the legal basis of the decision", "S.R.O. 1 of 2026", is_remark=True),
)
_UPLOAD = Detail("dry_run", "true when nothing is registered", False)
_WEBHOOK = (
    Detail("url", "its URL", "https://receiver.pseb.example/register-events"),
    Detail("status", "active or disabled", "active"),
    Detail("reason", "why it is disabled: by_partner, gone or failing", None),
)
_CHANGE = (
    Detail("action", "create, rotate, keys or change", "create"),
    Detail("client_id", "the client that it is about", _ID),
    Detail("scopes", "the scopes that were asked for", ["events:read"], is_optional=True),
)
_HELD = (
    Detail("held_id", "its id", _ID),
    Detail("kind", "the kind of mass change", "removal"),
    Detail("count", "the number of networks", 120),
)
_ENFORCER = (
    Detail("enforcer", "its name, or that of the client that fetches the list", "isb-edge-1"),
    Detail("grade", "applied or fetched", "applied"),
    Detail("serial", "the serial of its list", 11),
    Detail("behind_serials", "the number of publications that it lacks", 1),
    Detail("seen_at", "when it was last heard of", "2026-11-21T09:30:00+00:00"),
)
_DISRUPTION = (
    Detail("verdict", "what the register knew at the time of the disruption", "in_force"),
    Detail("symptom", "no_connection, slow, intermittent or protocol_blocked", "no_connection"),
    Detail("observed_from", "when it began", "2026-11-21T09:30:00+00:00"),
)
_DUE = Detail("due_at", "when the operator's finding is due", "2026-11-21T14:00:00+00:00")
_INCIDENT = (
    Detail("number", "its number", 7),
    Detail("operators", "where", ["nayatel"]),
    Detail("began_at", "when the first disruption began", "2026-11-21T09:30:00+00:00"),
    Detail("reports", "the number of its reports", 12),
)
_TO_ALL: tuple[Reader, ...] = ("partner", "operator", "regulator")
_TO_PARTNER: tuple[Reader, ...] = ("partner", "regulator")


def _of_case(
    verb: str, description: str, status: str, *more: Detail, seen_by: tuple[Reader, ...] = _TO_ALL
) -> EventType:
    own = Detail("status", "the status after it", status)
    return EventType(f"registration.{verb}", description, "registration", seen_by, (own, *_CASE, *more))


def _of_partner(name: str, description: str, *details: Detail) -> EventType:
    return EventType(name, description, name.partition(".")[0], _TO_PARTNER, details)


def _public(name: str, description: str, *details: Detail) -> EventType:
    return EventType(name, description, None, ("everyone",), details)


def _of_disruption(
    verb: str, description: str, status: str, *more: Detail, seen_by: tuple[Reader, ...] = _TO_PARTNER
) -> EventType:
    own = Detail("status", "the status after it", status)
    return EventType(f"disruption.{verb}", description, "disruption_report", seen_by, (own, *more))


CATALOGUE = (
    _of_case(
        "submitted",
        "A case was submitted, or submitted again.",
        "submitted",
        Detail("replaces", "the case that it is to supersede, if any", _ID, True),
    ),
    _of_case("corrected", "A case that was sent back was corrected.", "information_requested"),
    _of_case("withdrawn", "Its partner withdrew a case.", "withdrawn"),
    _of_case("claimed", "An officer claimed a case.", "in_review"),
    _of_case(
        "given_back",
        "A claim ended without a decision.",
        "submitted",
        Detail("ended", "why, unless its officer gave it back: time, client_disabled, another_officer", "time", True),
    ),
    EventType(
        "registration.claim_ended",
        "An officer ended the claim of another.",
        "registration",
        ("regulator",),
        (
            Detail("reason", "the reason given", "On leave"),
            Detail("claimed_by", "the client that had claimed it", _ID),
            *_CASE,
        ),
    ),
    _of_case(
        "approved",
        "A case was approved; its networks are granted.",
        "approved",
        *_VERDICT,
        Detail("expires_at", "the end of the approval", "2027-11-21T09:30:00Z"),
    ),
    _of_case("rejected", "A case was rejected.", "rejected", *_VERDICT),
    _of_case("information_requested", "A case was sent back for information.", "information_requested", *_VERDICT),
    _of_case("suspended", "A grant was suspended.", "suspended", *_VERDICT),
    _of_case("reinstated", "A suspended grant is in force again.", "approved", *_VERDICT),
    _of_case("revoked", "A grant was revoked.", "revoked", *_VERDICT),
    _of_case("expired", "An approval ended by its date.", "expired"),
    _of_case(
        "superseded",
        "A case ended because one that replaces it was approved.",
        "superseded",
        Detail("by", "that case", _ID),
        Detail("kept", "the networks of both", ["203.99.50.10/32"]),
        Detail("added", "the networks of that case alone", ["203.99.50.16/30"]),
        Detail("removed", "the networks of this case alone", ["203.99.50.16/29"]),
    ),
    _of_case(
        "transferred",
        "A case ended because one of another partner that replaces it was approved.",
        "superseded",
        Detail("kept", "the networks that the other case has, too", ["203.99.50.10/32"]),
        Detail("removed", "the networks that it has not", ["203.99.50.16/29"]),
    ),
    _of_case(
        "surrendered",
        "Its partner gave networks of a case back, some or all.",
        "surrendered",
        Detail("surrendered", "the networks that were given back", ["203.99.50.16/29"]),
        Detail("held", "true while the removal waits for an officer, because of their number", False),
    ),
    EventType(
        "registration.receipt_replaced",
        "Its partner made a new receipt of a case.",
        "registration",
        _TO_PARTNER,
        _CASE,
    ),
    EventType(
        "registration.erased",
        "The personal data of a case was erased.",
        "registration",
        _TO_ALL,
        (
            _CASE[0],
            _CASE[2],
            Detail("leaves", "hashes of what is left of old events, by their ids (audit)", {_ID: "5f" * 32}, True),
        ),
    ),
    _of_partner("applicant.created", "An applicant was recorded."),
    _of_partner("applicant.changed", "An applicant's record was changed."),
    _of_partner(
        "applicant.revealed",
        "Fields of an applicant were read in full.",
        Detail("fields", "their names", ["cnic"]),
        Detail("reason", "the reason given", "Comparison with the lease"),
    ),
    _of_partner("applicant.erased", "An applicant's personal data was erased."),
    _of_partner(
        "bulk_upload.received",
        "A file was received.",
        _UPLOAD,
        Detail("format", "csv, ndjson, xlsx, ods, xls or zip", "csv"),
        Detail("bytes", "its length", 48_213),
        Detail("sha256", "its SHA-256", "0ebc5d34" * 8),
    ),
    _of_partner(
        "bulk_upload.completed",
        "Every row of a file has its outcome.",
        _UPLOAD,
        Detail("total", "the number of rows", 4),
        *(Detail(each, "rows with this outcome", 1) for each in ("created", "updated", "unchanged", "refused")),
    ),
    _of_partner(
        "bulk_upload.failed", "A file could not be processed.", Detail("code", "a code of /problems", "csv_malformed")
    ),
    _of_partner("partner.created", "A partner was created."),
    _of_partner(
        "partner.renamed",
        "A partner has a new name.",
        Detail("name", "the new name", "PSEB"),
        Detail("former_name", "the former name", "pseb"),
    ),
    _of_partner("partner.disabled", "A partner was disabled: its clients have no access."),
    _of_partner("partner.enabled", "A partner was enabled again."),
    _of_partner("client.created", "A client was created."),
    _of_partner("client.changed", "A client's scopes, name or person were changed."),
    _of_partner("client.rotated", "A client has a new secret."),
    _of_partner("client.keys_changed", "A client's keys were changed."),
    _of_partner("client.disabled", "A client was disabled."),
    _of_partner("client_change.asked", "A change of a client waits for a second person.", *_CHANGE),
    _of_partner("client_change.confirmed", "A second person confirmed a change of a client.", *_CHANGE),
    _of_partner("client_change.withdrawn", "A change of a client was withdrawn.", *_CHANGE),
    _of_partner("webhook.created", "A webhook was created.", *_WEBHOOK),
    _of_partner("webhook.changed", "A webhook was changed or enabled.", *_WEBHOOK),
    _of_partner("webhook.disabled", "A webhook was disabled, by its partner or by the service.", *_WEBHOOK),
    _of_partner("webhook.secret_rotated", "A webhook has a new secret.", *_WEBHOOK),
    _of_partner("webhook.deleted", "A webhook was deleted.", *_WEBHOOK),
    _of_partner("webhook.test", "A test of a webhook, which is sent to that webhook alone.", *_WEBHOOK),
    _public(
        "allowlist.published",
        "A new list is published.",
        Detail("serial", "its serial", 12),
        Detail("count", "the number of its networks", 3_006),
        Detail("added", "how many were added", 4),
        Detail("removed", "how many were removed", 1),
        Detail("digest", "its digest", "0ebc5d34" * 8),
    ),
    _public(
        "allowlist.held",
        "A mass change waits for a second officer.",
        *_HELD,
        Detail("in_force", "the number of networks in force", 3_006),
        Detail("in_window", "changes of its kind within the window, with it", 130),
        Detail("bound", "the number that needs no second officer", 100),
    ),
    _public("allowlist.released", "An officer released a mass change.", *_HELD),
    _public(
        "allowlist.publication_refused",
        "A check refused a list; the last one stays in force.",
        Detail("check", "the name of the check", "not_publishable"),
        Detail("detail", "the fault", "A changed entry is not a network."),
    ),
    _of_partner("enforcer.in_step", "An enforcer has the newest list again.", *_ENFORCER),
    _of_partner("enforcer.behind", "An enforcer lacks a publication for five minutes.", *_ENFORCER),
    _of_partner("enforcer.diverged", "An enforcer has a list that was never published so.", *_ENFORCER),
    _of_partner("enforcer.silent", "An enforcer was not heard of for an hour.", *_ENFORCER),
    _of_disruption("answered", "A disruption was reported and answered at once.", "answered", *_DISRUPTION),
    _of_disruption("opened", "A disruption was reported to its operator.", "open", *_DISRUPTION, _DUE, seen_by=_TO_ALL),
    _of_disruption("acknowledged", "Its operator acknowledged a report.", "acknowledged", seen_by=_TO_ALL),
    _of_disruption("overdue", "The operator's finding on a report is overdue.", "open", _DUE, seen_by=_TO_ALL),
    _of_disruption(
        "closed",
        "Its operator closed a report.",
        "closed",
        Detail("finding", "fixed, was_behind, not_ours, cannot_reproduce or upstream", "was_behind"),
        seen_by=_TO_ALL,
    ),
    _of_disruption("reopened", "Its reporter opened a closed report again.", "open", _DUE, seen_by=_TO_ALL),
    EventType("incident.opened", "Many disruptions were reported at once.", "incident", ("everyone",), _INCIDENT),
    EventType("incident.closed", "The last report of an incident was closed.", "incident", ("everyone",), _INCIDENT),
    _public(
        "signing_key.revoked",
        "A key that signs tokens was revoked, with all that it signed.",
        Detail("kid", "its id", "k1"),
        Detail("signing", "the id of the key that signs now", "k2"),
    ),
)
NAMES = tuple(each.name for each in CATALOGUE)
PATTERNS = (EVERYTHING, *sorted({f"{name.partition('.')[0]}.*" for name in NAMES}), *NAMES)


def names_of(pattern: str) -> tuple[str, ...]:
    """Return the types that ``registration.approved``, ``registration.*`` or ``*`` stands for; none for another."""
    if pattern == EVERYTHING:
        return NAMES
    subject, _, action = pattern.partition(".")
    return tuple(name for name in NAMES if name == pattern or (action == "*" and name.startswith(f"{subject}.")))


def check_pattern(pattern: str) -> str:
    """Return a type or wildcard that stands for at least one type. Raises ``InvalidValue`` for another."""
    if len(pattern) <= LONGEST_TYPE and names_of(pattern):
        return pattern
    close = get_close_matches(pattern[:LONGEST_TYPE].lower(), PATTERNS, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise InvalidValue(
        f"There is no such type of event.{hint} GET /v1/events/types lists them; registration.* stands for all whose "
        "type begins with registration., and * for all."
    )
