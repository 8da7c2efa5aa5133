-- The change feed: every committed change in one total order (batch, seq). How: docs/decisions/0004-change-feed.md.

create table change (
    seq      bigint      generated always as identity primary key,
    rid      bigint      not null,
    xid      xid8        not null default pg_current_xact_id(),
    patient  bigint,
    delivery bigint,
    at       timestamptz not null,
    version  int         not null,
    owner    int         not null,
    kind     "char"      not null               -- c create, u update, d delete
);
create index change_xid on change (xid);

-- Batch n holds what snapshot n sees and snapshot n-1 did not.
create table change_batch (
    batch    bigint      primary key,
    snapshot pg_snapshot not null,
    first    bigint      not null,              -- smallest and largest seq in the batch
    last     bigint      not null,
    at       timestamptz not null
);

-- One row: transaction ids mean something only in the cluster that made them.
create table change_epoch (
    epoch   int    not null,
    cluster bigint not null,                 -- system identifier of the cluster
    pruned  bigint not null default 0,        -- batches up to here are gone
    single  boolean primary key default true check (single)
);
insert into change_epoch (epoch, cluster) select 1, system_identifier from pg_control_system();
