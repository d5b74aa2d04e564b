"""A router with MikroTik RouterOS: its address lists, and an interpreter of the scripting language's part in use here.

The language is that of MikroTik's manual "Scripting"
(help.mikrotik.com/docs/spaces/ROS/pages/47579229/Scripting): arrays with keys, ``:foreach`` over keys and values,
``:typeof`` of what is not there, a command in brackets as a value. Of its manual "Address-lists": an entry with a
timeout is dynamic and not kept on flash, and the same address twice is refused.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

TOKEN = re.compile(r'"[^"]*"|[A-Za-z0-9_.:/]+(?:-[A-Za-z0-9_.:/]+)*|->|!=|[\[\](){}$<=,\n]')
MENUS = ("/ip", "/ipv6")


class ScriptError(Exception):
    """A command fails, and the import ends there."""


class Nothing(NamedTuple):
    """The value of a variable without one, and of an element that is not there."""


class Entry:
    """An entry of an address list; without a timeout it is written to flash."""

    def __init__(self, address: str, timeout: timedelta | None = None) -> None:
        self.address = address
        self.timeout = timeout


class Router:
    """Address lists named ``ip_registration`` of both families, and the changes made to them, in order."""

    def __init__(self) -> None:
        self.lists: dict[str, dict[int, Entry]] = {menu: {} for menu in MENUS}
        self.changes: list[str] = []
        self.variables: dict[str, Any] = {}
        self._last = 0

    def insert(self, menu: str, address: str, timeout: timedelta | None = None) -> None:
        """Add an entry. Raises ``ScriptError`` when the address is on the list."""
        if address in self.addresses(menu):
            raise ScriptError("already have such entry")
        self._last += 1
        self.lists[menu][self._last] = Entry(address, timeout)

    def addresses(self, menu: str) -> set[str]:
        """The addresses on the list of a menu, ``/ip`` or ``/ipv6``."""
        return {entry.address for entry in self.lists[menu].values()}

    def run(self, script: str) -> Iterator[str]:
        """Run a script as ``/import`` does; give each change when it is made. Raises ``ScriptError``."""
        text = "\n".join(line for line in script.splitlines() if not line.startswith("#"))
        tokens = TOKEN.findall(text)
        assert "".join(tokens) == re.sub(r"[ \t]", "", text) or '"' in text, "a character of no token"
        yield from Block(self, tokens).run(self.variables)

    def command(self, menu: str, name: str, arguments: dict[str, Any], number: int | None) -> Any:
        """Carry out a command of the menu of address lists."""
        entries = self.lists[menu]
        if name == "find":
            assert arguments == {"list": "ip_registration"}
            return list(entries)
        if name == "add":
            assert arguments.pop("list") == "ip_registration"
            self.insert(menu, **arguments)
            self.changes.append(f"add {arguments['address']}")
            return None
        assert number is not None
        entry = entries[number]
        if name == "get":
            (what,) = arguments
            return {"address": entry.address, "dynamic": entry.timeout is not None, "timeout": entry.timeout}[what]
        self.changes.append(f"{name} {entry.address}")
        if name == "remove":
            del entries[number]
        else:
            assert name == "set"
            entry.timeout = arguments["timeout"]
        return None


class Block:
    """Commands, run from their tokens; a block in braces inside it is run each time that it is reached."""

    def __init__(self, router: Router, tokens: list[str]) -> None:
        self._router = router
        self._tokens = tokens
        self._at = 0

    def run(self, variables: dict[str, Any]) -> Iterator[str]:
        """Run the commands with these variables."""
        self._at, self._variables = 0, variables
        while self._at < len(self._tokens):
            if self._peek() == "\n":
                self._at += 1
            elif self._peek() == "{":
                yield from self._braces().run(dict(variables) | {"": variables})
            else:
                yield from self._statement()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else "\n"

    def _next(self, expected: str | None = None) -> str:
        token = self._peek()
        assert expected in (None, token), f"{expected} instead of {token}: {self._tokens[self._at - 5 : self._at + 5]}"
        self._at += 1
        return token

    def _braces(self) -> "Block":
        self._next("{")
        start, depth = self._at, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self._next(), 0)
        return Block(self._router, self._tokens[start : self._at - 1])

    def _statement(self) -> Iterator[str]:
        word = self._next()
        if word in MENUS:
            before = len(self._router.changes)
            self._menu_command(word)
            yield from self._router.changes[before:]
        elif word in (":global", ":local"):
            name = self._next()
            if self._peek() != "\n" or word == ":local":
                self._assign(name, self._value())
            else:
                self._variables[name] = self._router.variables[name]
        elif word == ":set":
            self._set()
        elif word == ":if":
            yield from self._if()
        elif word == ":foreach":
            yield from self._foreach()
        elif word == ":error":
            raise ScriptError(self._value())
        else:
            raise AssertionError(f"no command: {word}")
        assert self._peek() in ("\n", "}"), f"a command goes on with {self._peek()}"

    def _assign(self, name: str, value: Any) -> None:
        self._variables[name] = value
        if name in self._router.variables:
            self._router.variables[name] = value

    def _set(self) -> None:
        if self._peek() != "(":
            name = self._next()
            self._assign(name, Nothing() if self._peek() == "\n" else self._value())
            return
        self._next("(")
        self._next("$")
        array = self._variables[self._next()]
        self._next("->")
        key = self._value()
        self._next(")")
        array[key] = self._value()

    def _named_block(self, name: str) -> "Block":
        self._next(name)
        self._next("=")
        return self._braces()

    def _if(self) -> Iterator[str]:
        condition = self._value()
        assert isinstance(condition, bool), condition
        then, otherwise = self._named_block("do"), None
        if self._peek() == "else":
            otherwise = self._named_block("else")
        if condition:
            yield from then.run(self._variables)
        elif otherwise:
            yield from otherwise.run(self._variables)

    def _foreach(self) -> Iterator[str]:
        names = [self._next()]
        if self._peek() == ",":
            self._next()
            names.append(self._next())
        self._next("in")
        self._next("=")
        array = self._value()
        body = self._named_block("do")
        items = list(array.items()) if len(names) == 2 else [(value,) for value in array or ()]
        for values in items:
            self._variables.update(zip(names, values, strict=True))
            yield from body.run(self._variables)

    def _value(self) -> Any:
        token = self._next()
        if token == "$":
            return self._variables[self._next()]
        if token == "[":
            result = self._bracketed()
            self._next("]")
            return result
        if token == "(":
            return self._parenthesised()
        if token.startswith('"'):
            return token[1:-1]
        if weeks := re.fullmatch(r"(\d+)w", token):
            return timedelta(weeks=int(weeks[1]))
        return {"true": True, "false": False}[token] if token in ("true", "false") else int(token)

    def _parenthesised(self) -> Any:
        if self._peek() == "{":
            self._braces()
            self._next(")")
            return {}
        left, operator = self._value(), self._next()
        if operator == ")":
            return left
        right = self._value()
        self._next(")")
        if operator == ",":
            return [*left, right]
        if operator == "->":
            return left.get(right, Nothing())
        return {"=": left == right, "!=": left != right, "<": operator == "<" and left < right}[operator]

    def _bracketed(self) -> Any:
        word = self._next()
        if word in MENUS:
            return self._menu_command(word)
        value = self._value()
        if word == ":len":
            return len(value)
        if word == ":tostr":
            return str(value)
        assert word == ":typeof"
        return {bool: "bool", Nothing: "nothing", str: "str"}[type(value)]

    def _menu_command(self, menu: str) -> Any:
        self._next("firewall")
        self._next("address-list")
        name = self._next()
        number, arguments = None, dict[str, Any]()
        while self._peek() not in ("\n", "]", "}"):
            if self._peek() == "$":
                number = self._value()
            elif (word := self._next()) != "where":
                if self._peek() == "=":
                    self._next("=")
                    arguments[word] = self._value()
                else:
                    arguments[word] = None
        return self._router.command(menu, name, arguments, number)
