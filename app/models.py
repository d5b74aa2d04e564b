"""Imports the tables of all domains, so that Alembic sees all metadata."""

from app.allowlist import models as allowlist
from app.applicants import models as applicants
from app.audit import models as audit
from app.bulk_uploads import models as bulk_uploads
from app.certificates import models as certificates
from app.core.database import data_keys
from app.core.database.base import Base
from app.core.http import idempotency
from app.core.limits import leases
from app.disruptions import models as disruptions
from app.enforcers import models as enforcers
from app.events import models as events
from app.health import models as health
from app.mail import models as mail
from app.operators import models as operators
from app.partners import models as partners
from app.registrations import models as registrations
from app.reviews import models as reviews
from app.webhooks import models as webhooks

__all__ = ["Base", "metadata"]

metadata = Base.metadata
DOMAINS = (
    allowlist, applicants, audit, bulk_uploads, certificates, data_keys, disruptions, enforcers, events, health,
    idempotency, leases, mail, operators, partners, registrations, reviews, webhooks,
)  # fmt: skip
