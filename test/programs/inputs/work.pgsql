-- Deterministic work for PostgreSQL, after pgbench.
\set ON_ERROR_STOP on
-- The order of the transactions is free, their sums are not.
SELECT 'branches', sum(bbalance) FROM pgbench_branches;
SELECT 'tellers', sum(tbalance), md5(string_agg(tid || ':' || tbalance, ',' ORDER BY tid))
FROM pgbench_tellers;
SELECT 'accounts', sum(abalance), md5(string_agg(aid || ':' || abalance, ',' ORDER BY aid))
FROM pgbench_accounts;
SELECT 'history', count(*), sum(delta) FROM pgbench_history;

CREATE TABLE document (id int PRIMARY KEY, body jsonb, words text, tags int[]);
INSERT INTO document
SELECT i, jsonb_build_object('id', i, 'name', md5(i::text), 'list', jsonb_build_array(i, i % 7)),
       repeat(md5((i * 31)::text) || ' ', i % 20), ARRAY[i % 3, i % 5, i % 11]
FROM generate_series(1, 30000) AS i;
CREATE INDEX ON document USING gin (body jsonb_path_ops);
CREATE INDEX ON document USING gin (to_tsvector('simple', words));
CREATE INDEX ON document USING gin (tags);
CREATE INDEX ON document (md5(words));
ANALYZE;
SELECT 'json', count(*) FROM document WHERE body @> '{"list": [3]}';
SELECT 'tags', count(*) FROM document WHERE tags @> ARRAY[2, 4];
SELECT 'text', count(*) FROM document
WHERE to_tsvector('simple', words) @@ to_tsquery('simple', left(md5('31'), 4) || ':*');

-- Sorts and hashes that spill to disk, in parallel workers and compiled code.
SELECT 'group', count(*), max(c) FROM (
    SELECT md5((aid % 20000)::text) AS m, count(*) AS c FROM pgbench_accounts GROUP BY m
) AS g;
SELECT 'join', count(*), sum(a.abalance) FROM pgbench_accounts AS a
JOIN pgbench_accounts AS b ON a.aid = b.aid + 1;
SELECT 'window', sum(r) FROM (
    SELECT rank() OVER (PARTITION BY bid ORDER BY abalance, aid) AS r FROM pgbench_accounts
) AS w;
WITH RECURSIVE t(n, s) AS (
    SELECT 1, 'x'::text UNION ALL SELECT n + 1, left(md5(s) || s, 400) FROM t WHERE n < 3000
)
SELECT 'recursive', md5(string_agg(s, '' ORDER BY n)) FROM t;

-- A procedural language, exceptions, many plans.
CREATE FUNCTION walk(n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    total bigint := 0;
BEGIN
    FOR i IN 1..n LOOP
        BEGIN
            EXECUTE format('SELECT %s / (%s %% 5)', i * 10, i) INTO STRICT total;
        EXCEPTION WHEN division_by_zero THEN
            total := total + 1;
        END;
    END LOOP;
    RETURN total;
END $$;
SELECT 'walk', walk(8000);
UPDATE document SET body = body || '{"seen": true}', words = NULL WHERE id % 2 = 0;
DELETE FROM document WHERE id % 3 = 0;
VACUUM (FULL, ANALYZE) document;
SELECT 'left', count(*), md5(string_agg(body::text, '' ORDER BY id)) FROM document;
