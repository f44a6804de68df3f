"""Tokens: who may read what. JSON Web Tokens, signed with a secret that both sides know.

The rules are the same as in PostHog's nodejs/src/session-replay/recording-api/auth.ts: HS256 only, the audience below,
claims `team_id` and `op`, 30 s of tolerance for clocks, and several secrets while they are changed. In addition, a
token must end soon.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import jwt

from recording_worker.clock import Clock
from recording_worker.errors import ConfigError

AUDIENCE = "posthog:recording_api"
ALGORITHM = "HS256"
TOLERANCE_SECONDS = 30
LONGEST_LIFE_SECONDS = 3600
"""PostHog's tokens last five minutes, and longer for one that renders a whole recording."""
LEAST_SECRET_BYTES = 32
"""As many as the hash has: RFC 7518, section 3.2."""


class Refusal(StrEnum):
    """Why a request is refused. PostHog's API has the same texts."""

    UNAUTHORIZED = "Unauthorized"
    OTHER_TEAM = "Forbidden: token not scoped to this team"
    OTHER_OPERATION = "Forbidden: token not valid for this operation"


def read_secrets(file: Path) -> list[str]:
    """Return the secrets that a file holds, newest first. Raises ConfigError, which does not show them."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"can't read {file}: {reason}") from None
    secrets = [secret for part in re.split("[,\r\n]", text) if (secret := part.strip())]
    if not secrets:
        raise ConfigError(f"{file} holds no secret")
    if min(len(secret.encode()) for secret in secrets) < LEAST_SECRET_BYTES:
        raise ConfigError(f"{file} holds a secret of less than {LEAST_SECRET_BYTES} bytes, which can be guessed")
    return secrets


class Tokens:
    """Decides by a request's token whether it may read."""

    def __init__(self, secrets: Sequence[str], clock: Clock) -> None:
        self._secrets = secrets
        self._clock = clock

    def refusal(self, authorization: str, team: str) -> Refusal | None:
        """Return why a request may not read of this team, as its path names it; None if it may.

        `authorization` is its header; empty if there is none.
        """
        scheme, _, token = authorization.partition(" ")
        claims = self._claims(token) if scheme.lower() == "bearer" else None
        if claims is None:
            return Refusal.UNAUTHORIZED
        team_id = claims.get("team_id")
        if type(team_id) is not int or str(team_id) != team:
            return Refusal.OTHER_TEAM
        if claims.get("op") != "read":
            return Refusal.OTHER_OPERATION
        return None

    def _claims(self, token: str) -> dict[str, object] | None:
        """Return what a token says; None if it is not a good one."""
        for secret in self._secrets:
            try:
                claims: dict[str, object] = jwt.decode(
                    token,
                    secret,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    leeway=TOLERANCE_SECONDS,
                    options={"require": ["exp", "aud"]},
                )
            except (jwt.InvalidTokenError, ValueError, RecursionError):
                continue
            expires = claims["exp"]
            latest = self._clock.now_ms() / 1000 + LONGEST_LIFE_SECONDS + TOLERANCE_SECONDS
            if isinstance(expires, int | float) and expires <= latest:
                return claims
        return None
