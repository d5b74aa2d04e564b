"""Tables of reference data: operators, the prefixes that they announce, and the country's allocations."""

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.dialects.postgresql import CIDR
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.base import Base


class Operator(Base):
    """An internet operator and the number of its autonomous system."""

    __tablename__ = "operators"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    asn: Mapped[int] = mapped_column(BigInteger)


class OperatorPrefix(Base):
    """A prefix that an operator announces."""

    __tablename__ = "operator_prefixes"
    __table_args__ = (Index(None, "prefix", postgresql_using="spgist"),)

    operator: Mapped[str] = mapped_column(ForeignKey(Operator.code), primary_key=True)
    prefix: Mapped[str] = mapped_column(CIDR, primary_key=True)


class CountryPrefix(Base):
    """A prefix allocated to Pakistan."""

    __tablename__ = "country_prefixes"
    __table_args__ = (Index(None, "prefix", postgresql_using="spgist"),)

    prefix: Mapped[str] = mapped_column(CIDR, primary_key=True)
