-- The person index (HUB-EX-17): which patient records of which institutions are one person, and why.

create sequence person_number_seq as bigint;

-- A person. A retired id redirects for ever and is never given to anybody else.
create table person (
    id text collate "C" primary key,                -- P and twelve digits
    created_at timestamptz not null,
    retired_into text collate "C" references person,
    retired_at timestamptz,
    check (retired_into <> id)
);

-- Every event that decided where a record belongs. Append-only; the links below can be rebuilt from it.
create table link_event (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    patient bigint not null,                        -- key of the patient record
    from_person text collate "C",
    to_person text collate "C",                     -- null: the record was deleted
    kind text not null check (kind in ('auto', 'manual', 'undo')),
    rule text not null,                             -- new, id-card, insurance, source-merge, verdict, ...
    model text not null,                            -- version of the rules
    who text not null,
    reason text not null default '',
    delivery bigint,                                -- the arrival that caused it
    undoes bigint references link_event             -- undo: of this one
);
create index link_event_patient on link_event (patient, id);
create index link_event_person on link_event (to_person, id);

create function link_event_is_append_only() returns trigger language plpgsql as
$$begin raise exception 'link_event is append-only'; end$$;
create trigger link_event_append_only before update or delete or truncate on link_event
    for each statement execute function link_event_is_append_only();

-- Where each patient record belongs now, and what it is compared by.
create table person_link (
    patient bigint primary key,                     -- key of the patient record (store.patient_key)
    patient_id text collate "C" not null,
    owner int not null,
    person text collate "C" not null references person,
    first_person text collate "C" not null,         -- made for this record; comes back if it is separated again
    replaced_by bigint,                             -- the record its own source merged it into
    deleted boolean not null default false,
    name text not null,                             -- normalised; '' when it is no name
    birth text not null,                            -- YYYY-MM-DD, shorter when less is known, or ''
    sex text not null,                              -- male, female or ''
    since timestamptz not null
);
create index person_link_person on person_link (person);
create index person_link_replaced on person_link (replaced_by) where replaced_by is not null;
create index person_link_name on person_link (name text_pattern_ops) where name <> '';

-- Identifiers of each record as hashes. Only `usable` ones link; the others are kept for review and for finding.
create table person_identifier (
    key uuid not null,                              -- hash of kind and normalised number
    patient bigint not null references person_link on delete cascade,
    kind text not null,                             -- id-card, insurance, health-card, health-record
    usable boolean not null,
    verdict text not null,                          -- verified, suspect-birth, suspect-sex, unconfirmed, ...
    primary key (patient, key)
);
create index person_identifier_key on person_identifier (key, patient);

-- One row per key in use: who wants to link by a key locks it first, so that one person registered twice at the same moment
-- becomes one person.
create table person_key_lock (
    key uuid primary key
);

-- What people decided about two records. The machine never overturns it.
create table link_verdict (
    one bigint not null,
    other bigint not null,
    same boolean not null,
    event bigint not null references link_event,
    withdrawn_by bigint references link_event,
    primary key (event, one, other),
    check (one < other)
);
create index link_verdict_one on link_verdict (one) where withdrawn_by is null;
create index link_verdict_other on link_verdict (other) where withdrawn_by is null;

-- What a steward should look at.
create table link_doubt (
    patient bigint not null,
    kind text not null,                             -- suspect-id, contested-insurance, conflicting-verdict, ...
    opened_at timestamptz not null,
    closed_at timestamptz,
    primary key (patient, kind)
);
create index link_doubt_open on link_doubt (opened_at desc) where closed_at is null;
