#!/bin/bash
# database.sh TIMES: SQLite in memory: inserts, an index, joins, sums, updates.
set -eu
for ((turn = 0; turn < $1; turn++)); do
    sqlite3 :memory: <<'SQL'
CREATE TABLE item(id INTEGER PRIMARY KEY, kind INTEGER, price INTEGER, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
INSERT INTO item SELECT i, i * 7919 % 211, i * 104729 % 10007, 'item ' || (i * 31 % 5003) FROM n;
CREATE INDEX by_kind ON item(kind, price);
CREATE TABLE kind AS SELECT kind, count(*) AS items, sum(price) AS total FROM item GROUP BY kind;
UPDATE item SET price = price + (SELECT items FROM kind WHERE kind.kind = item.kind) WHERE id % 3 = 0;
SELECT sum(length(a.name) + b.price) FROM item a JOIN item b ON b.id = a.id * 13 % 30000 + 1;
SELECT kind, max(price) FROM item WHERE name LIKE '%42%' GROUP BY kind ORDER BY 2 DESC LIMIT 3;
SQL
done
