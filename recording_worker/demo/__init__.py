"""The demo: made-up traffic through the real service on an embedded broker, and a check of what came out."""
