"""Signatures of Standard Webhooks, verified by its own libraries."""

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from app.webhooks import signing
from tests.support import npm

BODY = '{"type":"registration.approved","data":{"name":"Z\u00fcrich \u067e\u0627\u06a9\u0633\u062a\u0627\u0646"}}'
ID = "019b2f6e-7a10-7c3e-9d55-0b8d7f3e2a11"


def signed(secret: str, private_key: str, *, at: datetime | None = None, also: str | None = None) -> dict[str, str]:
    secrets = [secret, *([also] if also else [])]
    return signing.headers(ID, at or datetime.now(UTC), BODY, whsec=secrets, private_key=private_key)


def test_the_specifications_example_gives_its_signatures() -> None:
    # the secret, id and time of the reference libraries' tests
    at = datetime.fromtimestamp(1_614_265_330, UTC)
    secret, private_key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", signing.new_private_key()
    headers = signing.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}', whsec=[secret], private_key=private_key
    )
    v1, v1a = headers["webhook-signature"].split(" ")
    assert v1 == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert v1a.startswith("v1a,")


def test_keys_are_random_and_in_the_specifications_format() -> None:
    for make, prefix in ((signing.new_secret, "whsec_"), (signing.new_private_key, "whsk_")):
        one, other = make(), make()
        assert one != other
        assert one.startswith(prefix)
        assert len(base64.b64decode(one.removeprefix(prefix), validate=True)) == 32
    public_key = signing.public_key_of(signing.new_private_key())
    assert len(base64.b64decode(public_key.removeprefix("whpk_"), validate=True)) == 32


def test_an_altered_or_foreign_request_is_not_verified() -> None:
    secret, private_key = signing.new_secret(), signing.new_private_key()
    headers = signed(secret, private_key)
    assert Webhook(secret).verify(BODY, headers) == json.loads(BODY)
    for wrong, body, changed in (
        (signing.new_secret(), BODY, headers),
        (secret, BODY + " ", headers),
        (secret, BODY, {**headers, "webhook-id": "another"}),
        (secret, BODY, signed(secret, private_key, at=datetime.now(UTC) - timedelta(minutes=6))),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(wrong).verify(body, changed)


def test_the_public_key_verifies_and_another_does_not() -> None:
    private_key = signing.new_private_key()
    headers = signed(signing.new_secret(), private_key)
    signature = base64.b64decode(headers["webhook-signature"].rpartition("v1a,")[2])
    message = f"{ID}.{headers['webhook-timestamp']}.{BODY}".encode()
    public_keys = [signing.public_key_of(each) for each in (private_key, signing.new_private_key())]
    own, other = (Ed25519PublicKey.from_public_bytes(base64.b64decode(each[len("whpk_") :])) for each in public_keys)
    own.verify(signature, message)
    with pytest.raises(InvalidSignature):
        other.verify(signature, message)


@pytest.mark.slow
def test_the_javascript_library_and_nodes_ed25519_verify_the_signatures(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    client = npm.installed("webhooks", tmp_path_factory.getbasetemp())
    secret, replaced, private_key = signing.new_secret(), signing.new_secret(), signing.new_private_key()
    sound = signed(secret, private_key)
    rotated = signed(replaced, private_key, also=secret)
    foreign = signed(replaced, signing.new_private_key())
    old = signed(secret, private_key, at=datetime.now(UTC) - timedelta(minutes=6))
    requests = [{"headers": each, "body": BODY} for each in (sound, rotated, foreign, old)]
    requests.append({"headers": sound, "body": BODY.replace("approved", "rejected")})
    asked = {"secret": secret, "public_key": signing.public_key_of(private_key), "requests": requests}
    ran = subprocess.run(
        ["node", "verify.js"], cwd=client, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    assert found == [
        {"v1": json.loads(BODY), "v1a": True},
        {"v1": json.loads(BODY), "v1a": True},
        {"v1": "No matching signature found", "v1a": False},
        {"v1": "Message timestamp too old", "v1a": True},
        {"v1": "No matching signature found", "v1a": False},
    ]
