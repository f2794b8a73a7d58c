"""The User model, its API tokens, its profile page and the very first administrator."""
