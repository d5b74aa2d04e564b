"""The /v1 route table, one line a domain."""

from fastapi import APIRouter

from app.allowlist.history_router import router as allowlist_history
from app.allowlist.router import router as allowlist
from app.applicants.router import router as applicants
from app.audit.router import router as audit
from app.bulk_uploads.router import router as bulk_uploads
from app.events.router import router as events
from app.operators.router import router as operators
from app.partners.router import router as partners
from app.registrations.router import router as registrations
from app.reviews.router import router as reviews
from app.webhooks.router import router as webhooks

router = APIRouter(prefix="/v1")
router.include_router(applicants)
router.include_router(registrations)
router.include_router(reviews)
router.include_router(bulk_uploads)
router.include_router(allowlist)
router.include_router(allowlist_history)
router.include_router(events)
router.include_router(audit)
router.include_router(webhooks)
router.include_router(operators)
router.include_router(partners)
