"""Where batch files are: a module or folder for each backend. `open` chooses the backend, `locate` finds files."""
