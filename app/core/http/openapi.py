"""The OpenAPI document, completed with bounds of texts, numbers and lists that state none of their own.

The bounds hold for requests and responses: a longer text, or one with control characters, is refused everywhere.
"""

from collections.abc import Iterator
from typing import Any

from app.core.validation.schemas import MAX_TEXT_LENGTH

MAX_BODY_LENGTH = 2**31 - 1
MAX_ITEMS = 10_000_000
LARGEST_INT32 = 2**31 - 1
LARGEST_INTEGER = 2**53 - 1  # exact for every JSON parser (RFC 8259, 6)
NO_CONTROL_CHARACTER = r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$"  # except line feeds
LENGTH_OF_FORMAT = {"uuid": 36, "date-time": 35}
LIMITS = {
    "RateLimit": "Requests left in the window, and seconds until it ends",
    "RateLimit-Policy": "Number of requests allowed in a window",
}
VALUES = {"example", "examples", "default", "enum", "const"}  # keywords that hold values, not schemas


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Complete ``document`` in place and return it.

    Paths are sorted by tag; texts, numbers and lists get bounds; parameters are not nullable; ``If-Match`` is required,
    since its absence has a status of its own (428); responses of operations with a rate limit have its headers; each
    problem is described once, in the components.
    """
    _state_token_url(document)
    tags = [tag["name"] for tag in document.get("tags", ())]
    document["paths"] = dict(sorted(document["paths"].items(), key=lambda path: _tag_index(path[1], tags)))
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in LIMITS.items()}
    document["components"] |= {"headers": headers, "examples": {}, "responses": {}}
    for each in _objects(document):
        if "operationId" in each and "429" in each["responses"]:
            _add_limits(each["responses"])
        if "in" in each and "schema" in each:
            each["schema"] = _not_nullable(each["schema"])
            each["required"] = each["name"] == "if-match" or each.get("required", False)
        for media_type, content in each.get("content", {}).items():
            if not media_type.endswith(("/json", "+json")):
                _bound_body(content["schema"])
    for each in _objects(document):
        _bound(each)
        _restore_nulls(each, document.get("components", {}).get("schemas", {}))
    for each in _objects(document["paths"]):
        if "operationId" in each:
            _show_examples(each, document["components"].get("schemas", {}))
            # as a reader tries them: a token first, then HTTP Basic
            each.get("security", []).sort(key=lambda way: "OAuth2" not in way)
            each["responses"] = dict(sorted(each["responses"].items()))
            _refer_to_problems(each["responses"], document["components"])
    return document


def _state_token_url(document: dict[str, Any]) -> None:
    """Put OAuth first of the ways to authenticate, with the whole URL of its tokens (OpenAPI 3.1, 4.8.29)."""
    schemes = document["components"].get("securitySchemes", {})
    ordered = sorted(schemes.items(), key=lambda scheme: scheme[1]["type"] != "oauth2")
    if ordered:
        document["components"]["securitySchemes"] = dict(ordered)
    for _, scheme in ordered:
        for flow in scheme.get("flows", {}).values():
            flow["tokenUrl"] = document["servers"][0]["url"] + flow["tokenUrl"]


def _tag_index(operations: dict[str, Any], tags: list[str]) -> int:
    own = next(iter(operations.values())).get("tags", ())
    return min((tags.index(tag) for tag in own if tag in tags), default=len(tags))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in VALUES:
                yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _not_nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from the schema of a parameter: a parameter can be absent, but not null."""
    alternatives: list[dict[str, Any]] = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(alternatives) != 1:
        return schema
    return alternatives[0] | {name: value for name, value in schema.items() if name != "anyOf"}


def _add_limits(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status[0] in "24":
            limits = {name: {"$ref": f"#/components/headers/{name}"} for name in LIMITS}
            response["headers"] = {**response.get("headers", {}), **limits}


def _refer_to_problems(responses: dict[str, Any], components: dict[str, Any]) -> None:
    """Move the examples of problems, and responses that are one problem, to the components, by code.

    A response that describes its problem differently from the component stays.
    """
    for status, response in responses.items():
        content = response.get("content", {})
        examples = content.get("application/problem+json", {}).get("examples", {})
        if examples:
            content.pop("application/json", None)  # which FastAPI adds with every model
        for code, example in examples.items():
            components["examples"][code] = example
            examples[code] = {"$ref": f"#/components/examples/{code}"}
        if len(examples) == 1:
            (code,) = examples
            if components["responses"].setdefault(code, response) == response:
                responses[status] = {"$ref": f"#/components/responses/{code}"}


def _restore_nulls(schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add what is null to the examples of a schema, which FastAPI leaves out though the schema requires it."""
    examples = schema.get("examples")
    if schema.get("type") == "object" and "properties" in schema and isinstance(examples, list):
        schema["examples"] = [_with_nulls(each, schema, schemas) for each in examples]


def _with_nulls(example: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    fields = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if not isinstance(example, dict) or "properties" not in fields:
        return example
    properties = fields["properties"]
    nulls = {name: None for name in fields.get("required", ()) if _is_nullable(properties[name])}
    return nulls | {name: _with_nulls(value, properties.get(name, {}), schemas) for name, value in example.items()}


def _is_nullable(schema: dict[str, Any]) -> bool:
    return {"type": "null"} in schema.get("anyOf", ())


def _show_examples(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Repeat the example of a request's body beside its schema, where Postman and others look for it."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        examples = schemas.get(name, {}).get("examples")
        if examples:
            content.setdefault("example", examples[0])


def _bound_body(schema: dict[str, Any]) -> None:
    if schema.get("type") == "string":
        schema.setdefault("format", "binary")
        schema.setdefault("maxLength", MAX_BODY_LENGTH)


def _bound(schema: dict[str, Any]) -> None:
    match schema.get("type"):
        case "string" if not {"enum", "const"} & schema.keys():
            if not {"format", "pattern"} & schema.keys():
                schema["pattern"] = NO_CONTROL_CHARACTER
            schema.setdefault("maxLength", LENGTH_OF_FORMAT.get(schema.get("format", ""), MAX_TEXT_LENGTH))
        case "integer":
            if "exclusiveMinimum" not in schema:
                schema.setdefault("minimum", 0)
            largest = schema.get("exclusiveMaximum") or schema.setdefault("maximum", LARGEST_INTEGER)
            schema.setdefault("format", "int32" if largest <= LARGEST_INT32 else "int64")
        case "array":
            schema.setdefault("maxItems", MAX_ITEMS)
