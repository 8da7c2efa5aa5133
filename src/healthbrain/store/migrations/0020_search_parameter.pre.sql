-- Search parameters that were added at run time: what the stored SearchParameter resources define, one row for each type
-- that they apply to (parameters.py). `search_catalog` says when that last changed, so that a process may remember it.
create table search_parameter (
    number     int         primary key,          -- its number in tokens and side tables; never used again
    resource   text        not null,             -- id of the SearchParameter
    base       text        not null,             -- resource type
    code       text        not null,
    kind       text        not null,             -- token, string ...
    url        text        not null,
    expression text        not null,
    targets    text[]      not null,
    state      text        not null check (state in ('waiting', 'indexing', 'ready', 'refused', 'removed')),
    problem    text        not null default '',   -- why it was refused
    barrier    xid8,                              -- transactions before it may have written without this parameter
    done       bigint      not null default 0,    -- resources up to this rid are indexed
    goal       bigint      not null default 0,
    changed    timestamptz not null default clock_timestamp()
);
create unique index search_parameter_code on search_parameter (base, code) where state in ('waiting', 'indexing', 'ready');
create index search_parameter_resource on search_parameter (resource);

create table search_catalog (
    version bigint  not null,
    single  boolean primary key default true check (single)
);
insert into search_catalog (version) values (0);

-- Adds index values to resources as they are: no new version, nothing in the change feed.
create function resource_index_add(
    rids bigint[], tokens_ text[],
    date_rids bigint[], date_params int[], date_lows timestamptz[], date_highs timestamptz[],
    number_rids bigint[], number_params int[], number_lows float8[], number_highs float8[],
    number_units bigint[], number_labels bigint[], number_codes bigint[],
    string_rids bigint[], string_params int[], string_values text[],
    concept_params int[], concept_tokens bigint[], concept_values text[])
returns void language sql as $$
    update resource r set tokens = array(select distinct t from unnest(r.tokens || n.tokens::bigint[]) t)
    from unnest(rids, tokens_) as n(rid, tokens) where r.rid = n.rid and not r.tokens @> n.tokens::bigint[];
    insert into resource_date (rid, param, low, high)
    select * from unnest(date_rids, date_params, date_lows, date_highs);
    insert into resource_number (rid, param, low, high, unit, label, code)
    select * from unnest(number_rids, number_params, number_lows, number_highs, number_units, number_labels, number_codes);
    insert into resource_string (rid, param, value) select * from unnest(string_rids, string_params, string_values);
    insert into concept_text (param, token, value)
    select n.param, n.token, n.value from unnest(concept_params, concept_tokens, concept_values) as n(param, token, value)
    where not exists (select from concept_text t where t.param = n.param and t.value = n.value);
$$;
