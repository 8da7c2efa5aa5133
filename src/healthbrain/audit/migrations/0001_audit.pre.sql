-- Who did what: append-only events in hash-chained batches (SEC-18).
--
-- Chains run in 64 lanes, so that writers in open transactions do not wait for each other: a transaction takes a lane
-- nobody else holds, continues its chain and keeps it until it ends. A batch's digest covers its events, its number
-- and the digest before it.

create table audit_batch (
    lane smallint not null,
    number bigint not null,
    count int not null,
    content bytea not null,  -- SHA-256 of the canonical rows
    digest bytea not null,  -- SHA-256 of previous digest, number, content
    source text,  -- the spool segment it came from: each is taken once
    sealed_at timestamptz not null default clock_timestamp(),
    primary key (lane, number)
);
create unique index audit_batch_source on audit_batch (source) where source is not null;

create table audit_event (
    lane smallint not null,
    batch bigint not null,
    place int not null,
    at timestamptz not null,
    action text not null,  -- C R U D E
    interaction text not null,  -- what kind of request or page
    account text not null,
    role text not null,
    organisation int not null,
    purpose text not null,
    type text not null,
    resource text,  -- logical id
    patients bigint[] not null,  -- patient keys whose data were touched or shown
    outcome smallint not null,  -- 0 fine, 4 refused or wrong request, 8 our failure
    detail text not null,
    address text not null,
    request text not null,
    primary key (lane, batch, place)
);
create index audit_event_at on audit_event (at);
create index audit_event_account on audit_event (account, at);
create index audit_event_resource on audit_event (type, resource, at) where resource is not null;
create index audit_event_patients on audit_event using gin (patients) where patients <> '{}';

create function audit_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only: % on % is refused', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$;
create trigger audit_event_append_only before update or delete or truncate on audit_event
    for each statement execute function audit_refuse();
create trigger audit_batch_append_only before update or delete or truncate on audit_batch
    for each statement execute function audit_refuse();

-- Append one batch. Returns false when the segment `p_source` is here already. Every statement of a plpgsql function
-- sees what has been committed until then, so the head is read after its lane is ours.
create function audit_append(
    p_content bytea, p_source text, p_at bigint[], p_action text[], p_interaction text[], p_account text[],
    p_role text[], p_organisation int[], p_purpose text[], p_type text[], p_resource text[], p_patients text[],
    p_outcome smallint[], p_detail text[], p_address text[], p_request text[]
) returns boolean language plpgsql as $$
declare
    lanes constant int := 64;
    class constant int := 4735490;
    mine int;
    last_number bigint;
    last_digest bytea;
begin
    if p_source is not null then
        perform 1 from audit_batch where source = p_source;
        if found then
            return false;
        end if;
    end if;
    for step in 0 .. lanes - 1 loop
        mine := (pg_backend_pid() + step) % lanes;
        exit when pg_try_advisory_xact_lock(class, mine);
        mine := null;
    end loop;
    if mine is null then
        mine := pg_backend_pid() % lanes;
        perform pg_advisory_xact_lock(class, mine);
    end if;
    select b.number, b.digest into last_number, last_digest
        from audit_batch b where b.lane = mine order by b.number desc limit 1;
    if last_number is null then
        last_number := 0;
        last_digest := sha256(convert_to('healthbrain audit lane ' || mine, 'UTF8'));
    end if;
    insert into audit_batch (lane, number, count, content, digest, source)
        values (mine, last_number + 1, cardinality(p_at), p_content,
                sha256(last_digest || int8send(last_number + 1) || p_content), p_source);
    insert into audit_event
        select mine, last_number + 1, e.place - 1, timestamptz 'epoch' + e.at * interval '1 microsecond', e.action,
               e.interaction, e.account, e.role, e.organisation, e.purpose, e.type, e.resource,
               e.patients::bigint[], e.outcome, e.detail, e.address, e.request
        from unnest(p_at, p_action, p_interaction, p_account, p_role, p_organisation, p_purpose, p_type, p_resource,
                    p_patients, p_outcome, p_detail, p_address, p_request)
            with ordinality as e (at, action, interaction, account, role, organisation, purpose, type, resource,
                                  patients, outcome, detail, address, request, place);
    return true;
end $$;
