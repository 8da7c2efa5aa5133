-- Assessments (考核评价): own schemes with every version, runs whose content is frozen, what units say of their results.

create table assessment_scheme (
    id           text        primary key,           -- OWN-…
    organisation int         not null references organisation,
    created_by   text        not null,
    created_at   timestamptz not null,
    retired_at   timestamptz                        -- no longer offered; its runs stay
);

create table assessment_scheme_version (
    scheme  text        not null references assessment_scheme,
    number  int         not null,
    content text        not null,                   -- the scheme as JSON, text scalars
    change  text        not null default '',        -- what this version changed
    by      text        not null,
    at      timestamptz not null,
    primary key (scheme, number)
);
create trigger assessment_scheme_version_append_only before update or delete or truncate on assessment_scheme_version
    for each statement execute function measure_refuse();

create table assessment_run (
    id             bigint generated always as identity primary key,
    scheme         text        not null,            -- built-in or own
    scheme_version int         not null,
    title          text        not null,
    title_en       text        not null default '',
    level          text        not null check (level in ('district', 'town', 'institution')),
    period         text        not null,            -- 2026, 2026-Q3, 2026-09
    organisation   int         not null references organisation, -- whose area was assessed
    state          text        not null default 'draft' check (state in ('draft', 'published', 'closed')),
    content        text        not null,            -- scheme, figures and results as JSON with sorted keys
    digest         text        not null,            -- SHA-256 of the content
    units          int         not null,
    complete       boolean     not null,            -- every figure is of a period that is over
    made_by        text        not null,
    made_at        timestamptz not null,
    published_by   text        not null default '',
    published_at   timestamptz,
    closed_by      text        not null default '',
    closed_at      timestamptz
);
create index assessment_run_area on assessment_run (organisation, made_at);

create function assessment_run_refuse() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if old.state = 'draft' then return old; end if;
        raise exception 'a published assessment stays' using errcode = 'insufficient_privilege';
    end if;
    if row(new.id, new.scheme, new.scheme_version, new.title, new.title_en, new.level, new.period, new.organisation, new.content,
           new.digest, new.units, new.complete, new.made_by, new.made_at)
       is distinct from
       row(old.id, old.scheme, old.scheme_version, old.title, old.title_en, old.level, old.period, old.organisation, old.content,
           old.digest, old.units, old.complete, old.made_by, old.made_at)
       or (old.state, new.state) not in (('draft', 'published'), ('published', 'closed'))
       or (old.state = 'published' and (new.published_by, new.published_at) is distinct from (old.published_by, old.published_at))
    then
        raise exception 'an assessment is frozen: make a new one' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger assessment_run_frozen before update or delete on assessment_run
    for each row execute function assessment_run_refuse();

create table assessment_remark (
    id      bigint generated always as identity primary key,
    run     bigint      not null references assessment_run,
    unit    text        collate "C" not null,       -- organisation key, town code, '' for the district
    item    text        not null default '',        -- measure; '' = the whole result
    kind    text        not null check (kind in ('appeal', 'remark', 'answer')),
    text    text        not null,
    answers bigint      unique references assessment_remark,
    outcome text        not null default '' check (outcome in ('', 'upheld', 'rejected', 'noted')),
    by      text        not null,
    role    text        not null,
    at      timestamptz not null
);
create index assessment_remark_run on assessment_remark (run, unit);
create trigger assessment_remark_append_only before update or delete or truncate on assessment_remark
    for each statement execute function measure_refuse();
