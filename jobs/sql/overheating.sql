-- A bearing gets hot and, within five minutes and without having cooled in between, its machine
-- vibrates: a lubrication that fails, not a hot day.
--
--   hardiot sql jobs/sql/overheating.sql
--   hardiot watch pattern-matches
--
-- The events are those of a rule named bearing-failing, with the conditions hot and shaking; it is in
-- docs/sql-patterns.md, with what SQL cannot say and our own patterns can.

CREATE TABLE condition_events (
  facility STRING,
  gateway STRING,
  asset STRING,
  subject STRING,
  rule STRING,
  event STRING,
  phase STRING,
  time_ms BIGINT,
  `value` DOUBLE,
  unit STRING,
  late BOOLEAN,
  happened AS TO_TIMESTAMP_LTZ(time_ms, 3),
  -- How long to wait for an event that is overtaken by others: rows are sorted by time, and go on
  -- when the watermark has passed them, so every match is at least so late. Ten seconds are what a
  -- gateway may lag behind and still be live; what comes later than that is dropped here.
  WATERMARK FOR happened AS happened - INTERVAL '10' SECOND
) WITH (
  'connector' = 'kafka',
  ${kafka},
  'topic' = 'condition-events',
  'properties.group.id' = 'sql-overheating',
  'properties.auto.offset.reset' = '${starting_offsets}',
  'scan.startup.mode' = 'group-offsets',
  -- A partition without events holds back the watermark of all: after 10 s it is left out.
  'scan.watermark.idle-timeout' = '10 s',
  'format' = 'json',
  -- What is not JSON, or of other types, is passed over. Without this one bad record stops the job,
  -- again after every restart.
  'json.ignore-parse-errors' = 'true'
);

CREATE TABLE pattern_matches (
  machine STRING,
  `pattern` STRING,
  facility STRING,
  gateway STRING,
  asset STRING,
  begin_ms BIGINT,
  end_ms BIGINT,
  text STRING
) WITH (
  'connector' = 'kafka',
  ${kafka},
  'topic' = 'pattern-matches',
  -- The record's key is the machine, as plain text, so that its matches stay in order.
  'key.format' = 'raw',
  'key.fields' = 'machine',
  'value.format' = 'json',
  'value.fields-include' = 'EXCEPT_KEY'
);

INSERT INTO pattern_matches
SELECT
  facility || '/' || gateway || '/' || asset,
  'overheating',
  facility,
  gateway,
  asset,
  begin_ms,
  end_ms,
  hot_subject || ' at ' || CAST(ROUND(hot_value, 1) AS STRING) || ' ' || hot_unit || ', '
    || shaking_subject || ' at ' || CAST(ROUND(shaking_value, 1) AS STRING) || ' ' || shaking_unit
    || ' ' || CAST((end_ms - begin_ms) / 1000 AS STRING) || ' s later'
FROM (
  -- Filter before the pattern, not in it: rows that cannot match cost state and time. Late events
  -- come hours after their time, far behind the watermark; say that they are not wanted.
  SELECT * FROM condition_events
  WHERE rule = 'bearing-failing' AND time_ms IS NOT NULL AND NOT late
    AND REGEXP(facility, '^(${facilities})$$')
)
MATCH_RECOGNIZE (
  -- Each machine by itself; without this all machines would be one stream, in one task.
  PARTITION BY facility, gateway, asset
  -- First an event-time attribute, ascending; nothing else is accepted.
  ORDER BY happened
  -- Columns of the result, beside those of PARTITION BY. All are as at the end of the match.
  MEASURES
    HOT.time_ms AS begin_ms,
    SHAKING.time_ms AS end_ms,
    HOT.subject AS hot_subject,
    HOT.`value` AS hot_value,
    HOT.unit AS hot_unit,
    SHAKING.subject AS shaking_subject,
    SHAKING.`value` AS shaking_value,
    SHAKING.unit AS shaking_unit
  -- Flink knows no ALL ROWS PER MATCH.
  ONE ROW PER MATCH
  -- The next match begins after this one. Say it always: TO NEXT ROW would report overlaps.
  AFTER MATCH SKIP PAST LAST ROW
  -- Rows of a pattern follow each other directly, so what may lie between needs a variable of its
  -- own. *? takes as few rows as it can: the match ends with the first SHAKING. A pattern may not end
  -- with a greedy * or +. WITHIN is between the first row and the last; what has not matched by then
  -- is dropped without a word.
  PATTERN (HOT BETWEEN_*? SHAKING) WITHIN INTERVAL '5' MINUTE
  DEFINE
    HOT AS HOT.event = 'hot' AND HOT.phase = 'begin',
    -- Absence in between: any row, except that this very bearing cools.
    BETWEEN_ AS NOT (BETWEEN_.event = 'hot' AND BETWEEN_.phase = 'end'
                     AND BETWEEN_.subject = HOT.subject),
    SHAKING AS SHAKING.event = 'shaking' AND SHAKING.phase = 'begin'
);
