-- The form of audit_append that takes columns is used by no running code any more.
drop function audit_append(bytea, text, bigint[], text[], text[], text[], text[], int[], text[], text[], text[], text[],
                           smallint[], text[], text[], text[]);
