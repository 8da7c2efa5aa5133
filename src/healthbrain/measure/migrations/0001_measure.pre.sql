-- Materialised measures. A run replaces the rows of its measure, version and periods in one transaction; a new version of
-- a definition starts a new series beside the old one.

create table measure_result (
    measure     text        not null,
    version     text        not null,           -- of the definition
    period      text        not null,           -- 2026-11, 2026-W47
    level       text        not null check (level in ('district', 'town', 'institution')),
    key         text        collate "C" not null, -- '' for the district; town code; organisation key
    window_from date        not null,           -- first and last day that were counted
    window_to   date        not null,
    complete    boolean     not null,           -- the period is over
    numerator   bigint      not null,
    denominator bigint,                         -- null for counts
    value       double precision,
    low         double precision,               -- 95 % interval
    high        double precision,
    small       boolean     not null,
    sending     int         not null,           -- institutions that delivered / should deliver, when this was computed
    registered  int         not null,
    as_of       timestamptz not null,           -- everything stored before this moment is counted
    computed_at timestamptz not null,
    primary key (measure, version, period, level, key)
);
create index measure_result_key on measure_result (level, key, measure, period);

-- The members of the latest period, for walking down from a number to people and their resources.
create table measure_member (
    measure     text    not null,
    version     text    not null,
    period      text    not null,
    subject     text    collate "C" not null,   -- person id, institution code
    town        text    not null,
    institution text    not null,
    inside      boolean not null,               -- in the numerator
    reasons     text[]  not null,               -- why not; their texts are in the definition
    shown       jsonb   not null,               -- the figures behind it
    evidence    text[]  not null,               -- Type/id of the resources it rests on
    primary key (measure, subject, version, period)
);
create index measure_member_town on measure_member (measure, town, inside, subject);
create index measure_member_institution on measure_member (measure, institution, inside, subject);
create index measure_member_inside on measure_member (measure, inside, subject);
