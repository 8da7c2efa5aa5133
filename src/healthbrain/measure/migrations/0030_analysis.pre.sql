-- Saved questions of ad-hoc analysis (自助分析). Every saving is a version; a deleted question can be taken back.

create table analysis_question (
    id           bigint generated always as identity primary key,
    owner        text        not null,              -- account
    organisation int         not null references organisation,
    name         text        not null,
    description  text        not null default '',
    tags         text[]      not null default '{}',
    shared       text        not null default 'private' check (shared in ('private', 'role', 'organisation')),
    role         text        not null,              -- of the owner; who has it sees what is shared with the role
    version      int         not null default 1,
    question     jsonb       not null,
    changed_at   timestamptz not null,
    deleted_at   timestamptz
);
create index analysis_question_owner on analysis_question (owner) where deleted_at is null;

create table analysis_question_version (
    question_id bigint      not null references analysis_question,
    version     int         not null,
    name        text        not null,
    description text        not null,
    question    jsonb       not null,
    by          text        not null,
    at          timestamptz not null,
    primary key (question_id, version)
);

-- What an account put on its start page.
create table analysis_pin (
    account     text        not null,
    question_id bigint      not null references analysis_question,
    at          timestamptz not null,
    primary key (account, question_id)
);
