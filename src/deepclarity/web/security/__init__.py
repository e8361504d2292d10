"""Request validation: middleware, upload parsing, rate limit, and checks of uploaded files."""
