"""Takes a registration from applicant to feed with the generated Python client, and prints the result as JSON.

URL and each caller's CLIENT_ID and CLIENT_SECRET come from the environment, e.g. ``OFFICER_CLIENT_ID``.
"""

import json
import os
import time
from typing import TypeVar

from ip_registration_client import AuthenticatedClient, Client
from ip_registration_client.api.allowlist import check_address
from ip_registration_client.api.applicants import create_applicant
from ip_registration_client.api.registrations import create_registration, get_registration, read_history
from ip_registration_client.api.reviews import decide
from ip_registration_client.api.tokens import issue_token
from ip_registration_client.models import (
    Action,
    Applicant,
    ApplicantDetails,
    ApplicantKind,
    BodyIssueToken,
    Check,
    EventPage,
    NewDecision,
    NewRegistration,
    Protocol,
    Purpose,
    Registration,
    RegistrationDetails,
    ReviewDecision,
    Token,
    Track,
)

URL = os.environ["URL"]
ADDRESS = "203.99.50.18"
Answer = TypeVar("Answer")


def expect(kind: type[Answer], answer: object) -> Answer:
    """Return the response. Ends the program unless it has the type that the OpenAPI document promises."""
    if not isinstance(answer, kind):
        raise SystemExit(f"expected {kind.__name__}, got {answer}")
    return answer


def caller(name: str) -> AuthenticatedClient:
    """Return a client with an access token."""
    secret = BodyIssueToken(
        grant_type="client_credentials",
        client_id=os.environ[f"{name}_CLIENT_ID"],
        client_secret=os.environ[f"{name}_CLIENT_SECRET"],
    )
    token = expect(Token, issue_token.sync(client=Client(base_url=URL), body=secret))
    return AuthenticatedClient(base_url=URL, token=token.access_token)


def wait_until_published(operator: AuthenticatedClient) -> Check:
    """Return the check of the address, once the feed has it."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        check = check_address.sync(client=operator, address=ADDRESS)
        if isinstance(check, Check) and check.allowed:
            return check
        time.sleep(0.1)
    raise SystemExit("the address was not published")


association, officer, operator = caller("ASSOCIATION"), caller("OFFICER"), caller("OPERATOR")
company = ApplicantDetails(
    kind=ApplicantKind.COMPANY,
    legal_name="Indus Softworks (Pvt) Ltd",
    ntn="7654321-0",
    email="it@indus.example.pk",
)
applicant = expect(Applicant, create_applicant.sync(client=association, body=company))
details = RegistrationDetails(
    applicant_id=applicant.id,
    track=Track.VPN_COMPANY,
    purpose=Purpose.IT_SERVICES,
    protocol=Protocol.WIREGUARD,
    operator="nayatel",
    networks=["203.99.50.16/29"],
)
case = expect(NewRegistration, create_registration.sync(client=association, body=details))
read = get_registration.sync_detailed(case.id, client=officer)
approval = NewDecision(action=Action.APPROVE, registration_id=case.id)
decision = expect(ReviewDecision, decide.sync(client=officer, body=approval, if_match=read.headers["ETag"]))
check = wait_until_published(operator)
history = expect(EventPage, read_history.sync(case.id, client=association))
print(  # noqa: T201 - the result is for the caller
    json.dumps(
        {
            "decided": str(decision.registration_id) == str(case.id),
            "network": check.network,
            "status": expect(Registration, get_registration.sync(case.id, client=association)).status,
            "history": [event.name for event in history.items],
        }
    )
)
