"""What is read from outside and looked up by the pipeline: teams, restrictions, sessions in Redis."""
