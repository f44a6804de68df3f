"""Where batch files are: one module or folder a backend, and `locate`, which chooses between them."""
