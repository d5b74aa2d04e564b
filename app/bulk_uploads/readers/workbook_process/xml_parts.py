"""Parser of the XML parts of a workbook as a stream, without entities and document types."""

import os
from collections.abc import Callable, Mapping
from typing import IO
from xml.sax.handler import ContentHandler

from defusedxml.expatreader import DefusedExpatParser

from app.bulk_uploads.readers.workbook_process.exits import Exit

PIECE_BYTES = 64 * 1024


class _LocalNames(dict[str, str]):
    """Local names by name: prefixes differ between writers, and namespaces between the strict and the usual form."""

    def __missing__(self, name: str) -> str:
        self[name] = name.rpartition(":")[2]
        return self[name]


class XmlReader(DefusedExpatParser, ContentHandler):  # type: ignore[misc]  # defusedxml has no types
    """SAX parser that gives elements to its own methods, which takes half the time of a content handler.

    Raises ``SAXException``, and a ``ValueError`` for entities and document types.
    """

    def __init__(self) -> None:
        DefusedExpatParser.__init__(self, forbid_dtd=True)
        self.setContentHandler(self)
        self.local_names = _LocalNames()

    def read(self, part: IO[bytes]) -> None:
        """Parse a part to its end; the process ends here when its memory does."""
        try:
            while piece := part.read(PIECE_BYTES):
                self.feed(piece)
            self.close()
        except MemoryError:
            os._exit(Exit.TOO_LARGE)  # to free millions of elements takes longer than to read them

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""

    def end_element(self, name: str) -> None:
        """End an element."""


class ElementReader(XmlReader):
    """Parser that gives the local name and the attributes of each element to a function."""

    def __init__(self, take: Callable[[str, Mapping[str, str]], None]) -> None:
        super().__init__()
        self._take = take

    def start_element(self, name: str, attributes: Mapping[str, str]) -> None:
        """Give the element to the function."""
        names = self.local_names
        self._take(names[name], {names[each]: value for each, value in attributes.items()})
