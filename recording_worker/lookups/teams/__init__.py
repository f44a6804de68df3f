"""Which team a token belongs to, and what that team wants: a service and its stores."""
