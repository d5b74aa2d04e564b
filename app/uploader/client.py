"""Calls the service for one of its clients: renews the token, and tries again what may yet succeed."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from uuid import uuid4

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

TIMEOUT = httpx.Timeout(120, connect=10)
PATIENCE_SECONDS = 300.0
BACKOFF = wait_random_exponential(multiplier=0.5, min=0.2, max=30)
IN_PROGRESS = "request_in_progress"  # the first request of this Idempotency-Key, whose answer was lost


class Unreachable(Exception):
    """The service is away or busy, and stayed so; ``retry_after`` are the seconds that it asked to wait."""

    def __init__(self, said: str, retry_after: float | None = None) -> None:
        super().__init__(said)
        self.retry_after = retry_after


class Refused(Exception):
    """The service answered, and said no: in ``status`` and in words that say what to do."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.status = status


class ServiceClient:
    """Calls the service at ``url`` with a client's id and secret.

    A call is repeated over lost connections, 429 and 5xx until ``patience`` seconds have passed; ``tell`` hears of each
    repeat. A POST carries an ``Idempotency-Key``, so that a repeat does nothing twice. Every call raises ``Refused``
    or ``Unreachable``.
    """

    def __init__(
        self,
        url: str,
        credentials: tuple[str, str],
        *,
        patience: float = PATIENCE_SECONDS,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT)
        self._credentials = credentials
        self._tell = tell
        self._stop = stop_before_delay(patience)
        self._token = ""
        self._fresh_until = 0.0

    def __enter__(self) -> Self:
        """Use it while the block runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._http.close()

    def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer of a GET."""
        return self._answered("GET", path, headers)

    def post(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Iterable[bytes]] | None = None,
        json: Any = None,
    ) -> Any:
        """The JSON of a POST; ``content`` gives the body anew for each attempt."""
        return self._answered("POST", path, {"Idempotency-Key": str(uuid4()), **(headers or {})}, content, json).json()

    def download(self, path: str, take: Callable[[Iterable[bytes]], None]) -> None:
        """Hand the body of a GET to ``take`` as it comes; after a lost connection again from its start."""

        def attempt() -> None:
            with self._http.stream("GET", path, headers=self._bearer()) as answer:
                if answer.is_error:
                    answer.read()
                _raise_for(answer)
                take(answer.iter_bytes())

        self._patiently(attempt)

    def _answered(
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
            return _raise_for(answer)

        found: httpx.Response = self._patiently(attempt)
        return found

    def _patiently(self, attempt: Callable[[], Any]) -> Any:
        """What ``attempt`` gives, tried until it is answered; a token that is refused is renewed once."""

        def once() -> Any:
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
            before_sleep=self._say,
            reraise=True,
        )
        return retrying(once)

    def _say(self, state: RetryCallState) -> None:
        failure, pause = state.outcome and state.outcome.exception(), state.next_action and state.next_action.sleep
        self._tell(f"{failure}. Trying again in {pause or 0:.0f} s.")

    def _bearer(self) -> dict[str, str]:
        """The header with a token that will last for this request."""
        if not self._token or time.monotonic() > self._fresh_until:
            answer = self._http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=self._credentials)
            if answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED):
                said = f"The service does not take this client ({_json(answer).get('error')})."
                raise Refused(f"{said} Check CLIENT_ID and CLIENT_SECRET.", answer.status_code)
            issued = _json(_raise_for(answer))
            self._token = issued.get("access_token", "")
            self._fresh_until = time.monotonic() + issued.get("expires_in", 0) / 2
        return {"Authorization": f"Bearer {self._token}"}


def _pause(state: RetryCallState) -> float:
    failure = state.outcome and state.outcome.exception()
    asked = failure.retry_after if isinstance(failure, Unreachable) else None
    return BACKOFF(state) + (asked or 0)


def _raise_for(answer: httpx.Response) -> httpx.Response:
    if not answer.is_error:
        return answer
    status, problem = answer.status_code, _json(answer)
    if status == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error or problem.get("code") == IN_PROGRESS:
        said = f"The service at {answer.url.scheme}://{answer.url.netloc.decode()} answers {status}"
        raise Unreachable(said, _seconds(answer.headers.get("Retry-After", "")))
    wrong = [f"  {each.get('pointer')}: {each.get('detail')}" for each in problem.get("errors", [])]
    said = problem.get("detail") or f"{status} {answer.reason_phrase}"
    raise Refused("\n".join([said, *wrong]), status)


def _json(answer: httpx.Response) -> dict[str, Any]:
    """An object that was answered, or none: what stands in between may answer anything."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(retry_after: str) -> float | None:
    """``Retry-After`` (RFC 9110, 10.2.3), which is seconds or a date."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
