"""Key stores: where the keys of encrypted sessions are."""
