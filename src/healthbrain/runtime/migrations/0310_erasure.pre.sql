-- What was erased, without any value of the person: a number that the platform had made, keys, counts, grounds.
create table erasure (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    person text not null,                               -- the platform's own number of the person
    patients bigint[] not null,                         -- keys of the records that are gone
    others text[] not null,                             -- Type/id of resources outside their compartments that went too
    ground text not null,                               -- which case of the law
    reason text not null,                               -- file number and the like; never a name
    custodian text not null default '',                 -- who keeps what must be kept by law
    who text not null,
    counts jsonb not null,
    position text,                                      -- place in the change feed up to which the lake forgets
    due_at timestamptz not null,                        -- by then it is off the disk of the lake
    lake_done_at timestamptz
);
create index erasure_open on erasure (id) where lake_done_at is null;
