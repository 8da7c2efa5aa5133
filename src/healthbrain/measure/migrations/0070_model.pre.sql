-- Values of data models (indices over theme libraries) by month and area; the last run of each.

create table model_value (
    model    text             not null,
    version  text             not null,
    month    text             not null,          -- 2026-11
    area     text             not null,          -- code of a town; '' = the district
    value    double precision,                   -- 0 to 100; null when too little is known
    known    double precision not null,          -- share of the weights, in per cent
    parts    jsonb            not null,          -- the components
    complete boolean          not null,
    primary key (model, version, month, area)
);

create table model_run (
    model       text primary key,
    version     text        not null,
    as_of       timestamptz,
    computed_at timestamptz,
    inputs      jsonb       not null,            -- [view, digest of its rows]
    problem     text        not null
);
