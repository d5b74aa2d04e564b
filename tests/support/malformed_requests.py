"""Malformed requests for every operation of an OpenAPI document: any JSON in every place, any bytes in every field."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
# Texts, since ``json.dumps`` cannot write all of them; Python's parser accepts them, even those that are not JSON.
VALUES = (
    "{}", "[]", '{"a": {}}', "[[]]", "[{}]", "[null]", '["", ""]', "true", "false", "null", "0", "-1", "1.5", "1e400",
    "-1e400", "NaN", "9" * 30, "9" * 5_000, '""', '" "', '"*"', '"0"', '"\\u0000"', '"\\ud800"', '["\\udfff"]',
    '{"\\ud800": "\\udc00"}', '"\\u0661\\u202e"', '"' + "a" * 10_000 + '"', "[" * 500 + "]" * 500,
)  # fmt: skip
DOCUMENTS = (
    *VALUES, "", "{", '{"a"', "[" * 100_000, '{"a":' * 5_000, "\ufeff{}", '{"": 1}', '{"\\ud800": 1, "~/": {}}',
    '{"a": 1, "a": 2}', "{" + ",".join(f'"{number}": 0' for number in range(500)) + "}",
)  # fmt: skip
TEXTS = (
    b"", b" ", b"*", b"0", b"-1", b"1.5", b"1e400", b"9" * 30, b"9" * 4_301, b"NaN", b"null", b"[]", b"{}", b",", b"%",
    b"%00", b"%FF%FE", b"%ED%A0%80", b"%D9%A1", b"a" * 3_000, b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59-23:59",
)  # fmt: skip
QUERIES = (b"&&&", b"=", b"%", b"%FF=%FF", b"%ED%A0%80=1", b"a[]=1", b"a=1&" * 500, b"limit=1&limit=x", b"limit=1")
FIELD_VALUES = (
    b"", b" ", b"\xff\xfe", b"\xed\xa0\x80", b"*", b'"', b'W/"', b'"1", "', b",,,", b";q=", b"=:;", b"0", b"-1",
    b"1e400", b"9" * 4_301, b"[", b"]:x", b"a" * 3_000, b"text/csv; q=\xff", b"wait=1e400", b"sha-256=:\xff:",
    b"sha-256=(1 2)", b"bytes=0-", b"Sat, 99 Foo 99999",
)  # fmt: skip
CREDENTIALS = (
    b"Basic", b"Basic \xff\xfe", b"Basic !!!", b"Basic =", b"Basic Og==", b"Basic gICA", b"Basic AAA6AAA=", b"Bearer",
    b"Bearer \xff\xfe", b"Bearer a.b.c", b"Bearer e30.e30.e30", b"Bearer W10.W10.W10", b"Digest \xff", b"\xff\xfe",
)  # fmt: skip
GENERAL_FIELDS = (
    b"accept", b"accept-encoding", b"if-match", b"if-none-match", b"if-modified-since", b"prefer", b"range", b"cookie",
    b"x-request-id", b"x-forwarded-for", b"traceparent", b"user-agent", b"referer", b"origin",
)  # fmt: skip


@dataclass(frozen=True)
class MalformedRequest:
    """A request as bytes; ``repr`` is enough to send it again. An ``anonymous`` one has credentials of its own."""

    method: str
    path: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()
    content: bytes = b""
    anonymous: bool = False

    def __repr__(self) -> str:
        """The request, cut short."""
        return f"{self.method} {self.path[:120]!r} {self.fields!r:.200} {self.content[:200]!r}"


@dataclass(frozen=True)
class Operation:
    """An operation of the document, with ``known`` values of its parameters and of fields of its body."""

    document: Mapping[str, Any]
    method: str
    template: str
    described: Mapping[str, Any]
    known: Mapping[str, str] = field(repr=False)

    def named(self, place: str) -> list[str]:
        """The names of its parameters in the path, the query or the header."""
        return [each["name"] for each in self.described.get("parameters", ()) if each["in"] == place]

    def path(self, changed: str = "", raw: bytes = b"", query: bytes = b"") -> bytes:
        """Return its path, with required query parameters and the parameter ``changed`` set to ``raw``."""
        path = self.template.encode()
        for name in self.named("path"):
            value = raw if name == changed else quote(self.known.get(name, "0")).encode()
            path = path.replace(b"{%s}" % name.encode(), value or b"%20")
        needed = [
            b"%s=%s" % (each["name"].encode(), quote(self.known.get(each["name"], "1")).encode())
            for each in self.described.get("parameters", ())
            if each["in"] == "query" and each.get("required") and each["name"] != changed
        ]
        if changed in self.named("query"):
            needed.append(b"%s=%s" % (changed.encode(), raw))
        query = b"&".join([*needed, query] if query else needed)
        return path + b"?" + query if query else path

    def fields(self, *malformed: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header fields of a valid request, replaced by or extended with ``malformed`` ones."""
        valid = {b"if-match": b"*"} if "if-match" in self.named("header") else {}
        if "idempotency-key" in self.named("header"):
            valid[b"idempotency-key"] = uuid4().hex.encode()
        if self.media_type:
            valid[b"content-type"] = self.media_type.encode()
        return tuple({**valid, **dict(malformed)}.items())

    @property
    def media_types(self) -> Sequence[str]:
        """The media types of its body."""
        return list(self.described.get("requestBody", {}).get("content", ()))

    @property
    def media_type(self) -> str:
        """The first media type, or an empty text without a body."""
        return next(iter(self.media_types), "")

    @property
    def _content(self) -> Mapping[str, Any]:
        content: Mapping[str, Any] = self.described["requestBody"]["content"][self.media_type]
        return content

    @property
    def schema(self) -> Mapping[str, Any]:
        """The schema of its body."""
        return self.resolved(self._content["schema"])

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a schema with its reference resolved; of alternatives, the first that is an object."""
        if "$ref" in schema:
            found: Mapping[str, Any] = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            return self.resolved(found)
        choices = [self.resolved(each) for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, ())]
        return next((each for each in choices if "properties" in each), schema)

    def example(self) -> Any:
        """Return the example body of the document with the known values filled in."""
        shown = self.schema.get("examples") or [self._content.get("example", {})]
        return _fill_in(shown[0], self.known)


def _fill_in(value: Any, known: Mapping[str, str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: known[name] if name in known else _fill_in(inner, known) for name, inner in value.items()}


def operations(
    document: Mapping[str, Any], known: Mapping[str, str], own: Mapping[str, Mapping[str, str]]
) -> list[Operation]:
    """Return every operation; DELETE comes last, so that the other operations find what it deletes.

    ``own`` has the values that differ for one operation, by its ``operationId``.
    """
    found = [
        Operation(document, method.upper(), path, described, {**known, **own.get(described["operationId"], {})})
        for path, item in document["paths"].items()
        for method, described in item.items()
    ]
    return sorted(found, key=lambda each: each.method == "DELETE")


def malformed_bodies(operation: Operation) -> Iterator[MalformedRequest]:
    """Yield requests with malformed bodies: as a whole, in each place of a valid one, in one field, in all fields."""
    for media_type in operation.media_types or ("",):
        if media_type == JSON_TYPE:
            texts = _json_bodies(operation)
        elif media_type == FORM_TYPE:
            texts = _forms(operation)
        else:
            texts = (value.encode() for value in DOCUMENTS)
        for content in texts:
            fields = operation.fields((b"content-type", media_type.encode())) if media_type else operation.fields()
            yield MalformedRequest(operation.method, operation.path(), fields, content)


def _json_bodies(operation: Operation) -> Iterator[bytes]:
    yield from (document.encode() for document in DOCUMENTS)
    yield from (b"\xff\xfe{\x00}\x00", b'{"a": "\xff"}', b"\x00", b'{"a": 1}' * 2)
    valid = operation.example()
    names = [*operation.schema.get("properties", {})]
    for value in VALUES:
        yield json.dumps(dict.fromkeys(names, "@")).replace('"@"', value).encode()
        yield from (f'{{"{name}": {value}}}'.encode() for name in names)
        yield from (with_value(valid, place, value) for place in places(operation, operation.schema, valid))


def places(operation: Operation, schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every place in a value, and of every further property in its schema."""
    schema = operation.resolved(schema)
    properties = schema.get("properties", {})
    if isinstance(value, dict) or properties:
        held = value if isinstance(value, dict) else {}
        for name in dict.fromkeys([*held, *properties]):
            yield (name,)
            for inner in places(operation, properties.get(name, {}), held.get(name)):
                yield (name, *inner)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield (index,)
            for inner in places(operation, schema.get("items", {}), each):
                yield (index, *inner)


def with_value(valid: Any, place: Sequence[str | int], text: str) -> bytes:
    """Return a document with one place replaced by a JSON text."""
    changed = json.loads(json.dumps(valid))
    at = changed
    for step in place[:-1]:
        if isinstance(at, dict) and not isinstance(at.get(str(step)), dict | list):
            at[str(step)] = {}
        at = at[step]
    at[place[-1]] = "@value@"
    return json.dumps(changed).replace('"@value@"', text).encode()


def _forms(operation: Operation) -> Iterator[bytes]:
    names = [name.encode() for name in operation.schema.get("properties", {})]
    valid = {name: operation.known.get(name.decode(), "").encode() for name in names}
    for text in (*TEXTS, b"\xff\xfe"):
        yield b"&".join(b"%s=%s" % (name, text) for name in names)
        for name in names:
            changed = {**valid, name: text}
            yield b"&".join(b"%s=%s" % each for each in changed.items())
            yield b"&".join(b"%s=%s" % each for each in [*valid.items(), (name, text)])
    yield from (*QUERIES, b"grant_type", b"\x00" * 100, b"a=1&" * 3_000)


def malformed_parameters(operation: Operation) -> Iterator[MalformedRequest]:
    """Yield requests with malformed parameters in path and query."""
    body = json.dumps(operation.example()).encode() if operation.media_type == JSON_TYPE else b""
    for name in (*operation.named("path"), *operation.named("query")):
        for text in TEXTS:
            yield MalformedRequest(operation.method, operation.path(name, text), operation.fields(), body)
    for query in QUERIES:
        yield MalformedRequest(operation.method, operation.path(query=query), operation.fields(), body)


def malformed_headers(operation: Operation) -> Iterator[MalformedRequest]:
    """Yield requests with malformed headers: each that the document names, the host, and all others at once."""
    body = json.dumps(operation.example()).encode() if operation.media_type == JSON_TYPE else b""
    path = operation.path(query=b"limit=1" if "limit" in operation.named("query") else b"")
    named = [name.encode() for name in operation.named("header")]
    for value in FIELD_VALUES:
        general = [(name, value) for name in GENERAL_FIELDS]
        each_of = ([(name, value)] for name in (*named, b"host", b"content-type", b"content-encoding"))
        for malformed in (general, *each_of):
            yield MalformedRequest(operation.method, path, operation.fields(*malformed), body)
    for value in CREDENTIALS:
        yield MalformedRequest(
            operation.method, path, operation.fields((b"authorization", value)), body, anonymous=True
        )
