"""The demo: sends made-up traffic through the real service on an embedded broker, and checks what comes out."""
