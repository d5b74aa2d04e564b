"""The service runs as a login that owns nothing and bypasses no policy."""

from sqlalchemy import text

from app.core.settings import Settings
from app.migrating import migrate
from tests.support import cases, postgres, uploads
from tests.support.service import Service

SAID = """
SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolinherit
       OR EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid)
FROM pg_roles WHERE rolname = session_user
"""


async def test_from_application_to_list_as_the_applications_own_login(settings: Settings) -> None:
    owner = settings.database_url
    login = owner.replace("//postgres:@", "//register_app:s3cret@")
    own = postgres.settings_for(login, owner_url=owner)
    await migrate(own)
    await migrate(own)
    service = Service(own)
    async with service.database.transaction(read_only=True) as tx:
        await tx.execute(text("SET ROLE NONE"))
        assert await tx.scalar(text("SELECT session_user")) == "register_app"
        assert await tx.scalar(text(SAID)) is False
    pseb, officer = await service.caller("pseb"), await service.officer()
    case = await cases.approved(pseb, officer)
    upload = await uploads.ingest(pseb, uploads.csv_of([uploads.row("A"), uploads.row("B", email="@")]))
    await service.publish()
    checked = await officer.get(f"/v1/allowlist/check?address={case['networks'][0].partition('/')[0]}")
    assert checked.json()["allowed"] is True
    assert upload["counts"]["created"] == 1
    await service.close()
