-- Results by stratum, numbers that are no counts, and what holds for a whole period said once instead of in every row: new
-- tables beside measure_result, which what ran before goes on reading and writing until it is dropped (0002_series.post).
-- Members are no longer kept: they are found from the base when somebody asks.

create table measure_figure (
    measure     text    not null,
    version     text    not null,               -- of the definition
    period      text    not null,               -- 2026-11, 2026-W47, 2026-Q4, 2026, 2026-11-R12
    level       text    not null check (level in ('district', 'town', 'institution')),
    key         text    collate "C" not null,   -- '' for the district; town code; organisation key
    stratifier  text    collate "C" not null default '', -- '' = all members
    stratum     text    collate "C" not null default '',
    numerator   double precision,               -- null for medians
    denominator double precision,               -- null for counts
    value       double precision,
    low         double precision,               -- 95 % interval
    high        double precision,
    small       boolean not null,
    primary key (measure, version, level, stratifier, period, key, stratum)
);
create index measure_figure_place on measure_figure (level, key, measure, period) where stratifier = '';

-- One period of a series: when and from what it was last computed.
create table measure_period (
    measure     text        not null,
    version     text        not null,
    period      text        not null,
    window_from date        not null,   -- first and last day that were counted
    window_to   date        not null,
    complete    boolean     not null,   -- the period is over
    as_of       timestamptz not null,   -- everything stored before this moment is counted
    computed_at timestamptz not null,
    sending     int         not null,   -- institutions that delivered / should deliver, when this was computed
    registered  int         not null,
    primary key (measure, version, period)
);

insert into measure_period (measure, version, period, window_from, window_to, complete, as_of, computed_at, sending, registered)
select distinct on (measure, version, period) measure, version, period, window_from, window_to, complete, as_of, computed_at,
    sending, registered
from measure_result order by measure, version, period, computed_at desc;
insert into measure_figure (measure, version, period, level, key, numerator, denominator, value, low, high, small)
select measure, version, period, level, key, numerator, denominator, value, low, high, small from measure_result;

-- What a process that ran before still writes is seen by the new ones. It counts what they count anyway, so its figures only
-- fill gaps.
create function measure_result_seen() returns trigger language plpgsql as $$
begin
    insert into measure_period (measure, version, period, window_from, window_to, complete, as_of, computed_at, sending, registered)
    values (new.measure, new.version, new.period, new.window_from, new.window_to, new.complete, new.as_of, new.computed_at,
        new.sending, new.registered)
    on conflict (measure, version, period) do nothing;
    insert into measure_figure (measure, version, period, level, key, numerator, denominator, value, low, high, small)
    values (new.measure, new.version, new.period, new.level, new.key, new.numerator, new.denominator, new.value, new.low,
        new.high, new.small)
    on conflict (measure, version, level, stratifier, period, key, stratum) do nothing;
    return null;
end $$;
create trigger measure_result_seen after insert on measure_result
    for each row execute function measure_result_seen();

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
