"""Who is asking, and may they: in comes a PIN, a password or an API key, out a ``Principal``.

`roles` has the one table of who may do what, `users` knows people and machines by their secrets.
Imports nothing of ours; every room may import it.
"""

from inspector.identity.roles import (
    MAY,
    Action,
    Forbidden,
    IdentityError,
    Principal,
    Role,
    authorise,
)
from inspector.identity.users import (
    ATTEMPTS,
    LOCK_SECONDS,
    PASSWORD_MIN,
    USER_PATTERN,
    LockedOut,
    Unauthenticated,
    Users,
)

__all__ = [
    "ATTEMPTS",
    "LOCK_SECONDS",
    "MAY",
    "PASSWORD_MIN",
    "USER_PATTERN",
    "Action",
    "Forbidden",
    "IdentityError",
    "LockedOut",
    "Principal",
    "Role",
    "Unauthenticated",
    "Users",
    "authorise",
]
