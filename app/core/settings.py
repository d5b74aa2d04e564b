"""Settings of all processes, read from the environment."""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, Json, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.database_url import parse
from app.core.external_issuer import ExternalIssuer

MAX_TOKEN_SECONDS = 3600
SigningAlgorithm = Literal["Ed25519", "EdDSA", "ES256"]
OWN_PATHS = (
    ".well-known", "docs", "health", "mail", "metrics", "oauth", "problems", "redoc", "static", "status", "v1",
    "verify",
)  # fmt: skip


class Settings(BaseSettings):
    """Settings; each field is an environment variable of the same name in capitals.

    Raises ``pydantic.ValidationError`` for a missing or invalid value.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    database_url: str = Field(description="postgresql://user:password@host:port,host:port/name of PostgreSQL 16 on")
    owner_url: str | None = Field(
        default=None,
        description="The same database as its owner, for `migrate`; by default DATABASE_URL is that of the owner",
    )
    secret_key: SecretStr = Field(
        min_length=32, description="The secret that wraps the data keys (see core/keyring.py)"
    )
    secret_key_previous: SecretStr | None = Field(
        default=None, min_length=32, description="The former secret, until `migrate` has rewrapped the data keys"
    )
    personal_data_days: int = Field(
        default=180, ge=1, description="After which personal data of withdrawn and rejected registrations is erased"
    )
    ended_grant_days: int = Field(
        default=365, ge=1, description="After which personal data of expired and revoked grants is erased"
    )
    unused_applicant_days: int = Field(
        default=90, ge=1, description="After which personal data of applicants without a registration is erased"
    )
    dry_run_hours: int = Field(default=24, ge=1, description="For which the result of each row of a dry run is kept")
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        pattern=r"^https?://[^/?#]+(/[A-Za-z0-9._~-]+)*$",
        description="Where callers reach the service, also below a path; issuer and audience of the tokens",
    )
    external_issuers: Json[tuple[ExternalIssuer, ...]] = Field(
        default=(),
        validate_default=False,  # it is not JSON
        description="JSON list of identity providers whose access tokens are accepted",
    )
    data_dir: Path = Path(".data")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)

    max_upload_bytes: int = Field(default=512 * 1024 * 1024, ge=1024, description="A million rows are about 200 MiB")
    max_unpacked_bytes: int = Field(default=1024 * 1024 * 1024, ge=1024, description="Of a compressed upload")
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, description="A decision on 50,000 cases has 2 MiB")
    max_bodies_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=8_192,
        description="Of all bodies in memory; those of one client may have an eighth",
    )
    max_answers_bytes: int = Field(
        default=128 * 1024 * 1024, ge=1024, description="Of all large responses being sent; a shared one counts once"
    )
    max_upload_rows: int = Field(default=2_000_000, ge=1)
    max_waiting_uploads: int = Field(default=100, ge=1, description="Of one partner, received and not yet processed")
    max_waiting_upload_bytes: int = Field(
        default=1024 * 1024 * 1024, ge=1, description="Of these together, uncompressed"
    )
    max_waiting_upload_rows: int = Field(default=4_000_000, ge=1, description="Still to be processed in these together")
    max_url_bytes: int = Field(default=8_192, ge=256, le=65_535)
    max_header_bytes: int = Field(default=32_768, ge=1024, description="Of all headers of a request together")
    max_headers: int = Field(default=100, ge=10)
    max_connections: int = Field(
        default=1_000, ge=1, description="Of an API process; beyond them the slowest is closed"
    )
    header_seconds: float = Field(default=10.0, gt=0, description="For the headers of a request to arrive")
    body_seconds: float = Field(default=30.0, gt=0, description="For a body to arrive, or an upload to begin")
    upload_bytes_per_second: int = Field(default=8_192, ge=1, description="Minimum rate of an upload")
    answer_seconds: float = Field(
        default=30.0, gt=0, description="For which a caller may read nothing of its responses, over one connection ..."
    )
    answer_bytes_per_second: int = Field(default=8_192, ge=1, description="... regained at this rate of reading")
    max_waits: int = Field(default=50, ge=0, description="Simultaneous requests of one client that wait for a delta")
    keep_alive_seconds: int = Field(default=5, ge=1, description="For which a connection may be idle between requests")

    rate_limit_window_seconds: int = Field(default=60, ge=2, le=86_400)
    rate_limit_read: int = Field(default=6_000, ge=0, description="Requests of one client in a window; 0: no limit")
    rate_limit_write: int = Field(default=3_000, ge=0)
    rate_limit_upload: int = Field(default=120, ge=0)
    rate_limit_feed: int = Field(default=6_000, ge=0)
    rate_limit_token: int = Field(default=300, ge=0)
    rate_limit_failed_logins: int = Field(
        default=60, ge=0, description="Failed logins of one source address in a window"
    )
    rate_limit_failed_receipts: int = Field(
        default=10, ge=0, description="Receipts that are not known, of one source address in a window"
    )

    upload_chunk_rows: int = Field(default=5_000, ge=1, le=10_000)
    signing_algorithm: SigningAlgorithm = Field(
        default="Ed25519", description="Of the next signing key; EdDSA is the older name of Ed25519 in headers"
    )
    token_seconds: int = Field(default=600, ge=1, le=MAX_TOKEN_SECONDS)
    idempotency_hours: int = Field(default=24, ge=1)
    claim_hours: int = Field(default=8, ge=1, le=8_760, description="For which an officer's claim of a case lasts")

    database_pool: int = Field(default=10, ge=5, le=100, description="Connections of a process; ingestion needs three")
    statement_timeout_ms: int = Field(default=30_000, ge=100)
    lock_timeout_ms: int = Field(default=10_000, ge=100)
    idle_transaction_timeout_ms: int = Field(default=60_000, ge=100)
    poll_seconds: float = Field(
        default=2.0, gt=0, description="Interval at which loops look for work without a notification"
    )
    deltas_kept: int = Field(default=1_000, ge=1, description="Number of serials whose deltas a process keeps")
    mass_change_window_seconds: int = Field(
        default=3_600, ge=1, le=2_592_000, description="Over which mass removals and growth of the list are counted"
    )
    worker_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="0: no metrics and health checks of the worker"
    )

    outbound_allowed: tuple[str, ...] = Field(
        default=(),
        description="JSON list of host:port and networks that partners' URLs may lead to besides public addresses",
    )
    outbound_ca_file: Path | None = Field(default=None, description="Additional certificate authorities, as PEM")

    smtp_url: SecretStr | None = Field(
        default=None, description="smtp://[user:password@]host[:port], or smtps://; with MAIL_FROM, mail is sent"
    )
    mail_from: str | None = Field(default=None, description="The sender of mail, such as `IP register <noreply@...>`")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @property
    def is_https(self) -> bool:
        """True when callers reach the service by HTTPS."""
        return self.public_url.startswith("https:")

    @property
    def sends_mail(self) -> bool:
        """True when a server for mail and its sender are set."""
        return self.smtp_url is not None and self.mail_from is not None

    @property
    def path_prefix(self) -> str:
        """The path of ``public_url``, such as ``/registry``; empty when the service has its host to itself."""
        return urlsplit(self.public_url).path

    @field_validator("database_url", "owner_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None:
            parse(url)
        return url

    @field_validator("public_url", mode="before")
    @classmethod
    def _strip_slash(cls, url: Any) -> Any:
        """Take a URL with a slash at its end as the one without."""
        return url.removesuffix("/") if isinstance(url, str) else url

    @field_validator("public_url")
    @classmethod
    def _refuse_own_path(cls, url: str) -> str:
        """Refuse a path that a request without it could begin with, too."""
        first = urlsplit(url).path.partition("/")[2].partition("/")[0]
        if first in OWN_PATHS:
            raise ValueError(f"the service has paths below /{first} itself")
        return url

    @field_validator("external_issuers")
    @classmethod
    def _validate_issuers(cls, issuers: tuple[ExternalIssuer, ...], info: ValidationInfo) -> tuple[ExternalIssuer, ...]:
        names = [each.issuer for each in issuers] + [info.data.get("public_url")]
        if len(set(names)) < len(names):
            raise ValueError("an issuer is listed twice, or is PUBLIC_URL")
        return issuers
