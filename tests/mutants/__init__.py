"""Changes the code in small ways, and sees whether the tests notice: `make mutants`."""
