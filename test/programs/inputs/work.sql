-- Deterministic work for the sqlite3 shell.
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -4000;
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, born INTEGER, notes TEXT);
CREATE TABLE event (id INTEGER PRIMARY KEY, person INTEGER REFERENCES person, kind TEXT,
                    at INTEGER, value REAL);

BEGIN;
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO person
SELECT i, printf('name-%05d', (i * 7919) % 20011), 1900 + i % 120,
       substr(hex(i * 2654435761), 1, 1 + i % 90)
FROM n;
WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
INSERT INTO event
SELECT i, 1 + (i * 104729) % 20000, printf('kind-%d', i % 37), (i * 31337) % 1000003,
       (i % 1009) / 8.0
FROM n;
COMMIT;

CREATE INDEX event_person ON event (person, at);
CREATE INDEX event_kind ON event (kind, value);
CREATE UNIQUE INDEX person_name ON person (name, id);
ANALYZE;

SELECT 'kinds', kind, count(*), sum(value) FROM event GROUP BY kind ORDER BY kind LIMIT 5;
SELECT 'top', p.name, count(*) AS c, max(e.at) FROM event e JOIN person p ON p.id = e.person
WHERE p.born BETWEEN 1950 AND 1970 GROUP BY p.id ORDER BY c DESC, p.name LIMIT 5;
SELECT 'window', id, at, rank FROM (
    SELECT id, at, row_number() OVER (PARTITION BY kind ORDER BY at, id) AS rank FROM event
) WHERE rank = 100 ORDER BY id LIMIT 5;
SELECT 'concat', length(group_concat(name, ';')) FROM (SELECT name FROM person ORDER BY name);
SELECT 'json', sum(json_extract(j, '$.b[1]')) FROM (
    SELECT json_object('a', notes, 'b', json_array(id, born)) AS j FROM person
);

CREATE VIRTUAL TABLE prose USING fts5 (body);
INSERT INTO prose
SELECT group_concat(notes || ' ' || name, ' ') FROM person GROUP BY id / 10;
SELECT 'match', count(*) FROM prose WHERE prose MATCH 'name';
SELECT 'match', rowid FROM prose WHERE prose MATCH '"name 00042"';

BEGIN;
UPDATE event SET value = value * 2, kind = kind || '-even' WHERE id % 2 = 0;
DELETE FROM event WHERE person % 3 = 0;
SAVEPOINT s;
DELETE FROM person;
ROLLBACK TO s;
COMMIT;
SELECT 'left', count(*), sum(value), max(kind) FROM event;
VACUUM;
PRAGMA integrity_check;
PRAGMA wal_checkpoint(TRUNCATE);
