"""Opens the key store that the settings name."""

from recording_worker.keys.store import KeyStore
from recording_worker.settings.choices import KeyStoreKind
from recording_worker.settings.model import Settings


def open_keys(settings: Settings) -> KeyStore | None:
    """Return the key store that the settings name; None if they name none. Connects later.

    Raises ConfigError, and StoreError if KMS does not decrypt a master key.
    """
    if settings.key_store is KeyStoreKind.POSTGRES:
        assert settings.keys_postgres is not None
        assert settings.keys_master_file is not None
        from recording_worker.keys.postgres import PostgresKeys  # an extra brings its library

        return PostgresKeys(
            settings.keys_postgres,
            settings.keys_master_file,
            kms_region=settings.keys_region,
            kms_endpoint=settings.keys_endpoint,
        )
    if settings.key_store is KeyStoreKind.DYNAMODB:
        from recording_worker.keys.dynamodb import DynamoKeys  # an extra brings its library

        return DynamoKeys(
            settings.keys_table, settings.keys_kms_key, region=settings.keys_region, endpoint=settings.keys_endpoint
        )
    return None
