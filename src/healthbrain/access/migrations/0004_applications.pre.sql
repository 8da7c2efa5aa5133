-- Applications that register themselves, keys fetched from their own address, remembered consents.

alter table client add column jwks_uri text not null default '';
alter table client add column post_logout_uris text[] not null default '{}';
alter table client add column last_used_at timestamptz;
-- An application that registered itself is shut (disabled_at) and waits until an administrator approves it.
alter table client add column waits_since timestamptz;
alter table client drop constraint client_check1;
alter table client add constraint client_keys check ((kind = 'asymmetric') = (jwks is not null or jwks_uri <> ''));

-- What somebody allowed an application and need not be asked again, until `until_at`.
create table consent (
    account text not null references account on delete cascade,
    client text not null references client on delete cascade,
    scopes text[] not null,
    patient_id text,
    created_at timestamptz not null,
    until_at timestamptz not null,
    primary key (account, client)
);
