"""What an account of MySQL may do, by the lines of SHOW GRANTS."""

from __future__ import annotations

import pytest

from tieline.probes.grants import allowed, grants_of


@pytest.mark.parametrize(
    ("line", "right", "database", "table", "expected"),
    [
        ("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", "INSERT", "shop", "orders", True),
        ("GRANT ALL PRIVILEGES ON `shop`.* TO `o`@`%`", "INSERT", "shop", "*", True),
        ("GRANT ALL PRIVILEGES ON `shop`.* TO `o`@`%`", "INSERT", "other", "*", False),
        ("GRANT SELECT, INSERT ON `shop`.* TO `o`@`%`", "INSERT", "shop", "*", True),
        ("GRANT SELECT ON `shop`.* TO `o`@`%`", "INSERT", "shop", "*", False),
        ("GRANT SELECT, INSERT (`a`, `b`) ON `shop`.`orders` TO `o`@`%`", "INSERT", "shop", "orders", True),
        ("GRANT SELECT ON `shop`.`orders` TO `o`@`%`", "SELECT", "shop", "orders", True),
        ("GRANT SELECT ON `shop`.`orders` TO `o`@`%`", "SELECT", "shop", "*", False),
        ("GRANT SELECT ON `sh_p`.* TO `o`@`%`", "SELECT", "shop", "*", True),
        (r"GRANT SELECT ON `my\_shop`.* TO `o`@`%`", "SELECT", "my_shop", "*", True),
        (r"GRANT SELECT ON `my\_shop`.* TO `o`@`%`", "SELECT", "myxshop", "*", False),
        ("GRANT SELECT ON `team%`.* TO `o`@`%`", "SELECT", "team_a", "*", True),
        ("GRANT USAGE ON *.* TO `o`@`%` IDENTIFIED BY PASSWORD '*ABC'", "SELECT", "shop", "*", False),
        ("GRANT `reader` TO `o`@`%`", "SELECT", "shop", "*", False),
        ("GRANT SELECT ON `a``b`.`c.d` TO `o`@`%`", "SELECT", "a`b", "c.d", True),
        ("GRANT CREATE TEMPORARY TABLES, SELECT ON `shop`.* TO `o`@`%`", "TABLES", "shop", "*", False),
    ],
)
def test_a_grant(line: str, right: str, database: str, table: str, expected: bool) -> None:
    assert allowed(grants_of([line]), right, database, table) is expected
