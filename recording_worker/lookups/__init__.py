"""What the pipeline looks up: teams, restrictions, and sessions in Redis."""
