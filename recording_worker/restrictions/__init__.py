"""Restrictions by token: which messages to drop, to redirect to the DLQ, or to overflow."""

from recording_worker.restrictions.service import RestrictionService
from recording_worker.restrictions.static import StaticRestrictions, load_restrictions
from recording_worker.settings import Settings


def open_restrictions(settings: Settings) -> RestrictionService:
    """The restrictions the settings ask for; none where they name no file. Raises ConfigError."""
    return StaticRestrictions(load_restrictions(settings.restrictions) if settings.restrictions else [])
