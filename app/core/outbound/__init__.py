"""Requests that the service sends: the client, the URLs it may call, and name resolution."""
