"""The OpenAPI document, completed: bounds where a schema states none of its own, so that a client knows what to expect.

They hold for all that the service takes and gives: a text that is longer or has a control character is refused
wherever it is sent, and what an answer shows was taken under these bounds or made by the service.
"""

from collections.abc import Iterator
from typing import Any

from app.core.validation.schemas import LONGEST_TEXT

LONGEST_BODY = 2**31 - 1
MOST_ITEMS = 10_000_000
LARGEST_INT32 = 2**31 - 1
LARGEST_INTEGER = 2**53 - 1  # what every reader of JSON holds exactly (RFC 8259, 6)
NO_CONTROL_CHARACTER = r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$"  # but line breaks
LENGTH_OF_FORMAT = {"uuid": 36, "date-time": 35}
LIMITS = {
    "RateLimit": "What is left of the limit, and until when",
    "RateLimit-Policy": "How many requests pass in which time",
}
VALUES = {"example", "examples", "default", "enum", "const"}  # not schemas


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """``document``, changed in place.

    Paths stand in the order of the chapters, every text, number and list has a bound, no parameter may be null, what is
    counted against a limit shows it, and what tells of a problem stands once, under its code.
    """
    chapters = [tag["name"] for tag in document.get("tags", ())]
    document["paths"] = dict(sorted(document["paths"].items(), key=lambda path: _chapter(path[1], chapters)))
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in LIMITS.items()}
    document["components"] |= {"headers": headers, "examples": {}, "responses": {}}
    for each in _objects(document):
        if "operationId" in each and "429" in each["responses"]:
            _show_limits(each["responses"])
        if "in" in each and "schema" in each:
            each["schema"] = _never_null(each["schema"])
        for media_type, content in each.get("content", {}).items():
            if not media_type.endswith(("/json", "+json")):
                _bound_body(content["schema"])
    for each in _objects(document):
        _bound(each)
    for each in _objects(document["paths"]):
        if "operationId" in each:
            _refer_to_problems(each["responses"], document["components"])
    return document


def _chapter(operations: dict[str, Any], chapters: list[str]) -> int:
    tags = next(iter(operations.values())).get("tags", ())
    return min((chapters.index(tag) for tag in tags if tag in chapters), default=len(chapters))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name not in VALUES:
                yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or absent; there is no way to send a null."""
    alternatives: list[dict[str, Any]] = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(alternatives) != 1:
        return schema
    return alternatives[0] | {name: value for name, value in schema.items() if name != "anyOf"}


def _show_limits(responses: dict[str, Any]) -> None:
    for status, answer in responses.items():
        if status[0] in "24":
            limits = {name: {"$ref": f"#/components/headers/{name}"} for name in LIMITS}
            answer["headers"] = {**answer.get("headers", {}), **limits}


def _refer_to_problems(responses: dict[str, Any], components: dict[str, Any]) -> None:
    """Let an answer that is one problem stand once, under its code, and so each example of one that is several.

    What is told of that problem otherwise here stays here.
    """
    for status, answer in responses.items():
        examples = answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
        for code, example in examples.items():
            components["examples"][code] = example
            examples[code] = {"$ref": f"#/components/examples/{code}"}
        if len(examples) == 1:
            (code,) = examples
            if components["responses"].setdefault(code, answer) == answer:
                responses[status] = {"$ref": f"#/components/responses/{code}"}


def _bound_body(schema: dict[str, Any]) -> None:
    if schema.get("type") == "string":
        schema.setdefault("format", "binary")
        schema.setdefault("maxLength", LONGEST_BODY)


def _bound(schema: dict[str, Any]) -> None:
    match schema.get("type"):
        case "string" if not {"enum", "const"} & schema.keys():
            if not {"format", "pattern"} & schema.keys():
                schema["pattern"] = NO_CONTROL_CHARACTER
            schema.setdefault("maxLength", LENGTH_OF_FORMAT.get(schema.get("format", ""), LONGEST_TEXT))
        case "integer":
            if "exclusiveMinimum" not in schema:
                schema.setdefault("minimum", 0)
            largest = schema.get("exclusiveMaximum") or schema.setdefault("maximum", LARGEST_INTEGER)
            schema.setdefault("format", "int32" if largest <= LARGEST_INT32 else "int64")
        case "array":
            schema.setdefault("maxItems", MOST_ITEMS)
