-- Cursors: see `store/cursors.py` for what they are, `store/sql_cursors.py` for who runs what.
-- These are the statements of `sqlite/cursors.sql`, in its order. `diptych` stands for the schema
-- that the URL names. Parameters have names here, and numbers when they are sent.

-- name: register_cursor
INSERT INTO diptych.cursors (name, position, event_id)
VALUES (:name, :position, encode(:event_id::bytea, 'hex')::uuid)
ON CONFLICT (name) DO NOTHING

-- name: cursors
SELECT name, position, uuid_send(event_id), epoch, holder, holder_name, holder_process,
    alive_until > clock_timestamp(), paused_at, paused_reason,
    failed_tenant, failed_stream, failed_version, failed_position, failed_type, failed_kind,
    failed_error, failed_attempts, failed_at,
    (SELECT count(*) FROM diptych.cursor_parked WHERE cursor = name),
    (SELECT coalesce(sum(through_version - first_version + 1), 0)
        FROM diptych.cursor_parked WHERE cursor = name)
FROM diptych.cursors ORDER BY name

-- name: take_cursor
UPDATE diptych.cursors SET epoch = epoch + 1, holder = :holder, holder_name = :holder_name,
    holder_process = :process,
    alive_until = clock_timestamp() + make_interval(secs => :ttl::float8),
    failed_tenant = NULL, failed_stream = NULL, failed_version = NULL, failed_position = NULL,
    failed_type = NULL, failed_kind = NULL, failed_error = NULL, failed_attempts = NULL,
    failed_at = NULL
WHERE name = :name AND paused_at IS NULL
    AND (holder IS NULL OR holder IN (:holder, :gone)
        OR alive_until <= clock_timestamp())
RETURNING epoch, position, uuid_send(event_id)

-- name: renew_cursors
UPDATE diptych.cursors SET alive_until = clock_timestamp() + make_interval(secs => :ttl::float8)
WHERE holder = :holder RETURNING name

-- name: release_cursors
UPDATE diptych.cursors SET holder = NULL
WHERE holder = :holder AND (:name::text IS NULL OR name = :name)

-- name: lock_cursor
SELECT 1 FROM diptych.cursors WHERE name = :name AND epoch = :epoch FOR UPDATE

-- name: lock_cursor_by_name
SELECT 1 FROM diptych.cursors WHERE name = :name FOR UPDATE

-- name: advance_cursor
UPDATE diptych.cursors SET
    event_id = CASE WHEN :position::bigint > position
        THEN encode(:event_id::bytea, 'hex')::uuid ELSE event_id END,
    position = greatest(position, :position::bigint)
WHERE name = :name AND epoch = :epoch RETURNING 1

-- name: stop_cursor
UPDATE diptych.cursors SET failed_tenant = :tenant, failed_stream = :stream, failed_version = :version,
    failed_position = :position, failed_type = :event_type, failed_kind = :kind,
    failed_error = :error, failed_attempts = :attempts, failed_at = :failed_at
WHERE name = :name AND epoch = :epoch
    AND NOT EXISTS (SELECT 1 FROM diptych.cursor_discards WHERE cursor = :name AND tenant = :tenant
        AND stream = :stream AND :version BETWEEN first_version AND through_version)

-- name: clear_failure
UPDATE diptych.cursors SET failed_tenant = NULL, failed_stream = NULL, failed_version = NULL,
    failed_position = NULL, failed_type = NULL, failed_kind = NULL, failed_error = NULL,
    failed_attempts = NULL, failed_at = NULL
WHERE name = :name AND failed_kind IS NOT NULL RETURNING 1

-- name: pause_cursor
UPDATE diptych.cursors SET paused_at = :at, paused_reason = :reason
WHERE name = :name AND paused_at IS NULL

-- name: resume_cursor
UPDATE diptych.cursors SET paused_at = NULL, paused_reason = NULL
WHERE name = :name AND paused_at IS NOT NULL RETURNING 1

-- name: park_stream
INSERT INTO diptych.cursor_parked (cursor, tenant, stream, first_version, through_version,
    through_position, failed_version, failed_position, failed_type, failed_kind, failed_error,
    failed_attempts, failed_at)
SELECT name, :tenant, :stream, :version::bigint, :version, :position::bigint, :version, :position,
    :event_type, :kind, :error, :attempts::bigint, :failed_at::timestamptz
FROM diptych.cursors WHERE name = :name AND epoch = :epoch
    AND NOT EXISTS (SELECT 1 FROM diptych.cursor_discards WHERE cursor = :name AND tenant = :tenant
        AND stream = :stream AND :version BETWEEN first_version AND through_version)
    AND (SELECT count(*) FROM diptych.cursor_parked WHERE cursor = :name) < :most_streams
    AND (SELECT coalesce(sum(through_version - first_version + 1), 0)
        FROM diptych.cursor_parked WHERE cursor = :name) < :most_events
ON CONFLICT (cursor, tenant, stream) DO NOTHING

-- name: is_parked
SELECT 1 FROM diptych.cursor_parked WHERE cursor = :name AND tenant = :tenant AND stream = :stream

-- name: is_discarded
SELECT 1 FROM diptych.cursor_discards WHERE cursor = :name AND tenant = :tenant AND stream = :stream
    AND :version BETWEEN first_version AND through_version

-- name: join_stream
UPDATE diptych.cursor_parked SET through_version = greatest(through_version, :version::bigint),
    through_position = greatest(through_position, :position::bigint)
WHERE cursor = :name AND tenant = :tenant AND stream = :stream
    AND EXISTS (SELECT 1 FROM diptych.cursors WHERE name = :name AND epoch = :epoch)
    AND (through_version >= :version
        OR (SELECT coalesce(sum(through_version - first_version + 1), 0)
            FROM diptych.cursor_parked WHERE cursor = :name) < :most_events)
RETURNING 1

-- name: parked
SELECT tenant, stream, first_version, through_version, epoch, failed_version, failed_position,
    failed_type, failed_kind, failed_error, failed_attempts, failed_at
FROM diptych.cursor_parked WHERE cursor = :name ORDER BY failed_position

-- name: reopen_stream
UPDATE diptych.cursor_parked SET epoch = epoch + 1
WHERE cursor = :name AND tenant = :tenant AND stream = :stream
RETURNING tenant, stream, first_version, through_version, epoch, failed_version, failed_position,
    failed_type, failed_kind, failed_error, failed_attempts, failed_at

-- name: finish_stream
DELETE FROM diptych.cursor_parked
WHERE cursor = :name AND tenant = :tenant AND stream = :stream AND epoch = :work
    AND first_version = :first AND through_version = :first
RETURNING 1

-- name: shorten_stream
UPDATE diptych.cursor_parked SET first_version = first_version + 1
WHERE cursor = :name AND tenant = :tenant AND stream = :stream AND epoch = :work
    AND first_version = :first
RETURNING tenant, stream, first_version, through_version, epoch, failed_version, failed_position,
    failed_type, failed_kind, failed_error, failed_attempts, failed_at

-- name: fail_stream
UPDATE diptych.cursor_parked SET failed_version = :version, failed_position = :position,
    failed_type = :event_type, failed_kind = :kind, failed_error = :error,
    failed_attempts = :attempts, failed_at = :failed_at
WHERE cursor = :name AND tenant = :tenant AND stream = :stream AND epoch = :work
    AND first_version = :first
RETURNING 1

-- name: discard_stream
INSERT INTO diptych.cursor_discards (cursor, tenant, stream, first_version, through_version,
    through_position, reason, failed_error, discarded_at)
SELECT cursor, tenant, stream, first_version, through_version, through_position, :reason::text,
    failed_error, :at::timestamptz
FROM diptych.cursor_parked WHERE cursor = :name AND tenant = :tenant AND stream = :stream
RETURNING tenant, stream, first_version, through_version, reason, failed_error, discarded_at

-- name: forget_stream
DELETE FROM diptych.cursor_parked WHERE cursor = :name AND tenant = :tenant AND stream = :stream

-- name: discard_failed
INSERT INTO diptych.cursor_discards (cursor, tenant, stream, first_version, through_version,
    through_position, reason, failed_error, discarded_at)
SELECT name, failed_tenant, failed_stream, failed_version, failed_version, failed_position,
    :reason::text, failed_error, :at::timestamptz
FROM diptych.cursors WHERE name = :name AND failed_version > 0
RETURNING tenant, stream, first_version, through_version, reason, failed_error, discarded_at

-- name: clear_failed
UPDATE diptych.cursors SET failed_tenant = NULL, failed_stream = NULL, failed_version = NULL,
    failed_position = NULL, failed_type = NULL, failed_kind = NULL, failed_error = NULL,
    failed_attempts = NULL, failed_at = NULL
WHERE name = :name AND failed_version > 0

-- name: discarded
SELECT tenant, stream, first_version, through_version, reason, failed_error, discarded_at
FROM diptych.cursor_discards WHERE cursor = :name ORDER BY number

-- name: discarded_beyond
SELECT tenant, stream, first_version, through_version, reason, failed_error, discarded_at
FROM diptych.cursor_discards
WHERE cursor = :name
    AND through_position > (SELECT position FROM diptych.cursors WHERE name = :name)
ORDER BY number
