-- Statutory reports (法定报表): editions of a form for one place and period with their frozen figures, and everything that was done
-- with them. What was submitted is never changed: returned, it is made anew as the next edition.

create table statutory_report (
    id           bigint generated always as identity primary key,
    form         text        not null,
    version      text        not null,          -- of the form
    period       text        not null,          -- 2026-Q3, 2026
    level        text        not null check (level in ('district', 'town', 'institution')),
    key          text        collate "C" not null,
    organisation int         not null references organisation, -- whose report it is, for permissions
    place        text        not null,          -- the place's name as it was
    edition      int         not null,
    state        text        not null check (state in ('draft', 'submitted', 'passed', 'returned', 'approved')),
    content      jsonb       not null,
    remarks      jsonb       not null default '{}', -- check -> explanation
    digest       text        not null default '', -- SHA-256 of content and remarks, from submission on
    made_at      timestamptz not null,
    unique (form, period, level, key, edition)
);
create unique index statutory_report_open on statutory_report (form, period, level, key)
    where state in ('draft', 'submitted', 'passed');
create index statutory_report_of on statutory_report (organisation, made_at);

create function statutory_report_refuse() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or (new.content, new.remarks, new.digest, new.form, new.period, new.level, new.key, new.edition)
        is distinct from (old.content, old.remarks, old.digest, old.form, old.period, old.level, old.key, old.edition) then
        raise exception 'a submitted report is frozen: make a new edition' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger statutory_report_frozen before update or delete on statutory_report
    for each row when (old.state <> 'draft') execute function statutory_report_refuse();

create table statutory_event (
    id           bigint generated always as identity primary key,
    report       bigint      not null,          -- no reference: a draft that was dropped keeps its history
    at           timestamptz not null,
    by           text        not null,          -- account
    name         text        not null,          -- as it was then
    organisation int         not null,
    action       text        not null check (action in ('made', 'counted', 'explained', 'submitted', 'passed', 'returned', 'approved', 'dropped')),
    note         text        not null default ''
);
create index statutory_event_of on statutory_event (report, id);
create trigger statutory_event_append_only before update or delete or truncate on statutory_event
    for each statement execute function measure_refuse();
