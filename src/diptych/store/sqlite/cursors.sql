-- Cursors: see `store/cursors.py` for what they are, `store/sql_cursors.py` for who runs what.
-- These are the statements of `postgres/cursors.sql`, in its order.

-- name: register_cursor
INSERT INTO cursors (name, position, event_id) VALUES (:name, :position, :event_id)
ON CONFLICT (name) DO NOTHING

-- name: cursors
SELECT name, position, event_id, epoch, holder, holder_name, holder_process,
    alive_until > (julianday('now') - 2440587.5) * 86400.0, paused_at, paused_reason,
    failed_tenant, failed_stream, failed_version, failed_position, failed_type, failed_kind,
    failed_error, failed_attempts, failed_at,
    (SELECT count(*) FROM cursor_parked WHERE cursor = name),
    (SELECT coalesce(sum(through_version - first_version + 1), 0)
        FROM cursor_parked WHERE cursor = name)
FROM cursors ORDER BY name

-- name: take_cursor
UPDATE cursors SET epoch = epoch + 1, holder = :holder, holder_name = :holder_name,
    holder_process = :process,
    alive_until = (julianday('now') - 2440587.5) * 86400.0 + :ttl,
    failed_tenant = NULL, failed_stream = NULL, failed_version = NULL, failed_position = NULL,
    failed_type = NULL, failed_kind = NULL, failed_error = NULL, failed_attempts = NULL,
    failed_at = NULL
WHERE name = :name AND paused_at IS NULL
    AND (holder IS NULL OR holder IN (:holder, :gone)
        OR alive_until <= (julianday('now') - 2440587.5) * 86400.0)
RETURNING epoch, position, event_id

-- name: renew_cursors
UPDATE cursors SET alive_until = (julianday('now') - 2440587.5) * 86400.0 + :ttl
WHERE holder = :holder RETURNING name

-- name: release_cursors
UPDATE cursors SET holder = NULL WHERE holder = :holder AND (:name IS NULL OR name = :name)

-- name: lock_cursor
SELECT 1 FROM cursors WHERE name = :name AND epoch = :epoch

-- name: lock_cursor_by_name
SELECT 1 FROM cursors WHERE name = :name

-- name: advance_cursor
UPDATE cursors SET event_id = CASE WHEN :position > position THEN :event_id ELSE event_id END,
    position = max(position, :position)
WHERE name = :name AND epoch = :epoch RETURNING 1

-- name: stop_cursor
UPDATE cursors SET failed_tenant = :tenant, failed_stream = :stream, failed_version = :version,
    failed_position = :position, failed_type = :event_type, failed_kind = :kind,
    failed_error = :error, failed_attempts = :attempts, failed_at = :failed_at
WHERE name = :name AND epoch = :epoch
    AND NOT EXISTS (SELECT 1 FROM cursor_discards WHERE cursor = :name AND tenant = :tenant
        AND stream = :stream AND :version BETWEEN first_version AND through_version)

-- name: clear_failure
UPDATE cursors SET failed_tenant = NULL, failed_stream = NULL, failed_version = NULL,
    failed_position = NULL, failed_type = NULL, failed_kind = NULL, failed_error = NULL,
    failed_attempts = NULL, failed_at = NULL
WHERE name = :name AND failed_kind IS NOT NULL RETURNING 1

-- name: pause_cursor
UPDATE cursors SET paused_at = :at, paused_reason = :reason
WHERE name = :name AND paused_at IS NULL

-- name: resume_cursor
UPDATE cursors SET paused_at = NULL, paused_reason = NULL
WHERE name = :name AND paused_at IS NOT NULL RETURNING 1

-- name: park_stream
INSERT INTO cursor_parked (cursor, tenant, stream, first_version, through_version,
    through_position, failed_version, failed_position, failed_type, failed_kind, failed_error,
    failed_attempts, failed_at)
SELECT name, :tenant, :stream, :version, :version, :position, :version, :position, :event_type,
    :kind, :error, :attempts, :failed_at
FROM cursors WHERE name = :name AND epoch = :epoch
    AND NOT EXISTS (SELECT 1 FROM cursor_discards WHERE cursor = :name AND tenant = :tenant
        AND stream = :stream AND :version BETWEEN first_version AND through_version)
    AND (SELECT count(*) FROM cursor_parked WHERE cursor = :name) < :most_streams
    AND (SELECT coalesce(sum(through_version - first_version + 1), 0)
        FROM cursor_parked WHERE cursor = :name) < :most_events
ON CONFLICT (cursor, tenant, stream) DO NOTHING

-- name: is_parked
SELECT 1 FROM cursor_parked WHERE cursor = :name AND tenant = :tenant AND stream = :stream

-- name: is_discarded
SELECT 1 FROM cursor_discards WHERE cursor = :name AND tenant = :tenant AND stream = :stream
    AND :version BETWEEN first_version AND through_version

-- name: join_stream
UPDATE cursor_parked SET through_version = max(through_version, :version),
    through_position = max(through_position, :position)
WHERE cursor = :name AND tenant = :tenant AND stream = :stream
    AND EXISTS (SELECT 1 FROM cursors WHERE name = :name AND epoch = :epoch)
    AND (through_version >= :version
        OR (SELECT coalesce(sum(through_version - first_version + 1), 0)
            FROM cursor_parked WHERE cursor = :name) < :most_events)
RETURNING 1

-- name: parked
SELECT tenant, stream, first_version, through_version, epoch, failed_version, failed_position,
    failed_type, failed_kind, failed_error, failed_attempts, failed_at
FROM cursor_parked WHERE cursor = :name ORDER BY failed_position

-- name: reopen_stream
UPDATE cursor_parked SET epoch = epoch + 1
WHERE cursor = :name AND tenant = :tenant AND stream = :stream
RETURNING tenant, stream, first_version, through_version, epoch, failed_version, failed_position,
    failed_type, failed_kind, failed_error, failed_attempts, failed_at

-- name: finish_stream
DELETE FROM cursor_parked
WHERE cursor = :name AND tenant = :tenant AND stream = :stream AND epoch = :work
    AND first_version = :first AND through_version = :first
RETURNING 1

-- name: shorten_stream
UPDATE cursor_parked SET first_version = first_version + 1
WHERE cursor = :name AND tenant = :tenant AND stream = :stream AND epoch = :work
    AND first_version = :first
RETURNING tenant, stream, first_version, through_version, epoch, failed_version, failed_position,
    failed_type, failed_kind, failed_error, failed_attempts, failed_at

-- name: fail_stream
UPDATE cursor_parked SET failed_version = :version, failed_position = :position,
    failed_type = :event_type, failed_kind = :kind, failed_error = :error,
    failed_attempts = :attempts, failed_at = :failed_at
WHERE cursor = :name AND tenant = :tenant AND stream = :stream AND epoch = :work
    AND first_version = :first
RETURNING 1

-- name: discard_stream
INSERT INTO cursor_discards (cursor, tenant, stream, first_version, through_version,
    through_position, reason, failed_error, discarded_at)
SELECT cursor, tenant, stream, first_version, through_version, through_position, :reason,
    failed_error, :at
FROM cursor_parked WHERE cursor = :name AND tenant = :tenant AND stream = :stream
RETURNING tenant, stream, first_version, through_version, reason, failed_error, discarded_at

-- name: forget_stream
DELETE FROM cursor_parked WHERE cursor = :name AND tenant = :tenant AND stream = :stream

-- name: discard_failed
INSERT INTO cursor_discards (cursor, tenant, stream, first_version, through_version,
    through_position, reason, failed_error, discarded_at)
SELECT name, failed_tenant, failed_stream, failed_version, failed_version, failed_position, :reason,
    failed_error, :at
FROM cursors WHERE name = :name AND failed_version > 0
RETURNING tenant, stream, first_version, through_version, reason, failed_error, discarded_at

-- name: clear_failed
UPDATE cursors SET failed_tenant = NULL, failed_stream = NULL, failed_version = NULL,
    failed_position = NULL, failed_type = NULL, failed_kind = NULL, failed_error = NULL,
    failed_attempts = NULL, failed_at = NULL
WHERE name = :name AND failed_version > 0

-- name: discarded
SELECT tenant, stream, first_version, through_version, reason, failed_error, discarded_at
FROM cursor_discards WHERE cursor = :name ORDER BY number

-- name: discarded_beyond
SELECT tenant, stream, first_version, through_version, reason, failed_error, discarded_at
FROM cursor_discards
WHERE cursor = :name AND through_position > (SELECT position FROM cursors WHERE name = :name)
ORDER BY number
