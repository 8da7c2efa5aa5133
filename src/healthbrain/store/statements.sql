-- The fixed statements of the store. Parameters are positional; arrays are the rows (arrays.py).

-- Locks in key order, so that two bundles that touch the same resources never wait for each other in a circle.
-- name: lock_current
select key, rtype, fhir_id, rid, version, deleted, owner, patient, updated, body
from resource where key = any(%s) order by key for no key update;

-- The function is in migrations/0010_write_ready.pre.sql.
-- name: write
select resource_write_2(
    %s, %s, %s, %s,
    %s, %s, %s, %s, %s, %s, %s,
    %s, %s, %s, %s, %s,
    %s, %s, %s, %s,
    %s, %s, %s, %s, %s, %s, %s,
    %s, %s, %s,
    %s, %s, %s);

-- The change feed. What a snapshot does not see is exactly: transactions from its xmax on, and those in its list.

-- name: epoch
select e.epoch, e.pruned, e.cluster = (select system_identifier from pg_control_system()) from change_epoch e;

-- name: new_epoch
with moved as (
    update change_epoch e set epoch = e.epoch + 1, pruned = 0, cluster = s.system_identifier
    from pg_control_system() s where e.cluster <> s.system_identifier returning 1),
gone as (delete from change_batch where exists (select from moved))
delete from change where exists (select from moved);

-- name: anything_new
with b as (select snapshot from change_batch order by batch desc limit 1)
select case when not exists (select from b) then exists (select from change)
       else exists (select from change c where c.xid >= (select pg_snapshot_xmax(snapshot) from b))
         or exists (select from change c where c.xid = any(array(select pg_snapshot_xip(snapshot) from b))) end;

-- name: close_batch
with b as (select batch, snapshot from change_batch order by batch desc limit 1),
     now as (select pg_current_snapshot() as snapshot),
     fresh as (
       select c.seq from change c, now
       where c.xid >= coalesce((select pg_snapshot_xmax(snapshot) from b), '0'::xid8)
         and pg_visible_in_snapshot(c.xid, now.snapshot)
       union all
       select c.seq from change c, now
       where c.xid = any(array(select pg_snapshot_xip(snapshot) from b))
         and pg_visible_in_snapshot(c.xid, now.snapshot)),
     span as (select min(seq) as first, max(seq) as last from fresh)
insert into change_batch (batch, snapshot, first, last, at)
select coalesce((select batch from b), (select pruned from change_epoch)) + 1, now.snapshot, span.first, span.last, now()
from span, now where span.first is not null;

-- name: last_batch
select batch, last from change_batch order by batch desc limit 1;

-- name: batches_from
select batch, first, last from change_batch where batch >= %s order by batch limit 1000;

-- name: changes_of_batch
with b as materialized (
    select n.snapshot as seen, coalesce(p.snapshot, '1:1:'::pg_snapshot) as before
    from change_batch n left join change_batch p on p.batch = n.batch - 1 where n.batch = %s)
select c.seq, r.rtype, r.fhir_id, c.version, c.kind, c.rid, c.owner, c.patient, c.delivery, c.at
from change c join resource r on r.rid = c.rid
where c.seq between %s and %s
  and pg_visible_in_snapshot(c.xid, (select seen from b)) and not pg_visible_in_snapshot(c.xid, (select before from b))
order by c.seq limit %s;

-- name: batches_before
select batch, first, last from change_batch where batch < %s order by batch;

-- The oldest batch kept stays readable, because the one before it leaves its snapshot.
-- name: prune_changes
with b as materialized (
    select n.snapshot as seen, coalesce(p.snapshot, '1:1:'::pg_snapshot) as before
    from change_batch n left join change_batch p on p.batch = n.batch - 1 where n.batch = %s)
delete from change c where c.seq between %s and %s
  and pg_visible_in_snapshot(c.xid, (select seen from b)) and not pg_visible_in_snapshot(c.xid, (select before from b));

-- name: prune_batches
delete from change_batch where batch < %s;
