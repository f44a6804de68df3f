"""Dead letters: messages on the DLQ. Operators list them, look at one, send them back, or drop them."""
