"""The settings by theme, in the order of `--help`. `settings/model.py` puts them together."""
