-- Applications (SMART App Launch v2, OpenID Connect): who they are, what they were allowed, the secrets they hold.

-- Redirect addresses are compared exactly. A public client keeps no secret, a symmetric one a password of 256 random
-- bits (its digest is here), an asymmetric one signs with keys whose public halves are here.
create table client (
    id text primary key,
    name text not null,
    kind text not null check (kind in ('public', 'symmetric', 'asymmetric')),
    secret bytea,
    jwks jsonb,
    redirect_uris text[] not null default '{}',
    launch_uri text not null default '',
    scopes text[] not null,
    organisation int not null references organisation,
    source int,
    created_at timestamptz not null,
    disabled_at timestamptz,
    check ((kind = 'symmetric') = (secret is not null)),
    check ((kind = 'asymmetric') = (jwks is not null))
);

-- Somebody (or, without account, the organisation of a system) let an application act. All tokens hang on it.
create table authorisation (
    id bigint generated always as identity primary key,
    client text not null references client on delete cascade,
    account text references account on delete cascade,
    session bytea,                              -- digest of the session it was given in
    scopes text[] not null,
    purpose text not null,
    patient_id text,                            -- the patient in context: logical id, key, person
    patient bigint,
    person text,
    encounter text,
    nonce text not null default '',
    signed_in_at timestamptz,
    created_at timestamptz not null,
    until_at timestamptz not null,              -- nothing is renewed beyond
    revoked_at timestamptz,
    revoked_for text not null default ''
);
create index authorisation_client on authorisation (client);
create index authorisation_account on authorisation (account);
create index authorisation_until on authorisation (until_at);

create table authorisation_code (
    digest bytea primary key,
    authorisation bigint not null references authorisation on delete cascade,
    redirect_uri text not null,
    challenge text not null,
    until_at timestamptz not null,
    used_at timestamptz
);
create index authorisation_code_authorisation on authorisation_code (authorisation);

create table access_token (
    digest bytea primary key,
    authorisation bigint not null references authorisation on delete cascade,
    scopes text[] not null,                     -- may be fewer than those of the authorisation
    created_at timestamptz not null,
    until_at timestamptz not null
);
create index access_token_authorisation on access_token (authorisation);
create index access_token_until on access_token (until_at);

-- Each is used once. A used one that comes back was copied: the whole authorisation ends.
create table refresh_token (
    digest bytea primary key,
    authorisation bigint not null references authorisation on delete cascade,
    until_at timestamptz not null,
    used_at timestamptz
);
create index refresh_token_authorisation on refresh_token (authorisation);

-- Signed assertions that have been used, until they expire.
create table client_assertion (
    client text not null references client on delete cascade,
    jti bytea not null,
    until_at timestamptz not null,
    primary key (client, jti)
);
create index client_assertion_until on client_assertion (until_at);

-- A launch from our own screens: the application hands the handle back and gets this context.
create table launch (
    digest bytea primary key,
    client text not null references client on delete cascade,
    account text not null references account on delete cascade,
    patient_id text,
    patient bigint,
    person text,
    encounter text,
    until_at timestamptz not null
);
create index launch_until on launch (until_at);

-- Who a subject of an external identity provider is here.
create table federated_identity (
    issuer text not null,
    value text not null,
    account text not null references account on delete cascade,
    created_at timestamptz not null,
    primary key (issuer, value)
);
create index federated_identity_account on federated_identity (account);
