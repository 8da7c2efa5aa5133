-- No running code writes with resource_write_1 any more.
drop function resource_write_1(
    timestamptz, int, bigint, bigint[], uuid[], smallint[], text[], int[], bigint[], bigint[], timestamptz[], timestamptz[],
    text[], bytea[], text[], int[], int[], timestamptz[], timestamptz[], int[], int[], float8[], float8[], bigint[], bigint[],
    bigint[], int[], int[], text[], int[], bigint[], text[]);
