"""No account stands beyond the largest amount there is, what is pending counted.

A balance beyond 2^53 - 1 could be posted and sealed, but neither proved nor read: a proof of it is
refused as no strict JSON, and so is every answer that holds it.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """After the call no posting and no pending leaves an account beyond it."""
    op.execute("SET LOCAL ROLE liandai_owner")
    op.execute(
        """
        ALTER TABLE ledger.account ADD CONSTRAINT account_within_range CHECK (
          balance_minor + pending_debit_minor <= 9007199254740991
          AND balance_minor - pending_credit_minor >= -9007199254740991)"""
    )
    op.execute("RESET ROLE")


def downgrade() -> None:
    """Refused: a ledger is not un-made by a migration; restore a backup instead."""
    raise NotImplementedError("a ledger is not un-made by a migration")
