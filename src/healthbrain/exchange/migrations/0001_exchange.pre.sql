-- The delivery ledger: every arrival, kept raw, with what became of it. Nothing is acknowledged that is not in here.

-- A system that sends to us. For HL7 v2 it is found by MSH-3 and MSH-4.
create table source (
    key int generated always as identity primary key,
    code text not null unique,
    name text not null,
    organisation int not null references organisation,  -- owner of what it sends
    organisation_code text not null default '',         -- '' while nobody has verified who it is
    door text not null check (door in ('fhir', 'ndjson', 'hl7v2')),
    application text not null default '',               -- MSH-3; '' = any of this facility
    facility text not null default '',                  -- MSH-4
    charset text not null default '',
    code_set text not null default '',                  -- table of its local codes
    zone text not null default '+08:00',
    verified boolean not null,
    registered_at timestamptz not null
);
create unique index source_hl7v2 on source (facility, application) where door = 'hl7v2';
create index source_organisation on source (organisation);

create sequence delivery_id_seq as bigint;

create table delivery (
    id bigint primary key,
    source int references source,                       -- null: the sender could not be read
    door text not null,
    received_at timestamptz not null,
    message_at timestamptz,                             -- when the sender says it was made
    settled_at timestamptz not null,                    -- when the last attempt ended
    attempt int not null default 1,
    state text not null check (state in ('accepted', 'partly', 'refused', 'duplicate', 'failed', 'held')),
    control_id text not null default '',                -- MSH-10 or idempotency key; '' = none
    message_type text not null default '',
    name text not null default '',                      -- file name of an import
    digest bytea not null,                              -- SHA-256 of what was sent
    size bigint not null,
    entries int not null default 0,                     -- resources, lines or bundle entries in it
    written int not null default 0,                     -- new versions it made
    refused int not null default 0,                     -- entries refused
    warnings int not null default 0,
    reason text not null default '',                    -- the first error in short, to group by
    issues jsonb not null default '[]',
    original bigint references delivery,                -- duplicate: of this one
    request jsonb                                       -- FHIR REST: the interaction, to replay it
);
alter sequence delivery_id_seq owned by delivery.id;
create index delivery_received on delivery (received_at desc, id desc);
create index delivery_source on delivery (source, received_at desc, id desc);
create index delivery_trouble on delivery (received_at desc, id desc) where state in ('refused', 'failed', 'held', 'partly');
-- One message is taken in once: a second one with the same number waits for the first and then is a duplicate.
create unique index delivery_once on delivery (source, control_id, message_type)
    where control_id <> '' and state in ('accepted', 'partly', 'held');

-- What was sent, zstd-compressed, apart so that the ledger stays narrow. A large file comes in parts.
create table delivery_raw (
    delivery bigint not null references delivery on delete cascade,
    part int not null default 0,
    first_line bigint not null default 1,               -- NDJSON: number of the part's first line
    raw bytea not null,
    primary key (delivery, part)
);
alter table delivery_raw alter column raw set storage external;

-- Earlier attempts of a delivery that was replayed. Append-only.
create table delivery_attempt (
    delivery bigint not null references delivery on delete cascade,
    attempt int not null,
    settled_at timestamptz not null,
    state text not null,
    reason text not null,
    issues jsonb not null,
    replayed_by text not null,
    primary key (delivery, attempt)
);

-- Refused lines of an NDJSON file.
create table delivery_line (
    delivery bigint not null references delivery on delete cascade,
    line bigint not null,
    part int not null,                                  -- in which part of the raw file it lies
    issues jsonb not null,
    primary key (delivery, line)
);
