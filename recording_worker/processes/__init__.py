"""The processes of the service: a supervisor, its workers, and what they say to each other."""
