"""The commands ``events listen`` and ``webhooks listen``, for trying: events as they come, on a screen or signed."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import httpx
import typer

from app.cli.transaction import stderr
from app.demo.partners import CREDENTIALS
from app.demo.settings_file import data_dir
from app.uploader.client import Refused, ServiceClient, Unreachable
from app.webhooks import signing

EVENTS = "/v1/events"
PAGE = 500
POLL_SECONDS = 1.0
RECEIVER_SECONDS = 15  # as long as a webhook waits
event_commands = typer.Typer(no_args_is_help=True, help="The event log.")
webhook_commands = typer.Typer(no_args_is_help=True, help="Webhooks.")

Url = Annotated[str, typer.Option(envvar="PUBLIC_URL", help="URL of the service")]
ClientId = Annotated[str, typer.Option(envvar="CLIENT_ID", help="Your client's id")]
ClientSecret = Annotated[str, typer.Option(envvar="CLIENT_SECRET", help="Prefer the environment variable")]
DemoClient = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="A demo client of `make run` in place of the three above")
]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Repeatable: registration.approved, registration.*; default: all")
]
After = Annotated[str | None, typer.Option(help="The id of the last event that you have; default: the newest")]


@event_commands.command("listen")
def listen_to_events(
    url: Url = "http://127.0.0.1:8000",
    client_id: ClientId = "",
    client_secret: ClientSecret = "",
    demo_client: DemoClient = None,
    types: Types = None,
    after: After = None,
) -> None:
    """Print events as they come, a line of JSON each, until Ctrl-C. Needs the scope events:read."""
    with _client(url, client_id, client_secret, demo_client) as client:
        for event in _events(client, types or [], after):
            typer.echo(json.dumps(event, ensure_ascii=False))


@webhook_commands.command("listen")
def listen_as_webhook(
    to: Annotated[str, typer.Option(help="URL of your receiver on this machine, such as http://127.0.0.1:9000/events")],
    url: Url = "http://127.0.0.1:8000",
    client_id: ClientId = "",
    client_secret: ClientSecret = "",
    demo_client: DemoClient = None,
    types: Types = None,
    after: After = None,
    secret: Annotated[
        str | None, typer.Option(envvar="WEBHOOK_SECRET", help="Secret to sign with, whsec_...; default: a new one")
    ] = None,
) -> None:
    """Send events to a receiver on this machine as they come, signed as a webhook's, until Ctrl-C.

    No webhook is created, and nothing is sent twice: a request that fails is only printed. Needs the scope events:read.
    """
    secret, private_key = secret or signing.new_secret(), signing.new_private_key()
    _check_receiver(to, secret)
    with _client(url, client_id, client_secret, demo_client) as client, httpx.Client(timeout=RECEIVER_SECONDS) as http:
        typer.echo(f"secret {secret}")
        typer.echo(f"public_key {signing.public_key_of(private_key)}")
        for event in _events(client, types or [], after):
            typer.echo(f"{event['type']} {event['id']}: {_send(http, to, event, secret, private_key)}")


def _check_receiver(to: str, secret: str) -> None:
    if urlsplit(to).scheme not in ("http", "https"):
        raise typer.BadParameter("Give a URL such as http://127.0.0.1:9000/events.", param_hint="--to")
    try:
        is_secret = secret.startswith("whsec_") and base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        is_secret = False
    if not is_secret:
        message = "A secret is whsec_ and base64. Leave it out to get a new one."
        raise typer.BadParameter(message, param_hint="--secret")


@contextmanager
def _client(url: str, client_id: str, client_secret: str, demo_client: str | None) -> Iterator[ServiceClient]:
    """Yield a client of the service; print an error and exit with code 1, and end quietly at Ctrl-C."""
    if demo_client:
        url, client_id, client_secret = _demo_login(demo_client)
    try:
        with ServiceClient(url, (client_id, client_secret), on_retry=stderr.print) as client:
            yield client
    except KeyboardInterrupt:
        return
    except (Refused, Unreachable, httpx.InvalidURL) as failure:
        stderr.print(str(failure), markup=False)
        raise typer.Exit(1) from None


def _demo_login(name: str) -> tuple[str, str, str]:
    """Return URL, id and secret of a demo client."""
    file = data_dir() / CREDENTIALS
    if not file.exists():
        raise typer.BadParameter(f"There is no {file}. Start the service by `make run`.", param_hint="--as")
    written = json.loads(file.read_text())
    login = written["clients"].get(name)
    if login is None:
        names = ", ".join(written["clients"])
        raise typer.BadParameter(f"There is no demo client {name}. There are {names}.", param_hint="--as")
    return written["token_url"].removesuffix("/oauth/token"), login["client_id"], login["client_secret"]


def _events(client: ServiceClient, types: list[str], after: str | None) -> Iterator[dict[str, Any]]:
    """Yield the events of these types after the event ``after``, or from now on, as they come."""
    wanted = [("limit", str(PAGE)), *(("type", each) for each in types)]
    position = after or _page(client, [("from", "now")])["next_cursor"]
    stderr.print("Listening. Ctrl-C ends it.")
    while True:
        page = _page(client, wanted + ([("after", position)] if position else []))
        position = page["next_cursor"] or position
        yield from page["items"]
        if len(page["items"]) < PAGE:
            time.sleep(POLL_SECONDS)


def _page(client: ServiceClient, query: list[tuple[str, str]]) -> Any:
    return client.get(f"{EVENTS}?{urlencode(query)}").json()


def _send(http: httpx.Client, to: str, event: dict[str, Any], secret: str, private_key: str) -> str:
    """Send an event as a webhook does; return the status of the response, or why there is none."""
    body = json.dumps({"type": event["type"], "timestamp": event["occurred_at"], "data": event}, ensure_ascii=False)
    signed = signing.headers(event["id"], datetime.now(UTC), body, whsec=[secret], private_key=private_key)
    try:
        answer = http.post(to, headers={"Content-Type": "application/json", **signed}, content=body.encode())
    except httpx.HTTPError as failure:
        return f"no response: {failure}"
    return str(answer.status_code)
