-- A second factor at sign-in: time-based one-time passwords (RFC 6238) and recovery codes.

create table second_factor (
    account text primary key references account on delete cascade,
    secret bytea not null,
    created_at timestamptz not null,
    confirmed_at timestamptz,                   -- null = begun, not yet proven with a code
    last_step bigint not null default 0         -- a code is used once
);

create table recovery_code (
    account text not null references account on delete cascade,
    digest bytea not null,
    used_at timestamptz,
    primary key (account, digest)
);

-- What a session still waits for before it opens anything: '' nothing, 'code', 'enrolment'.
alter table session add column waits_for text not null default '' check (waits_for in ('', 'code', 'enrolment'));
