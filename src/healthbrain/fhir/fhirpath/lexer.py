"""FHIRPath text to tokens, as the grammar of FHIRPath N1 defines them (white space and comments dropped)."""

from __future__ import annotations

import re
from typing import NamedTuple

from healthbrain.fhir.fhirpath.problems import Unreadable

MAX_LENGTH = 20_000

_TOKEN = re.compile(
    r"""
      (?P<space>   [ \t\r\n]+ | //[^\r\n]* | /\*(?s:.*?)\*/ )
    | (?P<datetime>@\d{4}(?:-\d\d(?:-\d\d)?)?T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)? )
    | (?P<date>    @\d{4}(?:-\d\d(?:-\d\d)?)? )
    | (?P<time>    @T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)? )
    | (?P<number>  \d+(?:\.\d+)? )
    | (?P<name>    [A-Za-z_][A-Za-z0-9_]* )
    | (?P<quoted>  `(?:[^`\\]|\\(?s:.))*` )
    | (?P<string>  '(?:[^'\\]|\\(?s:.))*' )
    | (?P<special> \$(?:this|index|total)\b )
    | (?P<symbol>  <=|>=|!=|!~|/(?!\*)|[()\[\]{}.,%|&+\-*<>=~] )
    """,
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.?))", re.DOTALL)
_PLAIN_ESCAPES = {"'": "'", '"': '"', "`": "`", "\\": "\\", "/": "/", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Token(NamedTuple):
    """One token: its kind, the text it stands for (escapes resolved) and where it begins."""

    kind: str
    text: str
    offset: int


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, closed by one of kind `end`. Raises Unreadable where none begins."""
    if len(text) > MAX_LENGTH:
        raise Unreadable(f"the expression is longer than {MAX_LENGTH} characters; split it", text, 0)
    found = []
    offset, match = 0, _TOKEN.match
    while offset < len(text):
        token = match(text, offset)
        if token is None:
            raise Unreadable(_complaint(text, offset), text, offset)
        kind = token.lastgroup or ""
        if kind in ("string", "quoted"):
            found.append(Token(kind, _unescaped(text, offset, token[0][1:-1]), offset))
        elif kind != "space":
            found.append(Token(kind, token[0], offset))
        offset = token.end()
    found.append(Token("end", "", offset))
    return found


def _complaint(text: str, offset: int) -> str:
    if text.startswith("/*", offset):
        return "the comment is not closed; end it with */"
    opener = text[offset]
    if opener in "'`":
        return f"the text is not closed; end it with {opener}"
    if opener == "@":
        return "@ begins a date, date-time or time such as @2015-02-04, @2015-02-04T14:34Z or @T14:34"
    if opener == "$":
        return "only $this, $index and $total begin with $"
    return "this character begins nothing in FHIRPath"


def _unescaped(text: str, offset: int, inner: str) -> str:
    if "\\" not in inner:
        return inner

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 16))
        plain = _PLAIN_ESCAPES.get(found[2])
        if plain is None:
            place = offset + 1 + found.start()
            raise Unreadable(r"unknown escape; use \' \" \` \\ \/ \f \n \r \t or \uXXXX", text, place)
        return plain

    replaced = _ESCAPE.sub(one, inner)
    # a pair of surrogates is one character
    return replaced.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if "\\u" in inner else replaced
