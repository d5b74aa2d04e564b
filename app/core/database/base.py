"""The declarative base of all tables, with mixins, column types and constraints that tables share."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, Integer, LargeBinary, MetaData, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column
from sqlalchemy.types import UserDefinedType
from uuid_utils.compat import uuid7

INSTANT = TIMESTAMP(timezone=True)
# The register's clock: the time of the transaction, by the database. What is due or ends is compared with it.
NOW: ColumnElement[datetime] = func.register_now(type_=INSTANT)


class Base(DeclarativeBase):
    """Base of all tables. Names of constraints are predictable, since stores map them to errors."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        }
    )
    type_annotation_map: ClassVar = {str: Text(), datetime: INSTANT, UUID: Uuid()}


class Identified:
    """Adds a UUIDv7 primary key (RFC 9562), which sorts by the time of creation."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-10)


class Versioned:
    """Adds a version, which each change raises by one, and the times of creation and last change."""

    version: Mapped[int] = mapped_column(Integer, default=1, server_default=text("1"), sort_order=90)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=91)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=92)


class XID8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in SQL."""
        return "xid8"


def sealed_column() -> MappedColumn[Any]:
    """Declare a column of values that the keyring seals under the name ``table.column``."""
    return mapped_column(LargeBinary, info={"sealed": True})


def one_of(name: str, values: type[StrEnum]) -> CheckConstraint:
    """Declare a constraint that allows only the values of an enum in the column ``name``."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{name} IN ({listed})", name=name)
