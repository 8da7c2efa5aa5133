-- One call writes any number of resource versions with their index rows and change entries. A function, because its
-- statements keep their plans (generic ones: there is nothing to choose) while searches are planned afresh, and because
-- a small write then costs one round trip. The number in its name lets the next version of it live beside this one
-- during an upgrade.
--
-- Row i of the arrays up to `kinds` is one version. rids[i] is null for a resource that is new. Index rows name their
-- version by its place i. Returns the rid of each version, null where somebody else created the same key meanwhile:
-- of those nothing was written.
create function resource_write_1(
    at timestamptz, owner_ int, delivery_ bigint,
    rids bigint[], keys uuid[], rtypes smallint[], ids text[], versions int[], patients bigint[], codes bigint[],
    lows timestamptz[], highs timestamptz[], tokens_ text[], bodies bytea[], kinds text[],
    date_rows int[], date_params int[], date_lows timestamptz[], date_highs timestamptz[],
    number_rows int[], number_params int[], number_lows float8[], number_highs float8[],
    number_units bigint[], number_labels bigint[], number_codes bigint[],
    string_rows int[], string_params int[], string_values text[],
    concept_params int[], concept_tokens bigint[], concept_values text[])
returns bigint[] language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    changed bigint[] := array_remove(rids, null);
    placed  bigint[] := rids;
    fresh   int := cardinality(rids) - cardinality(changed);
    made    bigint;
begin
    if cardinality(changed) > 0 then
        insert into resource_history (rid, patient, delivery, updated, version, owner, rtype, deleted, body)
        select r.rid, r.patient, r.delivery, r.updated, r.version, r.owner, r.rtype, r.deleted, r.body
        from resource r where r.rid = any(changed);
        delete from resource_date d where d.rid = any(changed);
        delete from resource_number n where n.rid = any(changed);
        delete from resource_string s where s.rid = any(changed);
        update resource r
        set version = n.version, updated = at, owner = owner_, patient = n.patient, delivery = delivery_, code = n.code,
            at_low = n.low, at_high = n.high, deleted = n.kind = 'd', tokens = n.tokens::bigint[], body = n.body
        from unnest(rids, versions, patients, codes, lows, highs, tokens_, bodies, kinds)
            as n(rid, version, patient, code, low, high, tokens, body, kind)
        where r.rid = n.rid;
    end if;
    if fresh > 0 then
        placed := array(select coalesce(u.rid, nextval('resource_rid_seq'))
                        from unnest(rids) with ordinality as u(rid, place) order by u.place);
        insert into resource (rid, key, rtype, fhir_id, version, updated, owner, patient, delivery, code, at_low, at_high,
                              tokens, body)
        select n.rid, n.key, n.rtype, n.id, n.version, at, owner_, n.patient, delivery_, n.code, n.low, n.high,
               n.tokens::bigint[], n.body
        from unnest(placed, rids, keys, rtypes, ids, versions, patients, codes, lows, highs, tokens_, bodies)
            as n(rid, old, key, rtype, id, version, patient, code, low, high, tokens, body)
        where n.old is null
        order by n.key  -- all who create several do it in the same order: no circle of waits
        on conflict (key) do nothing;
        get diagnostics made = row_count;
        if made < fresh then
            placed := array(select case when r.rid = u.rid then u.rid end
                            from unnest(placed, keys) with ordinality as u(rid, key, place)
                            join resource r on r.key = u.key order by u.place);
        end if;
    end if;
    if cardinality(date_rows) > 0 then
        insert into resource_date (rid, param, low, high)
        select placed[n.place], n.param, n.low, n.high
        from unnest(date_rows, date_params, date_lows, date_highs) as n(place, param, low, high)
        where placed[n.place] is not null;
    end if;
    if cardinality(number_rows) > 0 then
        insert into resource_number (rid, param, low, high, unit, label, code)
        select placed[n.place], n.param, n.low, n.high, n.unit, n.label, n.code
        from unnest(number_rows, number_params, number_lows, number_highs, number_units, number_labels, number_codes)
            as n(place, param, low, high, unit, label, code)
        where placed[n.place] is not null;
    end if;
    if cardinality(string_rows) > 0 then
        insert into resource_string (rid, param, value)
        select placed[n.place], n.param, n.value
        from unnest(string_rows, string_params, string_values) as n(place, param, value)
        where placed[n.place] is not null;
    end if;
    if cardinality(concept_params) > 0 then
        insert into concept_text (param, token, value)
        select n.param, n.token, n.value
        from unnest(concept_params, concept_tokens, concept_values) as n(param, token, value)
        where not exists (select from concept_text t where t.param = n.param and t.value = n.value);
    end if;
    insert into change (rid, version, owner, patient, delivery, at, kind)
    select placed[n.place], n.version, owner_, n.patient, delivery_, at, n.kind::"char"
    from unnest(versions, patients, kinds) with ordinality as n(version, patient, kind, place)
    where placed[n.place] is not null
    order by n.place;
    return placed;
end $$;
