"""What many workers and partitions on one host cost, whether they have work or not."""
