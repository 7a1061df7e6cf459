CREATE SCHEMA diptych;
CREATE FUNCTION diptych.append_1(recording_time timestamp with time zone, stream_tenants text[], stream_names text[], key_tenants text[], key_principals text[], key_ids uuid[], member_metadata text[], member_writes integer[], member_events integer[], member_keys integer[], member_hashes text[], member_nothing text[], member_conditions text[], write_members integer[], write_streams integer[], write_expected bigint[], write_events integer[], event_writes integer[], event_ids uuid[], event_types text[], event_data text[], event_times timestamp with time zone[], event_tags text[], OUT head bigint, OUT head_id uuid, OUT versions text, OUT refused text) RETURNS record
    LANGUAGE plpgsql
    SET lock_timeout TO '10s'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
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
$$;
CREATE FUNCTION diptych.commands_1(tenants text[], principals text[], ids uuid[]) RETURNS json
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
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
$$;
CREATE FUNCTION diptych.condition_1(condition json) RETURNS json
    LANGUAGE plpgsql STABLE
    AS $$
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
$$;
CREATE FUNCTION diptych.meeting_1(criterion json, of_tenant text, of_categories text[], after bigint, through bigint, most bigint) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
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
$$;
CREATE FUNCTION diptych.refuse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% are never changed or deleted', TG_TABLE_NAME;
END
$$;
CREATE TABLE diptych.commands (
    command_id uuid NOT NULL,
    "position" bigint NOT NULL,
    events integer NOT NULL,
    tenant text NOT NULL COLLATE pg_catalog."C",
    principal text NOT NULL COLLATE pg_catalog."C",
    hash bytea NOT NULL,
    streams text
);
CREATE TABLE diptych.event_tags (
    tag text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL
);
CREATE TABLE diptych.events (
    "position" bigint NOT NULL,
    version bigint NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    occurred_at timestamp with time zone,
    event_id uuid NOT NULL,
    tenant text NOT NULL COLLATE pg_catalog."C",
    category text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    stream text NOT NULL COLLATE pg_catalog."C",
    tags text[] COLLATE pg_catalog."C",
    metadata text NOT NULL,
    data text NOT NULL
);
CREATE TABLE diptych.meta (
    only_one boolean DEFAULT true NOT NULL,
    schema_version integer NOT NULL,
    log_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT meta_only_one_check CHECK (only_one)
);
INSERT INTO diptych.commands VALUES ('dbd2c40b-68c8-53ca-9850-88c50b3e1731', 1, 1, 'acme', 'ann', '\x', NULL);
INSERT INTO diptych.commands VALUES ('324b12bd-6ac4-59af-8fe9-092ee7d92341', 2, 1, 'acme', 'ann', '\x', NULL);
INSERT INTO diptych.commands VALUES ('cb22d200-f0b6-56b1-b808-74e5dfa7c388', 3, 1, 'acme', 'ann', '\x', NULL);
INSERT INTO diptych.commands VALUES ('b97ccc8a-692e-5be6-8eef-183f33b34074', 4, 1, 'acme', 'ann', '\x', NULL);
INSERT INTO diptych.commands VALUES ('05b18f93-a540-511a-a594-5c9da29885dc', 5, 1, 'acme', 'ann', '\x', NULL);
INSERT INTO diptych.events VALUES (1, 1, '2026-11-21 07:36:35.639937+00', '2026-11-21 07:36:35.507978+00', '01a1fd09-1db3-7bd4-9fed-aa015e8fc309', 'acme', 'order', 'OrderCreated', 'order-74658f16-c457-5e0b-b073-11321eb0ad13', NULL, '{"command_id":"dbd2c40b-68c8-53ca-9850-88c50b3e1731","actor":"ann"}', '{"order_id":"74658f16-c457-5e0b-b073-11321eb0ad13","customer_id":"8e0bfcea-e843-56aa-8ea3-a5bb144e0aca","customer_name":"Zoë Ångström","items":[{"product_id":"lamp","quantity":2,"unit_price":"19.90","description":"Zoë’s lamp 💡"}],"shipping_address":"1 Main Street"}');
INSERT INTO diptych.events VALUES (2, 1, '2026-11-21 07:36:35.642674+00', '2026-11-21 07:36:35.510582+00', '01a1fd09-1db6-722c-bcdb-5c3486f46b2c', 'acme', 'order', 'OrderCreated', 'order-e607a338-5565-58e4-b9ae-73b97f595f32', NULL, '{"command_id":"324b12bd-6ac4-59af-8fe9-092ee7d92341","actor":"ann"}', '{"order_id":"e607a338-5565-58e4-b9ae-73b97f595f32","customer_id":"8e0bfcea-e843-56aa-8ea3-a5bb144e0aca","customer_name":"Zoë Ångström","items":[{"product_id":"lamp","quantity":2,"unit_price":"19.90","description":"Zoë’s lamp 💡"},{"product_id":"lamp","quantity":2,"unit_price":"19.90","description":"Zoë’s lamp 💡"}],"shipping_address":"1 Main Street"}');
INSERT INTO diptych.events VALUES (3, 2, '2026-11-21 07:36:35.644881+00', '2026-11-21 07:36:35.514734+00', '01a1fd09-1dba-7ea7-a914-0d357c1ede9c', 'acme', 'order', 'OrderItemAdded', 'order-74658f16-c457-5e0b-b073-11321eb0ad13', NULL, '{"command_id":"cb22d200-f0b6-56b1-b808-74e5dfa7c388","actor":"ann"}', '{"order_id":"74658f16-c457-5e0b-b073-11321eb0ad13","customer_id":"8e0bfcea-e843-56aa-8ea3-a5bb144e0aca","item":{"product_id":"chair","quantity":1,"unit_price":"120.00","description":""}}');
INSERT INTO diptych.events VALUES (4, 3, '2026-11-21 07:36:35.645405+00', '2026-11-21 07:36:35.518473+00', '01a1fd09-1dbe-7ab2-808b-026cef909efa', 'acme', 'order', 'OrderShipped', 'order-74658f16-c457-5e0b-b073-11321eb0ad13', NULL, '{"command_id":"b97ccc8a-692e-5be6-8eef-183f33b34074","actor":"ann"}', '{"order_id":"74658f16-c457-5e0b-b073-11321eb0ad13","customer_id":"8e0bfcea-e843-56aa-8ea3-a5bb144e0aca"}');
INSERT INTO diptych.events VALUES (5, 2, '2026-11-21 07:36:35.645846+00', '2026-11-21 07:36:35.522448+00', '01a1fd09-1dc2-71a7-9469-bdd274fb8565', 'acme', 'order', 'OrderCancelled', 'order-e607a338-5565-58e4-b9ae-73b97f595f32', NULL, '{"command_id":"05b18f93-a540-511a-a594-5c9da29885dc","actor":"ann"}', '{"order_id":"e607a338-5565-58e4-b9ae-73b97f595f32","customer_id":"8e0bfcea-e843-56aa-8ea3-a5bb144e0aca","reason":"no \"longer\" wanted"}');
INSERT INTO diptych.meta VALUES (true, 1, '01a1fd09-1e27-79b7-ae6f-cb98fcf2caf1', '2026-11-21 07:36:35.62402+00');
ALTER TABLE ONLY diptych.commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (command_id, tenant, principal);
ALTER TABLE ONLY diptych.event_tags
    ADD CONSTRAINT event_tags_pkey PRIMARY KEY (tag, "position");
ALTER TABLE ONLY diptych.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY diptych.events
    ADD CONSTRAINT events_tenant_stream_version_key UNIQUE (tenant, stream, version);
ALTER TABLE ONLY diptych.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (only_one);
CREATE TRIGGER never_changed BEFORE DELETE OR UPDATE OR TRUNCATE ON diptych.commands FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse();
CREATE TRIGGER never_changed BEFORE DELETE OR UPDATE OR TRUNCATE ON diptych.event_tags FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse();
CREATE TRIGGER never_changed BEFORE DELETE OR UPDATE OR TRUNCATE ON diptych.events FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse();
CREATE TRIGGER never_deleted BEFORE DELETE OR TRUNCATE ON diptych.meta FOR EACH STATEMENT EXECUTE FUNCTION diptych.refuse();
