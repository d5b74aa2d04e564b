"""Settings of every process, read once from the environment and never changed after."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is an environment variable of the same name in capitals.

    Raises ``pydantic.ValidationError`` when a value is missing or unusable, so that no process
    starts half configured.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    database_url: str = Field(description="postgresql://user:password@host/name of PostgreSQL 16 or later")
    secret_key: SecretStr = Field(
        min_length=32, description="The one secret; every other key is derived from it (see core/keyring.py)"
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000", pattern=r"^https?://[^/?#]+$", description="Issuer and audience of the tokens"
    )
    data_dir: Path = Path(".data")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)

    max_upload_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    max_unpacked_bytes: int = Field(default=256 * 1024 * 1024, ge=1024, description="Of a packed upload")
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    upload_chunk_rows: int = Field(default=2_000, ge=1, le=10_000)
    token_seconds: int = Field(default=600, ge=1, le=3600)
    idempotency_hours: int = Field(default=24, ge=1)

    database_pool: int = Field(default=10, ge=5, le=100, description="Connections of a process; ingesting needs three")
    statement_timeout_ms: int = Field(default=30_000, ge=100)
    lock_timeout_ms: int = Field(default=10_000, ge=100)
    poll_seconds: float = Field(default=2.0, gt=0, description="How often a loop looks when no doorbell rang")
    deltas_kept: int = Field(default=1_000, ge=1, description="The feed keeps the deltas of so many serials ...")
    deltas_kept_days: int = Field(default=7, ge=0, description="... or of so many days, whichever is more")
    worker_metrics_port: int = Field(default=0, ge=0, le=65535, description="0: the worker serves no metrics")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
