"""Serves blocks to other people's players over HTTP, as PostHog's recording API does. See docs/data/serving.md."""
