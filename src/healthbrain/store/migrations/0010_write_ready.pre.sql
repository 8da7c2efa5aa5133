-- As resource_write_1, but every version has its own time, owner and delivery, so that what came separately can be written
-- together; and a version may have been prepared without a lock: if somebody else has changed its resource meanwhile,
-- serialization_failure is raised, and with `strict_` also if somebody else has created it.
create function resource_write_2(
    strict_ boolean,
    ats timestamptz[], owners int[], deliveries bigint[],
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
    done    bigint;
begin
    if cardinality(changed) > 0 then
        insert into resource_history (rid, patient, delivery, updated, version, owner, rtype, deleted, body)
        select r.rid, r.patient, r.delivery, r.updated, r.version, r.owner, r.rtype, r.deleted, r.body
        from resource r where r.rid = any(changed);
        delete from resource_date d where d.rid = any(changed);
        delete from resource_number n where n.rid = any(changed);
        delete from resource_string s where s.rid = any(changed);
        update resource r
        set version = n.version, updated = n.at, owner = n.owner, patient = n.patient, delivery = n.delivery, code = n.code,
            at_low = n.low, at_high = n.high, deleted = n.kind = 'd', tokens = n.tokens::bigint[], body = n.body
        from unnest(rids, ats, owners, deliveries, versions, patients, codes, lows, highs, tokens_, bodies, kinds)
            as n(rid, at, owner, delivery, version, patient, code, low, high, tokens, body, kind)
        where r.rid = n.rid and r.version = n.version - 1;
        get diagnostics done = row_count;
        if done < cardinality(changed) then
            raise exception 'a resource was changed meanwhile' using errcode = 'serialization_failure';
        end if;
    end if;
    if fresh > 0 then
        placed := array(select coalesce(u.rid, nextval('resource_rid_seq'))
                        from unnest(rids) with ordinality as u(rid, place) order by u.place);
        insert into resource (rid, key, rtype, fhir_id, version, updated, owner, patient, delivery, code, at_low, at_high,
                              tokens, body)
        select n.rid, n.key, n.rtype, n.id, n.version, n.at, n.owner, n.patient, n.delivery, n.code, n.low, n.high,
               n.tokens::bigint[], n.body
        from unnest(placed, rids, ats, owners, deliveries, keys, rtypes, ids, versions, patients, codes, lows, highs,
                    tokens_, bodies)
            as n(rid, old, at, owner, delivery, key, rtype, id, version, patient, code, low, high, tokens, body)
        where n.old is null
        order by n.key  -- all who create several do it in the same order: no circle of waits
        on conflict (key) do nothing;
        get diagnostics done = row_count;
        if done < fresh then
            if strict_ then
                raise exception 'a resource was created meanwhile' using errcode = 'serialization_failure';
            end if;
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
    select placed[n.place], n.version, n.owner, n.patient, n.delivery, n.at, n.kind::"char"
    from unnest(ats, owners, deliveries, versions, patients, kinds) with ordinality
        as n(at, owner, delivery, version, patient, kind, place)
    where placed[n.place] is not null
    order by n.place;
    return placed;
end $$;
