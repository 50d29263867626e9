"""What is recorded of an SQL statement: no literal of any dialect, and a summary."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynchooks.libraries.sql import read_statement

STANDARD, POSTGRESQL, SQLITE = "", "postgresql", "sqlite"
MYSQL, MSSQL = "mysql", "microsoft.sql_server"


@pytest.mark.parametrize(
    ("system", "text", "expected"),
    [
        (STANDARD, "SELECT 'it''s' , 'b' FROM t", "SELECT ? , ? FROM t"),
        (STANDARD, "SELECT N'a', x'ff', B'01', ''", "SELECT ?, ?, ?, ?"),
        (STANDARD, r"SELECT 'C:\' , 'secret'", "SELECT ? , ?"),
        (POSTGRESQL, r"SELECT E'it\'s secret', 1", "SELECT ?, ?"),
        (POSTGRESQL, "SELECT $$it's$$, $a$ $$ $b$ $a$, 1", "SELECT ?, ?, ?"),
        (POSTGRESQL, "SELECT $1::int, $2 FROM t", "SELECT $1::int, $2 FROM t"),
        (POSTGRESQL, "SELECT DATE '2020-01-01'", "SELECT DATE ?"),
        (POSTGRESQL, "SELECT a['x'], b[1]", "SELECT a[?], b[?]"),
        (POSTGRESQL, 'SELECT "a 1" FROM "t"', 'SELECT "a 1" FROM "t"'),
        (MYSQL, r"""SELECT 'it\'s', "se""cret", "\"" """, "SELECT ?, ?, ?"),
        (MYSQL, "SELECT `a 1` FROM `t`", "SELECT `a 1` FROM `t`"),
        (MYSQL, "SELECT _utf8'a' # it's 'secret'", "SELECT _utf8? # it?"),
        (MSSQL, "SELECT [it's], @p1 FROM [t 1]", "SELECT [it's], @p1 FROM [t 1]"),
        (SQLITE, 'SELECT "a" FROM t WHERE b = "secret"', 'SELECT "a" FROM t WHERE b = ?'),
        (SQLITE, "SELECT ?1, :name, @name, $name", "SELECT ?1, :name, @name, $name"),
        (STANDARD, "SELECT %s, %(name)s, ?", "SELECT %s, %(name)s, ?"),
        (STANDARD, "SELECT 1, -2.5, .5, 1., 3e10", "SELECT ?, -?, ?, ?, ?"),
        (STANDARD, "SELECT 2E-7, 0xFF, 1_000", "SELECT ?, ?, ?"),
        (STANDARD, "SELECT t1.c2, a1b FROM t1", "SELECT t1.c2, a1b FROM t1"),
        (STANDARD, "SELECT 1 -- why 'secret'\n, 2", "SELECT ? -- why ?\n, ?"),
        (STANDARD, "SELECT /* route='/a', n=1 */ 1", "SELECT /* route=?, n=1 */ ?"),
        (STANDARD, "SELECT a FROM t WHERE b = 'unterminated", "SELECT a FROM t WHERE b = ?"),
        (STANDARD, "SELECT 1 /* unterminated 'secret", "SELECT ? /* unterminated ?"),
        (STANDARD, "a IN (1, 2,3) AND b in ('x')", "a IN (?) AND b in (?)"),
        (STANDARD, "a IN (b, 1)", "a IN (b, ?)"),
        (STANDARD, "VALUES (1, 'a'), (2,'b') , (3,'c')", "VALUES (?, ?)"),
        (STANDARD, "  SELECT 1 ;\n", "SELECT ? ;"),
        (STANDARD, "", ""),
    ],
)  # fmt: skip
def test_literals_are_left_out(system: str, text: str, expected: str) -> None:
    assert read_statement(text, system).text == expected


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("SELECT * FROM wuser_table WHERE username = ?", "SELECT wuser_table"),
        (
            "INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders",
            "INSERT shipping_details SELECT orders",
        ),
        ("SELECT * FROM songs s, artists AS a WHERE s.x = a.y", "SELECT songs artists"),
        (
            "SELECT date FROM (SELECT * FROM orders o JOIN customers c ON o.c = c.id)",
            "SELECT SELECT orders customers",
        ),
        ('SELECT * FROM "song list"', 'SELECT "song list"'),
        ("select 1", "select"),
        ("  \n-- why\n/* and\nhow */ INSERT INTO items VALUES (?)", "INSERT items"),
        ("UPDATE products SET stock = 1", "UPDATE products"),
        ("DELETE FROM shop.orders", "DELETE shop.orders"),
        ('UPDATE ONLY "shop"."orders" SET a = 1', 'UPDATE "shop"."orders"'),
        ("CREATE TABLE IF NOT EXISTS orders (id)", "CREATE orders"),
        ("DROP TABLE a", "DROP a"),
        ("TRUNCATE TABLE a", "TRUNCATE a"),
        ("(SELECT a FROM b) UNION (SELECT c FROM d)", "SELECT b SELECT d"),
        ("WITH x AS (SELECT a FROM b) SELECT * FROM x", "SELECT b SELECT x"),
        ("EXPLAIN SELECT a FROM b", "EXPLAIN SELECT b"),
        ("SELECT extract(year FROM at), trim(both FROM x) FROM b", "SELECT b"),
        ("SELECT a IS DISTINCT FROM b FROM c", "SELECT c"),
        ("SELECT a FROM b WHERE c IN (SELECT d FROM e)", "SELECT b SELECT e"),
        ("SELECT a FROM b FOR UPDATE", "SELECT b"),
        ("SELECT a FROM b, (SELECT c FROM d) e, f", "SELECT b SELECT d f"),
        ("INSERT INTO a VALUES (1) ON CONFLICT DO UPDATE SET b = 2", "INSERT a"),
        ("INSERT OR REPLACE INTO a VALUES (1)", "INSERT a"),
        ("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN UPDATE SET x = 1", "MERGE a"),
        ("CALL refresh(1)", "CALL refresh"),
        ("BEGIN", "BEGIN"),
        ("PRAGMA journal_mode = WAL", "PRAGMA"),
        ("", ""),
        (";", ""),
        ("42", ""),
    ],
)
def test_summary(text: str, summary: str) -> None:
    assert read_statement(text).summary == summary


def test_the_operation_is_as_it_was_written() -> None:
    assert read_statement("select a from b").operation == "select"
    assert read_statement("WITH x AS (SELECT 1) DELETE FROM x").operation == "SELECT"


def test_a_long_summary_ends_between_two_words() -> None:
    summary = read_statement("SELECT * FROM " + ", ".join(f"table_{n}" for n in range(100))).summary
    assert 240 < len(summary) <= 255
    assert re.fullmatch(r"SELECT( table_\d+)+", summary)
    assert read_statement("SELECT * FROM " + "a" * 300).summary == "SELECT"


SECRET = "s3cr3t"
LITERALS = {
    STANDARD: ["'{}'", "'it''s {}'", "' {} -- '", "'/* {}'"],
    POSTGRESQL: ["$$ {} ' $$", "$q$ {} $$ $q$", r"E'\' {}'", "'\"{}'"],
    MYSQL: [r"'\' {}'", '"{}"', '"it\'s {}"', "'# {}'"],
    MSSQL: ["N'{}'", "'[{}'", "'{}]'"],
}
AROUND = st.sampled_from(
    [
        "SELECT a",
        "FROM t1",
        "WHERE",
        "(",
        ")",
        ",",
        "=",
        "1",
        "1e5",
        "IN (1, 2)",
        "x.y",
        "\n",
        "/* it's */",
    ]
)


@pytest.mark.parametrize("system", LITERALS)
@given(data=st.data())
def test_no_literal_is_left_whatever_stands_around_it(system: str, data: st.DataObject) -> None:
    literals = st.sampled_from([literal.format(SECRET) for literal in LITERALS[system]])
    parts = data.draw(st.lists(st.one_of(AROUND, literals), max_size=12))
    statement = read_statement(" ".join(parts), system)
    assert SECRET not in statement.text
    assert SECRET not in statement.summary


@given(st.text(), st.sampled_from([STANDARD, POSTGRESQL, SQLITE, MYSQL, MSSQL]))
def test_no_text_makes_it_fail(text: str, system: str) -> None:
    statement = read_statement(text, system)
    assert len(statement.summary) <= 255
    assert len(statement.text) <= len(text)


@pytest.mark.parametrize("system", [STANDARD, MYSQL, MSSQL])
@pytest.mark.parametrize(
    "text",
    [
        "/*" * 20_000, "(" * 50_000, "--\n" * 20_000, " " * 100_000, "-- \n/**/(" * 9_000,
        "'" * 50_001, "a" * 50_000, "$a$" * 9_000, "$" * 50_000, "1_" * 9_000, "(?," * 9_000,
        "IN (?," * 5_000, "(?)," * 9_000 + "x", "\\'" * 9_000, "IN (?" + " " * 50_000,
    ],
    ids=lambda text: text[:8].strip(),
)  # fmt: skip
def test_no_text_makes_it_take_forever(text: str, system: str) -> None:
    assert len(read_statement(text, system).text) <= 16 * 1024
