-- Values that come from outside the platform (kind: entered). Every entry stays: a correction is a new row that names the one
-- it replaces, with a reason; the value that holds is the accepted row that no other accepted row replaces.

create table measure_entry (
    id          bigint generated always as identity primary key,
    measure     text        not null,
    period      text        not null,           -- 2025, 2025-Q3, 2025-10
    level       text        not null check (level in ('district', 'town', 'institution')),
    key         text        collate "C" not null,
    numerator   double precision,
    denominator double precision,
    value       double precision not null,
    document    text        not null,           -- where it was taken from
    dated       date        not null,           -- the document's date
    reason      text        not null default '', -- of a correction
    replaces    bigint      unique references measure_entry,
    synthetic   boolean     not null default false, -- demo
    entered_by  text        not null,
    entered_at  timestamptz not null
);
create unique index measure_entry_first on measure_entry (measure, period, level, key) where replaces is null;
create trigger measure_entry_append_only before update or delete or truncate on measure_entry
    for each statement execute function measure_refuse();
