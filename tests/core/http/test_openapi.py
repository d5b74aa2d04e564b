"""The OpenAPI document has a bound on everything, and keeps the tighter bounds of schemas."""

from typing import Any, NoReturn

import httpx
import pytest

from app.core.http.openapi import complete
from app.core.settings import Settings
from app.main import create_app


def body(schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    """Return ``schema`` as a completed document has it."""
    operation: dict[str, Any] = {
        "operationId": "do",
        "requestBody": {"content": {media_type: {"schema": schema}}},
        "responses": {},
    }
    found = complete({"paths": {"/do": {"post": operation}}, "components": {}})
    given: dict[str, Any] = found["paths"]["/do"]["post"]["requestBody"]["content"][media_type]["schema"]
    return given


@pytest.mark.parametrize(
    "stated",
    [
        {"type": "string", "pattern": "^[a-z]+$", "maxLength": 9},
        {"type": "string", "enum": ["a"]},
        {"type": "string", "const": "a"},
        {"type": "integer", "minimum": -5, "maximum": 5, "format": "int64"},
        {"type": "array", "maxItems": 3, "items": {"type": "boolean"}},
    ],
)
def test_what_a_schema_states_stays(stated: dict[str, Any]) -> None:
    assert body(dict(stated)) == stated


def test_an_example_that_looks_like_a_schema_stays() -> None:
    example = {"type": "string"}
    assert body({"type": "object", "examples": [example]})["examples"] == [{"type": "string"}]


def test_a_text_has_a_length_and_no_control_character() -> None:
    assert body({"type": "string"}) == {
        "type": "string",
        "maxLength": 2000,
        "pattern": r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$",
    }
    assert body({"type": "string", "format": "uuid"})["maxLength"] == 36


def test_a_body_that_is_not_json_is_bytes() -> None:
    assert body({"type": "string"}, "text/csv") == {"type": "string", "format": "binary", "maxLength": 2**31 - 1}


@pytest.mark.parametrize(("stated", "width"), [({"maximum": 500}, "int32"), ({}, "int64"), ({"minimum": 1}, "int64")])
def test_a_number_has_bounds_and_a_width(stated: dict[str, Any], width: str) -> None:
    assert body({"type": "integer", **stated}) == {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**53 - 1,
        "format": width,
        **stated,
    }


def test_a_list_has_a_most() -> None:
    assert body({"type": "array", "items": {"type": "boolean"}})["maxItems"] == 10_000_000


def test_a_parameter_is_never_null() -> None:
    nullable = {"anyOf": [{"type": "boolean"}, {"type": "null"}], "title": "Held"}
    operation: dict[str, Any] = {"parameters": [{"name": "held", "in": "query", "schema": nullable}], "responses": {}}
    complete({"paths": {"/do": {"get": operation}}, "components": {}})
    assert operation["parameters"][0]["schema"] == {"type": "boolean", "title": "Held"}


def test_what_is_counted_against_a_limit_shows_it() -> None:
    responses: dict[str, Any] = {"200": {}, "429": {"headers": {"Retry-After": {}}}, "500": {}}
    complete({"paths": {"/do": {"get": {"operationId": "do", "responses": responses}}}, "components": {}})
    assert sorted(responses["200"]["headers"]) == ["RateLimit", "RateLimit-Policy"]
    assert sorted(responses["429"]["headers"]) == ["RateLimit", "RateLimit-Policy", "Retry-After"]
    assert "headers" not in responses["500"]


def test_paths_stand_in_the_order_of_the_chapters() -> None:
    tagged = {path: {"get": {"tags": [path[1:]]}} for path in ("/second", "/nowhere", "/first")}
    found = complete({"tags": [{"name": "first"}, {"name": "second"}], "paths": tagged, "components": {}})
    assert list(found["paths"]) == ["/first", "/second", "/nowhere"]


def test_a_problem_stands_once_and_what_differs_of_it_stays_where_it_is() -> None:
    def answer(*codes: str, **more: Any) -> dict[str, Any]:
        examples = {code: {"value": {"code": code}} for code in codes}
        content = {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        }
        return {"description": " ".join(codes), "content": content, **more}

    operations = {
        "first": {"404": answer("not_found"), "409": answer("conflict", "busy")},
        "second": {"404": answer("not_found"), "200": {"description": "Well"}},
        "third": {"404": answer("not_found", headers={"Age": {}})},
    }
    paths = {f"/{name}": {"get": {"operationId": name, "responses": each}} for name, each in operations.items()}
    found = complete({"paths": paths, "components": {}})
    first, second, third = (found["paths"][f"/{name}"]["get"]["responses"] for name in operations)
    assert first["404"] == second["404"] == {"$ref": "#/components/responses/not_found"}
    assert second["200"] == {"description": "Well"}
    assert third["404"]["headers"] == {"Age": {}}
    both = first["409"]["content"]["application/problem+json"]["examples"]
    assert both == {code: {"$ref": f"#/components/examples/{code}"} for code in ("conflict", "busy")}
    assert found["components"]["examples"] == {
        code: {"value": {"code": code}} for code in ("not_found", "conflict", "busy")
    }
    assert found["components"]["responses"].keys() == {"not_found"}


def test_an_example_has_what_is_null() -> None:
    either = {"anyOf": [{"type": "boolean"}, {"type": "null"}]}
    fields = {"held": either, "told": either, "kept": {"type": "boolean"}}
    stated = {"type": "object", "properties": fields, "required": ["held", "kept"], "examples": [{"kept": True}]}
    assert body(stated)["examples"] == [{"held": None, "kept": True}]


def test_oauth_comes_first_and_has_the_whole_url_of_its_tokens() -> None:
    flow = {"tokenUrl": "/oauth/token"}
    schemes = {"B": {"type": "http"}, "OAuth2": {"type": "oauth2", "flows": {"clientCredentials": flow}}}
    operation: dict[str, Any] = {"operationId": "do", "security": [{"B": []}, {"OAuth2": []}], "responses": {}}
    found = complete(
        {
            "servers": [{"url": "https://h/registry"}],
            "paths": {"/do": {"get": operation}},
            "components": {"securitySchemes": schemes},
        }
    )
    assert list(found["components"]["securitySchemes"]) == ["OAuth2", "B"]
    assert flow["tokenUrl"] == "https://h/registry/oauth/token"
    assert operation["security"] == [{"OAuth2": []}, {"B": []}]


async def test_the_document_is_encoded_once_however_often_anyone_asks_for_it() -> None:
    app = create_app(Settings.model_validate({"database_url": "postgresql://unused", "secret_key": "unused" * 8}))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
        first = await http.get("/openapi.json")
        app.openapi = fail  # type: ignore[method-assign]  # as FastAPI has it replaced
        again = await http.get("/openapi.json")
    assert (first.status_code, again.content) == (200, first.content)
    assert first.json()["info"]["title"] == app.title


def fail() -> NoReturn:
    raise AssertionError
