"""Security headers of every response: content security policy, HSTS, and ``no-store`` for private data."""

# Pages have inline styles, and ReDoc searches in a worker; nothing is loaded from elsewhere, since the service's
# network may have no way out.
PAGE_POLICY = (
    b"default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = b"default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
CSP = b"content-security-policy"
ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
PAGE_HEADERS = ((CSP, PAGE_POLICY), *ALWAYS)
DATA_HEADERS = ((CSP, DATA_POLICY), *ALWAYS)
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")  # a year, RFC 6797
NO_STORE = (b"cache-control", b"no-store")
NOT_MODIFIED = 304
PRIVATE_PATHS = ("/v1/", "/oauth/")
Headers = list[tuple[bytes, bytes]]


def add_security_headers(status: int, headers: Headers, path: str, *, https: bool) -> None:
    """Add the security headers to those of a response, whose names are in lower case.

    ``https`` is True when callers reach the service by HTTPS. A 304 has no content, and the stored response keeps its
    headers (RFC 9111, 4.3.4).
    """
    given = dict(headers)
    if status != NOT_MODIFIED:
        is_page = given.get(b"content-type", b"").startswith(b"text/html")
        headers += PAGE_HEADERS if is_page else DATA_HEADERS
    if https:
        headers.append(HSTS)
    if b"cache-control" not in given and path.startswith(PRIVATE_PATHS):
        headers.append(NO_STORE)
