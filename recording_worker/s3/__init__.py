"""What writing to S3 and reading from it share: places, the client, errors, and trying again."""
