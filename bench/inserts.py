"""The minimal SQL of a submission: the inserts of a case, its network and its event."""

CASE = """INSERT INTO registrations (id, partner_id, client_id, applicant_id, subject, track, purpose, protocol,
    operator, subscriber_id, reference, description, due_at)
  VALUES ({new}, {partner}, {partner}, {applicant}, 'bench', 'vpn_company', 'it_services', 'wireguard', 'nayatel',
    'NAYATEL-00001234', {reference}, 'Remote access to the head office', now())"""
NETWORK = "INSERT INTO registration_networks VALUES ({case}, 0, {network})"
EVENT = """INSERT INTO events (id, name, subject_id, partner_id, operator, actor_client_id, actor_partner_id, details)
  VALUES (gen_random_uuid(), 'registration.submitted', {case}, {partner}, 'nayatel', {partner}, {partner},
    '{{"status": "submitted", "networks": ["39.32.0.1/32"], "reference": "BENCH-000001"}}')"""


def script(partner_id: str, applicant_id: str) -> str:
    """Return them as one transaction in a script for ``pgbench``."""
    values = {
        "new": "gen_random_uuid()", "case": ":case", "partner": f"'{partner_id}'", "applicant": f"'{applicant_id}'",
        "reference": "gen_random_uuid()::text", "network": "('100.0.0.0'::inet + :address)::cidr",
    }  # fmt: skip
    case, *others = (each.format(**values) for each in (CASE, NETWORK, EVENT))
    return "\n".join(
        ("\\set address random(0, 16777215)", "BEGIN;", f"{case} RETURNING id AS case \\gset",
         *(f"{each};" for each in others), "COMMIT;")
    )  # fmt: skip
