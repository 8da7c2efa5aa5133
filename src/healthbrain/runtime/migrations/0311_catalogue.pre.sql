-- The catalogue of data resources: each view of the libraries as it was last counted, and its quality day by day.
create table catalogue_view (
    view text primary key,                      -- library.view
    rows bigint not null,
    newest timestamptz,                         -- when its newest row was stored
    as_of timestamptz not null,                 -- everything stored before this moment is counted
    counted_at timestamptz not null,
    owners jsonb not null,                      -- [[organisation key, rows], ...]
    cohorts jsonb not null                      -- [[icd10, year, town, persons], ...]
);
create table catalogue_quality (
    view text not null,
    rule int not null,                          -- place among the view's rules
    kind text not null,                         -- completeness, accuracy, logic, timeliness
    day date not null,
    total bigint not null,
    failed bigint not null,
    primary key (view, rule, day)
);
create table catalogue_counted (
    only_one boolean primary key default true check (only_one),
    position text not null,
    generation bigint not null,
    at timestamptz not null
);
