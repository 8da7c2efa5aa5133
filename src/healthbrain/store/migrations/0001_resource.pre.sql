-- The resource tables. What each column is for and why it has this shape: docs/decisions/0003-store-shape.md.

-- The first half of a resource key is the handle by which references point at it (keys.py). It needs no lookup.
create function resource_handle(uuid) returns bigint
    language sql immutable strict parallel safe
    return ('x' || translate(left($1::text, 18), '-', ''))::bit(64)::bigint;

create sequence resource_rid_seq as bigint;

-- Current versions, one row per (type, id); a deleted one stays as a tombstone with an empty body.
create table resource (
    rid       bigint      not null,             -- order of creation, never changes
    key       uuid        not null,             -- hash of 'Type/id'
    patient   bigint,                           -- handle of the patient in whose compartment it lies
    code      bigint,                           -- hash of the main code; 0 = it has several
    delivery  bigint,                           -- the arrival that brought this version
    at_low    timestamptz,                      -- main clinical date, [at_low, at_high)
    at_high   timestamptz,
    updated   timestamptz not null,
    version   int         not null,
    owner     int         not null,             -- organisation key
    rtype     smallint    not null,
    deleted   boolean     not null default false,
    fhir_id   text        collate "C" not null,
    tokens    bigint[]    not null,             -- hashes of everything that is searched by equality
    body      bytea       not null              -- JSON, zstd with a dictionary
);
alter sequence resource_rid_seq owned by resource.rid;
alter table resource alter column body set storage external, alter column tokens set storage external;
alter table resource set (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

alter table resource add primary key (rid);
create unique index resource_key on resource (key);
create index resource_updated on resource (rtype, updated, rid);
create index resource_at on resource (rtype, at_high, rid) where at_high is not null;
create index resource_patient on resource (patient, rtype, code, at_high) where patient is not null;
-- A short pending list: a long one makes writes 10 % cheaper and searches up to twice as dear (measured).
create index resource_tokens on resource using gin (tokens) with (fastupdate = on, gin_pending_list_limit = 128);

-- Superseded versions; the newest one lives in `resource`.
create table resource_history (
    rid      bigint      not null,
    patient  bigint,
    delivery bigint,
    updated  timestamptz not null,
    version  int         not null,
    owner    int         not null,
    rtype    smallint    not null,
    deleted  boolean     not null,
    body     bytea       not null,
    primary key (rid, version)
);
alter table resource_history alter column body set storage external;
create index resource_history_updated on resource_history (rtype, updated, rid, version);

-- Dates other than the main one.
create table resource_date (
    rid   bigint      not null,
    low   timestamptz not null,
    high  timestamptz not null,
    param int         not null
);
create index resource_date_rid on resource_date (rid);
create index resource_date_high on resource_date (param, high);

-- Numbers and quantities; a composite with a code in it carries the code's hash in `code`.
create table resource_number (
    rid   bigint           not null,
    low   double precision not null,
    high  double precision not null,
    unit  bigint           not null,            -- hash of system|code; 0 = none
    label bigint           not null,            -- hash of the unit's code alone; 0 = none
    code  bigint           not null,            -- composites: hash of the code; else 0
    param int              not null
);
create index resource_number_rid on resource_number (rid);
create index resource_number_low on resource_number (param, code, low);

-- Strings (folded: NFKC, case, accents) and uris (as they are).
create table resource_string (
    rid   bigint not null,
    param int    not null,
    value text   collate "C" not null
);
create index resource_string_rid on resource_string (rid);
create index resource_string_value on resource_string (param, value);
create extension if not exists pg_trgm;
create index resource_string_part on resource_string using gin (value gin_trgm_ops) with (gin_pending_list_limit = 128);

-- Compression dictionaries by the id that each compressed body names.
create table body_dictionary (
    id      bigint primary key,
    content bytea  not null
);

-- The texts of codes, for :text searches: few and repeated. Written without a lock, so one may stand here twice.
create table concept_text (
    param int    not null,
    token bigint not null,                      -- the token that rows with this text hold
    value text   collate "C" not null           -- folded
);
create index concept_text_value on concept_text (param, value);
