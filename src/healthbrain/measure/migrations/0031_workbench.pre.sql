-- The indicator workbench (指标工作台): own measures, each with versions from draft to published, test cases and a history.

create table own_measure (
    id           text        primary key,           -- OWN-…
    organisation int         not null references organisation,
    created_by   text        not null,
    created_at   timestamptz not null,
    retired_at   timestamptz,                       -- no longer counted; its figures stay
    deleted_at   timestamptz                        -- never published and thrown away; can be taken back
);

create table own_measure_version (
    measure      text        not null references own_measure,
    number       int         not null,
    state        text        not null check (state in ('draft', 'review', 'returned', 'published')),
    form         jsonb,                             -- null when it was imported as a definition
    definition   text        not null default '',   -- YAML; '' while the form has faults
    change       text        not null default '',   -- what this version changes, in words
    made_by      text        not null,
    changed_at   timestamptz not null,
    reviewed_by  text        not null default '',
    published_at timestamptz,
    primary key (measure, number)
);
create unique index own_measure_open on own_measure_version (measure) where state <> 'published';

create function own_measure_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'a published version is frozen: make a new one' using errcode = 'insufficient_privilege';
end $$;
create trigger own_measure_frozen before update or delete on own_measure_version
    for each row when (old.state = 'published') execute function own_measure_refuse();

create table own_measure_case (
    id      bigint      generated always as identity primary key,
    measure text        not null references own_measure,
    given   jsonb       not null,                   -- name, expected, period, subject or resources
    by      text        not null,
    at      timestamptz not null,
    deleted boolean     not null default false
);

create table own_measure_event (
    id      bigint      generated always as identity primary key,
    measure text        not null references own_measure,
    number  int         not null,
    at      timestamptz not null,
    by      text        not null,
    action  text        not null,
    note    text        not null default ''
);
create trigger own_measure_event_append_only before update or delete or truncate on own_measure_event
    for each statement execute function measure_refuse();
