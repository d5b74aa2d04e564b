"""Many bodies of one kind, given column by column: what is said again and again is validated once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.core.validation.schemas import Body, is_blank


class Columnwise:
    """The bodies of a kind whose fields are all sound; of the others ``schemas.validated`` says what is wrong.

    ``read`` gives for a field the function that makes of a text what the body would hold. Fields that need not be there
    are None when they are not.
    """

    def __init__(self, kind: type[Body], read: Mapping[str, Callable[[str], Any]]) -> None:
        self._kind = kind
        self._read = read
        self._validate = {name: _validator(kind, field) for name, field in kind.model_fields.items()}

    def sound(self, columns: Mapping[str, Sequence[str]], same: Mapping[str, Any]) -> Iterator[list[Any] | None]:
        """Of each row the validated values of ``columns``; None where the row would be refused.

        ``same`` are the fields that are sound, and the same in each row. What is between fields is judged by their
        validated values.
        """
        refused = set[int]()
        values = [self._values(name, texts, refused) for name, texts in columns.items()]
        for i, row in enumerate(zip(*values, strict=True)):
            given = {name: value for name, value in zip(columns, row, strict=True) if value is not None}
            yield None if i in refused or any(self._kind.across({**same, **given})) else [*row]

    def _values(self, name: str, texts: Sequence[str], refused: set[int]) -> list[Any]:
        known: dict[str, Any] = {}
        wrong = set[str]()
        for text in set(texts):
            try:
                known[text] = self._value(name, text)
            except ValidationError:
                known[text] = None
                wrong.add(text)
        if wrong:
            refused.update(i for i, text in enumerate(texts) if text in wrong)
        return [known[text] for text in texts]

    def _value(self, name: str, text: str) -> Any:
        if is_blank(text):
            return self._validate[name](None)  # a field that is needed refuses it
        return self._validate[name](self._read[name](text) if name in self._read else text)


def _validator(kind: type[Body], field: FieldInfo) -> Callable[[Any], Any]:
    annotated: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(annotated, config=kind.model_config)
    return adapter.validator.validate_python
