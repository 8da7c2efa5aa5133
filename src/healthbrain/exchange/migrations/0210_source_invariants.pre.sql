-- Whether what a source sends must keep the invariants of R4 (docs/decisions/0085-invariants-on-writes.md).
alter table source add column invariants boolean not null default true;
