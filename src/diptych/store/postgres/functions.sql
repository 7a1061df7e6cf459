-- What the log does inside its database. Old and new code may run at once, so a function is never
-- changed: another rule gets another name, and whoever opens the log adds what is missing.

-- name: commands_1
-- Of a list of commands those that took effect, as JSON: [its place in the list, its hash in
-- hexadecimal, its last position, the event id there, [stream, version] of each of its streams].
CREATE FUNCTION diptych.commands_1(tenants text[], principals text[], ids uuid[])
RETURNS json LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
BEGIN
    RETURN (
        SELECT json_agg(json_build_array(k.place, encode(c.hash, 'hex'), c.position,
            (SELECT e.event_id FROM diptych.events AS e WHERE e.position = c.position),
            CASE WHEN c.events = 0 THEN coalesce(c.streams, '[]')::json ELSE (
                -- What one append wrote: its events stand together.
                SELECT json_agg(json_build_array(w.stream, w.version) ORDER BY w.began) FROM (
                    SELECT e.stream, max(e.version) AS version, min(e.position) AS began
                    FROM diptych.events AS e
                    WHERE e.position > c.position - c.events AND e.position <= c.position
                    GROUP BY e.stream) AS w) END))
        FROM unnest(tenants, principals, ids) WITH ORDINALITY AS k(tenant, principal, id, place)
        JOIN diptych.commands AS c
            ON c.command_id = k.id AND c.tenant = k.tenant AND c.principal = k.principal);
END
$$

-- name: meeting_1
-- The first positions, in order, of events that meet a criterion; what is null lets all through.
-- The settings keep to walks along an index, whatever the statistics of a young table say.
CREATE FUNCTION diptych.meeting_1(criterion json, of_tenant text, of_categories text[],
    after bigint, through bigint, most bigint)
RETURNS SETOF bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    wanted text[] := ARRAY(SELECT json_array_elements_text(criterion->'tags'));
    kinds  text[] := ARRAY(SELECT json_array_elements_text(criterion->'types'));
BEGIN
    IF cardinality(wanted) = 0 THEN
        RETURN QUERY SELECT e.position FROM diptych.events AS e
            WHERE e.position > after AND e.position <= through
                AND (of_tenant IS NULL OR e.tenant = of_tenant)
                AND (of_categories IS NULL OR e.category = ANY (of_categories))
                AND (cardinality(kinds) = 0 OR e.type = ANY (kinds))
            ORDER BY e.position LIMIT most;
    ELSE
        -- Along the rarest tag: a common one may be on every event. Above a thousand they are alike.
        IF cardinality(wanted) > 1 THEN
            wanted := ARRAY(SELECT w.tag FROM unnest(wanted) AS w(tag) ORDER BY (
                SELECT count(*) FROM (
                    SELECT FROM diptych.event_tags AS t
                    WHERE t.tag = w.tag AND t.position > after AND t.position <= through
                    LIMIT 1000) AS few));
        END IF;
        RETURN QUERY SELECT t.position FROM diptych.event_tags AS t
            JOIN diptych.events AS e ON e.position = t.position
            WHERE t.tag = wanted[1] AND t.position > after AND t.position <= through
                AND (of_tenant IS NULL OR e.tenant = of_tenant)
                AND (of_categories IS NULL OR e.category = ANY (of_categories))
                AND (cardinality(kinds) = 0 OR e.type = ANY (kinds))
                AND e.tags @> wanted
            ORDER BY t.position LIMIT most;
    END IF;
END
$$

-- name: condition_1
-- Why a condition fails, null if it does not. It is [tenant, position, event id or null, criteria].
CREATE FUNCTION diptych.condition_1(condition json)
RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    after bigint := (condition->>1)::bigint;
    seen  uuid := (condition->>2)::uuid;
    met   bigint;
BEGIN
    IF seen IS NOT NULL AND NOT EXISTS (
        SELECT FROM diptych.events AS e WHERE e.position = after AND e.event_id = seen)
    THEN
        RETURN json_build_array('diverged', after);
    END IF;
    SELECT min(place) INTO met FROM json_array_elements(condition->3) AS criterion,
        diptych.meeting_1(criterion, condition->>0, NULL, after, 9223372036854775807, 1) AS place;
    RETURN CASE WHEN met IS NOT NULL THEN json_build_array('condition', met) END;
END
$$

-- name: append_1
-- Decides the members of a batch one after the other, as the contract says, and adds what is not
-- refused. Members, streams, keys of commands, writes and events have numbers from 1. `refused`
-- tells what is refused; all else the caller works out from the head and the versions found.
CREATE FUNCTION diptych.append_1(
    recording_time    timestamptz,      -- null: the server's clock
    stream_tenants    text[],
    stream_names      text[],
    key_tenants       text[],
    key_principals    text[],
    key_ids           uuid[],
    member_metadata   text[],
    member_writes     integer[],        -- how many
    member_events     integer[],        -- how many
    member_keys       integer[],        -- null: no command
    member_hashes     text[],           -- hexadecimal
    member_nothing    text[],           -- JSON: the streams of a command that does nothing
    member_conditions text[],           -- JSON; null: none has one
    write_members     integer[],
    write_streams     integer[],
    write_expected    bigint[],         -- null: any version
    write_events      integer[],        -- how many
    event_writes      integer[],
    event_ids         uuid[],
    event_types       text[],
    event_data        text[],
    event_times       timestamptz[],    -- null: none was imported
    event_tags        text[],           -- arrays, each as a text; null: none has tags
    OUT head bigint, OUT head_id uuid, OUT versions text, OUT refused text
) LANGUAGE plpgsql
SET lock_timeout = '10s' SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
DECLARE
    members   integer := cardinality(member_writes);
    writes    integer := cardinality(write_events);
    keys      integer := cardinality(key_ids);
    reached   bigint[];                                                 -- versions of streams, so far
    known     json[] := array_fill(NULL::json, ARRAY[keys]);
    taken     integer[] := array_fill(NULL::integer, ARRAY[keys]);      -- by which member
    ended_at  bigint[] := array_fill(NULL::bigint, ARRAY[members]);     -- null: refused
    position_before bigint[] := array_fill(NULL::bigint, ARRAY[writes]);
    version_before  bigint[] := array_fill(NULL::bigint, ARRAY[writes]);
    events_before   integer[] := array_fill(0, ARRAY[writes]);          -- in the batch
    refusals  json[] := '{}';
    last      record;
    one       record;
    moment    timestamptz;
    tip       bigint;                                                   -- given away up to here
    stored    bigint;                                                   -- inserted up to here
    member    integer := 1;
    write     integer := 1;
    event     integer := 0;
    key       integer;
    refusal   json;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an append needs READ COMMITTED, to see what was committed before its lock'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    IF current_setting('client_min_messages') = 'error' THEN
        -- A commit that has not waited for its standbys says so in a warning, and nowhere else.
        PERFORM set_config('client_min_messages', 'warning', true);
    END IF;
    -- The lock of this log, until the commit is there for all: positions are in commit order.
    PERFORM pg_advisory_xact_lock('diptych.events'::regclass::oid::integer, 1147761780);

    SELECT e.position, e.event_id, e.recorded_at INTO last
    FROM diptych.events AS e ORDER BY e.position DESC LIMIT 1;
    head := coalesce(last.position, 0);
    head_id := last.event_id;
    moment := greatest(coalesce(recording_time, clock_timestamp()), last.recorded_at);
    tip := head;
    stored := head;
    reached := ARRAY(
        SELECT coalesce((SELECT e.version FROM diptych.events AS e
            WHERE e.tenant = s.tenant AND e.stream = s.name ORDER BY e.version DESC LIMIT 1), 0)
        FROM unnest(stream_tenants, stream_names) WITH ORDINALITY AS s(tenant, name, number)
        ORDER BY s.number);
    versions := array_to_json(reached)::text;
    IF EXISTS (
        SELECT FROM unnest(key_tenants, key_principals, key_ids) AS k(tenant, principal, id)
        JOIN diptych.commands AS c
            ON c.command_id = k.id AND c.tenant = k.tenant AND c.principal = k.principal)
    THEN
        FOR one IN
            SELECT value AS outcome
            FROM json_array_elements(diptych.commands_1(key_tenants, key_principals, key_ids))
        LOOP
            known[(one.outcome->>0)::integer] := one.outcome;
        END LOOP;
    END IF;

    LOOP
        WHILE member <= members LOOP
            -- A condition asks the tables, so what stands before it must be in them.
            EXIT WHEN tip > stored AND member_conditions[member] IS NOT NULL;
            key := member_keys[member];
            refusal := CASE WHEN key IS NULL THEN NULL
                WHEN taken[key] IS NOT NULL THEN json_build_array('twin', taken[key])
                WHEN known[key] IS NOT NULL THEN json_build_array('known', known[key]) END;
            FOR number IN write .. write + member_writes[member] - 1 LOOP
                EXIT WHEN refusal IS NOT NULL;
                IF write_expected[number] <> reached[write_streams[number]] THEN
                    refusal := json_build_array(
                        'version', number - write, reached[write_streams[number]]);
                END IF;
            END LOOP;
            IF refusal IS NULL AND member_conditions[member] IS NOT NULL THEN
                refusal := diptych.condition_1(member_conditions[member]::json);
            END IF;
            FOR number IN write .. write + member_writes[member] - 1 LOOP
                events_before[number] := event;
                event := event + write_events[number];
                CONTINUE WHEN refusal IS NOT NULL;
                position_before[number] := tip;
                version_before[number] := reached[write_streams[number]];
                tip := tip + write_events[number];
                reached[write_streams[number]] := version_before[number] + write_events[number];
            END LOOP;
            IF refusal IS NOT NULL THEN
                refusals := refusals || json_build_array(member, refusal);
            ELSE
                ended_at[member] := tip;
                IF key IS NOT NULL THEN
                    taken[key] := member;
                END IF;
            END IF;
            write := write + member_writes[member];
            member := member + 1;
        END LOOP;
        IF tip > stored THEN
            INSERT INTO diptych.events (position, version, recorded_at, occurred_at, event_id,
                tenant, category, type, stream, tags, metadata, data)
            SELECT position_before[e.write] + e.number - events_before[e.write],
                version_before[e.write] + e.number - events_before[e.write],
                moment, e.occurred_at, e.id, stream_tenants[write_streams[e.write]],
                split_part(stream_names[write_streams[e.write]], '-', 1), e.type,
                stream_names[write_streams[e.write]], e.tags::text[],
                member_metadata[write_members[e.write]], e.data
            FROM unnest(event_writes, event_ids, event_types, event_data, event_times, event_tags)
                WITH ORDINALITY AS e(write, id, type, data, occurred_at, tags, number)
            WHERE position_before[e.write] >= stored;
            IF event_tags IS NOT NULL THEN
                INSERT INTO diptych.event_tags (tag, position)
                SELECT DISTINCT t.tag, e.position
                FROM diptych.events AS e, unnest(e.tags) AS t(tag) WHERE e.position > stored;
            END IF;
            stored := tip;
        END IF;
        EXIT WHEN member > members;
    END LOOP;

    INSERT INTO diptych.commands (command_id, position, events, tenant, principal, hash, streams)
    SELECT key_ids[m.key], m.ended_at, m.events, key_tenants[m.key], key_principals[m.key],
        decode(m.hash, 'hex'), CASE WHEN m.events = 0 THEN m.nothing END
    FROM unnest(member_keys, ended_at, member_events, member_hashes, member_nothing)
        AS m(key, ended_at, events, hash, nothing)
    WHERE m.key IS NOT NULL AND m.ended_at IS NOT NULL;
    -- What took effect before may not have reached the standbys yet, if the server was restarted
    -- or the wait for them cancelled. A commit that writes anything waits for all that is before it.
    IF NOT FOUND AND tip = head AND cardinality(refusals) > 0
        AND current_setting('synchronous_standby_names') <> ''
    THEN
        PERFORM pg_logical_emit_message(true, 'diptych', 'repeated');
    END IF;
    refused := array_to_json(refusals)::text;
END
$$
