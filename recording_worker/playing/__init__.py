"""Plays a session in a browser: what to show of it, the page that shows it, and the page's server."""
