"""Playing a session in a browser: what is shown of it, the page that shows it, and the server of that page."""
