-- Single FHIR writes in one call: their resources, their rows of the ledger and their audit events, all or nothing.
-- The number of a delivery tells whether an earlier try was committed after all: then it is refused as a duplicate key.
create function take_in_1(
    ids bigint[], sources int[], received timestamptz[], settled timestamptz[], types text[], digests bytea[], sizes bigint[],
    requests text[], raws bytea[], event_content bytea, event_rows text,
    ats timestamptz[], owners int[], deliveries bigint[],
    rids bigint[], keys uuid[], rtypes smallint[], fhir_ids text[], versions int[], patients bigint[], codes bigint[],
    lows timestamptz[], highs timestamptz[], tokens text[], bodies bytea[], kinds text[],
    date_rows int[], date_params int[], date_lows timestamptz[], date_highs timestamptz[],
    number_rows int[], number_params int[], number_lows float8[], number_highs float8[],
    number_units bigint[], number_labels bigint[], number_codes bigint[],
    string_rows int[], string_params int[], string_values text[],
    concept_params int[], concept_tokens bigint[], concept_values text[])
returns bigint[] language plpgsql set plan_cache_mode = force_generic_plan as $$
declare
    placed bigint[];
begin
    insert into delivery (id, source, door, received_at, settled_at, state, message_type, digest, size, entries, written, request)
    select n.id, n.source, 'fhir', n.received, n.settled, 'accepted', n.type, n.digest, n.size, 1, 1, n.request::jsonb
    from unnest(ids, sources, received, settled, types, digests, sizes, requests)
        as n(id, source, received, settled, type, digest, size, request);
    insert into delivery_raw (delivery, raw) select n.id, n.raw from unnest(ids, raws) as n(id, raw);
    placed := resource_write_2(
        true, ats, owners, deliveries, rids, keys, rtypes, fhir_ids, versions, patients, codes, lows, highs, tokens, bodies,
        kinds, date_rows, date_params, date_lows, date_highs, number_rows, number_params, number_lows, number_highs,
        number_units, number_labels, number_codes, string_rows, string_params, string_values,
        concept_params, concept_tokens, concept_values);
    perform audit_append(event_content, null, event_rows);
    return placed;
end $$;
