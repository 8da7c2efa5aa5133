-- Agreements with platforms that ask this one (上级、同级、下级平台), and what really passed under them.
create table partner (
    key int generated always as identity primary key,
    code text not null unique,
    name text not null,
    level text not null check (level in ('upper', 'sibling', 'lower')),
    organisation int not null,                  -- whose token or application asks
    account text not null default '',           -- the token's name; '' = every token of the organisation
    client text not null default '',            -- the application's id, instead of tokens
    document text not null,
    contact text not null,
    interfaces text[] not null,
    types text[] not null,                      -- resource types; {*} = all
    views text[] not null,                      -- ids of views; {*} = all
    from_day date not null,
    until_day date not null,
    per_minute int not null check (per_minute > 0),
    changed_at timestamptz not null,
    changed_by text not null
);
create table partner_traffic (
    partner int not null references partner,
    day date not null,
    interface text not null,
    requests bigint not null,
    refused bigint not null,
    errors bigint not null,
    bytes bigint not null,
    delays bigint[] not null,                   -- requests by class of delay
    primary key (partner, day, interface)
);
