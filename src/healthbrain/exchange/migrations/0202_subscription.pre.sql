-- Subscriptions: what is known of each beside its resource, the events it is told of, and how far the feed was read.
create table subscription (
    rid bigint primary key,                     -- of the Subscription resource
    fhir_id text not null,
    owner int not null,                         -- organisation whose eyes it has
    rules jsonb,                                -- what its author's application was granted; null = no application
    wanted jsonb not null,                      -- the resource, as read and checked
    state text not null check (state in ('requested', 'active', 'error', 'off')),
    events bigint not null default 0,           -- how many there were; numbers of events begin at 1
    attempts int not null default 0,            -- of what is being sent now
    next_at timestamptz not null,               -- not before then
    sent_at timestamptz,                        -- last word to the subscriber: a heartbeat is due after it
    error text not null default ''
);
create index subscription_state on subscription (state);

create table subscription_event (
    subscription bigint not null references subscription on delete cascade,
    number bigint not null,
    type text not null,
    id text not null,
    kind text not null check (kind in ('create', 'update', 'delete')),
    at timestamptz not null,
    state text not null check (state in ('waiting', 'sent', 'dead')),
    attempts int not null default 0,
    reason text not null default '',
    primary key (subscription, number)
);
create index subscription_event_waiting on subscription_event (subscription, number) where state = 'waiting';
create index subscription_event_old on subscription_event (at);

create table subscription_feed (
    single boolean primary key default true check (single),
    position text not null
);

create table subscription_binding (
    token bytea primary key,                    -- digest of a websocket binding token
    subscription bigint not null references subscription on delete cascade,
    expires_at timestamptz not null
);
