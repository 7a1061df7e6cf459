"""Changes a row of the view of orders by hand, behind the back of Diptych."""

import sys
from urllib.parse import urlsplit

import psycopg

from diptych.sqlite_library import sqlite

CHANGE = """
UPDATE order_summaries__1 SET customer_name = 'Mallory'
WHERE order_id IN (SELECT order_id FROM order_summaries__1 LIMIT 1)
"""


def main(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        with sqlite.connect(parts.path.removeprefix("/")) as db:
            db.execute(CHANGE)
        return
    schema = parts.query.removeprefix("schema=")
    options = f"-c search_path={schema}"
    with psycopg.connect(parts._replace(query="").geturl(), options=options) as connection:
        connection.execute(CHANGE)


if __name__ == "__main__":
    main(sys.argv[1])
