-- A source that an administrator has blocked: what it sends is kept raw and refused until the block is taken away.
alter table source add column blocked_at timestamptz;                       -- null = not blocked
alter table source add column blocked_by text not null default '';
alter table source add column blocked_reason text not null default '';
alter table source add constraint source_blocked check (blocked_at is null or (blocked_by <> '' and blocked_reason <> ''));
