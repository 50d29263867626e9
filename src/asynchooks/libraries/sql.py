"""What may be recorded of an SQL statement: its text without literals, and a summary.

As OpenTelemetry's conventions for database spans define them: `db.query.text`, sanitised, and
`db.query.summary`, the operations and what they are done to, in the order and case in which they
stand. This reads words and no grammar, one pass over at most 16 KiB.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ("Statement", "read_statement")

# What is recorded of a text; a summary, by the conventions, is no longer than so many characters.
_MAXIMUM_TEXT = 16 * 1024
_MAXIMUM_SUMMARY = 255

# In these, a backslash escapes inside of quotes, and double quotes are for text.
_MYSQL_LIKE = frozenset(("mysql", "mariadb", "clickhouse", "spanner", "gcp.spanner", "hive"))
_MYSQL_PATTERNS = {
    "text": r"""[bBnNxX]?(?:'(?:[^'\\]|''|\\.)*+(?:'|\Z)|"(?:[^"\\]|""|\\.)*+(?:"|\Z))""",
    "comment": r"--[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z)",
    "quoted": r"`(?:[^`]|``)*+`?",
}
_STANDARD_PATTERNS = {
    "text": r"""[eE]'(?:[^'\\]|''|\\.)*+(?:'|\Z)|[bBnNxX]?'(?:[^']|'')*+(?:'|\Z)""",
    "comment": r"--[^\n]*|/\*.*?(?:\*/|\Z)",
    "quoted": r'"(?:[^"]|"")*+"?|`(?:[^`]|``)*+`?',
}
_MSSQL_PATTERNS = {
    **_STANDARD_PATTERNS,
    "quoted": _STANDARD_PATTERNS["quoted"] + r"|\[(?:[^\]]|\]\])*+\]?",
}


def _compile(text: str, comment: str, quoted: str) -> re.Pattern[str]:
    return re.compile(
        rf"""
        (?P<space>\s++)
        |(?P<text>{text}|(?P<dollar>\$(?:[^\W\d]\w*+)?\$).*?(?:(?P=dollar)|\Z))
        |(?P<word>[^\W\d][\w$]*+)
        |(?P<quoted>{quoted})
        |(?P<placeholder>\?\d*+|\$\d++|::|[:@$]+\w++|%s|%\(\w*+\)s)
        |(?P<number>0[xX][0-9a-fA-F]++|(?:\d[\d_]*+(?:\.[\d_]*+)?|\.\d[\d_]*+)(?:[eE][+-]?\d++)?)
        |(?P<comment>{comment})
        |(?P<other>.)
        """,
        re.VERBOSE | re.DOTALL,
    )


_MYSQL = _compile(**_MYSQL_PATTERNS)
_MSSQL = _compile(**_MSSQL_PATTERNS)
_STANDARD = _compile(**_STANDARD_PATTERNS)

# `IN (?, ?, ?)` is `IN (?)`, and rows of values are the first of them.
_LIST = re.compile(r"(\bIN\s*+)\(\s*+\?(?:\s*+,\s*+\?)++\s*+\)", re.IGNORECASE)
_ROWS = re.compile(r"(\((?:\s*+\?\s*+,?+)++\))(?:\s*+,\s*+\((?:\s*+\?\s*+,?+)++\))++")

# Comments are the developer's words, but for values as sqlcommenter writes them: `route='/a'`.
# What stands behind any other quote may be anything.
_VALUE_IN_COMMENT = re.compile(r"""=\s*+(?:'[^']*+'|"[^"]*+")""")
_REST_OF_COMMENT = re.compile(r"""['"].*?(?=\*/\Z|\Z)""", re.DOTALL)

# A double-quoted word that SQLite knows no column for is text to it. Behind these it may be one.
_COMPARISONS = frozenset(("=", "<", ">", "LIKE", "GLOB", "IS", "MATCH"))

_OPERATIONS = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"))
# `FOR UPDATE`, `ON CONFLICT DO UPDATE`, `ON DUPLICATE KEY UPDATE`, `ON DELETE`, `THEN INSERT`.
_NO_OPERATION_BEHIND = frozenset(("FOR", "DO", "KEY", "ON", "THEN", "BEFORE", "AFTER", "OR"))
# A target comes next, perhaps behind some words.
_TARGET_COMES = frozenset(("INTO", "TABLE", "JOIN", "VIEW", "INDEX"))
_TARGET_BEHIND = frozenset(("UPDATE", "TRUNCATE", "CALL", "EXEC", "EXECUTE", "REFRESH"))
_BEFORE_TARGET = frozenset(("IF", "NOT", "EXISTS", "ONLY", "LATERAL", "OR", "IGNORE", "TABLE"))
_LIST_ENDS = frozenset(
    ("WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "SET", "ON", "USING", "UNION", "VALUES")
)


class Statement(NamedTuple):
    """What may be recorded of a statement. `operation` and `summary` are "" where the text has
    none."""

    text: str
    operation: str
    summary: str


def read_statement(text: str, system: str = "") -> Statement:
    """Read a statement in the dialect of a `db.system.name`."""
    text = text[:_MAXIMUM_TEXT]
    pattern = _MYSQL if system in _MYSQL_LIKE else _MSSQL if "sql_server" in system else _STANDARD
    out: list[str] = []
    summary = _Summary()
    before = ""  # the last one that is not space
    for match in pattern.finditer(text):
        kind, piece = match.lastgroup, match[0]
        if kind == "space":
            out.append(piece)
            continue
        if kind == "comment":
            out.append(_REST_OF_COMMENT.sub("?", _VALUE_IN_COMMENT.sub("=?", piece)))
            continue
        if kind == "quoted" and piece[0] == '"' and system == "sqlite" and before in _COMPARISONS:
            kind = "text"
        if kind in ("text", "number", "dollar"):
            piece = "?"
            summary.see_other(piece)
        elif kind == "word":
            summary.see_word(piece, before)
        elif kind == "quoted":
            summary.see_name(piece)
        else:
            summary.see_other(piece)
        before = piece.upper() if kind == "word" else piece
        out.append(piece)
    clean = "".join(out).strip()
    if "?" in clean:
        clean = _ROWS.sub(r"\1", _LIST.sub(r"\1(?)", clean))
    return Statement(clean, summary.operation, summary.joined())


class _Summary:
    """Collects operations and targets, word by word."""

    def __init__(self) -> None:
        self.operation = ""
        self._parts: list[str] = []
        self._is_behind_with = False
        self._is_target_next = False
        self._is_at_target = False  # a dot comes, or the target is complete
        self._is_dotted = False
        # Of the innermost brackets: whether FROM in them is that of a query, and not that of
        # `EXTRACT(x FROM y)`, and whether a comma stands between its targets. And of those outside.
        self._is_query = False
        self._is_list = False
        self._outside: list[tuple[bool, bool]] = []

    def joined(self) -> str:
        """The summary, cut between two words where it is too long."""
        summary = " ".join(self._parts)
        if len(summary) <= _MAXIMUM_SUMMARY:
            return summary
        return summary[: _MAXIMUM_SUMMARY + 1].rpartition(" ")[0]

    def see_word(self, word: str, before: str) -> None:
        upper = word.upper()
        if not self.operation:
            self._is_behind_with = self._is_behind_with or upper == "WITH"
            if not self._is_behind_with or upper in _OPERATIONS:
                self.operation = word
                self._begin(word, upper)
        elif self._is_dotted:
            self.see_name(word)
        elif upper in _OPERATIONS and before not in _NO_OPERATION_BEHIND:
            self._begin(word, upper)
        elif upper == "FROM":
            if self._is_query and before != "DISTINCT":
                self._is_target_next = self._is_list = True
        elif upper in _TARGET_COMES and before not in _NO_OPERATION_BEHIND:
            self._is_target_next = True
        elif upper in _LIST_ENDS:
            self._is_target_next = self._is_list = False
        elif not (self._is_target_next and upper in _BEFORE_TARGET):
            self.see_name(word)

    def _begin(self, word: str, upper: str) -> None:
        self._parts.append(word)
        self._is_query = True
        self._is_list = False
        self._is_target_next = upper in _TARGET_BEHIND

    def see_name(self, name: str) -> None:
        if self._is_dotted:
            self._parts[-1] += f".{name}"
        elif self._is_target_next:
            self._parts.append(name)
        self._is_at_target = self._is_dotted or self._is_target_next
        self._is_target_next = self._is_dotted = False

    def see_other(self, piece: str) -> None:
        self._is_dotted = piece == "." and self._is_at_target
        self._is_at_target = False
        if piece == "(":
            self._outside.append((self._is_query, self._is_list))
            self._is_query = self._is_list = self._is_target_next = False
        elif piece == ")":
            if self._outside:
                self._is_query, self._is_list = self._outside.pop()
        elif piece == ",":
            self._is_target_next = self._is_list
        elif piece == ";":
            self._is_target_next = self._is_list = False
