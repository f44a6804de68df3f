"""What a worker does, as spans of OpenTelemetry. Only `spans` imports its library, which an extra brings."""
