-- Approval of entered values (录入审批): an entry that needs a review counts only once a second person has approved it. Entries made
-- before, and those of places that turned the review off, need none. Verdicts are only ever added to.

alter table measure_entry add column needs_review boolean not null default false;

create table measure_entry_review (
    entry   bigint      primary key references measure_entry,
    verdict text        not null check (verdict in ('approved', 'returned')),
    reason  text        not null default '',    -- of a return
    by      text        not null,
    at      timestamptz not null
);
create trigger measure_entry_review_append_only before update or delete or truncate on measure_entry_review
    for each statement execute function measure_refuse();
