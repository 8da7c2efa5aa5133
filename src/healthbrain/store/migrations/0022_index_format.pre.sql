-- What the index of the resources here was made by. Format 2 keeps the UCUM codes in use and the urls of profiles in the
-- list of texts, and the positions of a MolecularSequence; reindexing.py brings older rows up to it.
create table index_format (
    format int     not null,
    done   bigint  not null default 0,
    goal   bigint,
    single boolean primary key default true check (single)
);
insert into index_format (format) select case when exists (select from resource) then 1 else 2 end;
