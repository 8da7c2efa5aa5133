-- Supervision (督办): notices to units about indicators, each a task with a history that is only ever added to; who
-- answers for an indicator; the editions of evaluation reports.

create table plan_duty (
    plan         text not null,
    indicator    text not null,
    organisation int  not null references organisation,
    person       text not null default '',      -- name or post, as the district writes it
    set_by       text not null,
    set_at       timestamptz not null,
    primary key (plan, indicator)
);

create table supervision_task (
    id           bigint generated always as identity primary key,
    batch        text        not null,          -- notices issued together
    plan         text        not null,
    indicator    text        not null,
    organisation int         not null references organisation,
    person       text        not null default '',
    text         text        not null,          -- of the notice
    facts        jsonb       not null,          -- the figures as they stood when it was issued
    due          date        not null,
    state        text        not null default 'open'
        check (state in ('open', 'accepted', 'answered', 'returned', 'closed', 'withdrawn')),
    level        int         not null default 0, -- how far it has been escalated
    issued_by    text        not null,
    issued_at    timestamptz not null,
    sent_at      timestamptz not null,          -- until then it can be taken back and the unit does not see it
    closed_at    timestamptz
);
create index supervision_task_unit on supervision_task (organisation, state);
create index supervision_task_plan on supervision_task (plan, indicator, issued_at);
create index supervision_task_batch on supervision_task (batch);

create table supervision_event (
    task   bigint      not null references supervision_task,
    number int         not null,
    at     timestamptz not null,
    by     text        not null,                -- account; 'system' for what happens by itself
    role   text        not null,
    action text        not null,
    state  text        not null,                -- after it
    text   text        not null default '',
    due    date,                                -- the new date, when it was changed
    file   text        not null default '',     -- name of the attachment
    media  text        not null default '',
    digest text        not null default '',     -- SHA-256 of the attachment
    bytes  bytea,
    primary key (task, number)
);

create function measure_refuse() returns trigger language plpgsql as $$
begin
    raise exception '% is only ever added to: % is refused', tg_table_name, tg_op
        using errcode = 'insufficient_privilege';
end $$;
create trigger supervision_event_append_only before update or delete or truncate on supervision_event
    for each statement execute function measure_refuse();

create table plan_report (
    id           bigint generated always as identity primary key,
    plan         text        not null,
    kind         text        not null check (kind in ('monthly', 'interim', 'final')),
    period       text        not null,          -- 2026-10; 2024; 2025
    edition      int         not null,
    state        text        not null check (state in ('making', 'failed', 'draft', 'published')),
    done         int         not null default 0,
    steps        int         not null default 1,
    content      jsonb,
    digest       text        not null default '', -- SHA-256 of the published content
    made_by      text        not null,
    made_at      timestamptz not null,
    changed_by   text        not null default '',
    changed_at   timestamptz,
    published_by text        not null default '',
    published_at timestamptz,
    unique (plan, kind, period, edition)
);

create function plan_report_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'a published report is frozen: make a new edition' using errcode = 'insufficient_privilege';
end $$;
create trigger plan_report_frozen before update or delete on plan_report
    for each row when (old.state = 'published') execute function plan_report_refuse();
