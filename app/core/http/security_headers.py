"""What every answer tells browsers and caches: what it may load and embed, and that what is someone's is not kept."""

# What a page of ours may load: only what this service serves itself, whose network may have no way out. The pages of
# the documentation carry their start script and styles inline; ReDoc searches in a worker of its own.
PAGE_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
NO_PAGE_POLICY = b"default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
POLICY = b"content-security-policy"
ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
OF_A_PAGE = ((POLICY, PAGE_POLICY), *ALWAYS)
OF_NO_PAGE = ((POLICY, NO_PAGE_POLICY), *ALWAYS)
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")  # a year, RFC 6797
NOT_KEPT = (b"cache-control", b"no-store")
UNCHANGED = 304
SOMEONES = ("/v1/", "/oauth/")
Headers = list[tuple[bytes, bytes]]


def add_security_headers(status: int, headers: Headers, path: str, *, https: bool) -> None:
    """Add what every answer has to the header fields of one, whose names are in small letters.

    ``https`` says whether callers reach the service by HTTPS; then browsers are told to use nothing else. A 304 has
    nothing to load or to read, and what was said of the answer that it stands for goes on counting (RFC 9111, 4.3.4).
    """
    given = dict(headers)
    if status != UNCHANGED:
        is_page = given.get(b"content-type", b"").startswith(b"text/html")
        headers += OF_A_PAGE if is_page else OF_NO_PAGE
    if https:
        headers.append(HTTPS_ONLY)
    if b"cache-control" not in given and path.startswith(SOMEONES):
        headers.append(NOT_KEPT)
