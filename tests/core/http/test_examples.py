"""Every example of the OpenAPI document fits its own schema."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from app.main import create_app
from tests.support.postgres import settings_for

document = create_app(settings_for("postgresql://unused")).openapi()
VALUES = {"example", "examples", "default", "enum", "const"}  # keywords that hold values


def pointer(*names: str) -> str:
    """A JSON Pointer in a URI fragment."""
    escaped = (name.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D") for name in names)
    return "#" + "".join(f"/{name}" for name in escaped)


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    found: Any = value
    if "$ref" in value:
        found = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name]
    return dict(found)


def shown(each: dict[str, Any]) -> Iterator[Any]:
    """The examples of a schema (a list) or of a body or parameter (by name), and the default."""
    listed = each.get("examples", [])
    yield from (resolved(named)["value"] for named in listed.values()) if isinstance(listed, dict) else listed
    yield from (each[name] for name in ("example", "default") if name in each)


def examples(value: Any, *place: str, has_fields: bool = False) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The place of each schema with an example, and the example; ``has_fields`` when names are those of fields."""
    if isinstance(value, dict):
        if not has_fields and "value" not in value:
            where = (*place, "schema") if "schema" in value else place
            yield from ((where, example) for example in shown(value))
        for name, inner in value.items():
            if has_fields or name not in VALUES:
                yield from examples(inner, *place, name, has_fields=name == "properties" and not has_fields)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from examples(inner, *place, str(index))


def test_an_example_fits_its_schema() -> None:
    found = [each for each in examples(document) if each[0][:2] != ("components", "examples")]
    assert len(found) > 250
    root = "urn:document"
    registry = jsonschema_rs.Registry([(root, document)])
    wrong = []
    for place, example in found:
        schema = {"$ref": root + pointer(*place)}
        validator = jsonschema_rs.Draft202012Validator(schema, registry=registry, validate_formats=True)
        wrong += [f"{'/'.join(place)}: {error.message}" for error in validator.iter_errors(example)]
    assert wrong == []


def test_a_problem_of_a_body_shows_the_errors_of_its_fields() -> None:
    for code in ("invalid_value", "missing_field", "network_taken"):
        (error,) = document["components"]["examples"][code]["value"]["errors"]
        assert error["code"] == code
