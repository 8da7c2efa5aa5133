-- Exports of views are bulk jobs too.
alter table bulk_job drop constraint bulk_job_kind_check;
alter table bulk_job add constraint bulk_job_kind_check check (kind in ('export', 'import', 'view'));
