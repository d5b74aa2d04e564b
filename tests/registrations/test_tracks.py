"""Tracks as ``GET /v1/tracks`` lists them, and the due dates that follow from them."""

from datetime import datetime, timedelta

from tests.support import cases
from tests.support.service import BASE_URL, Caller


async def test_tracks_are_shown_to_authenticated_callers_only(pseb: Caller) -> None:
    assert (await pseb.service.http.get(f"{BASE_URL}/v1/tracks")).status_code == 401


async def test_each_track_lists_its_fields_limits_and_hours(nayatel: Caller) -> None:
    page = (await nayatel.get("/v1/tracks")).json()
    assert page["next_cursor"] is None
    tracks = {each["track"]: each for each in page["items"]}
    assert set(tracks) == {"vpn_company", "vpn_freelancer", "call_centre", "video_conference"}
    assert "protocol" in tracks["vpn_company"]["required_fields"]
    assert "subscriber_id" in tracks["call_centre"]["required_fields"]
    assert tracks["vpn_freelancer"]["applicant_kinds"] == ["individual"]
    for each in tracks.values():
        assert (each["max_networks"], each["widest_ipv4"], each["widest_ipv6"]) == (64, 24, 48)
        assert {"applicant_id", "track", "purpose", "operator", "networks"} <= set(each["required_fields"])


async def test_a_case_is_due_when_its_track_says(pseb: Caller) -> None:
    hours = {each["track"]: each["decision_due_hours"] for each in (await pseb.get("/v1/tracks")).json()["items"]}
    for track, applicant in (("vpn_company", cases.company()), ("vpn_freelancer", cases.individual())):
        case = await cases.submitted(pseb, applicant, track=track)
        due, submitted = (datetime.fromisoformat(case[name]) for name in ("due_at", "submitted_at"))
        assert abs(due - submitted - timedelta(hours=hours[track])) < timedelta(seconds=30)
