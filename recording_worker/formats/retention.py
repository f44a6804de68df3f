"""Retention periods, as file keys name them."""

RETENTION_DAYS = {"30d": 30, "90d": 90, "1y": 365, "5y": 1825}
"""Retention periods and their length in days."""
RETENTIONS = tuple(RETENTION_DAYS)
"""The periods by their codes, which columns and the native core hold."""
