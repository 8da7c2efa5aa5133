-- Monitors (查询监控): saved questions with a threshold are judged by the worker; every crossing is kept with its end.

create table analysis_monitor (
    question_id bigint      primary key references analysis_question,
    version     int         not null,           -- of the question that was judged
    position    text        not null,           -- of the lake
    day         date        not null,           -- local
    judged_at   timestamptz not null,
    state       text        not null check (state in ('fine', 'crossed', 'nothing', 'hidden', 'failed')),
    places      int         not null default 0, -- judged
    crossed     int         not null default 0, -- at or beyond the threshold
    why         text        not null default '', -- of a failure
    muted_until timestamptz
);

create table analysis_crossing (
    id           bigint generated always as identity primary key,
    question_id  bigint      not null references analysis_question,
    version      int         not null,
    place        text        not null,          -- JSON: row and column; of a time series the column alone
    period       text        not null default '', -- of a time series: the newest that crosses
    first_period text        not null default '',
    side         text        not null check (side in ('above', 'below')),
    threshold    double precision not null,
    value        double precision not null,     -- as it was last judged
    first_value  double precision not null,
    crossed_at   timestamptz not null,          -- first judged so
    judged_at    timestamptz not null,          -- last judged so
    ended_at     timestamptz,                   -- first judged otherwise
    seen_at      timestamptz                    -- acknowledged by the owner
);
create unique index analysis_crossing_open on analysis_crossing (question_id, place) where ended_at is null;
create index analysis_crossing_question on analysis_crossing (question_id, crossed_at);
