-- Programmes that a district makes by form: who is due and what is counted as served is an own measure (OWN-PRG-…), reviewed and
-- published in the workbench; here stand the programme's words and who made it. A programme is closed, never deleted.

create table own_programme (
    id           text        primary key,       -- lower-case letters, digits and hyphens
    organisation int         not null references organisation,
    measure      text        not null references own_measure,
    title        jsonb       not null,          -- zh, en
    target_group jsonb       not null,
    made_by      text        not null,
    made_at      timestamptz not null,
    closed_by    text        not null default '',
    closed_at    timestamptz
);
