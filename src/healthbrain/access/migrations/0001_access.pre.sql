-- Who exists: the organisation tree, accounts, sessions, tokens, family-doctor panels, emergency grants.

-- municipality > district > institution > team. A district is a tenant (HUB-05): its subtree is all it sees.
create table organisation (
    key int generated always as identity primary key,
    code text not null unique,
    name text not null,
    kind text not null check (kind in ('municipality', 'district', 'institution', 'team', 'quarantine')),
    parent int references organisation check (parent <> key),
    fhir_id text unique,
    facility_class text not null default '',
    division text not null default ''
);
create index organisation_parent on organisation (parent);

-- One row per change that cached copies must notice. Rows are only added (and old ones pruned), so that two writers
-- never wait for each other; the stamp of a kind is (how many, the newest).
create table access_change (
    id bigint generated always as identity primary key,
    what text not null check (what in ('tree', 'accounts')),
    at timestamptz not null
);

create table account (
    name text primary key,
    display text not null,
    role text not null check (role in ('leader', 'cdc', 'manager', 'doctor', 'resident', 'administrator')),
    organisation int not null references organisation,
    person text,
    practitioner text,
    password text not null,
    must_change boolean not null default false,
    created_at timestamptz not null,
    password_at timestamptz not null,
    valid_until timestamptz,
    disabled_at timestamptz,
    last_sign_in_at timestamptz
);

-- Failed attempts by digest of the name tried, whether or not such an account exists: a lock reveals nothing.
create table sign_in_guard (
    name_digest bytea primary key,
    failures int not null,
    locked_until timestamptz,
    last_at timestamptz not null
);

create table session (
    digest bytea primary key,
    account text not null references account on delete cascade,
    purpose text not null,
    reason text not null default '',
    created_at timestamptz not null,
    seen_at timestamptz not null,
    until_at timestamptz not null,
    address text not null default '',
    agent text not null default ''
);
create index session_account on session (account);

create table token (
    key int generated always as identity primary key,
    prefix text not null unique,
    digest bytea not null,
    name text not null,
    role text not null,
    organisation int not null references organisation,
    source int,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    last_used_at timestamptz
);

-- 家庭医生签约: which persons a practitioner looks after. Filled from EpisodeOfCare family-doctor.
create table panel (
    practitioner text not null,
    person text not null,
    primary key (practitioner, person)
);
create index panel_person on panel (person);

-- Break-glass: one person, one reason, a short time, reviewed afterwards (SEC-06).
create table emergency_grant (
    id bigint generated always as identity primary key,
    account text not null,
    person text not null,
    reason text not null,
    opened_at timestamptz not null,
    until_at timestamptz not null,
    reviewed_at timestamptz,
    reviewed_by text,
    verdict text check (verdict in ('justified', 'unjustified'))
);
create index emergency_grant_account on emergency_grant (account, until_at);
