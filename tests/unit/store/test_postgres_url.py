"""What a PostgreSQL URL may say, and that what is secret in it is never shown."""

import traceback

import pytest

from diptych.errors import ConfigurationError
from diptych.postgres_library.url import PostgresUrl


def parse(url: str) -> PostgresUrl:
    return PostgresUrl.parse("log", url, schema="diptych")


def test_a_url_names_user_host_database_and_schema() -> None:
    url = parse("postgresql://ann:s3cret@db.example:5433/shop?schema=orders&sslmode=require")
    assert url.schema == "orders"
    assert not url.pooler
    assert url.dsns == ("postgresql://ann:s3cret@db.example:5433/shop?sslmode=require",)


def test_the_schema_is_the_one_that_was_asked_for_where_the_url_names_none() -> None:
    assert parse("postgresql:///shop").schema == "diptych"


def test_each_host_is_tried_by_itself() -> None:
    url = parse("postgresql://ann@one:5432,two:5433,[::1]:5434/shop?pooler=transaction")
    assert url.pooler
    assert [dsn.removeprefix("postgresql://ann@").removesuffix("/shop") for dsn in url.dsns] == [
        "one:5432",
        "two:5433",
        "[::1]:5434",
    ]


def test_a_password_is_not_shown() -> None:
    url = parse("postgresql://ann:s3cret@db/shop?password=s3cret&sslpassword=s3cret")
    assert url.shown == "postgresql://ann@db/shop"
    assert "s3cret" not in repr(url)


def test_percent_encoded_parameters_reach_the_driver_as_they_were() -> None:
    url = parse("postgresql:///shop?host=/run/postgresql&user=a%26b")
    assert url.dsns == ("postgresql:///shop?host=%2Frun%2Fpostgresql&user=a%26b",)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://ann:s3cret@db/shop", "another kind of database"),
        ("postgresql://ann:s3cret@db/shop#x", "#"),
        ("postgresql://ann:s3cret@db/shop?colour=red", "colour"),
        ("postgresql://ann:s3cret@db/shop?schema=Orders", "schema"),
        ("postgresql://ann:s3cret@db/shop?schema=a;drop", "schema"),
        ("postgresql://ann:s3cret@db/shop?pooler=session", "pooler"),
        ("postgresql://ann:s3cret@db:port/shop", "not a URL"),
        ("postgresql://ann:s3cret@db:99999/shop", "not a URL"),
        ("postgresql://ann:s3cret@[db/shop", "not a URL"),
        ("postgresql://ann:s3cret@db/shop?schema", "not a URL"),
    ],
)
def test_what_is_no_url_is_refused_with_advice_and_without_its_password(
    url: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        parse(url)
    assert problem in str(refusal.value)
    assert "postgresql://user:password@host:5432/database" in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_parameters_of_the_caller_are_handed_on() -> None:
    url = PostgresUrl.parse(
        "read", "postgresql:///a?replica=postgresql%3A%2F%2F%2Fb", schema="r",
        also=frozenset({"replica"}),
    )  # fmt: skip
    assert url.more == {"replica": "postgresql:///b"}


@pytest.mark.parametrize(
    "password", ["123/SECRET", "123#SECRET", "123?SECRET", "SECRET@x/y", "a:b/SECRET"]
)
def test_no_piece_of_a_password_that_is_not_encoded_is_shown(password: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        PostgresUrl.parse("log", f"postgresql://ann:{password}@host/db", schema="s")
    told = "".join(traceback.format_exception(refused.value))
    assert "SECRET" not in told.replace(f"ann:{password}", "")
    assert "percent-encoded" in str(refused.value)
