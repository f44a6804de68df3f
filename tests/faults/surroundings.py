"""Surroundings: how the hosts of a round are members of their group, and what they store and look things up in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Membership:
    """How the hosts of a round are members of their group."""

    protocol: str
    static: bool

    def __str__(self) -> str:
        return f"{self.protocol}, {'static' if self.static else 'dynamic'} members"


MEMBERSHIPS = (
    Membership("classic", static=False),
    Membership("consumer", static=False),
    Membership("classic", static=True),
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a round runs on."""

    membership: Membership
    storage: str = "folder"
    """`folder` or `s3`."""
    stores: bool = False
    """Whether teams come from PostgreSQL, and sessions from Redis."""
    keys: str = ""
    """The key store of sessions, `postgres` or `dynamodb`; empty if they are in the clear."""

    def __str__(self) -> str:
        stores = ", PostgreSQL and Redis" if self.stores else ""
        return f"{self.membership}, {self.storage}{stores}" + (f", keys in {self.keys}" if self.keys else "")
