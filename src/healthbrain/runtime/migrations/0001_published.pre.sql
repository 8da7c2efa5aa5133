-- The lake position that the published measures were computed from: they are computed again only when the lake has moved.
create table measures_published (
    only_one boolean primary key default true check (only_one),
    position text not null,
    at timestamptz not null default now()
);
