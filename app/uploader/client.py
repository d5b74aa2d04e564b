"""HTTP client of the service: renews its access token and retries requests that may still succeed."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from uuid import uuid4

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

TIMEOUT = httpx.Timeout(120, connect=10)
RETRY_SECONDS = 300.0
BACKOFF = wait_random_exponential(multiplier=0.5, min=0.2, max=30)
IN_PROGRESS = "request_in_progress"  # an earlier attempt with this Idempotency-Key, whose response was lost


class Unreachable(Exception):
    """The service is unreachable or busy; ``retry_after`` is the number of seconds that it asked to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(Exception):
    """The service refused the request with ``status``; the message says what to do."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ServiceClient:
    """Client of the service at ``url``, with a client's id and secret.

    A request is retried after lost connections, 429 and 5xx for ``retry_seconds``; ``on_retry`` gets a message before
    each retry. A POST has an ``Idempotency-Key``, so that a retry has no second effect. Each request raises ``Refused``
    or ``Unreachable``.
    """

    def __init__(
        self,
        url: str,
        credentials: tuple[str, str],
        *,
        retry_seconds: float = RETRY_SECONDS,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT)
        self._credentials = credentials
        self._on_retry = on_retry
        self._stop = stop_before_delay(retry_seconds)
        self._token = ""
        self._renew_at = 0.0

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Send a GET and return the response."""
        return self._request("GET", path, headers)

    def post(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Iterable[bytes]] | None = None,
        json: Any = None,
    ) -> Any:
        """Send a POST and return the JSON of the response; ``content`` provides the body of each attempt."""
        return self._request("POST", path, {"Idempotency-Key": str(uuid4()), **(headers or {})}, content, json).json()

    def download(self, path: str, write: Callable[[Iterable[bytes]], None]) -> None:
        """Pass the body of a GET to ``write`` as it arrives; after a lost connection, again from its start."""

        def attempt() -> None:
            with self._http.stream("GET", path, headers=self._bearer()) as answer:
                if answer.is_error:
                    answer.read()
                _raise_for_status(answer)
                write(answer.iter_bytes())

        self._with_retries(attempt)

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: Callable[[], Iterable[bytes]] | None = None,
        json: Any = None,
    ) -> httpx.Response:
        def attempt() -> httpx.Response:
            answer = self._http.request(
                method, path, headers={**headers, **self._bearer()}, content=content() if content else None, json=json
            )
            return _raise_for_status(answer)

        found: httpx.Response = self._with_retries(attempt)
        return found

    def _with_retries(self, attempt: Callable[[], Any]) -> Any:
        """Return the result of ``attempt``, retried while ``Unreachable``; a rejected token is renewed once."""

        def attempt_with_token() -> Any:
            try:
                had_token = bool(self._token)
                try:
                    return attempt()
                except Refused as refused:
                    if refused.status != httpx.codes.UNAUTHORIZED or not had_token:
                        raise
                self._token = ""
                return attempt()
            except httpx.TransportError as lost:
                raise Unreachable(f"The service at {self.url} does not answer: {lost or type(lost).__name__}") from lost

        retrying = Retrying(
            retry=retry_if_exception_type(Unreachable),
            stop=self._stop,
            wait=_pause,
            before_sleep=self._report_retry,
            reraise=True,
        )
        return retrying(attempt_with_token)

    def _report_retry(self, state: RetryCallState) -> None:
        failure, pause = state.outcome and state.outcome.exception(), state.next_action and state.next_action.sleep
        self._on_retry(f"{failure}. Trying again in {pause or 0:.0f} s.")

    def _bearer(self) -> dict[str, str]:
        """Return the ``Authorization`` header, with a new token when half of the old one's lifetime has passed."""
        if not self._token or time.monotonic() > self._renew_at:
            answer = self._http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=self._credentials)
            if answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
                message = f"The service rejected the client's credentials ({_json(answer).get('error')})."
                raise Refused(f"{message} Check CLIENT_ID and CLIENT_SECRET.", answer.status_code)
            issued = _json(_raise_for_status(answer))
            self._token = issued.get("access_token", "")
            self._renew_at = time.monotonic() + issued.get("expires_in", 0) / 2
        return {"Authorization": f"Bearer {self._token}"}


def _pause(state: RetryCallState) -> float:
    failure = state.outcome and state.outcome.exception()
    retry_after = failure.retry_after if isinstance(failure, Unreachable) else None
    return BACKOFF(state) + (retry_after or 0)


def _raise_for_status(answer: httpx.Response) -> httpx.Response:
    if not answer.is_error:
        return answer
    status, problem = answer.status_code, _json(answer)
    if status == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error or problem.get("code") == IN_PROGRESS:
        message = f"The service at {answer.url.scheme}://{answer.url.netloc.decode()} answers {status}"
        raise Unreachable(message, _parse_retry_after(answer.headers.get("Retry-After", "")))
    errors = [f"  {each.get('pointer')}: {each.get('detail')}" for each in problem.get("errors", [])]
    message = problem.get("detail") or f"{status} {answer.reason_phrase}"
    raise Refused("\n".join([message, *errors]), status)


def _json(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of a response, or an empty one: a proxy may answer anything."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _parse_retry_after(retry_after: str) -> float | None:
    """Return the seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), which is a number or a date."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
