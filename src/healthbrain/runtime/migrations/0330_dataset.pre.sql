-- The life cycle of data sets (汇聚、治理、发布、开放、归档、销毁): where each is now, every step that led there, and who may read it.
create table dataset (
    id text primary key,                        -- id of the ViewDefinition
    state text not null check (state in
        ('collected', 'cleaned', 'proposed', 'published', 'opened', 'withdrawn', 'archived', 'destroyed')),
    governed boolean not null default false,    -- it was published once: from then on its state decides who reads it
    by_subscription boolean not null default false,
    step bigint not null                        -- the newest step
);
create table dataset_step (
    id bigint generated always as identity primary key,
    dataset text not null,
    act text not null,
    state text not null,                        -- after the step
    at timestamptz not null,
    by text not null,
    reason text not null,
    evidence jsonb not null
);
create index dataset_step_dataset on dataset_step (dataset, id);
create function dataset_step_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'the steps of a data set are append-only: % is refused', tg_op using errcode = 'insufficient_privilege';
end $$;
create trigger dataset_step_append_only before update or delete or truncate on dataset_step
    for each statement execute function dataset_step_refuse();
create table dataset_subscription (
    id bigint generated always as identity primary key,
    dataset text not null,
    kind text not null check (kind in ('organisation', 'token', 'application')),
    subscriber text not null,                   -- organisation code, token name or client id
    organisation int,                           -- key, of an organisation or of a token
    purpose text not null,
    until_at timestamptz not null,
    granted_at timestamptz not null,
    granted_by text not null,
    ended_at timestamptz,
    ended_by text
);
create index dataset_subscription_dataset on dataset_subscription (dataset) where ended_at is null;
