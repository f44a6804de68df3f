"""Teams: which team a token belongs to, and what that team wants. A service and its stores."""
