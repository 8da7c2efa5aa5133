-- What a statement that writes versions prepared without a lock calls when one of them was made or changed meanwhile.
create function resource_collision() returns bigint[] language plpgsql as $$
begin
    raise exception 'a resource was created or changed meanwhile' using errcode = 'serialization_failure';
end $$;
