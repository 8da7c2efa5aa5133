-- Bulk Data: exports and imports that were asked for and are worked on in the background.
create table bulk_job (
    id text primary key,                        -- cannot be guessed; the name of its folder
    kind text not null check (kind in ('export', 'import')),
    organisation int not null references organisation,
    account text not null,                      -- who asked: nobody else sees the job or its files
    principal jsonb not null,
    base text not null,                         -- FHIR base URL as the client knows it
    request text not null,                      -- the URL of the kick-off
    wish jsonb not null,
    state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
    asked_at timestamptz not null,
    ended_at timestamptz,
    attempts int not null default 0,
    progress text not null default '',
    transaction_at timestamptz,                 -- export: everything in it is of this moment
    snapshot text,                              -- the same moment as transaction ids, and their epoch
    epoch int,
    result jsonb,                               -- files with their counts
    error jsonb                                 -- OperationOutcome of a job that failed
);
create index bulk_job_waiting on bulk_job (kind, asked_at) where state in ('waiting', 'running');
create index bulk_job_transaction on bulk_job (organisation, transaction_at) where kind = 'export';
