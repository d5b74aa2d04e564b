"""The routers of /v1, and the tags of the OpenAPI document."""

from app.allowlist.serving.history_router import router as allowlist_history
from app.allowlist.serving.router import router as allowlist
from app.applicants.router import router as applicants
from app.audit.router import router as audit
from app.bulk_uploads.router import router as bulk_uploads
from app.certificates.router import router as certificates
from app.disruptions.router import incidents, reports
from app.enforcers.router import router as enforcers
from app.erasure.router import router as erasure
from app.events.router import router as events
from app.mail.router import router as mail
from app.operators.router import router as operators
from app.partners.changes_router import router as client_changes
from app.partners.clients_router import router as clients
from app.partners.me_router import router as me
from app.partners.router import router as partners
from app.registrations.router import router as registrations
from app.reviews.router import router as reviews
from app.standing.router import router as standing
from app.webhooks.router import router as webhooks

PREFIX = "/v1"
# Starlette matches them in order, so the busiest come first.
ROUTERS = (
    allowlist,
    registrations,
    allowlist_history,
    enforcers,
    applicants,
    erasure,
    reviews,
    bulk_uploads,
    certificates,
    events,
    audit,
    webhooks,
    reports,
    incidents,
    me,
    operators,
    partners,
    clients,
    client_changes,
    standing,
    mail,
)

TAGS = [
    {"name": "tokens", "description": "Access tokens, and the keys that prove them"},
    {"name": "applicants", "description": "Companies and individuals"},
    {"name": "registrations", "description": "From submission to withdrawal, and what each track needs"},
    {"name": "standing", "description": "Is it in force? For who has a receipt, without a token"},
    {"name": "reviews", "description": "Decisions of the regulator's officers"},
    {"name": "bulk uploads", "description": "Files of registrations"},
    {"name": "certificates", "description": "Proof that a registration is in force, for anybody"},
    {"name": "allowlist", "description": "What operators enforce, and its history"},
    {"name": "disruptions", "description": "Registered, and blocked all the same"},
    {"name": "events", "description": "The log, for partners that poll"},
    {"name": "audit", "description": "Proof that the log was only added to"},
    {"name": "webhooks", "description": "The log, pushed to a partner's own systems"},
    {"name": "reference", "description": "Operators"},
    {"name": "partners", "description": "Partners and their clients"},
    {"name": "health", "description": "Is it alive, is it ready, what does it measure"},
    {"name": "problems", "description": "What each error means, for people"},
]
