"""Column-wise validation of many request bodies: a value that occurs often is validated once (ADR 0018)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.core.validation.schemas import Body, is_blank


class ColumnValidator:
    """Validates columns of texts as the fields of a body class.

    ``parsers`` convert the text of a field to the JSON value that the body expects. A blank text stands for an absent
    field. Errors are not reported: an invalid row is validated again by itself.
    """

    def __init__(self, body: type[Body], parsers: Mapping[str, Callable[[str], Any]]) -> None:
        self._body = body
        self._parsers = parsers
        self._validators = {name: _validator(body, field) for name, field in body.model_fields.items()}

    def validate(
        self, columns: Mapping[str, Sequence[str]], constants: Mapping[str, Any]
    ) -> Iterator[list[Any] | None]:
        """Yield the validated values of each row in the order of ``columns``, or None when the row is invalid.

        ``constants`` are valid fields with the same value in each row. Rules between fields see validated values.
        """
        invalid = set[int]()
        values = [self._validate_column(name, texts, invalid) for name, texts in columns.items()]
        for i, row in enumerate(zip(*values, strict=True)):
            fields = {name: value for name, value in zip(columns, row, strict=True) if value is not None}
            yield None if i in invalid or any(self._body.cross_field_errors({**constants, **fields})) else [*row]

    def _validate_column(self, name: str, texts: Sequence[str], invalid: set[int]) -> list[Any]:
        """Return the values of a column, and add its invalid rows to ``invalid``."""
        values: dict[str, Any] = {}
        invalid_texts = set[str]()
        for text in set(texts):
            try:
                values[text] = self._validate_text(name, text)
            except ValidationError:
                values[text] = None
                invalid_texts.add(text)
        if invalid_texts:
            invalid.update(i for i, text in enumerate(texts) if text in invalid_texts)
        return [values[text] for text in texts]

    def _validate_text(self, name: str, text: str) -> Any:
        if is_blank(text):
            return self._validators[name](None)  # a required field refuses None
        return self._validators[name](self._parsers[name](text) if name in self._parsers else text)


def _validator(body: type[Body], field: FieldInfo) -> Callable[[Any], Any]:
    annotated: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotated, config=body.model_config)
    return adapter.validator.validate_python
