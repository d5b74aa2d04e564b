"""Login of clients: OAuth 2.0 client authentication, external tokens, Basic, and token revocation."""
