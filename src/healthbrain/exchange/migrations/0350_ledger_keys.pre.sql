-- The row of the ledger and what was sent are written by the same statement, and neither deliveries nor sources are ever
-- deleted: looking both keys up again for each row was a tenth of what PostgreSQL does for a single write.
alter table delivery_raw drop constraint delivery_raw_delivery_fkey;
alter table delivery drop constraint delivery_source_fkey;
