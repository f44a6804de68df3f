"""All settings: what they are (`model`), and where their values come from (`load`, `toml`)."""
