-- Results by stratum, numbers that are no counts, and what holds for a whole period said once instead of in every row.
-- Members are no longer kept: they are found from the base when somebody asks (measure_member is dropped by a later upgrade).

alter table measure_result
    add column stratifier text collate "C" not null default '',  -- '' = all members
    add column stratum    text collate "C" not null default '',
    alter column numerator type double precision,
    alter column numerator drop not null,                         -- null for medians
    alter column denominator type double precision,
    alter column window_from drop not null,                       -- null from here on: measure_period has them
    alter column window_to drop not null,
    alter column complete drop not null,
    alter column sending drop not null,
    alter column registered drop not null,
    alter column as_of drop not null,
    alter column computed_at drop not null,
    drop constraint measure_result_pkey,
    add primary key (measure, version, level, stratifier, period, key, stratum);
drop index measure_result_key;
create index measure_result_place on measure_result (level, key, measure, period) where stratifier = '';

-- One period of a series: when and from what it was last computed.
create table measure_period (
    measure     text        not null,
    version     text        not null,
    period      text        not null,
    window_from date,                   -- first and last day that were counted; null: the rows say it
    window_to   date,
    complete    boolean,                -- the period is over
    as_of       timestamptz not null,   -- everything stored before this moment is counted
    computed_at timestamptz not null,
    sending     int         not null,   -- institutions that delivered / should deliver, when this was computed
    registered  int         not null,
    primary key (measure, version, period)
);

-- Which run published last: the files beside the lake say what it published, so that the next one writes only what differs.
create table measure_run (
    only_one boolean primary key default true check (only_one),
    run      text not null
);

-- Parameters that this place sets otherwise than the national rule: each setting is a new version of the measure.
create table measure_adjustment (
    measure     text        not null,
    revision    int         not null,
    base        text        not null,   -- version of the definition that was adjusted
    parameters  jsonb       not null,
    reason      text        not null,
    document    text        not null,
    adjusted_by text        not null,
    adjusted_at timestamptz not null,
    primary key (measure, revision)
);
