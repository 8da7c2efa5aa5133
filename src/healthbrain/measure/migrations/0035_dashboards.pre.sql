-- Boards that users compose (数据看板). Every edit is a version; a deleted board can be taken back.

create table dashboard (
    id           bigint generated always as identity primary key,
    owner        text        not null,              -- account
    organisation int         not null references organisation,
    shared       text        not null default 'private' check (shared in ('private', 'role', 'organisation')),
    role         text        not null,              -- of the owner; who has it sees what is shared with the role
    version      int         not null default 1,
    board        jsonb       not null,
    changed_at   timestamptz not null,
    deleted_at   timestamptz
);
create index dashboard_owner on dashboard (owner) where deleted_at is null;

create table dashboard_version (
    dashboard_id bigint      not null references dashboard,
    version      int         not null,
    board        jsonb       not null,
    action       text        not null,              -- what the edit did
    restores     int,                               -- the version whose content it brought back
    by           text        not null,
    at           timestamptz not null,
    primary key (dashboard_id, version)
);
