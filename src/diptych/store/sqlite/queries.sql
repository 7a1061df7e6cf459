-- Everything that the SQLite log asks its database once it is there. Columns of events are always
-- the fields of `RecordedEvent`, in their order.

-- name: log_id
SELECT log_id FROM meta

-- name: head
SELECT position, event_id, recorded_at FROM events ORDER BY position DESC LIMIT 1

-- name: event_at
SELECT event_id FROM events WHERE position = ?

-- name: stream_version
SELECT max(version) FROM events WHERE tenant = ? AND stream = ?

-- name: stream_versions
SELECT wanted.value,
    (SELECT max(version) FROM events WHERE tenant = :tenant AND stream = wanted.value)
FROM json_each(:streams) AS wanted

-- name: insert_event
INSERT INTO events (position, tenant, stream, version, event_id, type, data, metadata,
    recorded_at, occurred_at, tags, category)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, ''), ?)

-- name: insert_tag
INSERT INTO event_tags (tag, position) VALUES (?, ?)

-- name: insert_command
INSERT INTO commands (tenant, principal, command_id, hash, position, events, streams)
VALUES (?, ?, ?, ?, ?, ?, nullif(?, ''))

-- name: find_command
SELECT hash, position, events, streams FROM commands
WHERE tenant = ? AND principal = ? AND command_id = ?

-- name: known_commands
-- Which of a list of commands are there, by their places in it. JSON cannot carry the ids, so they
-- stand in one blob, 16 bytes each.
SELECT wanted.key FROM json_each(:scopes) AS wanted CROSS JOIN commands
    ON tenant = json_extract(wanted.value, '$[0]')
    AND principal = json_extract(wanted.value, '$[1]')
    AND command_id = substr(:ids, 1 + 16 * wanted.key, 16)

-- name: streams_between
-- What one append wrote: its events stand together.
SELECT stream, max(version) FROM events
WHERE position > :after AND position <= :through
GROUP BY stream ORDER BY min(position)

-- name: stream_tail
-- Of one stream: the event at a version and all after it.
SELECT position, tenant, stream, version, event_id, type, CAST(data AS BLOB),
    CAST(metadata AS BLOB), recorded_at, occurred_at, tags
FROM events WHERE tenant = ? AND stream = ? AND version >= ?
LIMIT ?

-- name: stream_tails
-- Of each wanted [tenant, stream, version]: the event at that version and all after it.
SELECT position, tenant, stream, version, event_id, events.type, CAST(data AS BLOB),
    CAST(metadata AS BLOB), recorded_at, occurred_at, tags
FROM json_each(:wanted) AS wanted CROSS JOIN events
    ON tenant = json_extract(wanted.value, '$[0]')
    AND stream = json_extract(wanted.value, '$[1]')
    AND version >= json_extract(wanted.value, '$[2]')
LIMIT :limit

-- name: stream_end
SELECT version, position, event_id FROM events
WHERE tenant = ? AND stream = ?
ORDER BY version DESC LIMIT 1

-- name: events_between
-- Filters that are null let everything through.
SELECT position, tenant, stream, version, event_id, type, CAST(data AS BLOB),
    CAST(metadata AS BLOB), recorded_at, occurred_at, tags
FROM events
WHERE position > :after AND position <= :through
    AND (:tenant IS NULL OR tenant = :tenant)
    AND (:categories IS NULL OR category IN (SELECT value FROM json_each(:categories)))
ORDER BY position LIMIT :limit

-- name: size_between
-- How many bytes of data `events_between` would give.
SELECT total(length(CAST(data AS BLOB))) FROM (
    SELECT data FROM events
    WHERE position > :after AND position <= :through
        AND (:tenant IS NULL OR tenant = :tenant)
        AND (:categories IS NULL OR category IN (SELECT value FROM json_each(:categories)))
    ORDER BY position LIMIT :limit)

-- name: packed_between
-- The same as `events_between` in one row: each column is a list, or lengths and bytes. One row is
-- one step, and during a step other threads have Python to themselves.
SELECT json_group_array(position), json_group_array(tenant), json_group_array(stream),
    json_group_array(version), CAST(group_concat(event_id, '') AS BLOB), json_group_array(type),
    json_group_array(length(CAST(data AS BLOB))), CAST(group_concat(data, '') AS BLOB),
    json_group_array(length(CAST(metadata AS BLOB))), CAST(group_concat(metadata, '') AS BLOB),
    json_group_array(recorded_at), json_group_array(occurred_at), json_group_array(tags)
FROM (
    SELECT * FROM events
    WHERE position > :after AND position <= :through
        AND (:tenant IS NULL OR tenant = :tenant)
        AND (:categories IS NULL OR category IN (SELECT value FROM json_each(:categories)))
    ORDER BY position LIMIT :limit)

-- name: events_at
SELECT position, tenant, stream, version, event_id, type, CAST(data AS BLOB),
    CAST(metadata AS BLOB), recorded_at, occurred_at, tags
FROM events
WHERE position IN (SELECT value FROM json_each(:positions))
ORDER BY position

-- name: positions_tagged
-- Positions of events that have the tag, all the other tags and one of the types.
SELECT tagged.position FROM event_tags AS tagged CROSS JOIN events USING (position)
WHERE tagged.tag = :tag AND tagged.position > :after AND tagged.position <= :through
    AND (:tenant IS NULL OR tenant = :tenant)
    AND (:categories IS NULL OR category IN (SELECT value FROM json_each(:categories)))
    AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:others) AS other WHERE NOT EXISTS (
            SELECT 1 FROM event_tags AS its
            WHERE its.tag = other.value AND its.position = tagged.position))
ORDER BY tagged.position LIMIT :limit

-- name: positions_typed
-- Positions of events of one of the types, whatever their tags.
SELECT position FROM events
WHERE position > :after AND position <= :through
    AND (:tenant IS NULL OR tenant = :tenant)
    AND (:categories IS NULL OR category IN (SELECT value FROM json_each(:categories)))
    AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
ORDER BY position LIMIT :limit

-- name: insert_meta
INSERT INTO meta (log_id, created_at) VALUES (?, ?)

-- name: find_snapshot
SELECT version, position, event_id, state, digest FROM snapshots
WHERE tenant = ? AND stream = ? AND fingerprint = ?

-- name: keep_snapshot
INSERT INTO snapshots (tenant, stream, fingerprint, version, position, event_id, state, digest)
VALUES (:tenant, :stream, :fingerprint, :version, :position, :event_id, :state, :digest)
ON CONFLICT (tenant, stream, fingerprint) DO UPDATE SET version = excluded.version,
    position = excluded.position, event_id = excluded.event_id, state = excluded.state,
    digest = excluded.digest

-- name: drop_snapshots
-- Those of other rules, but for the newest: old and new code may run at once.
DELETE FROM snapshots
WHERE tenant = :tenant AND stream = :stream AND fingerprint <> :fingerprint
    AND version < (
        SELECT max(version) FROM snapshots
        WHERE tenant = :tenant AND stream = :stream AND fingerprint <> :fingerprint)
