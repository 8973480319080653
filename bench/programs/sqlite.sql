-- An in-memory database that is filled, indexed, joined, changed and searched.
PRAGMA cache_size = -65536;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, grp INTEGER, price REAL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
INSERT INTO item
SELECT i, printf('item-%06d', i * 7919 % 120000), i * 31 % 997, i * 1.25,
       substr('the quick brown fox jumps over the lazy dog', 1 + i % 20, 5 + i % 18)
FROM n;
CREATE INDEX item_name ON item(name);
CREATE INDEX item_grp ON item(grp, price);
SELECT count(*), sum(length(name || note)) FROM item;
SELECT grp, count(*), round(avg(price), 2) FROM item GROUP BY grp
    ORDER BY 3 DESC, 1 LIMIT 5;
SELECT count(*) FROM item a JOIN item b ON b.grp = a.grp AND b.price > a.price + 74000;
UPDATE item SET note = upper(note) || '/' || grp WHERE id % 3 = 0;
SELECT count(DISTINCT note), max(length(note)) FROM item;
CREATE TABLE doc AS
    SELECT id, json_object('id', id, 'name', name, 'tags', json_array(grp, price, note)) j
    FROM item WHERE id % 2 = 0;
SELECT sum(json_extract(j, '$.tags[0]')), count(DISTINCT json_extract(j, '$.name')) FROM doc;
SELECT substr(group_concat(name, ','), 1, 40) FROM (SELECT name FROM item ORDER BY note, name);
DELETE FROM item WHERE grp % 5 = 1;
SELECT count(*) FROM item WHERE name IN (SELECT json_extract(j, '$.name') FROM doc);
